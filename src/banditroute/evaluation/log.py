"""A router's log as arrays: what was decided, with which probabilities, and what came of it."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from banditroute.evaluation.arrays import checked
from banditroute.evaluation.frames import columns_of, is_flat, rows_of
from banditroute.evaluation.gathering import Gathering, gather
from banditroute.evaluation.predictions import Predictions
from banditroute.evaluation.rows import row_of
from banditroute.values import DecisionRecord, Matrix, Vector


@dataclass(frozen=True, slots=True)
class Log:
    """T rounds in which a policy chose among K ``arms``; nobody writes to the arrays.

    ``arm`` (T,) is the row of the arm that was drawn, from ``probabilities`` (T, K), which are 0
    where an arm was not ``eligible`` (T, K). What came of it (T,): ``quality`` is NaN where nobody
    judged the answer, ``cost_usd`` and ``latency_s`` where they are not known. ``predictions``
    and ``x`` (T, d) precede what came of it, and are None where the log has none.

    The rest is what the policy saw beside: ``policies`` are the specs of who chose,
    ``usual_cost_usd`` is NaN where nothing had been spent, weights are as in a ``Decision``.
    ``by_judge`` says where a judge was among those who spoke. ``left_out`` counts decisions that
    are no rounds, by reason; ``notes`` are warnings that hold for the whole log.
    """

    arms: tuple[str, ...]
    arm: NDArray[np.int64]
    probabilities: Matrix
    eligible: NDArray[np.bool_]
    quality: Vector
    cost_usd: Vector
    latency_s: Vector
    predictions: Predictions | None
    x: NDArray[np.floating[Any]] | None
    tasks: tuple[str | None, ...]
    tags: tuple[tuple[str, ...], ...]
    policies: tuple[str, ...]
    answer_value_usd: Vector
    patience_s: Vector
    budget_price: Vector
    floor: Vector
    judged_share: Vector
    usual_cost_usd: Vector
    made_at_s: Vector
    by_judge: NDArray[np.bool_]
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def of_rows(cls, rows: Iterable[Mapping[str, Any]]) -> Log:
        """The log that the rows of an export make, read once, in order.

        Left out, and counted: decisions of a caller who named the arm, those in which one of
        several arms was certain, so that nobody explored, and calls that failed. A decision with
        one eligible arm counts: every policy would have made it. Raises DataError for a row
        whose arm is none of its candidates, or whose probabilities do not add up.
        """
        return cls(**gather(rows))

    @classmethod
    async def of_records(cls, records: AsyncIterable[DecisionRecord]) -> Log:
        """As :meth:`of_rows`, from the decisions of a store."""
        gathered = Gathering()
        async for record in records:
            gathered.add(row_of(record))
        return cls(**gathered.finished())

    @classmethod
    def of_arrays(
        cls,
        arms: Iterable[str],
        arm: ArrayLike,
        *,
        quality: ArrayLike,
        probabilities: ArrayLike | None = None,
        propensity: ArrayLike | None = None,
        **more: Any,
    ) -> Log:
        """A log from plain arrays, for logs of other routers and for notebooks.

        ``arm`` (T,) has rows of ``arms`` or their ids; ``quality`` is the reward, NaN where it
        is not known. Of the probabilities, all (T, K) or those of the arms that were drawn (T,):
        the rest is then taken to be spread evenly over the other eligible arms, which a note
        says. ``more`` are other fields of the log by name; weights may be single numbers, and
        ``predictions`` a mapping of names to (T, K). Without an answer's value and patience,
        quality alone counts. Raises DataError for what does not fit together.
        """
        given = {"probabilities": probabilities, "propensity": propensity, "quality": quality}
        return cls(**checked(arms, arm, {**more, **given}))

    @classmethod
    def of_frame(cls, frame: Any) -> Log:
        """A log from a pandas or polars frame, of an export or flat.

        A flat frame has a round in each line: columns ``arm``, ``propensity``, ``quality`` (or
        ``reward``), and if known ``cost_usd``, ``latency_s``, ``task``, ``answer_value_usd``,
        ``patience_s``. Raises DataError for one that lacks the first three.
        """
        if not is_flat(frame):
            return cls.of_rows(rows_of(frame))
        return cls.of_arrays(**columns_of(frame))

    def __len__(self) -> int:
        return len(self.arm)

    @property
    def judged(self) -> NDArray[np.bool_]:
        """(T,) where somebody judged the answer."""
        return np.isfinite(self.quality)

    @property
    def propensity(self) -> Vector:
        """(T,) the probability with which the arm was drawn."""
        drawn: Vector = self.probabilities[np.arange(len(self)), self.arm]
        return drawn

    def take(self, rounds: NDArray[np.int64] | NDArray[np.bool_]) -> Log:
        """Some of the rounds, by their numbers or a mask."""
        picked = np.arange(len(self))[rounds]
        changes: dict[str, Any] = {}
        for column in fields(self):
            value = getattr(self, column.name)
            if isinstance(value, np.ndarray):
                changes[column.name] = value[picked]
            elif isinstance(value, Predictions):
                changes[column.name] = value.take(picked)
            elif column.name in {"tasks", "tags", "policies"}:
                changes[column.name] = tuple(value[at] for at in picked.tolist())
        return replace(self, **changes)
