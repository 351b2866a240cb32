"""Disjoint LinUCB as published."""

from __future__ import annotations

from banditroute.simulation.players import Ask
from banditroute.simulation.rivals.base import Learner, Rows, shared_argmax
from banditroute.simulation.rivals.ridge import Ridges
from banditroute.values import Vector

TUNED_ALPHA = 0.2  # the best of 0.05, 0.1, 0.2, 0.4 and 1 on the development sets together


class LinUCBTextbook(Learner):
    """Li, Chu, Langford & Schapire 2010, algorithm 1, A_k = I + Σ x xᵀ (lines 5, 6 and 12).

    Chooses argmax θ_kᵀx + α √(xᵀ A_k⁻¹ x) (line 9); ties share.
    """

    def __init__(self, arms: int, dimension: int, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha
        self.ridges = Ridges(arms, dimension)

    def choose(self, ask: Ask, rows: Rows) -> Vector:
        """All on the largest upper confidence bound."""
        x = ask.context.x
        return shared_argmax((self.ridges.mean(x) + self.alpha * self.ridges.width(x))[rows])

    def learn(self, ask: Ask, row: int, reward: float) -> None:
        """Lines 12 and 13."""
        self.ridges.observe(row, ask.context.x, reward)
