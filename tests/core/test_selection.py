"""The floor that every arm keeps, and the draw."""

from __future__ import annotations

import numpy as np
import pytest
from core_examples import beliefs
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import chi2

from banditroute.core.identity import unit_interval
from banditroute.core.policies import Greedy, Thompson
from banditroute.core.selection import FLOOR_SPEND, distribution, draw, floors

LAST_U = 1.0 - 2.0**-53  # the largest number below 1


# floors


def test_floors_by_hand():
    """ε = 0.01, κ = 0.02, B = $0.001, K = 4.

    ε/K = 0.0025. κB/(K·ĉ) = 0.00002/(4·ĉ): 0.05 at $0.0001, 0.0005 at $0.01, 0.000005 at $1.
    """
    cost = np.array([0.0001, 0.01, 1.0, 0.002])
    expected = [0.0025, 0.0005, 0.000005, 0.0025]
    assert floors(cost, 0.01, 0.001) == pytest.approx(expected, rel=1e-12)


def test_before_any_call_the_median_cost_stands_for_the_usual_one():
    cost = np.array([0.001, 0.003, 1.0])
    np.testing.assert_array_equal(floors(cost, 0.01, None), floors(cost, 0.01, 0.003))
    assert floors(cost, 0.01, None)[2] == pytest.approx(0.02 * 0.003 / 3.0)


@pytest.mark.parametrize("k", [1, 2, 3, 10, 11])
def test_the_median_of_any_number_of_arms_is_numpys(k, rng):
    cost = 10.0 ** rng.uniform(-6.0, 2.0, size=k)
    usual = float(np.median(cost))
    np.testing.assert_array_equal(floors(cost, 0.5, None), floors(cost, 0.5, usual))


def test_exploring_an_arm_costs_at_most_its_share_of_a_usual_request(rng):
    cost = 10.0 ** rng.uniform(-6.0, 2.0, size=30)
    for usual in (1e-5, 1e-2, 1.0):
        spent = floors(cost, 0.5, usual) * cost
        assert np.all(spent <= FLOOR_SPEND * usual / 30.0 * (1.0 + 1e-12))


def test_a_free_arm_keeps_the_whole_floor():
    assert floors(np.array([0.0, 1.0]), 0.01, 0.001).tolist() == [0.005, 0.02 * 0.001 / 2.0]


def test_a_cheap_arm_is_not_taken_for_a_free_one():
    """κB/ĉ = 0.02·1e-4/1e-5 = 0.2, less than ε = 0.5."""
    assert floors(np.array([0.0, 1e-5]), 0.5, 1e-4) == pytest.approx([0.25, 0.1])


@pytest.mark.parametrize("usual", [None, 0.0])
def test_where_calls_are_free_so_is_exploring(usual):
    assert floors(np.zeros(4), 0.01, usual).tolist() == [0.0025] * 4


def test_where_recent_calls_were_free_even_a_paid_arm_keeps_the_whole_floor():
    assert floors(np.array([0.0, 5.0]), 0.01, 0.0).tolist() == [0.005, 0.005]


def test_no_floor_is_no_floor():
    assert floors(np.array([0.1, 0.0]), 0.0, None).tolist() == [0.0, 0.0]


# the distribution


def test_the_floor_is_taken_from_every_arm_alike_by_hand():
    """ε = 0.1 over two free arms: 0.05 each, and 0.9 more on the best."""
    seen = beliefs([0.2, 0.8], cost_usd=0.0)
    assert distribution(Greedy(), seen, 0.1, None) == pytest.approx([0.05, 0.95])


def test_a_dear_arm_that_is_best_loses_only_the_others_floors():
    seen = beliefs([0.8, 0.2], cost_usd=[1.0, 0.001])
    probabilities = distribution(Greedy(), seen, 0.1, 0.001)
    assert probabilities == pytest.approx([1.0 - 0.01, 0.01])


