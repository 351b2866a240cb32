"""Answers that somebody will still judge: how late words come, and how many are under way.

A router that hears late has chosen many times more before it learns what a choice was worth.
Those answers will teach it in any case, so exploring as though nothing were under way asks the
same question again and again. Widths therefore shrink at once by the words that are to come,
and means wait for what they say (Desautels, Krause & Burdick 2014, section 4.1).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

import numpy as np

from banditroute.values import DecisionId, Matrix, Vector

BATCH = 100  # answered requests that are looked at together
BATCHES = 40  # that are looked back on
WORDS_KEPT = 1.0 - 1.0 / 500.0  # of what is known of lateness, with each word
PRESUMED_N = 10.0  # answers that are taken to have been judged before any was due


@dataclass(slots=True)
class Awaited:
    """The last answers of K arms in B batches, oldest first, and the words that were heard.

    ``firsts`` are the decisions that batches begin with, ``answered`` (B, K) counts answers,
    ``heard`` (B,) is the evidence weight of words on them. ``lateness`` (BATCHES + 1,) counts
    words, decayed with each, by how many batches had begun since their answer; the last stands
    for all that came later.
    """

    firsts: list[DecisionId] = field(default_factory=list)
    answered: Matrix = field(default_factory=lambda: np.zeros((0, 0)))
    heard: Vector = field(default_factory=lambda: np.zeros(0))
    lateness: Vector = field(default_factory=lambda: np.zeros(BATCHES + 1))

    def grow(self) -> None:
        """Add an arm that has not answered."""
        self.answered = np.hstack([self.answered, np.zeros((len(self.firsts), 1))])

    def answer(self, row: int, decision_id: DecisionId) -> None:
        """An arm answered."""
        if not self.firsts or self.answered[-1].sum() >= BATCH:
            self._begin(decision_id)
        self.answered[-1, row] += 1.0

    def judge(self, decision_id: DecisionId, weight: float) -> None:
        """Somebody spoke of a decision that nobody had spoken of, with such evidence weight."""
        batch = bisect_right(self.firsts, decision_id) - 1
        self.lateness *= WORDS_KEPT
        self.lateness[len(self.firsts) - 1 - batch] += 1.0
        if batch >= 0:
            self.heard[batch] += weight

    def to_come(self, judged_share: float) -> Vector:
        """(K,) the evidence weight of words on each arm's answers that are still to be heard.

        Until a first word was heard, every answer is expected to be judged, with weight 1.
        ``judged_share`` is what is presumed of ten answers beside those that are due.
        """
        if not self.firsts or not self.lateness.any():
            every: Vector = self.answered.sum(axis=0)
            return every
        late = self._late()
        due = float(self.answered.sum(axis=1) @ (1.0 - late))
        presumed = PRESUMED_N * judged_share
        share = min((float(self.heard.sum()) + presumed) / (due + PRESUMED_N), 1.0)
        words: Vector = share * (late @ self.answered)
        return words

    def _late(self) -> Vector:
        """(B,) the share of the words on each batch that come later than now.

        A batch's words that come so many batches later come as that later batch fills.
        """
        later = self.lateness[::-1].cumsum()[-2::-1] / self.lateness.sum()
        late: Vector = later[len(self.firsts) - 1 :: -1]
        late[:-1] += (1.0 - self.answered[-1].sum() / BATCH) * (late[1:] - late[:-1])
        return late

    def _begin(self, decision_id: DecisionId) -> None:
        """Start a batch; the oldest is forgotten. Ids of batches stay in order."""
        gone = int(len(self.firsts) == BATCHES)
        first = max(self.firsts[-1], decision_id) if self.firsts else decision_id
        self.firsts = [*self.firsts[gone:], first]
        empty = np.zeros((1, self.answered.shape[1]))
        self.answered = np.vstack([self.answered[gone:], empty])
        self.heard = np.append(self.heard[gone:], 0.0)
