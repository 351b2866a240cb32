"""Values that people write with a unit, read into plain numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass

SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
LEAST_READINGS = 50  # a router that forgets faster than it learns knows nothing
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")


def duration_s(value: object) -> float:
    """Seconds from ``"90s"``, ``"15m"``, ``"24h"``, ``"30d"``, ``"2w"`` or a plain number.

    Raises ValueError that says how a duration is written. Sign and size are the caller's
    to judge: a negative number comes back negative.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError('must be a duration: "90s", "15m", "24h", "30d", or a number of seconds')
    return float(match[1]) * SECONDS[match[2]]


@dataclass(frozen=True, slots=True)
class HalfLife:
    """After so many seconds, or so many readings, evidence counts half; None is never."""

    s: float | None = None
    n: float | None = None


def half_life(value: object) -> HalfLife:
    """``"off"``, a duration such as ``"14d"``, or a number of readings.

    Raises ValueError that says how it is written.
    """
    how = 'must be "off", a duration above 0 such as "14d", or a number of readings, at least 50'
    if isinstance(value, HalfLife):
        return value
    if value == "off":
        return HalfLife()
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not LEAST_READINGS <= value < float("inf"):
            raise ValueError(how)
        return HalfLife(n=float(value))
    try:
        seconds = duration_s(value)
    except ValueError:
        raise ValueError(how) from None
    if seconds <= 0.0:
        raise ValueError(how)
    return HalfLife(s=seconds)


def written(life: HalfLife) -> str | float:
    """A half-life as it may stand in the file."""
    if life.n is not None:
        return life.n
    return "off" if life.s is None else f"{life.s:.15g}s"
