"""Values that people write with a unit, read into plain numbers."""

from __future__ import annotations

import re

SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
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
