"""The rows of an export, read one by one into the columns of a log."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from banditroute.core.feedback import is_judge
from banditroute.errors import DataError
from banditroute.evaluation.predictions import PREDICTED, Predictions
from banditroute.values import Matrix

NAMED = "the caller named the arm"
CERTAIN = "one of several arms was certain, so that nobody explored"
FAILED = "the call failed"
ABANDONED = "abandoned"  # the error of an outcome whose caller left: what came was an answer
CERTAINTY = 1.0 - 1e-12
ROUNDING = 1e-6

_Cell: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]

_INFINITE = float("inf")
_UNKNOWN = float("nan")
# What is read of each row as it stands, with what it is where it is missing.
_NUMBERS = {
    "answer_value_usd": _INFINITE,
    "patience_s": _INFINITE,
    "budget_price": 0.0,
    "floor": 0.0,
    "judged_share": 1.0,
    "usual_cost_usd": _UNKNOWN,
    "made_at_s": _UNKNOWN,
}
_CELLS = ("probability", *PREDICTED)


def gather(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The fields of a ``Log``, by name. Raises DataError for a row that cannot be right."""
    gathered = Gathering()
    for row in rows:
        gathered.add(row)
    return gathered.finished()


def reason_to_leave_out(row: Mapping[str, Any]) -> str | None:
    """Why a decision is no round that a policy can be judged by; None for one that is."""
    if not row.get("explored", True):
        return NAMED
    if len(row["candidates"]) > 1 and row["propensity"] >= CERTAINTY:
        return CERTAIN
    error = _part(row, "outcome").get("error")
    return FAILED if isinstance(error, str) and error != ABANDONED else None


