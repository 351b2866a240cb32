"""Means over seeds with their intervals, and numbers as a reader wants them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from scipy.special import stdtrit

from banditroute.values import Matrix, Vector

LEVEL = 0.95
UNKNOWN = "–"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds, and half the width of its 95 % interval: NaN where one seed was run."""

    mean: float
    half: float

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return isfinite(self.half)


def estimate(values: Sequence[float] | Vector) -> Estimate:
    """The mean ± t · s/√n, Student's t with n − 1 degrees of freedom."""
    array = np.asarray(values, dtype=np.float64)
    return Estimate(float(array.mean()), float(half_width(array[:, None])[0]))


def half_width(runs: Matrix) -> Vector:
    """(B,) half the width of the 95 % interval of each column's mean; ``runs`` is (seeds, B)."""
    seeds = len(runs)
    if seeds < 2:
        return np.full(runs.shape[1], np.nan)
    factor = float(stdtrit(seeds - 1, 0.5 + LEVEL / 2.0))
    half: Vector = factor * runs.std(axis=0, ddof=1) / seeds**0.5
    return half


def shown(value: float, digits: int = 4) -> str:
    """``0.7229``, ``−0.0100``, or a dash where nothing is known."""
    if not isfinite(value):
        return UNKNOWN
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.removeprefix("-")


def signed(value: float, digits: int = 4) -> str:
    """``+0.0100``, ``−0.0100``, ``0.0000``."""
    text = shown(value, digits)
    return f"+{text}" if isfinite(value) and float(f"{value:.{digits}f}") > 0.0 else text


def interval(value: Estimate, digits: int = 4) -> str:
    """``0.7229 ± 0.0014``."""
    mean = shown(value.mean, digits)
    return f"{mean} ± {shown(value.half, digits)}" if value.known else mean


def span(value: Estimate, digits: int = 4) -> str:
    """``[+0.0050, +0.0150]``."""
    low, high = value.mean - value.half, value.mean + value.half
    return f"[{signed(low, digits)}, {signed(high, digits)}]"


def dollars(usd: float) -> str:
    """Three figures that count: ``$0.0293``, ``$15.2``, ``$1,240``."""
    if not isfinite(usd):
        return UNKNOWN
    if usd == 0.0:
        return "$0"
    decimals = max(0, 2 - int(np.floor(np.log10(abs(usd)))))
    return f"${usd:,.{decimals}f}"


def given(usd: float) -> str:
    """What somebody asked for, without the zeros that say how well it is known: ``$0.05``."""
    text = dollars(usd)
    return text.rstrip("0").rstrip(".") if "." in text else text


def per_thousand(usd: float) -> str:
    """Dollars per request as dollars per 1,000 requests."""
    return dollars(1_000.0 * usd)


def percent(share: float) -> str:
    """``98.7 %``, ``100 %``."""
    text = shown(100.0 * share, 1)
    return f"{text.removesuffix('.0') if text in {'0.0', '100.0'} else text} %"


def beside(value: float, digits: int = 3) -> str:
    """``0.006 below``, ``0.003 above``, or ``at`` where it is 0 in these digits."""
    if float(f"{value:.{digits}f}") == 0.0:
        return "at"
    return f"{shown(abs(value), digits)} {'below' if value < 0.0 else 'above'}"
