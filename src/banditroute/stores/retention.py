"""How long things are kept: the arithmetic that all stores share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from banditroute.core.identity import is_id, lowest_id
from banditroute.values import DecisionId

CHECKPOINTS_PER_TTL = 8
"""At most so many checkpoints are kept per decisions' time to live, base and newest apart."""


@dataclass(frozen=True, slots=True)
class Saved:
    """Where a checkpoint stands in the log, and when it was saved."""

    position: int
    at_s: float


@dataclass(frozen=True, slots=True)
class Retention:
    """Decisions live for ``ttl_s`` seconds, by the time in their ids."""

    ttl_s: float

    def __post_init__(self) -> None:
        if not 0 < self.ttl_s < float("inf"):
            raise ValueError(f"a time to live is a positive number of seconds, not {self.ttl_s}")

    def oldest(self, now_s: float) -> DecisionId:
        """The lowest id that a living decision can have."""
        return lowest_id(max(int(self.oldest_s(now_s) * 1000), 0))

    def oldest_s(self, now_s: float) -> float:
        """The time before which decisions are past their time to live."""
        return now_s - self.ttl_s

    def superfluous(self, saved: Sequence[Saved]) -> list[int]:
        """The positions of checkpoints to drop, out of all in order of position.

        Kept are the first, which the log begins at, the last, and between them one for every
        1/8 of the time to live.
        """
        spacing_s = self.ttl_s / CHECKPOINTS_PER_TTL
        dropped = []
        kept_at_s = saved[0].at_s if saved else 0.0
        for checkpoint in saved[1:-1]:
            if checkpoint.at_s < kept_at_s + spacing_s:
                dropped.append(checkpoint.position)
            else:
                kept_at_s = checkpoint.at_s
        return dropped


def base(saved: Sequence[Saved], before_s: float) -> int | None:
    """The position of the newest checkpoint saved before a time; None if there is none."""
    return max((s.position for s in saved if s.at_s < before_s), default=None)


def is_expired(decision_id: DecisionId, oldest: DecisionId) -> bool:
    """Whether an id is one of ours, but too old."""
    return is_id(decision_id) and decision_id < oldest
