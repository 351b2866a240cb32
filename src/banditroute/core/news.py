"""An operator's news as plain values and back, exactly: what logs and checkpoints keep of it.

Plain are numbers, text, bytes, None, and lists and mappings of them. Arrays are little-endian
float64, of a symmetric matrix the lower triangle; sets are sorted lists.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from banditroute.values import Arm, ArmChange, ArmStatus, Matrix, News, Prior, SourceChange, Tuning

_ARM = tuple(field.name for field in fields(Arm))
_SETS = ("capabilities", "regions", "labels")
_PLACE = ("id", "arm_id", "at_s")
_SOURCE = ("id", "source", "at_s", "quarantined")
_TUNING = ("id", "at_s", "half_life_s", "half_life_n", "detect_drift", "winsorise_sd")
_ARM_CHANGE, _SOURCE_CHANGE, _PRIOR, _TUNED = 0, 1, 2, 3


def to_plain(news: News) -> list[Any]:
    """News as a list of plain values, as far as an arm's settings are plain."""
    if isinstance(news, ArmChange):
        arm = None if news.arm is None else plain_arm(news.arm)
        return [_ARM_CHANGE, *_values(news, _PLACE), str(news.status), arm, news.basis]
    if isinstance(news, SourceChange):
        return [_SOURCE_CHANGE, *_values(news, _SOURCE)]
    if isinstance(news, Tuning):
        return [_TUNED, *_values(news, _TUNING)]
    lower = news.gram[np.tril_indices(len(news.moment))]
    return [_PRIOR, *_values(news, _PLACE), news.n, _bytes(lower), _bytes(news.moment), news.square]


def from_plain(plain: list[Any]) -> News:
    """The news that was made plain. Raises ValueError, TypeError or KeyError for anything else."""
    kind, *values = plain
    if kind == _ARM_CHANGE:
        id_, arm_id, at_s, status, arm, basis = values
        given = None if arm is None else _arm(arm)
        return ArmChange(id_, arm_id, at_s, ArmStatus(status), given, basis)
    if kind == _SOURCE_CHANGE:
        return SourceChange(**dict(zip(_SOURCE, values, strict=True)))
    if kind == _PRIOR:
        id_, arm_id, at_s, n, lower, moment, square = values
        vector = _array(moment)
        gram = _square(_array(lower), len(vector))
        return Prior(id_, arm_id, at_s, n, gram, vector, square)
    if kind == _TUNED:
        return Tuning(**dict(zip(_TUNING, values, strict=True)))
    raise ValueError(f"no news is of kind {kind!r}")


def plain_arm(arm: Arm) -> dict[str, Any]:
    """An arm's definition as a mapping of plain values."""
    plain = {name: getattr(arm, name) for name in _ARM}
    sets = {name: sorted(plain[name]) for name in _SETS}
    return {**plain, **sets, "settings": dict(arm.settings)}


def _arm(plain: dict[str, Any]) -> Arm:
    return Arm(**{**plain, **{name: frozenset(plain[name]) for name in _SETS}})


def _values(news: News, names: tuple[str, ...]) -> list[Any]:
    return [getattr(news, name) for name in names]


def _bytes(array: Matrix) -> bytes:
    return np.ascontiguousarray(array, dtype="<f8").tobytes()


def _array(data: bytes) -> Matrix:
    return np.frombuffer(data, dtype="<f8").astype(np.float64)


def _square(lower: Matrix, d: int) -> Matrix:
    square = np.zeros((d, d))
    rows, columns = np.tril_indices(d)
    square[rows, columns] = square[columns, rows] = lower
    return square
