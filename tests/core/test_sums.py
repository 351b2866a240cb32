"""Evidence adds and subtracts, in any order."""

from __future__ import annotations

import numpy as np
import pytest
from core_examples import filled_sums, vector

from banditroute.core.sums import RegressionSums

COLUMNS = ("n", "gram", "moment", "square")


def one_arm(d: int) -> RegressionSums:
    sums = RegressionSums.empty(d)
    sums.grow()
    return sums


def test_a_hand_sized_case():
    sums = one_arm(2)
    sums.add(0, np.array([1.0, 2.0]), weight=1.0, value=0.5)
    sums.add(0, np.array([1.0, -1.0]), weight=0.5, value=1.0)
    assert sums.n.tolist() == [1.5]
    assert sums.gram[0].tolist() == [[1.5, 1.5], [1.5, 4.5]]
    assert sums.moment[0].tolist() == [1.0, 0.5]
    assert sums.square.tolist() == [0.75]


def test_the_sums_are_those_of_the_stacked_data(rng):
    X = np.stack([vector(rng, 4) for _ in range(50)])
    values, weights = rng.uniform(size=50), rng.uniform(size=50)
    sums = one_arm(4)
    for x, value, weight in zip(X, values, weights, strict=True):
        sums.add(0, x, weight, value)
    np.testing.assert_allclose(sums.n[0], weights.sum(), rtol=1e-12)
    np.testing.assert_allclose(sums.gram[0], X.T @ (weights[:, None] * X), atol=1e-12)
    np.testing.assert_allclose(sums.moment[0], X.T @ (weights * values), atol=1e-12)
    np.testing.assert_allclose(sums.square[0], weights @ values**2, rtol=1e-12)


def test_any_order_of_the_same_evidence_gives_the_same_sums(rng):
    evidence = [(vector(rng, 4), rng.uniform(), rng.uniform()) for _ in range(60)]
    ordered, shuffled = one_arm(4), one_arm(4)
    for piece in evidence:
        ordered.add(0, *piece)
    for place in rng.permutation(60):
        shuffled.add(0, *evidence[place])
    for column in COLUMNS:
        np.testing.assert_allclose(
            getattr(shuffled, column), getattr(ordered, column), rtol=1e-12, atol=1e-12
        )


def test_a_negative_weight_takes_evidence_back(rng):
    sums = filled_sums(rng, 1, 4, 20)
    untouched = {column: getattr(sums, column).copy() for column in COLUMNS}
    x = vector(rng, 4)
    sums.add(0, x, 0.4, 0.7)
    assert sums.n[0] != untouched["n"][0]
    sums.add(0, x, -0.4, 0.7)
    for column in COLUMNS:
        np.testing.assert_allclose(getattr(sums, column), untouched[column], atol=1e-12)


def test_a_mean_of_several_scores_adds_their_squares_and_not_its_own():
    """Scores 0 and 1 of weight 0.3 each: a reading of 0.5 and weight 0.6, squares 0.3."""
    apart, together, x = one_arm(2), one_arm(2), np.array([1.0, -2.0])
    for value in (0.0, 1.0):
        apart.add(0, x, 0.3, value)
    together.add(0, x, 0.6, 0.5, square=0.3)
    for column in COLUMNS:
        np.testing.assert_allclose(getattr(together, column), getattr(apart, column))


def test_scaling_lets_all_evidence_of_one_arm_count_for_less(rng):
    sums = filled_sums(rng, 3, 4, 5)
    before = {column: getattr(sums, column).copy() for column in COLUMNS}
    mean = sums.mean()
    sums.scale(1, 0.25)
    for column in COLUMNS:
        np.testing.assert_array_equal(getattr(sums, column)[1], 0.25 * before[column][1])
        np.testing.assert_array_equal(getattr(sums, column)[[0, 2]], before[column][[0, 2]])
    np.testing.assert_allclose(sums.mean(), mean)


def test_evidence_of_one_arm_leaves_the_others_alone(rng):
    sums = filled_sums(rng, 3, 4, 5)
    before = {column: getattr(sums, column).copy() for column in COLUMNS}
    sums.add(1, vector(rng, 4), 1.0, 0.5)
    for column in COLUMNS:
        np.testing.assert_array_equal(getattr(sums, column)[[0, 2]], before[column][[0, 2]])
        assert not np.array_equal(getattr(sums, column)[1], before[column][1])


def test_growing_adds_an_empty_last_row_and_keeps_the_rest(rng):
    sums = filled_sums(rng, 2, 4, 5)
    before = {column: getattr(sums, column).copy() for column in COLUMNS}
    sums.grow()
    for column in COLUMNS:
        np.testing.assert_array_equal(getattr(sums, column)[:2], before[column])
        assert not np.any(getattr(sums, column)[2])
    assert sums.gram.shape == (3, 4, 4)


def test_the_gram_matrix_is_symmetric_to_the_bit(rng):
    sums = one_arm(6)
    for _ in range(200):
        sums.add(0, vector(rng, 6), rng.uniform(), rng.uniform())
    np.testing.assert_array_equal(sums.gram[0], sums.gram[0].T)


def test_the_mean_is_weighted_and_nan_without_evidence():
    sums = one_arm(2)
    sums.grow()
    sums.add(0, np.array([1.0, 9.0]), weight=0.75, value=1.0)
    sums.add(0, np.array([1.0, -9.0]), weight=0.25, value=0.0)
    assert sums.mean()[0] == pytest.approx(0.75)
    assert np.isnan(sums.mean()[1])


def test_the_standard_error_of_the_mean_by_hand():
    """Values 0 and 1: Σ(r − ½)² = 0.5, so √((0.5 + 0.2)/(3 · 2)); none: unknown."""
    sums = one_arm(1)
    sums.grow()
    for value in (0.0, 1.0):
        sums.add(0, np.ones(1), 1.0, value)
    error = sums.standard_error(0.2)
    assert error[0] == pytest.approx((0.7 / 6.0) ** 0.5)
    assert np.isnan(error[1])


def test_a_single_value_is_not_taken_for_certain():
    sums = one_arm(1)
    sums.add(0, np.ones(1), 1.0, 1.0)
    assert sums.standard_error(0.2)[0] == pytest.approx((0.2 / 2.0) ** 0.5)
