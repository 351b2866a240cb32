"""Many variances xᵀVx at once, each symmetric V kept as half of itself.

xᵀVx is the product of V's lower triangle with that of x xᵀ, so K of them are one matrix-vector
product over half the numbers.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.linalg.blas import dspr

from banditroute.values import Matrix, Vector


def triangles(matrices: Matrix) -> Matrix:
    """(K, d(d+1)/2) the lower triangles of symmetric ``matrices`` (K, d, d), row by row.

    Numbers off the diagonal are doubled, because each stands for two.
    """
    d = matrices.shape[-1]
    lengths, columns = _layout(d)
    rows = np.arange(d).repeat(lengths)
    lower: Matrix = matrices.reshape(-1, d * d).take(rows * d + columns, axis=1)
    lower *= np.where(rows == columns, 1.0, 2.0)
    return lower


def variances(lower: Matrix, x: Vector) -> Vector:
    """(K,) xᵀVx of every V whose triangle is given; never below 0."""
    products = dspr(len(x), 1.0, x, np.zeros(lower.shape[1]), overwrite_ap=True)
    variance: Vector = np.maximum(lower @ products, 0.0)
    return variance


@lru_cache(maxsize=8)
def _layout(dimension: int) -> tuple[np.ndarray, np.ndarray]:
    """The length of each row of a triangle, and the column of each of its numbers."""
    return np.arange(1, dimension + 1), np.tril_indices(dimension)[1]