def test_without_a_floor_the_policy_is_untouched():
    seen = beliefs([0.2, 0.3, 0.1])
    expected = Thompson().probabilities(seen)
    np.testing.assert_allclose(distribution(Thompson(), seen, 0.0, None), expected, rtol=1e-15)


# the draw


def test_arms_lie_side_by_side_in_the_order_of_their_ids():
    probabilities, ids = np.array([0.5, 0.2, 0.3]), ("c", "a", "b")
    drawn = [ids[draw(probabilities, ids, u)] for u in (0.0, 0.19, 0.21, 0.49, 0.51, 0.99)]
    assert drawn == ["a", "a", "b", "b", "c", "c"]


def test_an_edge_belongs_to_the_arm_above_it():
    assert draw(np.array([0.25, 0.75]), ("a", "b"), 0.25) == 1
    assert draw(np.array([0.25, 0.75]), ("a", "b"), np.nextafter(0.25, 0.0)) == 0


@pytest.mark.parametrize("u", [0.0, 5e-324, 0.5, LAST_U])
def test_an_arm_of_probability_zero_is_never_drawn(u):
    for probabilities in ([0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]):
        drawn = draw(np.array(probabilities), ("a", "b", "c"), u)
        assert probabilities[drawn] == 1.0


WEIGHTS = arrays(np.float64, st.integers(1, 20), elements=st.floats(0.0, 1.0)).filter(
    lambda weights: weights.sum() > 1e-3
)


@given(WEIGHTS, st.floats(0.0, 1.0, exclude_max=True))
def test_any_draw_falls_on_an_arm_that_has_probability(weights, u):
    probabilities = weights / weights.sum()
    ids = tuple(f"arm-{row:02d}" for row in range(len(weights)))
    assert probabilities[draw(probabilities, ids, u)] > 0.0


def test_rounding_of_the_sum_cannot_push_a_draw_past_the_end():
    """Ten times 0.1 adds up to less than 1, and u may be larger than that sum."""
    probabilities = np.full(10, 0.1)
    assert np.cumsum(probabilities)[-1] < 1.0
    assert draw(probabilities, tuple("abcdefghij"), LAST_U) == 9
    assert draw(np.full(10, 0.0999), tuple("abcdefghij"), LAST_U) == 9


@given(WEIGHTS, st.floats(0.0, 1.0, exclude_max=True))
def test_a_draw_is_where_numpy_finds_it(weights, u):
    ids = tuple(f"arm-{row * 7 % 20:02d}" for row in range(len(weights)))
    order = np.argsort(ids)
    edges = np.cumsum(weights[order])
    place = min(np.searchsorted(edges, u * edges[-1], side="right"), len(ids) - 1)
    assert draw(weights, ids, u) == order[place]


def test_a_draw_is_relative_to_the_sum_of_the_probabilities():
    half = np.array([0.25, 0.25])
    assert [draw(half, ("a", "b"), u) for u in (0.4, 0.49, 0.51, 0.9)] == [0, 0, 1, 1]


def test_decisions_draw_each_arm_as_often_as_logged():
    """χ² over 20,000 decision ids with 4 degrees of freedom, at a one-in-a-million bound."""
    probabilities = np.array([0.5, 0.3, 0.15, 0.049, 0.001])
    ids, count = ("e", "a", "d", "b", "c"), 20_000
    rows = [draw(probabilities, ids, unit_interval(3, f"decision-{n}")) for n in range(count)]
    seen = np.bincount(rows, minlength=5)
    expected = count * probabilities
    assert np.sum((seen - expected) ** 2 / expected) < chi2.ppf(1.0 - 1e-6, df=4)


def test_another_seed_draws_other_arms():
    probabilities, ids = np.array([0.5, 0.5]), ("a", "b")
    drawn = [
        [draw(probabilities, ids, unit_interval(seed, f"d-{n}")) for n in range(64)]
        for seed in (1, 2)
    ]
    assert drawn[0] != drawn[1]
