"""Change detection: does an arm still answer as well as its posterior says?

Standardised surprises z = (r − μᵀx) / √(σ² + xᵀVx) of an arm add up in two sums, one for each
direction: S⁺ ← max(S⁺ + z − k, 0), S⁻ ← max(S⁻ − z − k, 0) (CUSUM: Page 1954). A sum beyond h
raises an alarm. While nothing changes, a sum that left 0 gets past h with a probability of at
most e^(−2kh) (Lundberg's bound; Siegmund 1985, ch. 2).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp

import numpy as np

from banditroute.values import DecisionId, Vector

SLACK = 0.15  # k: changes smaller than 2k standard deviations are let be
THRESHOLD = 30.0  # h: 20 raises five times as many false alarms on real answers
SURE_N = 100.0  # an arm with less evidence has nothing to drift from
CUT = 3.0  # one surprise counts at most as so many standard deviations
KEPT_N = 20.0  # what is left of an arm's evidence after an alarm
MOST_ALARMS = 256

WORSE, BETTER = 0, 1


@dataclass(frozen=True, slots=True)
class Alarm:
    """An arm answers differently from what was learned of it.

    ``position`` is that of the log entry that raised it, ``since`` the decision at which the
    change seems to have begun, ``readings`` how many were heard since. ``change`` is their mean
    surprise in quality, ``p_value`` the bound on the probability of such a run by chance.
    """

    arm: int
    position: int
    decision_id: DecisionId
    since: DecisionId
    readings: int
    change: float
    p_value: float


@dataclass(slots=True)
class DriftWatch:
    """The sums of K arms, as columns (K, 2) for worse and better, and the alarms so far.

    ``begun`` names the decision at which a sum last left 0; ``counts`` and ``surprise`` are the
    readings since, and the sum of their surprises in quality.
    """

    sums: Vector = field(default_factory=lambda: np.zeros((0, 2)))
    counts: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))
    surprise: Vector = field(default_factory=lambda: np.zeros((0, 2)))
    begun: list[list[DecisionId]] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)

    def grow(self) -> None:
        """Add an arm."""
        self.sums = np.concatenate([self.sums, np.zeros((1, 2))])
        self.counts = np.concatenate([self.counts, np.zeros((1, 2), dtype=np.int64)])
        self.surprise = np.concatenate([self.surprise, np.zeros((1, 2))])
        self.begun.append(["", ""])

    def hear(
        self, row: int, surprise: float, sd: float, decision_id: DecisionId, position: int
    ) -> Alarm | None:
        """Take in a reading that was ``surprise`` above its prediction, with that sd.

        Returns the alarm that it raises, if any; the sums of the arm then begin anew.
        """
        z = min(max(surprise / sd, -CUT), CUT)
        for side, step in ((WORSE, -z), (BETTER, z)):
            before = self.sums[row, side]
            after = max(before + step - SLACK, 0.0)
            if before == 0.0:
                self.begun[row][side] = decision_id
                self.counts[row, side] = 0
                self.surprise[row, side] = 0.0
            self.sums[row, side] = after
            self.counts[row, side] += 1
            self.surprise[row, side] += surprise
            if after > THRESHOLD:
                return self._alarm(row, side, decision_id, position)
        return None

    def _alarm(self, row: int, side: int, decision_id: DecisionId, position: int) -> Alarm:
        count = int(self.counts[row, side])
        alarm = Alarm(
            arm=row,
            position=position,
            decision_id=decision_id,
            since=self.begun[row][side],
            readings=count,
            change=float(self.surprise[row, side]) / count,
            p_value=min(2.0 * exp(-2.0 * SLACK * float(self.sums[row, side])), 1.0),
        )
        self.alarms.append(alarm)
        del self.alarms[:-MOST_ALARMS]
        self.sums[row] = 0.0
        return alarm
