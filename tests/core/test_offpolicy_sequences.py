"""Bounds that hold at all times at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from offpolicy_examples import drifting, logged

from banditroute.core.offpolicy import (
    bets,
    confidence_sequence,
    ips_sequence,
    lift_sequence,
    promoted,
    value_sequence,
)

LOGGING, TARGET = [0.1, 0.3, 0.6], [0.7, 0.2, 0.1]
SEQUENCES = [value_sequence, lift_sequence, ips_sequence]
RUNS = 200
MOST_MISSED = 10  # 5% of the runs


def running(values):
    return np.cumsum(values) / np.arange(1, len(values) + 1)


@pytest.fixture(scope="module")
def drifts():
    """Logs in which everything changes, with the running value and lift of their targets."""
    logs = []
    for seed in range(RUNS):
        rounds, truth = drifting(seed)
        value = (rounds.target * truth).sum(axis=1)
        lift = value - (rounds.probabilities * truth).sum(axis=1)
        logs.append((rounds, running(value), running(lift)))
    return logs


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_a_value_that_changes_is_within_the_bounds_at_all_times_in_nearly_all_runs(
    drifts, sequence
):
    missed = 0
    for rounds, value, lift in drifts:
        low, high = sequence(rounds)
        truth = lift if sequence is lift_sequence else value
        missed += not np.all((low <= truth) & (truth <= high))
    assert missed <= MOST_MISSED


def test_bounds_of_an_even_bet_are_not_far_from_the_error_that_they_may_make():
    """At level 50% some runs must miss: the bounds are no wider than they have to be, by much."""
    missed = 0
    for seed in range(RUNS):
        rounds = logged(np.random.default_rng(seed), 400, LOGGING, TARGET)
        low, high = value_sequence(rounds, level=0.5)
        missed += not np.all((low <= 0.61) & (high >= 0.61))
    assert 0.1 * RUNS <= missed <= 0.5 * RUNS


def test_bounds_close_in_on_the_truth(rng):
    rounds = logged(rng, 20_000, LOGGING, TARGET)
    low, high = value_sequence(rounds)
    assert low[-1] < 0.61 < high[-1]
    assert high[-1] - low[-1] < 0.06
    low, high = lift_sequence(rounds)
    assert low[-1] < 0.61 - 0.34 < high[-1]
    assert high[-1] - low[-1] < 0.06


def test_a_huge_weight_costs_its_logarithm(rng):
    """One draw of weight 7,000 in 4,000 rounds: empirical Bernstein pays its square."""
    target = [0.0, 0.7, 0.3]
    rounds = logged(rng, 4_000, [0.0, 0.5, 0.5], target, truth=[0.7, 0.5, 0.2])
    probabilities = np.tile([0.0001, 0.4999, 0.5], (4_000, 1))
    rounds = replace(rounds, probabilities=probabilities)
    before = np.diff([bounds[-1] for bounds in value_sequence(rounds)])
    rounds.arms[2_000], rounds.target[2_000] = 0, [0.7, 0.2, 0.1]
    assert rounds.weights.max() == pytest.approx(7_000.0)
    after = np.diff([bounds[-1] for bounds in value_sequence(rounds)])
    assert after < before + 0.03 < 0.15
    assert np.diff([bounds[-1] for bounds in ips_sequence(rounds)]) > 3.0 * after


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_bounds_move_and_stretch_with_those_of_the_rewards(sequence):
    rounds, _ = drifting(3)
    low, high = sequence(rounds)
    moved = replace(
        rounds, rewards=4.0 * rounds.rewards - 1.0, predictions=4.0 * rounds.predictions - 1.0
    )
    shift = 0.0 if sequence is lift_sequence else 1.0
    for one, other in zip(sequence(moved, bounds=(-1.0, 3.0)), (low, high), strict=True):
        np.testing.assert_allclose(one, 4.0 * other - shift, atol=1e-9)


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_bounds_of_mirrored_rewards_are_mirrored(sequence):
    rounds, _ = drifting(4)
    mirrored = replace(rounds, rewards=1.0 - rounds.rewards, predictions=1.0 - rounds.predictions)
    low, high = sequence(rounds)
    whole = 0.0 if sequence is lift_sequence else 1.0
    np.testing.assert_allclose(sequence(mirrored)[0], whole - high, atol=1e-9)
    np.testing.assert_allclose(sequence(mirrored)[1], whole - low, atol=1e-9)


@pytest.mark.parametrize("sequence", SEQUENCES)
@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), end=st.integers(1, 40))
def test_bounds_at_a_time_depend_on_nothing_later(sequence, seed, end):
    rounds, _ = drifting(seed, rounds=40)
    for whole, part in zip(sequence(rounds), sequence(rounds.take(slice(end))), strict=True):
        np.testing.assert_allclose(part, whole[:end], atol=1e-9)


@pytest.mark.parametrize("sequence", SEQUENCES)
@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_bounds_are_wider_at_a_higher_level(sequence, seed):
    rounds, _ = drifting(seed, rounds=60)
    low, high = sequence(rounds, 0.8)
    lower, higher = sequence(rounds, 0.99)
    assert np.all((lower <= low) & (high <= higher))
    worst = -1.0 if sequence is lift_sequence else 0.0
    assert np.all((lower >= worst) & (higher <= 1.0))


def test_an_arm_that_could_not_be_drawn_counts_as_anything():
    """The target gives it half of its choices, and the others pay nothing, or always."""
    for reward, expected in ((0.0, (0.0, 0.5)), (1.0, (0.5, 1.0))):
        rounds = logged(
            np.random.default_rng(1), 4_000, [0.5, 0.5, 0.0], [0.25, 0.25, 0.5], [0.5, 0.5, 0.9]
        )
        low, high = value_sequence(replace(rounds, rewards=np.full(4_000, reward)))
        assert (low[-1], high[-1]) == pytest.approx(expected, abs=0.02)


def test_predictions_out_of_bounds_count_as_the_bound():
    rounds, _ = drifting(5)
    wild = replace(rounds, predictions=np.where(rounds.predictions > 0.5, 7.0, -7.0))
    tame = replace(rounds, predictions=np.where(rounds.predictions > 0.5, 1.0, 0.0))
    np.testing.assert_array_equal(value_sequence(wild), value_sequence(tame))


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_a_reward_out_of_bounds_is_refused(sequence):
    rounds, _ = drifting(6)
    with pytest.raises(ValueError, match="every reward lies between"):
        sequence(replace(rounds, rewards=2.0 * rounds.rewards))


def test_long_logs_are_bounded_in_blocks(monkeypatch):
    rounds, _ = drifting(7)
    whole = value_sequence(rounds)
    monkeypatch.setattr(bets, "BLOCK", 7)
    np.testing.assert_allclose(value_sequence(rounds), whole, atol=1e-12)


def test_the_gate_opens_for_what_is_better(rng):
    assert promoted(logged(rng, 2_000, LOGGING, TARGET))


def test_the_gate_stays_shut_for_what_is_worse(rng):
    assert not promoted(logged(rng, 2_000, TARGET, LOGGING))


def test_the_gate_seldom_opens_for_what_is_alike():
    alike = [
        promoted(logged(np.random.default_rng(s), 500, LOGGING, TARGET, truth=[0.5] * 3))
        for s in range(RUNS)
    ]
    assert sum(alike) <= MOST_MISSED


def test_the_gate_puts_all_its_doubt_on_one_side(drifts):
    """At a level of 97.5% it opens exactly where the lift's two bounds at 95% do."""
    for rounds, _, _ in drifts[:20]:
        better = logged(np.random.default_rng(len(rounds)), 150, LOGGING, TARGET)
        for one in (rounds, better):
            assert promoted(one, 0.975) == bool(np.any(lift_sequence(one, 0.95)[0] > 0.0))


