"""Off-policy estimates of policies whose value is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from banditroute.core.offpolicy import (
    Interval,
    confidence_sequence,
    doubly_robust,
    foreseen_variance,
    mean_interval,
    promoted,
)

TRUTH = np.array([0.7, 0.5, 0.2])


def log(rng, rounds, logging):
    arms = rng.choice(3, size=rounds, p=logging)
    rewards = (rng.random(rounds) < TRUTH[arms]).astype(float)
    return rewards, arms, logging[arms]


def test_a_log_of_two_rounds_by_hand():
    predictions = np.array([[0.5, 0.25], [0.5, 0.25]])
    target = np.array([[1.0, 0.0], [0.5, 0.5]])
    outcomes = doubly_robust(
        np.array([1.0, 0.0]), np.array([0, 1]), np.array([0.5, 0.25]), predictions, target
    )
    np.testing.assert_allclose(outcomes, [0.5 + 2.0 * 0.5, 0.375 + 2.0 * -0.25])


@pytest.mark.parametrize("model", [[0.7, 0.5, 0.2], [0.1, 0.9, 0.9]], ids=["right", "wrong"])
def test_the_estimate_is_unbiased_whatever_the_model_predicts(rng, model):
    rewards, arms, propensities = log(rng, 20_000, np.array([0.2, 0.3, 0.5]))
    target = np.tile([0.8, 0.1, 0.1], (20_000, 1))
    predictions = np.tile(model, (20_000, 1))
    interval = mean_interval(doubly_robust(rewards, arms, propensities, predictions, target))
    assert interval.low < 0.8 * 0.7 + 0.05 + 0.02 < interval.high
    assert interval.high - interval.low < 0.08


@pytest.mark.parametrize("wrong", [0.0, -0.1, 1.5, np.nan])
def test_a_propensity_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match="propensity"):
        doubly_robust(
            np.ones(1), np.zeros(1, int), np.array([wrong]), np.ones((1, 1)), np.ones((1, 1))
        )


def test_the_interval_of_even_outcomes_is_students_and_of_uneven_ones_wider():
    even, spike = np.tile([0.0, 1.0], 50), np.r_[np.zeros(99), 1.0]
    for outcomes, freedom in ((even, 99.0), (spike, 200.0 / (0.9703 / 0.0099 - 97.0 / 99.0))):
        error = outcomes.std(ddof=1) / 10.0
        interval = mean_interval(outcomes)
        assert interval.estimate == pytest.approx(outcomes.mean())
        half = (interval.high - interval.low) / 2.0
        assert half == pytest.approx(stats.t.ppf(0.975, freedom) * error)
    assert mean_interval(np.full(5, 0.25)) == Interval(0.25, 0.25, 0.25)


def test_the_interval_is_that_of_the_foreseen_variance_where_it_is_the_wider():
    outcomes = np.tile([0.0, 1.0], 50)
    assert mean_interval(outcomes, foreseen=0.01) == mean_interval(outcomes)
    wide = mean_interval(outcomes, foreseen=4.0)
    assert wide.estimate == 0.5
    assert wide.high - 0.5 == pytest.approx(stats.norm.ppf(0.975) * 2.0 / 10.0)
    assert 0.5 - wide.low == pytest.approx(wide.high - 0.5)


def test_the_foreseen_variance_by_hand():
    """Expected squared weights 1/.5 and .25/.25 + .25/.75, mean squared error (.25 + .5625)/2."""
    variance = foreseen_variance(
        np.array([1.0, 1.0]),
        np.array([0, 1]),
        np.array([[0.5, 0.0], [0.5, 0.25]]),
        np.array([[0.5, 0.5], [0.25, 0.75]]),
        np.array([[1.0, 0.0], [0.5, 0.5]]),
    )
    assert variance == pytest.approx((2.0 + 4.0 / 3.0) / 2.0 * (0.25 + 0.5625) / 2.0)


def test_the_foreseen_variance_is_that_of_many_logs(rng):
    """Rewards with the same spread in every arm, predicted by their mean."""
    logging, target = np.array([0.05, 0.15, 0.8]), np.array([0.6, 0.2, 0.2])
    arms = rng.choice(3, size=200_000, p=logging)
    rewards = TRUTH[arms] + rng.normal(0.0, 0.3, 200_000)
    shape = (200_000, 1)
    known = [np.tile(one, shape) for one in (TRUTH, logging, target)]
    outcomes = doubly_robust(rewards, arms, logging[arms], known[0], known[2])
    assert foreseen_variance(rewards, arms, *known) == pytest.approx(outcomes.var(), rel=0.03)


def test_a_target_that_the_log_cannot_speak_of_is_refused():
    row = np.array([[0.0, 1.0]])
    one, arm = np.ones(1), np.ones(1, int)
    with pytest.raises(ValueError, match="never chosen"):
        foreseen_variance(one, arm, np.ones((1, 2)), row, np.array([[0.5, 0.5]]))
    assert foreseen_variance(one, arm, np.zeros((1, 2)), row, row) == 1.0


def test_one_round_has_no_interval():
    with pytest.raises(ValueError, match="two rounds"):
        mean_interval(np.ones(1))


def test_the_sequence_holds_at_all_times_in_nearly_all_runs():
    failed = 0
    for seed in range(200):
        y = (np.random.default_rng(seed).random(400) < 0.3).astype(float)
        low, high = confidence_sequence(y, (0.0, 1.0))
        assert np.all(np.diff(low) >= 0.0)
        assert np.all(np.diff(high) <= 0.0)
        failed += not np.all((low <= 0.3) & (high >= 0.3))
    assert failed <= 10


def test_the_sequence_closes_in_and_scales_with_its_bounds(rng):
    y = rng.random(5000)
    low, high = confidence_sequence(y, (0.0, 1.0))
    assert high[-1] - low[-1] < 0.06
    wide = confidence_sequence(20.0 * y - 10.0, (-10.0, 10.0))
    np.testing.assert_allclose(wide[0], 20.0 * low - 10.0, atol=1e-9)
    np.testing.assert_allclose(wide[1], 20.0 * high - 10.0, atol=1e-9)


def test_an_outcome_out_of_bounds_is_refused():
    with pytest.raises(ValueError, match="between"):
        confidence_sequence(np.array([0.5, 1.5]), (0.0, 1.0))


def test_the_gate_opens_for_what_is_better_and_not_for_what_is_alike(rng):
    assert promoted(np.clip(rng.normal(0.2, 0.3, 3000), -2.0, 2.0), (-2.0, 2.0))
    alike = [
        promoted(np.clip(np.random.default_rng(s).normal(0, 0.3, 500), -2.0, 2.0), (-2.0, 2.0))
        for s in range(100)
    ]
    assert sum(alike) <= 5
