"""Bounds of a value and of a lift that hold at all times at once, of a measure that has bounds."""

from __future__ import annotations

from dataclasses import dataclass

from banditroute.core.offpolicy import Rounds, lift_sequence, value_sequence
from banditroute.evaluation.results import Bounds
from banditroute.evaluation.weighing import QUALITY, UTILITY

BOUNDED = (UTILITY, QUALITY)


@dataclass(frozen=True, slots=True)
class Always:
    """What can be said of rounds whose predictions were fitted on nothing that came later.

    Quality lies in [0, 1]. Utility is at most 1, and at least what the worst of the log's
    predictions and outcomes say that an answer can cost and be waited for.
    """

    rounds: Rounds
    bounds: tuple[float, float]

    @classmethod
    def of(cls, measure: str, rounds: Rounds) -> Always:
        """The rounds with the bounds of their measure."""
        low, high = min(float(rounds.rewards.min()), 0.0), max(float(rounds.rewards.max()), 1.0)
        if measure == UTILITY:
            low = min(low, float(rounds.predictions.min()))
        return cls(rounds, (low, high))

    def value(self, level: float) -> Bounds:
        """Of the mean value of all rounds."""
        low, high = value_sequence(self.rounds, level, self.bounds)
        return Bounds(float(low[-1]), float(high[-1]))

    def lift(self, level: float) -> Bounds:
        """Of the mean lift over the policy in force, both together."""
        low, high = lift_sequence(self.rounds, level, self.bounds)
        return Bounds(float(low[-1]), float(high[-1]))

    def gate(self, level: float, challengers: int) -> Bounds:
        """As :meth:`lift`, each of the two at the whole level by itself.

        It holds for as many challengers together (Bonferroni), so that asking after many policies
        does not promote one by luck.
        """
        return self.lift(1.0 - 2.0 * (1.0 - level) / challengers)
