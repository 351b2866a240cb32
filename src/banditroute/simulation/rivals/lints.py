"""Linear Thompson sampling as published, one model per arm."""

from __future__ import annotations

import numpy as np

from banditroute.core.winning import win_probabilities
from banditroute.simulation.players import Ask
from banditroute.simulation.rivals.base import Learner, Rows
from banditroute.simulation.rivals.ridge import Ridges
from banditroute.values import Vector

TUNED_V = 0.1  # the best of 0.03, 0.06, 0.1, 0.2 and 0.3 on the development sets together


class LinTSTextbook(Learner):
    """Agrawal & Goyal 2013, algorithm 1, with B_k = I + Σ x xᵀ and μ̂_k of every arm's own.

    An arm is chosen with the probability that its sample xᵀμ̃_k, μ̃_k ~ N(μ̂_k, v² B_k⁻¹), is
    the largest: xᵀμ̃_k ~ N(xᵀμ̂_k, v² xᵀB_k⁻¹x), so this is computed and not sampled. The paper
    proves regret for v = R √(9 d ln(t/δ)), which explores far too long in practice.
    """

    def __init__(self, arms: int, dimension: int, v: float = TUNED_V) -> None:
        super().__init__()
        self.v = v
        self.ridges = Ridges(arms, dimension)

    def choose(self, ask: Ask, rows: Rows) -> Vector:
        """P(arm k's sample is the largest)."""
        x = ask.context.x
        sd = np.maximum(self.v * self.ridges.width(x), np.finfo(np.float64).eps)
        return win_probabilities(self.ridges.mean(x)[rows], sd[rows])

    def learn(self, ask: Ask, row: int, reward: float) -> None:
        """B ← B + x xᵀ, f ← f + r x."""
        self.ridges.observe(row, ask.context.x, reward)
