"""What each policy chooses, against closed forms, sampling and numbers made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from core_examples import NOW_S, OBJECTIVE, beliefs, context, roster, taught_state
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from banditroute.core.policies import (
    EpsilonGreedy,
    Fixed,
    Greedy,
    LinUCB,
    Thompson,
    Uniform,
    policy_from,
    win_probabilities,
)

ACCURACY = 1.1e-3  # "about 1e-3": the worst of 3,000 random sets of 2 to 12 arms was 1.04e-3


def sampled_wins(rng, mean, sd, samples=400_000):
    """P(best) by sampling, and its standard error."""
    wins = np.zeros(len(mean))
    for _ in range(10):
        drawn = mean + sd * rng.standard_normal((samples // 10, len(mean)))
        wins += np.bincount(drawn.argmax(axis=1), minlength=len(mean))
    share = wins / samples
    return share, np.sqrt(np.maximum(share * (1.0 - share), 1.0 / samples) / samples)


def pairwise(mean, sd):
    """P(the first of two is larger) = Φ((m₁ - m₂)/√(s₁² + s₂²))."""
    return ndtr((mean[0] - mean[1]) / np.hypot(*sd))


# win probabilities


MEANS_AND_WIDTHS = {
    "two": ([0.5, 0.6], [0.1, 0.1]),
    "three": ([0.5, 0.55, 0.3], [0.1, 0.05, 0.4]),
    "one-far-behind": ([0.5, 0.5, -3.0], [0.1, 0.2, 0.1]),
    "narrow-among-wide": ([0.5, 0.45, 0.55], [0.0005, 0.5, 0.5]),
    "wide-among-narrow": ([0.5, 0.501, 0.2], [0.001, 0.001, 1.0]),
    "ten": (np.linspace(0.3, 0.7, 10), np.linspace(0.3, 0.05, 10)),
}


@pytest.mark.parametrize(("mean", "sd"), MEANS_AND_WIDTHS.values(), ids=MEANS_AND_WIDTHS)
def test_win_probabilities_agree_with_sampling(mean, sd, rng):
    mean, sd = np.array(mean), np.array(sd)
    share, error = sampled_wins(rng, mean, sd)
    assert np.all(np.abs(win_probabilities(mean, sd) - share) < 4.0 * error + ACCURACY)


def test_win_probabilities_agree_with_sampling_for_fifty_arms(rng):
    mean, sd = rng.normal(0.5, 0.1, size=50), rng.uniform(0.02, 0.3, size=50)
    share, error = sampled_wins(rng, mean, sd, samples=100_000)
    assert np.all(np.abs(win_probabilities(mean, sd) - share) < 4.0 * error + ACCURACY)


@given(
    st.floats(-3.0, 3.0),
    st.floats(-3.0, 0.0),
    st.floats(-3.0, 0.0),
)
@settings(deadline=None, max_examples=300, derandomize=True)
def test_two_arms_agree_with_the_closed_form_at_widths_up_to_1000_apart(gap, log_s1, log_s2):
    sd = 10.0 ** np.array([log_s1, log_s2])
    mean = np.array([gap * np.hypot(*sd), 0.0])
    assert win_probabilities(mean, sd)[0] == pytest.approx(pairwise(mean, sd), abs=ACCURACY)


@pytest.mark.parametrize("k", [2, 3, 10, 200])
def test_equal_arms_win_equally_often(k):
    np.testing.assert_allclose(win_probabilities(np.full(k, 0.4), np.full(k, 0.2)), 1.0 / k)


ARMS = st.lists(st.tuples(st.floats(-2.0, 2.0), st.floats(0.001, 1.0)), min_size=2, max_size=12)


@given(ARMS)
@settings(deadline=None, derandomize=True)
def test_win_probabilities_sum_to_one(arms):
    mean, sd = np.array(arms).T
    probabilities = win_probabilities(mean, sd)
    assert np.all(probabilities >= 0.0)
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-12)


@given(ARMS, st.floats(0.0, 2.0))
@settings(deadline=None, derandomize=True)
def test_a_better_arm_wins_more_often(arms, rise):
    """Up to the accuracy of the two quadratures."""
    mean, sd = np.array(arms).T
    before = win_probabilities(mean, sd)[0]
    mean[0] += rise
    assert win_probabilities(mean, sd)[0] >= before - 2.0 * ACCURACY


@given(ARMS, st.floats(-100.0, 100.0), st.floats(0.1, 50.0))
@settings(deadline=None, derandomize=True)
def test_only_differences_in_units_of_the_widths_matter(arms, shift, stretch):
    mean, sd = np.array(arms).T
    moved = win_probabilities(mean * stretch + shift, sd * stretch)
    np.testing.assert_allclose(moved, win_probabilities(mean, sd), atol=1e-6)


def test_an_arm_without_a_chance_gets_nothing_and_the_rest_is_unmoved():
    with_hopeless = win_probabilities(np.array([0.5, 0.6, -1e6]), np.array([0.1, 0.1, 0.1]))
    assert with_hopeless[2] == 0.0
    expected = ndtr(-0.1 / np.hypot(0.1, 0.1))
    assert with_hopeless[0] == pytest.approx(expected, abs=ACCURACY)


# thompson


def test_thompson_samples_at_the_sampling_width():
    seen = beliefs([0.5, 0.6], sd=[9.0, 9.0], sampling_sd=[0.1, 0.2])
    expected = pairwise([0.5, 0.6], [0.1, 0.2])
    assert Thompson().probabilities(seen)[0] == pytest.approx(expected, abs=ACCURACY)


def test_thompson_gives_a_newcomer_among_fair_arms_real_probability():
    knowledge = taught_state({"a": 0.6, "b": 0.5}, each=100).knowledge()
    seen = knowledge.beliefs(roster("a", "b", "new"), context(), OBJECTIVE, NOW_S)
    assert Thompson().probabilities(seen)[2] > 0.05


# linucb


def test_linucb_takes_the_largest_mean_plus_alpha_widths():
    """Indices at α = 2: 0.5 + 0.2, 0.4 + 0.6, 0.6 + 0.1. At α = 0.1: 0.51, 0.43, 0.605."""
    seen = beliefs([0.5, 0.4, 0.6], sd=[0.1, 0.3, 0.05], sampling_sd=[5.0, 5.0, 5.0])
    assert LinUCB().probabilities(seen).tolist() == [0.0, 1.0, 0.0]
    assert LinUCB(0.1).probabilities(seen).tolist() == [0.0, 0.0, 1.0]


def test_the_index_of_linucb_is_exactly_mean_plus_alpha_widths():
    """At α = 1 the arms tie: 0.25 + 0.5 = 0.5 + 0.25; just above and below one of them wins."""
    seen = beliefs([0.25, 0.5], sd=[0.5, 0.25])
    assert LinUCB(1.0).probabilities(seen).tolist() == [0.5, 0.5]
    assert LinUCB(1.0 + 1e-6).probabilities(seen).tolist() == [1.0, 0.0]
    assert LinUCB(1.0 - 1e-6).probabilities(seen).tolist() == [0.0, 1.0]


def test_linucb_prefers_an_untaught_arm_to_one_known_to_be_a_little_better():
    knowledge = taught_state({"known": 0.6}, each=200).knowledge()
    seen = knowledge.beliefs(roster("known", "new"), context(), OBJECTIVE, NOW_S)
    assert seen.quality[1] < seen.quality[0] + 0.01
    assert LinUCB().probabilities(seen).tolist() == [0.0, 1.0]


# the plain ones


def test_greedy_takes_the_best_utility_and_ties_share():
    assert Greedy().probabilities(beliefs([0.1, 0.3, 0.2])).tolist() == [0.0, 1.0, 0.0]
    assert Greedy().probabilities(beliefs([0.3, 0.3, 0.2])).tolist() == [0.5, 0.5, 0.0]


def test_utilities_closer_than_rounding_tie():
    assert Greedy().probabilities(beliefs([0.3, 0.3 + 0.9e-12])).tolist() == [0.5, 0.5]
    assert Greedy().probabilities(beliefs([0.3, 0.3 + 1.1e-12])).tolist() == [0.0, 1.0]


def test_utility_decides_and_not_quality():
    seen = beliefs([0.1, 0.3], quality=[0.9, 0.2])
    for policy in (Greedy(), LinUCB(), Thompson(), EpsilonGreedy()):
        assert policy.probabilities(seen).argmax() == 1


def test_epsilon_greedy_by_hand():
    """ε = 0.3 over three arms: 0.1 each, and 0.7 more on the best."""
    probabilities = EpsilonGreedy(0.3).probabilities(beliefs([0.1, 0.9, 0.2]))
    assert probabilities == pytest.approx([0.1, 0.8, 0.1])


def test_uniform_ignores_everything():
    assert Uniform().probabilities(beliefs([0.1, 0.9, 0.2, 0.0])).tolist() == [0.25] * 4


def test_fixed_takes_its_arm_while_it_may_and_the_best_other_otherwise():
    seen = beliefs([0.1, 0.3, 0.2], arm_ids=["a", "b", "c"])
    assert Fixed("c").probabilities(seen).tolist() == [0.0, 0.0, 1.0]
    assert Fixed("gone").probabilities(seen).tolist() == [0.0, 1.0, 0.0]


# specs


@pytest.mark.parametrize(
    ("spec", "policy"),
    [
        ("thompson", Thompson()),
        ("linucb", LinUCB(2.0)),
        ("linucb:0.5", LinUCB(0.5)),
        ("epsilon-greedy", EpsilonGreedy(0.05)),
        ("epsilon-greedy:0.2", EpsilonGreedy(0.2)),
        ("greedy", Greedy()),
        ("uniform", Uniform()),
        ("fixed:gpt:large", Fixed("gpt:large")),
    ],
)
def test_a_spec_names_a_policy_and_its_parameter(spec, policy):
    assert policy_from(spec) == policy


@pytest.mark.parametrize("spec", ["", "softmax", "Thompson", "linucb:wide"])
def test_an_unknown_spec_is_refused(spec):
    with pytest.raises(ValueError, match=r"unknown policy|could not convert"):
        policy_from(spec)


def test_a_spec_keeps_every_digit_of_a_parameter():
    assert policy_from(LinUCB(1.0 / 3.0).spec) == LinUCB(1.0 / 3.0)
