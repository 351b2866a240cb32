"""Intervals for a number of rounds that was fixed before."""

from __future__ import annotations

import numpy as np
import pytest
from offpolicy_examples import TRUTH, two_rounds
from scipy import stats

from banditroute.core.offpolicy import (
    Interval,
    Rounds,
    bootstrap_interval,
    doubly_robust,
    foreseen_variance,
    intervals,
    mean_interval,
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
    rounds = two_rounds(
        rewards=np.array([1.0, 1.0]),
        probabilities=np.array([[0.5, 0.5], [0.25, 0.75]]),
        predictions=np.array([[0.5, 0.0], [0.5, 0.25]]),
    )
    expected = (2.0 + 4.0 / 3.0) / 2.0 * (0.25 + 0.5625) / 2.0
    assert foreseen_variance(rounds) == pytest.approx(expected)


def test_the_foreseen_variance_minds_an_arm_that_errs_more_than_the_others():
    """Squared errors 1 and .0625, mean .53125; of each arm, with the mean, .765625 and .296875."""
    rounds = two_rounds(
        rewards=np.array([1.0, 1.0]),
        probabilities=np.array([[0.5, 0.5], [0.25, 0.75]]),
        predictions=np.array([[0.0, 0.0], [0.5, 0.75]]),
    )
    assert foreseen_variance(rounds) == pytest.approx(1.5 * 0.765625 + 0.296875 / 6.0)


def test_the_foreseen_variance_is_that_of_many_logs(rng):
    """Rewards with the same spread in every arm, predicted by their mean."""
    logging, target = np.array([0.05, 0.15, 0.8]), np.array([0.6, 0.2, 0.2])
    arms = rng.choice(3, size=200_000, p=logging)
    rewards = TRUTH[arms] + rng.normal(0.0, 0.3, 200_000)
    known = [np.tile(one, (200_000, 1)) for one in (logging, TRUTH, target)]
    rounds = Rounds(rewards, arms, *known)
    assert foreseen_variance(rounds) == pytest.approx(doubly_robust(rounds).var(), rel=0.03)


def test_a_target_that_the_log_cannot_speak_of_is_refused():
    row = np.array([[0.0, 1.0]])
    one, arm = np.ones(1), np.ones(1, int)
    with pytest.raises(ValueError, match="never chosen"):
        foreseen_variance(Rounds(one, arm, row, np.ones((1, 2)), np.array([[0.5, 0.5]])))
    assert foreseen_variance(Rounds(one, arm, row, np.zeros((1, 2)), row)) == 1.0


@pytest.mark.parametrize("interval", [mean_interval, bootstrap_interval])
def test_one_round_has_no_interval(interval):
    with pytest.raises(ValueError, match="two rounds"):
        interval(np.ones(1))


def test_the_bootstrap_of_even_outcomes_is_nearly_students(rng):
    outcomes = rng.random(2_000)
    students, resampled = mean_interval(outcomes), bootstrap_interval(outcomes, resamples=20_000)
    assert resampled.estimate == students.estimate
    assert resampled.low == pytest.approx(students.low, abs=3e-4)
    assert resampled.high == pytest.approx(students.high, abs=3e-4)


def test_the_bootstrap_leans_to_where_the_outcomes_do():
    interval = bootstrap_interval(np.r_[np.zeros(97), np.full(3, 20.0)])
    assert interval.high - interval.estimate > 1.2 * (interval.estimate - interval.low)


def test_the_bootstrap_is_the_same_for_a_seed_and_wider_at_a_higher_level(rng):
    outcomes = rng.random(50)
    assert bootstrap_interval(outcomes) == bootstrap_interval(outcomes)
    assert bootstrap_interval(outcomes, seed=1) != bootstrap_interval(outcomes)
    low, high = bootstrap_interval(outcomes, 0.5), bootstrap_interval(outcomes, 0.99)
    assert high.low < low.low < low.high < high.high


def test_the_bootstrap_counts_rounds_in_chunks(rng, monkeypatch):
    """Whole in one chunk or in many: other draws, the same distribution."""
    outcomes = rng.random(400)
    monkeypatch.setattr(intervals, "CHUNK", 4_000_000)
    whole = bootstrap_interval(outcomes, resamples=10_000)
    monkeypatch.setattr(intervals, "CHUNK", 1)
    parts = bootstrap_interval(outcomes, resamples=10_000)
    assert parts != whole
    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high), abs=2e-3)


def test_resamples_in_which_nothing_was_counted_are_left_out():
    interval = bootstrap_interval(np.array([1.0, 3.0]), resamples=500)
    assert (interval.low, interval.high) == (1.0, 3.0)


def test_no_resamples_are_refused():
    with pytest.raises(ValueError, match="one resample"):
        bootstrap_interval(np.ones(3), resamples=0)
