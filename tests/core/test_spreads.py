"""xᵀVx from half of V."""

from __future__ import annotations

import numpy as np
import pytest

from banditroute.core.spreads import triangles, variances


def random_covariances(rng, k, d):
    roots = rng.normal(size=(k, d, d))
    products = roots @ roots.transpose(0, 2, 1)
    return (products + products.transpose(0, 2, 1)) / 2.0


def test_a_triangle_by_hand():
    """[[1, 2], [2, 3]] at (10, 1): 100 + 2·2·10 + 3."""
    lower = triangles(np.array([[[1.0, 2.0], [2.0, 3.0]]]))
    assert lower.tolist() == [[1.0, 4.0, 3.0]]
    assert variances(lower, np.array([10.0, 1.0])).tolist() == [143.0]


@pytest.mark.parametrize(("k", "d"), [(0, 3), (1, 1), (3, 2), (11, 80), (2, 105)])
def test_variances_are_those_of_the_whole_matrices(k, d, rng):
    covariances, x = random_covariances(rng, k, d), rng.normal(size=d)
    expected = [x @ covariance @ x for covariance in covariances]
    np.testing.assert_allclose(variances(triangles(covariances), x), expected, rtol=1e-10)


def test_triangles_take_half_the_memory(rng):
    covariances = random_covariances(rng, 4, 100)
    assert triangles(covariances).nbytes == covariances.nbytes * 101 / 200


def test_what_is_given_is_left_alone(rng):
    covariances, x = random_covariances(rng, 3, 4), rng.normal(size=4)
    before = covariances.copy()
    lower = triangles(covariances)
    lower.setflags(write=False)
    x.setflags(write=False)
    variances(lower, x)
    np.testing.assert_array_equal(covariances, before)


def test_rounding_never_makes_a_variance_negative():
    """V is singular along x, and what is computed there is about ±1e-16."""
    x = np.array([1.0, 0.1, 0.7])
    basis = np.linalg.qr(np.column_stack([x, np.eye(3)[:, :2]]))[0][:, 1:]
    singular = (basis @ basis.T)[None] * np.array([0.3, 3.0, 7.0, 11.0])[:, None, None]
    assert np.all(variances(triangles(singular), x) >= 0.0)
    assert np.all(variances(triangles(-singular), x + basis[:, 0]) == 0.0)
