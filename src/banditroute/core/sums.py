"""The additive statistics of weighted linear regression, one row an arm.

Kept as sums and never as an inverse, because evidence adds and subtracts in this form: any
order of the same evidence gives the same sums up to rounding, and taking back is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from banditroute.values import Matrix, Vector


@dataclass(slots=True)
class RegressionSums:
    """Sums over the evidence of K arms in d features; grown arm by arm, updated in place.

    ``n`` (K,) = Σ w · ``gram`` (K, d, d) = Σ w x xᵀ · ``moment`` (K, d) = Σ w r x ·
    ``square`` (K,) = Σ w r². (ALGORITHM: n, G, b, s.)
    """

    n: Vector
    gram: Matrix
    moment: Matrix
    square: Vector

    @classmethod
    def empty(cls, dimension: int) -> RegressionSums:
        """No arms yet."""
        d = dimension
        return cls(np.zeros(0), np.zeros((0, d, d)), np.zeros((0, d)), np.zeros(0))

    def grow(self) -> None:
        """Add one arm without evidence, as the last row."""
        d = self.moment.shape[1]
        self.n = np.append(self.n, 0.0)
        self.gram = np.concatenate([self.gram, np.zeros((1, d, d))])
        self.moment = np.concatenate([self.moment, np.zeros((1, d))])
        self.square = np.append(self.square, 0.0)

    def add(
        self, row: int, x: Vector, weight: float, value: float, square: float | None = None
    ) -> None:
        """Add one piece of evidence; a negative ``weight`` takes one back.

        ``square`` is what it adds to Σ w r² where ``value`` is a mean of several scores.
        """
        self.n[row] += weight
        self.gram[row] += weight * np.multiply.outer(x, x)  # symmetric to the bit
        self.moment[row] += weight * value * x
        self.square[row] += weight * value * value if square is None else square

    def scale(self, row: int | slice, kept: float) -> None:
        """Let the evidence of an arm, or of several, count for ``kept`` of what it did."""
        self.n[row] *= kept
        self.gram[row] *= kept
        self.moment[row] *= kept
        self.square[row] *= kept

    def mean(self) -> Vector:
        """The weighted mean of the values, arm by arm; NaN where there is no evidence."""
        with np.errstate(invalid="ignore", divide="ignore"):
            means: Vector = self.moment[:, 0] / self.n
        return means

    def standard_error(self, prior_variance: float) -> Vector:
        """How far each arm's mean may be off, from the sums alone; NaN without evidence.

        √(v/n) with v = (Σ w (r − mean)² + v₀)/(n + 1): the spread of the values, with one value
        of the prior variance v₀ added so that a single value is not taken for certain.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            scatter = np.maximum(self.square - self.n * self.mean() ** 2, 0.0)
            spread: Vector = np.sqrt((scatter + prior_variance) / ((self.n + 1.0) * self.n))
        return spread
