"""Arrays as bytes and back: little-endian float64, of symmetric matrices the lower triangle."""

from __future__ import annotations

import numpy as np

from banditroute.values import Matrix, Vector


def to_bytes(array: np.ndarray) -> bytes:
    """The numbers of an array, in its order."""
    return np.ascontiguousarray(array, dtype="<f8").tobytes()


def from_bytes(data: bytes, *shape: int) -> Vector:
    """The array of a shape. Raises ValueError where the bytes are too few or too many."""
    return np.frombuffer(data, dtype="<f8").reshape(shape).astype(np.float64)


def triangles_to_bytes(matrices: Matrix) -> bytes:
    """Symmetric matrices (K, d, d)."""
    rows, columns = np.tril_indices(matrices.shape[-1])
    return to_bytes(matrices[:, rows, columns])


def triangles_from_bytes(data: bytes, k: int, d: int) -> Matrix:
    """The symmetric matrices (k, d, d). Raises ValueError as :func:`from_bytes`."""
    rows, columns = np.tril_indices(d)
    lower = from_bytes(data, k, len(rows))
    square = np.zeros((k, d, d))
    square[:, rows, columns] = lower
    square[:, columns, rows] = lower
    return square
