"""Data frames of pandas or polars, without importing either."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from banditroute.errors import DataError

NEEDED = ("arm", "propensity", "quality")
# What a flat frame calls a column, and what a log calls it.
_FLAT = {
    "arm": "arm",
    "propensity": "propensity",
    "quality": "quality",
    "reward": "quality",
    "cost_usd": "cost_usd",
    "latency_s": "latency_s",
    "answer_value_usd": "answer_value_usd",
    "patience_s": "patience_s",
    "made_at_s": "made_at_s",
    "task": "tasks",
    "policy": "policies",
}


def is_flat(frame: Any) -> bool:
    """Whether a frame has a round in each line, rather than the rows of an export."""
    return "candidates" not in list(frame.columns)


def rows_of(frame: Any) -> Iterator[Mapping[str, Any]]:
    """The lines of a frame, by column."""
    if hasattr(frame, "iter_rows"):
        yield from frame.iter_rows(named=True)
        return
    names = [str(name) for name in frame.columns]
    for line in frame.itertuples(index=False, name=None):
        yield dict(zip(names, line, strict=True))


def columns_of(frame: Any) -> dict[str, Any]:
    """The arguments of ``Log.of_arrays`` that a flat frame holds."""
    there = [str(name) for name in frame.columns]
    found = {_FLAT[name]: list(frame[name]) for name in there if name in _FLAT}
    missing = [name for name in NEEDED if name not in found]
    if missing:
        raise DataError(
            f"the frame has no column {', '.join(missing)}; a flat one needs {', '.join(NEEDED)}, "
            "the rows of `banditroute export` need candidates"
        )
    found["arm"] = [str(arm_id) for arm_id in found["arm"]]
    return {"arms": sorted(set(found["arm"])), **found}
