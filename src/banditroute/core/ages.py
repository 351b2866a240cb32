"""How much old evidence still counts, so that it can be taken back as exactly as it was added.

Where evidence is scaled down (an alarm of drift, a half-life), whoever later amends or retracts
a piece of it must take away just what is left of that piece. So every scaling is noted with the
newest decision that it covered, and what is left of a decision's evidence is the product of the
scalings that covered it. Evidence that arrives late on an old decision enters scaled down, too:
it speaks of the past.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from math import exp, fsum, log

from banditroute.core.identity import made_at_ms
from banditroute.values import DecisionId, Tuning

EVERY_ARM = -1
STEP = 1.0 / 64.0  # half-lives between two scalings for age
MOST_LIVES = 64.0  # after so many half-lives nothing is left that could be told from 0
MOST_SCALINGS = 4096  # a half-life notes 64 a half-life: what is older than 64 of them is nothing
LEAST_LOG = -400.0  # of what is left: it is divided by, and must not underflow to 0


@dataclass(frozen=True, slots=True)
class Scaling:
    """Evidence of one arm, or of every arm, on decisions up to ``until`` was scaled by ``kept``."""

    until: DecisionId
    row: int
    kept: float


@dataclass(slots=True)
class Ages:
    """The scalings of a router's evidence so far, and the newest decision heard of.

    ``aged_id`` and ``aged_n`` are the newest decision and the count of readings at the time of
    the last scaling for age.
    """

    newest: DecisionId = ""
    aged_id: DecisionId = ""
    aged_n: int = 0
    scalings: list[Scaling] = field(default_factory=list)

    def meet(self, decision_id: DecisionId) -> None:
        """A decision has been heard of; ids sort by time."""
        self.newest = max(self.newest, decision_id)

    def scale(self, row: int, kept: float) -> None:
        """All evidence so far, of one arm or of ``EVERY_ARM``, has been scaled by ``kept``."""
        self.scalings.append(Scaling(self.newest, row, kept))
        del self.scalings[:-MOST_SCALINGS]

    def begin(self, told_id: str, readings: int) -> None:
        """From now on evidence ages: what came before counts as of now."""
        self.aged_id, self.aged_n = max(self.newest, told_id), readings

    def due(self, tuning: Tuning, readings: int, decision_id: DecisionId) -> float:
        """What to keep of all evidence so far for its age, now that a decision is heard of.

        1 until a 64th of a half-life has passed. The time of a decision is that of its id.
        """
        now = max(self.newest, self.aged_id, decision_id)
        self.aged_id = self.aged_id or now
        lives = 0.0
        if tuning.half_life_n is not None:
            lives += (readings - self.aged_n) / tuning.half_life_n
        if tuning.half_life_s is not None:
            passed_ms = made_at_ms(now) - made_at_ms(self.aged_id)
            lives += passed_ms / 1000.0 / tuning.half_life_s
        if lives < STEP:
            return 1.0
        self.aged_id, self.aged_n = now, readings
        kept: float = 0.5 ** min(lives, MOST_LIVES)
        return kept

    def outlived(self, row: int, decision_id: DecisionId) -> bool:
        """Whether an alarm of that arm came after the decision."""
        return any(scaling.row == row for scaling in self._since(decision_id))

    def left(self, row: int, decision_id: DecisionId) -> float:
        """The share that is left of one decision's evidence on an arm, in (0, 1]."""
        total = fsum(
            log(one.kept) for one in self._since(decision_id) if one.row in (row, EVERY_ARM)
        )
        return exp(max(total, LEAST_LOG))

    def _since(self, decision_id: DecisionId) -> Iterator[Scaling]:
        """The scalings that covered a decision, the latest first."""
        return takewhile(lambda one: one.until >= decision_id, reversed(self.scalings))
