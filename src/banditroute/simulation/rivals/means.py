"""Arm means without context, and what all arms share."""

from __future__ import annotations

import numpy as np

from banditroute.core.posterior import (
    NOISE_PRIOR,
    NOISE_PRIOR_N,
    POOLED_MEAN,
    POOLED_SD_BIAS,
    START_NOISE,
)
from banditroute.values import Vector

SPREAD = 0.30**2  # τ²: arms differ by 0.3


class ArmMeans:
    """Normal rewards, r ~ N(m_k, σ²), with m_k ~ N(m₀, 0.3²) and m₀ ~ N(½, 1).

    The router's own model (:mod:`banditroute.core.posterior`) of the bias alone: m₀ and σ² are
    pooled over the arms, σ² as the expected squared residual with a prior of ten rewards.
    """

    def __init__(self, arms: int) -> None:
        self.n = np.zeros(arms)
        self.total = np.zeros(arms)
        self.square = np.zeros(arms)
        self.noise = START_NOISE

    def observe(self, row: int, reward: float) -> None:
        """Add one reward, and take one step of expectation-maximisation of σ²."""
        self.n[row] += 1.0
        self.total[row] += reward
        self.square[row] += reward * reward
        mean, variance = self.mean(), self.variance()
        residual = self.square - 2.0 * mean * self.total + self.n * (mean**2 + variance)
        learned = float(residual.sum()) + NOISE_PRIOR_N * NOISE_PRIOR
        self.noise = learned / (float(self.n.sum()) + NOISE_PRIOR_N)

    def pooled(self) -> float:
        """m₀ given every arm's rewards, whose average is N(m₀, τ² + σ²/n_k)."""
        shrunk = self.n * SPREAD + self.noise
        pull = POOLED_MEAN / POOLED_SD_BIAS**2 + float(np.sum(self.total / shrunk))
        return pull / (1.0 / POOLED_SD_BIAS**2 + float(np.sum(self.n / shrunk)))

    def variance(self) -> Vector:
        """(K,) the variance of m_k given m₀: 1 / (n_k/σ² + 1/τ²)."""
        variance: Vector = 1.0 / (self.n / self.noise + 1.0 / SPREAD)
        return variance

    def mean(self) -> Vector:
        """(K,) the posterior mean of m_k."""
        pull: Vector = self.total / self.noise + self.pooled() / SPREAD
        return pull * self.variance()
