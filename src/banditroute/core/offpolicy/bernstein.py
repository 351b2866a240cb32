"""The empirical Bernstein sequence of inverse propensity scores: a reference to compare with."""

from __future__ import annotations

import numpy as np
from scipy.special import gammainc, gammaln

from banditroute.core.offpolicy.rounds import Rounds
from banditroute.values import Vector

RHO = 1.0  # ρ: about a fifth of the variance V at which the bound is tightest
HALVINGS = 60


def ips_sequence(
    rounds: Rounds, level: float = 0.95, bounds: tuple[float, float] = (0.0, 1.0)
) -> tuple[Vector, Vector]:
    """(T,) anytime-valid bounds of the target's mean value so far, without predictions.

    As :func:`~banditroute.core.offpolicy.value_sequence`, which is narrower. The conjugate
    mixture empirical Bernstein sequence (Waudby-Smith et al. 2022, arXiv 2210.10768, of changing
    policy values) on w·r, for each side half of 1 − ``level``. Raises ValueError for a reward out
    of ``bounds``.
    """
    rewards, alpha = rounds.rewards_within(bounds), (1.0 - level) / 2.0
    low, high = bounds
    lower = np.clip(_lower(rounds.weights * rewards, alpha), 0.0, 1.0)
    upper = 1.0 - np.clip(_lower(rounds.weights * (1.0 - rewards), alpha), 0.0, 1.0)
    return low + (high - low) * lower, low + (high - low) * upper


def _lower(outcomes: Vector, alpha: float) -> Vector:
    """(T,) of outcomes that are at least 0, with means of at most 1."""
    t = np.arange(1, len(outcomes) + 1)
    total = np.cumsum(outcomes)
    centres = np.minimum((0.5 + total - outcomes) / t, 1.0)
    variance = np.cumsum((outcomes - centres) ** 2)
    lower: Vector = (total - boundary(variance, alpha)) / t
    return lower


def boundary(variance: Vector, alpha: float) -> Vector:
    """(T,) what S = Σ(ξ − μ) stays below at all times with probability 1 − ``alpha``.

    For ξ ≥ 0 and V = Σ(ξ − ξ̂)², ξ̂ ≤ 1 known beforehand: where the mixture M(S, V) is 1/α.
    """
    sought = -float(np.log(alpha))
    low, high = np.zeros_like(variance), np.ones_like(variance)
    while (short := log_mixture(high, variance) < sought).any():
        high[short] *= 2.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        above = log_mixture(middle, variance) >= sought
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return high


def log_mixture(deviation: Vector, variance: Vector) -> Vector:
    """Log M(S, V), the gamma-exponential mixture (Howard et al. 2021, proposition 9), S ≥ 0.

    M = C e^{S+V} Γ(V+ρ) P(V+ρ, S+V+ρ) / (S+V+ρ)^{V+ρ} with C = ρ^ρ / (Γ(ρ) P(ρ, ρ)), and P the
    regularised lower incomplete gamma function.
    """
    shape = variance + RHO
    reach = deviation + shape
    scale = RHO * np.log(RHO) - gammaln(RHO) - np.log(gammainc(RHO, RHO))
    grown = gammaln(shape) + np.log(gammainc(shape, reach)) - shape * np.log(reach)
    mixture: Vector = scale + deviation + variance + grown
    return mixture
