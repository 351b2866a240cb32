"""SquareCB: inverse-gap weighting of a regression oracle's predictions."""

from __future__ import annotations

import numpy as np

from banditroute.simulation.players import Ask
from banditroute.simulation.rivals.base import Learner, Rows
from banditroute.simulation.rivals.ridge import Ridges
from banditroute.values import Vector

GAMMA_SCALE = 30.0  # the best of 3, 10, 30, 100 and 300 on the development sets together


class SquareCB(Learner):
    """Foster & Rakhlin 2020, algorithm 1, for rewards, with ridge regressions as the oracle.

    p_k = 1 / (K + γ_t (ŷ_best − ŷ_k)) for k ≠ best, the rest on the best. γ_t = c √t, the growth
    of the learning rate √(K T / regret) of theorem 1 while the oracle's regret grows slower.
    """

    def __init__(self, arms: int, dimension: int, gamma_scale: float = GAMMA_SCALE) -> None:
        super().__init__()
        self.gamma_scale = gamma_scale
        self.ridges = Ridges(arms, dimension)

    def choose(self, ask: Ask, rows: Rows) -> Vector:
        """Inverse-gap weights at γ_t."""
        predicted = self.ridges.mean(ask.context.x)[rows]
        return inverse_gap_weights(predicted, self.gamma_scale * np.sqrt(ask.at + 1.0))

    def learn(self, ask: Ask, row: int, reward: float) -> None:
        """One ridge update of the arm."""
        self.ridges.observe(row, ask.context.x, reward)


def inverse_gap_weights(predicted: Vector, gamma: float) -> Vector:
    """(K,) the distribution of Abe & Long 1999; arms tied for the best share what is left."""
    gaps = predicted.max() - predicted
    weights: Vector = 1.0 / (len(predicted) + gamma * gaps)
    best = gaps == 0.0
    weights[best] += (1.0 - weights.sum()) / best.sum()
    return weights
