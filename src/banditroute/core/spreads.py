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
    """(…, d(d+1)/2) the lower triangles of symmetric ``matrices`` (…, d, d), row by row.

    Numbers off the diagonal are doubled, because each stands for two.
    """
    d = matrices.shape[-1]
    places, counts = _layout(d)
    lower: Matrix = matrices.reshape(*matrices.shape[:-2], d * d).take(places, axis=-1)
    lower *= counts
    return lower


def variances(lower: Matrix, x: Vector) -> Vector:
    """(K,) xᵀVx of every V whose triangle is given; never below 0."""
    products = dspr(len(x), 1.0, x, np.zeros(lower.shape[1]), overwrite_ap=True)
    variance: Vector = np.maximum(lower @ products, 0.0)
    return variance


@lru_cache(maxsize=8)
def _layout(dimension: int) -> tuple[np.ndarray, Vector]:
    """Where each number of a triangle stands in the whole matrix, and how often it counts."""
    rows, columns = np.tril_indices(dimension)
    return rows * dimension + columns, np.where(rows == columns, 1.0, 2.0)
