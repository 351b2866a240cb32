"""The hierarchical Bayesian linear model of quality, and its empirical-Bayes scales.

Quality of arm k at context x is r = xᵀθ_k + e, e ~ N(0, σ²). Arms are relatives: θ_k = θ₀ + δ_k
with δ_k ~ N(0, L), L = diag(τ²) by feature group, and θ₀ ~ N(m₀ e₁, L₀) is fitted on all arms
together. An arm without evidence is θ₀ with covariance L; the scales τ² and the noise σ² are
learned from the evidence (Gelman & Hill 2007, ch. 12; MacKay 1992), so that groups of features
which do not help shrink away and the model becomes context-free.

The first feature must be the bias: constant 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from banditroute.core.sums import RegressionSums
from banditroute.values import Matrix, Vector

START_NOISE = 0.20  # σ² before evidence: a score in [0, 1] varies by 0.45 around its mean
NOISE_PRIOR_N = 10.0  # σ² is shrunk to 0.15 with the weight of ten readings
NOISE_PRIOR = 0.15
NOISE_FLOOR = 1e-6  # perfect fits must not make precisions overflow
SCALE_PRIOR_N = 1.0  # a: each τ² is shrunk to its start with the weight of 2a parameters
SCALE_FLOOR = 1e-6  # keeps L invertible
POOLED_MEAN = 0.5  # m₀: before evidence an answer is half good
POOLED_SD_BIAS = 1.0
POOLED_SD_OTHER = 0.3
START_SD_BIAS = 0.20  # arms differ by 0.2 in mean quality beyond what their prices say
START_SD_GROUP = 0.10  # and by 0.1 in how a group of features moves it, but for
START_SDS = {"shape": 0.05, "text": 0.03}  # many numbers that seldom tell arms apart


@dataclass(frozen=True)
class FeatureGroups:
    """Which group each of the d features belongs to; feature 0 is the bias, alone in its group."""

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.names or self.names.count(self.names[0]) != 1:
            raise ValueError("feature 0 must be the bias, alone in its group")

    @property
    def dimension(self) -> int:
        """d, the number of features."""
        return len(self.names)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The distinct groups, in order of first appearance; the bias is the first."""
        return tuple(dict.fromkeys(self.names))

    @cached_property
    def index(self) -> np.ndarray:
        """(d,) the place of each feature's group in ``labels``."""
        return np.array([self.labels.index(name) for name in self.names], dtype=np.intp)


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """What all arms share: ``pooled`` θ₀ (d,), ``scales`` τ² per group, ``noise`` σ²."""

    pooled: Vector
    scales: Vector
    noise: float

    @classmethod
    def start(cls, groups: FeatureGroups) -> Hyperparameters:
        """The values before any evidence."""
        pooled = np.zeros(groups.dimension)
        pooled[0] = POOLED_MEAN
        scales = np.array([START_SDS.get(g, START_SD_GROUP) ** 2 for g in groups.labels])
        scales[0] = START_SD_BIAS**2
        return cls(pooled, scales, START_NOISE)

    def prior_variance(self, groups: FeatureGroups) -> Vector:
        """(d,) the diagonal of L."""
        variance: Vector = self.scales[groups.index]
        return variance


def arm_covariance(gram: Matrix, hyper: Hyperparameters, groups: FeatureGroups) -> Matrix:
    """The covariance V (d, d) of one arm's θ_k from its sum G.

    V = S (I + S A S)⁻¹ S with A = G/σ² and S = L^½: the matrix that is inverted has
    eigenvalues ≥ 1, so singular, empty and huge sums are all safe.
    """
    scale = np.sqrt(hyper.prior_variance(groups))
    inner = scale[:, None] * (gram / hyper.noise) * scale + np.eye(groups.dimension)
    factor = cho_factor(inner, lower=True, check_finite=False)
    covariance = scale[:, None] * cho_solve(factor, np.diag(scale), check_finite=False)
    symmetric: Matrix = (covariance + covariance.T) / 2.0
    return symmetric


def arm_mean(
    covariance: Matrix, moment: Vector, hyper: Hyperparameters, groups: FeatureGroups
) -> Vector:
    """The mean μ (d,) of one arm's θ_k: V (b/σ² + L⁻¹ θ₀)."""
    pull = moment / hyper.noise + hyper.pooled / hyper.prior_variance(groups)
    mean: Vector = covariance @ pull
    return mean


