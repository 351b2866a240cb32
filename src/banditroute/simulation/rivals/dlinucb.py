"""D-LinUCB: linear bandits that forget."""

from __future__ import annotations

import numpy as np

from banditroute.simulation.players import Ask
from banditroute.simulation.rivals.base import Learner, Rows, shared_argmax
from banditroute.values import Matrix, Vector

TUNED_ALPHA = 0.2  # the best of 0.1, 0.2, 0.3 and 1 on the development sets together
TOP_UP = 50  # requests between full inversions


class DLinUCB(Learner):
    """Russac, Vernade & Cappé 2019, algorithm 1, one model per arm, evidence aged by request.

    V = Σ γ^(t−s) x xᵀ + λI and Ṽ = Σ γ^(2(t−s)) x xᵀ + λI; chooses argmax
    xᵀV⁻¹b + α √(xᵀ V⁻¹ṼV⁻¹ x), with a constant α for the paper's β_t, which never lets an arm
    go at this d. What one request ages cancels in both terms except in λI, so λI is left to age
    too and made whole every ``top_up`` requests: it is never below γ^top_up λ.
    """

    def __init__(
        self,
        arms: int,
        dimension: int,
        gamma: float,
        *,
        alpha: float = TUNED_ALPHA,
        ridge: float = 1.0,
        top_up: int = TOP_UP,
    ) -> None:
        super().__init__()
        self.gamma, self.alpha, self.top_up = gamma, alpha, top_up
        self.whole_at = 0  # the request that the sums below are as old as
        self.ridge: Matrix = ridge * np.eye(dimension)
        self.gram: Matrix = np.zeros((arms, dimension, dimension))
        self.squared: Matrix = np.tile(self.ridge, (arms, 1, 1))  # Ṽ
        self.moment: Matrix = np.zeros((arms, dimension))
        self.theta: Matrix = np.zeros((arms, dimension))
        self.inverses: Matrix = np.tile(np.eye(dimension) / ridge, (arms, 1, 1))  # V⁻¹

    @staticmethod
    def tuned_gamma(dimension: int, requests: int, variation: float = 1.0) -> float:
        """1 − (B_T / (d T))^⅔ (corollary 1), for θ moving by ``variation`` in all the requests."""
        return float(1.0 - (variation / (dimension * requests)) ** (2.0 / 3.0))

    def choose(self, ask: Ask, rows: Rows) -> Vector:
        """All on the largest upper confidence bound."""
        if ask.at - self.whole_at >= self.top_up:
            self._age(ask.at)
        x = ask.context.x
        return shared_argmax((self.theta @ x + self.alpha * self.width(x))[rows])

    def width(self, x: Vector) -> Vector:
        """(K,) √(xᵀ V⁻¹ṼV⁻¹ x)."""
        d = len(x)
        solved = (self.inverses.reshape(-1, d) @ x).reshape(-1, d)
        spread = np.matmul(self.squared, solved[:, :, None])[:, :, 0]
        widths: Vector = np.sqrt(np.maximum(np.sum(solved * spread, axis=1), 0.0))
        return widths

    def learn(self, ask: Ask, row: int, reward: float) -> None:
        """Add one reward, at the weight of its age relative to the sums."""
        x, weight = ask.context.x, self.gamma ** (self.whole_at - ask.at)
        square = np.multiply.outer(x, x)
        self.gram[row] += weight * square
        self.squared[row] += weight * weight * square
        self.moment[row] += weight * reward * x
        gain = self.inverses[row] @ x
        scale = 1.0 / weight + float(x @ gain)
        self.theta[row] += gain * ((reward - float(x @ self.theta[row])) / scale)
        step = gain / np.sqrt(scale)
        self.inverses[row] -= np.multiply.outer(step, step)

    def _age(self, now: int) -> None:
        """Age every sum to ``now`` and make λI whole."""
        kept = self.gamma ** (now - self.whole_at)
        self.gram *= kept
        self.moment *= kept
        self.squared = kept * kept * (self.squared - self.ridge) + self.ridge
        self.inverses = np.linalg.inv(self.gram + self.ridge).astype(np.float64, copy=False)
        self.theta = np.matmul(self.inverses, self.moment[:, :, None])[:, :, 0]
        self.whole_at = now
