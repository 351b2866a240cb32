"""The probability that each of several independent normals is the largest."""

from __future__ import annotations

from math import log1p

import numpy as np
from scipy.special import ndtr

from banditroute.values import Vector

# Widths from the mean, beyond which lie 3e-7 of an arm. Just over 5: of arms whose lowest points
# tie there, the narrowest then comes first.
TAIL = 5.0 + 1e-9
BASE = 3.0  # widths of the lowest arm: the distance of the first point from the pole
STEP = 0.05  # between the logs of two distances; 0.075 is off by up to 1e-4, 0.1 by 1e-3
DEEPEST = -30.0  # widths below the mean; there Φ is 5e-198, and no quotient overflows
NARROWEST = 1e-15  # of the widest arm: what rounding leaves of the difference of two means
LEAST = 1e-100  # anything narrower is taken to be so wide: its square still is a number

_MOST_POINTS = int(log1p(2.0 * TAIL / (BASE * NARROWEST)) / STEP) + 2
_GROWTH = np.exp(STEP * np.arange(_MOST_POINTS))


def win_probabilities(mean: Vector, sd: Vector, sharpness: float = 1.0) -> Vector:
    """P(argmax of independent N(mean_k, sd_k²) is k), for K ≥ 1 arms with sd > 0, to about 1e-5.

    P_k = ∫ h_k F dz, where F = ∏ Φ_j is the distribution of the maximum and h_k = φ_k/Φ_k, by
    the trapezoidal rule on points whose distances from a pole grow geometrically. The maximum
    lies above z₀ = max(m - 5s), and an arm centred at z₀ + D is at least D/5 wide: so the points
    stand as close, in widths, in every arm that matters, and the rule converges exponentially
    (Trefethen & Weideman 2014) for arms of any widths. With a ``sharpness`` c ≥ 1, P_k^c / Σ P^c.
    """
    width = np.maximum(sd, max(NARROWEST * _largest(sd), LEAST))
    centre, height, spacing = _points(mean, width)
    standard = (height - centre[:, None]) / width[:, None]
    np.maximum(standard, DEEPEST, out=standard)
    cdf = ndtr(standard)
    standard *= standard
    standard *= -0.5
    hazard = np.exp(standard, out=standard)
    hazard /= cdf
    wins: Vector = hazard @ (np.multiply.reduce(cdf) * spacing)
    wins /= width
    if sharpness != 1.0:
        wins **= sharpness
    wins /= np.add.reduce(wins)
    return wins


def _points(mean: Vector, width: Vector) -> tuple[Vector, Vector, Vector]:
    """Above the lowest point z₀: every arm's mean, and every point; how far apart these stand."""
    tail = TAIL * width
    place = (mean - tail).argmax()
    lowest, base = float(tail[place]), BASE * float(width[place])
    centre = mean - float(mean[place]) + lowest
    reach = _largest(centre + tail)
    spacing = base * _GROWTH[: int(log1p(reach / base) / STEP) + 2]
    return centre, spacing - base, spacing


def _largest(values: Vector) -> float:
    """As ``values.max()``, in a quarter of the time for few values."""
    return float(values[values.argmax()])