def pooled_mean(
    sums: RegressionSums, covariances: Matrix, hyper: Hyperparameters, groups: FeatureGroups
) -> Vector:
    """θ₀ given every arm's evidence, the δ_k integrated out.

    H = L₀⁻¹ + Σ_k (L⁻¹ − L⁻¹ V_k L⁻¹); θ₀ = H⁻¹ h with h = L₀⁻¹ m₀ e₁ + Σ_k L⁻¹ V_k b_k/σ².
    The term equals A_k − A_k V_k A_k, but stays below L⁻¹ where A_k is huge and would cancel.
    Arms without evidence add nothing to either.
    """
    spread = np.full(groups.dimension, POOLED_SD_OTHER**2)
    spread[0] = POOLED_SD_BIAS**2
    shrink = 1.0 / hyper.prior_variance(groups)
    information = np.diag(1.0 / spread)
    target = np.zeros(groups.dimension)
    target[0] = POOLED_MEAN / spread[0]
    for row in range(len(sums.n)):
        information += np.diag(shrink) - shrink[:, None] * covariances[row] * shrink
        target += shrink * (covariances[row] @ sums.moment[row]) / hyper.noise
    information = (information + information.T) / 2.0
    pooled: Vector = cho_solve(cho_factor(information, lower=True), target)
    return pooled


def learned_noise(sums: RegressionSums, means: Matrix, covariances: Matrix) -> float:
    """σ² = expected squared residual over all evidence, shrunk to its prior."""
    fit = np.einsum("kd,kd->k", means, sums.moment)
    explained = np.einsum("kd,kd->k", means, np.einsum("kde,ke->kd", sums.gram, means))
    spread = np.sum(sums.gram * covariances, axis=(1, 2))  # tr(G V), both symmetric
    residual = float(np.sum(sums.square - 2.0 * fit + explained + spread))
    total = max(residual, 0.0) + NOISE_PRIOR_N * NOISE_PRIOR
    return max(total / (float(np.sum(sums.n)) + NOISE_PRIOR_N), NOISE_FLOOR)


def learned_scales(
    sums: RegressionSums,
    means: Matrix,
    covariances: Matrix,
    hyper: Hyperparameters,
    groups: FeatureGroups,
) -> Vector:
    """τ² of each group: squared distance of the arms from θ₀ per well-determined parameter.

    MacKay's fixed point (1992, "Bayesian interpolation", eq. 4.9): τ² = Σ (μ − θ₀)² / Σ γ with
    γ = 1 − V_ii/τ², the part of a parameter that the evidence determines; both sums get the
    prior's weight at the start. It shrinks a group that does not help in a few steps, where
    expectation-maximisation takes hundreds.
    """
    seen = np.diagonal(sums.gram, axis1=1, axis2=2) > 0.0
    left = np.diagonal(covariances, axis1=1, axis2=2) / hyper.prior_variance(groups)
    determined = np.where(seen, np.clip(1.0 - left, 0.0, 1.0), 0.0)
    distance = np.where(seen, (means - hyper.pooled) ** 2, 0.0)
    start = Hyperparameters.start(groups).scales
    size = len(groups.labels)
    total = np.bincount(groups.index, distance.sum(axis=0), size)
    count = np.bincount(groups.index, determined.sum(axis=0), size)
    prior_n = 2.0 * SCALE_PRIOR_N
    scales: Vector = (total + prior_n * start) / (count + prior_n)
    return np.maximum(scales, SCALE_FLOOR)


def em_step(
    sums: RegressionSums, hyper: Hyperparameters, covariances: Matrix, groups: FeatureGroups
) -> tuple[Hyperparameters, Matrix, Matrix]:
    """One step of empirical Bayes, from every arm's covariance (K, d, d) under ``hyper``.

    Returns the new shared values, and every arm's mean and covariance under them.
    """
    pooled = pooled_mean(sums, covariances, hyper, groups)
    shared = Hyperparameters(pooled, hyper.scales, hyper.noise)
    means = _means(sums, covariances, shared, groups)
    learned = Hyperparameters(
        pooled,
        learned_scales(sums, means, covariances, shared, groups),
        learned_noise(sums, means, covariances),
    )
    return learned, *all_posteriors(sums, learned, groups)


def all_posteriors(
    sums: RegressionSums, hyper: Hyperparameters, groups: FeatureGroups
) -> tuple[Matrix, Matrix]:
    """Means (K, d) and covariances (K, d, d) of every arm, from the sums alone."""
    d = groups.dimension
    covariances = np.empty((len(sums.n), d, d))
    for row, gram in enumerate(sums.gram):
        covariances[row] = arm_covariance(gram, hyper, groups)
    return _means(sums, covariances, hyper, groups), covariances


def _means(
    sums: RegressionSums, covariances: Matrix, hyper: Hyperparameters, groups: FeatureGroups
) -> Matrix:
    pull = sums.moment / hyper.noise + hyper.pooled / hyper.prior_variance(groups)
    means: Matrix = np.einsum("kde,ke->kd", covariances, pull)
    return means
