"""One ridge regression per arm, the estimator under most linear bandits."""

from __future__ import annotations

import numpy as np

from banditroute.values import Matrix, Vector


class Ridges:
    """K ridge regressions of rewards on x (d,): A_k = λI + Σ x xᵀ, b_k = Σ r x, θ_k = A_k⁻¹ b_k.

    The inverses are kept by rank-one updates (Sherman & Morrison 1950), O(d²) each.
    """

    def __init__(self, arms: int, dimension: int, ridge: float = 1.0) -> None:
        self.inverses: Matrix = np.tile(np.eye(dimension) / ridge, (arms, 1, 1))  # (K, d, d)
        self.theta: Matrix = np.zeros((arms, dimension))

    def mean(self, x: Vector) -> Vector:
        """(K,) θ_kᵀ x."""
        means: Vector = self.theta @ x
        return means

    def width(self, x: Vector) -> Vector:
        """(K,) √(xᵀ A_k⁻¹ x), as one matrix-vector product."""
        d = len(x)
        spread = (self.inverses.reshape(-1, d) @ x).reshape(-1, d) @ x
        widths: Vector = np.sqrt(np.maximum(spread, 0.0))
        return widths

    def observe(self, row: int, x: Vector, reward: float) -> None:
        """Learn that the arm in ``row`` earned ``reward`` at ``x``."""
        gain = self.inverses[row] @ x
        scale = 1.0 + float(x @ gain)
        surprise = reward - float(x @ self.theta[row])
        self.theta[row] += gain * (surprise / scale)
        step = gain / np.sqrt(scale)
        self.inverses[row] -= np.multiply.outer(step, step)  # stays symmetric to the bit