def test_the_lift_of_the_policy_in_force_is_bounded_by_nothing_it_did(rng):
    rounds = logged(rng, 300, LOGGING, LOGGING)
    low, high = lift_sequence(rounds)
    np.testing.assert_allclose(high, -low)
    assert np.all(np.diff(high) <= 0.0)


def test_the_sequence_of_a_steady_mean_holds_at_all_times_in_nearly_all_runs():
    failed = 0
    for seed in range(RUNS):
        y = (np.random.default_rng(seed).random(400) < 0.3).astype(float)
        low, high = confidence_sequence(y, (0.0, 1.0))
        assert np.all(np.diff(low) >= 0.0)
        assert np.all(np.diff(high) <= 0.0)
        failed += not np.all((low <= 0.3) & (high >= 0.3))
    assert failed <= MOST_MISSED


def test_the_sequence_of_a_steady_mean_closes_in_and_scales_with_its_bounds(rng):
    y = rng.random(5000)
    low, high = confidence_sequence(y, (0.0, 1.0))
    assert high[-1] - low[-1] < 0.06
    wide = confidence_sequence(20.0 * y - 10.0, (-10.0, 10.0))
    np.testing.assert_allclose(wide[0], 20.0 * low - 10.0, atol=1e-9)
    np.testing.assert_allclose(wide[1], 20.0 * high - 10.0, atol=1e-9)


def test_an_outcome_out_of_bounds_is_refused():
    with pytest.raises(ValueError, match="between"):
        confidence_sequence(np.array([0.5, 1.5]), (0.0, 1.0))