@dataclass(slots=True)
class Gathering:
    """What was read so far. ``cells`` are the candidates of all rounds, one after the other."""

    places: dict[str, int] = field(default_factory=dict)
    arm: array[int] = field(default_factory=lambda: array("q"))
    numbers: dict[str, array[float]] = field(
        default_factory=lambda: {name: array("d") for name in _NUMBERS}
    )
    came: dict[str, array[float]] = field(
        default_factory=lambda: {n: array("d") for n in ("quality", "cost_usd", "latency_s")}
    )
    cell_round: array[int] = field(default_factory=lambda: array("q"))
    cell_arm: array[int] = field(default_factory=lambda: array("q"))
    cells: dict[str, array[float]] = field(
        default_factory=lambda: {name: array("d") for name in _CELLS}
    )
    x: list[NDArray[np.float32] | None] = field(default_factory=list)
    words: dict[str, list[Any]] = field(
        default_factory=lambda: {name: [] for name in ("tasks", "tags", "policies", "by_judge")}
    )
    left_out: Counter[str] = field(default_factory=Counter)
    routers: set[str] = field(default_factory=set)
    fingerprints: set[str] = field(default_factory=set)

    def add(self, row: Mapping[str, Any]) -> None:
        """Read one row."""
        try:
            why = reason_to_leave_out(row)
            if why is None:
                self._check(row)
                self._round(row)
            else:
                self.left_out[why] += 1
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"decision {row.get('id')}: {error!r}: this is no row of `banditroute export`"
            ) from error

    def _check(self, row: Mapping[str, Any]) -> None:
        chances = {one["arm"]: float(one["probability"]) for one in row["candidates"]}
        if row["arm"] not in chances:
            raise DataError(f"decision {row['id']}: its arm {row['arm']!r} is no candidate")
        total, drawn = sum(chances.values()), chances[row["arm"]]
        if not abs(total - 1.0) <= ROUNDING or not abs(drawn - row["propensity"]) <= ROUNDING:
            raise DataError(
                f"decision {row['id']}: the probabilities of its candidates add up to {total:.6g}, "
                f"that of its arm is {drawn:.6g} and its propensity {row['propensity']:.6g}; "
                "leave it out, or export the log again"
            )
        if not drawn > 0.0:
            raise DataError(f"decision {row['id']}: its arm was drawn with probability 0")

    def _round(self, row: Mapping[str, Any]) -> None:
        at = len(self.arm)
        self.arm.append(self._place(row["arm"]))
        for name, column in self.numbers.items():
            column.append(_number(row.get(name), _NUMBERS[name]))
        outcome, feedback = _part(row, "outcome"), _part(row, "feedback")
        self.came["quality"].append(_number(feedback.get("quality"), _UNKNOWN))
        self.came["cost_usd"].append(_number(outcome.get("cost_usd"), _UNKNOWN))
        self.came["latency_s"].append(_number(outcome.get("latency_s"), _UNKNOWN))
        for one in row["candidates"]:
            self.cell_round.append(at)
            self.cell_arm.append(self._place(one["arm"]))
            for name, column in self.cells.items():
                column.append(_number(one.get(name), _UNKNOWN))
        x = row.get("x")
        self.x.append(None if x is None else np.asarray(x, dtype=np.float32))
        self._words(row, feedback)

    def _words(self, row: Mapping[str, Any], feedback: Mapping[str, Any]) -> None:
        tags = row.get("tags")
        task = row.get("task")
        self.words["tasks"].append(task if isinstance(task, str) else None)
        self.words["tags"].append(() if tags is None else tuple(tags))
        self.words["policies"].append(row["policy"])
        self.words["by_judge"].append(any(map(is_judge, _sources(feedback))))
        self.routers.add(row.get("router") or "")
        self.fingerprints.add(row.get("fingerprint") or "")

    def _place(self, arm_id: str) -> int:
        return self.places.setdefault(arm_id, len(self.places))

    def finished(self) -> dict[str, Any]:
        """All columns as arrays; the arms in order of their ids."""
        arms = tuple(sorted(self.places))
        order = np.array([arms.index(arm_id) for arm_id in self.places], dtype=np.int64)
        cell = (np.array(self.cell_round, np.int64), order[np.array(self.cell_arm, np.int64)])
        shape = (len(self.arm), len(arms))
        cells = {name: _spread(self.cells[name], cell, shape) for name in _CELLS}
        numbers = {**self.came, **self.numbers}
        x, dimensions = self._x()
        return {
            "arms": arms,
            "arm": order[np.array(self.arm, np.int64)],
            "probabilities": np.nan_to_num(cells.pop("probability")),
            "eligible": _marked(cell, shape),
            "predictions": Predictions(**cells) if _foretold(cells, self) else None,
            "x": x,
            **{name: np.array(column, np.float64) for name, column in numbers.items()},
            **{name: tuple(self.words[name]) for name in ("tasks", "tags", "policies")},
            "by_judge": np.array(self.words["by_judge"], dtype=np.bool_),
            "left_out": dict(self.left_out),
            "notes": self._notes(dimensions),
        }

    def _x(self) -> tuple[NDArray[np.float32] | None, int]:
        """The contexts, where all are known and of one length; and how many lengths there are."""
        lengths = {len(one) for one in self.x if one is not None}
        if len(lengths) != 1 or any(one is None for one in self.x):
            return None, len(lengths)
        return np.array(self.x, dtype=np.float32), 1

    def _notes(self, dimensions: int) -> tuple[str, ...]:
        notes = []
        if len(self.routers) > 1:
            notes.append(f"the log mixes routers: {', '.join(sorted(self.routers))}")
        if len(self.fingerprints) > 1 or dimensions > 1:
            notes.append(
                "the log was made with several sets of context features: only rounds of one can "
                "be told apart by x; evaluate them apart with --since and --until"
            )
        return tuple(notes)


def _part(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """What a row says of its outcome or feedback; nothing where there was none."""
    part = row.get(name)
    return part if isinstance(part, Mapping) else {}


def _sources(feedback: Mapping[str, Any]) -> list[str]:
    """Who spoke. Frames read maps as pairs, or as what has a key and a value."""
    words = feedback.get("sources")
    if words is None or isinstance(words, Mapping):
        return list(words or ())
    return [word["key"] if isinstance(word, Mapping) else word[0] for word in words]


def _number(value: Any, missing: float) -> float:
    return missing if value is None else float(value)


def _spread(values: array[float], cell: _Cell, shape: tuple[int, int]) -> Matrix:
    spread = np.full(shape, np.nan)
    spread[cell] = np.array(values, np.float64)
    return spread


def _marked(cell: _Cell, shape: tuple[int, int]) -> NDArray[np.bool_]:
    marked = np.zeros(shape, dtype=np.bool_)
    marked[cell] = True
    return marked


def _foretold(cells: Mapping[str, Matrix], gathered: Gathering) -> bool:
    """Whether a log has predictions at all."""
    return len(gathered.arm) > 0 and not np.isnan(cells["quality"]).all()
