"""What each policy chooses, against numbers made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from core_examples import NOW_S, OBJECTIVE, beliefs, context, roster, taught_state
from hypothesis import given
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
)
from banditroute.core.winning import win_probabilities

ACCURACY = 1e-5  # of win_probabilities


def pairwise(mean, sd):
    """P(the first of two is larger) = Φ((m₁ - m₂)/√(s₁² + s₂²))."""
    return ndtr((mean[0] - mean[1]) / np.hypot(*sd))


# thompson


def test_thompson_samples_at_the_sampling_width():
    seen = beliefs([0.5, 0.6], sd=[9.0, 9.0], sampling_sd=[0.1, 0.2])
    expected = pairwise([0.5, 0.6], [0.1, 0.2])
    assert Thompson().probabilities(seen)[0] == pytest.approx(expected, abs=ACCURACY)


def test_thompson_gives_a_newcomer_among_fair_arms_real_probability():
    knowledge = taught_state({"a": 0.6, "b": 0.5}, each=100).knowledge()
    seen = knowledge.beliefs(roster("a", "b", "new"), context(), OBJECTIVE, NOW_S)
    assert Thompson().probabilities(seen)[2] > 0.05


def test_where_everything_is_judged_thompson_is_the_chance_to_be_best_to_the_bit(rng):
    for k in range(1, 40):
        utility, sd = rng.normal(0.5, 0.2, size=k), rng.uniform(0.05, 0.3, size=k)
        probabilities = Thompson().probabilities(beliefs(utility, sd, judged_share=1.0))
        assert probabilities.tobytes() == win_probabilities(utility, sd).tobytes()


@pytest.mark.parametrize(("share", "power"), [(0.75, 1.5), (0.5, 2.0), (0.25, 2.5), (1e-9, 3.0)])
def test_thompson_is_raised_to_one_and_twice_the_share_that_nobody_judges(share, power):
    seen = beliefs([0.5, 0.6], sd=[0.1, 0.2], judged_share=share)
    first = pairwise([0.5, 0.6], [0.1, 0.2])
    expected = first**power / (first**power + (1.0 - first) ** power)
    assert Thompson().probabilities(seen)[0] == pytest.approx(expected, abs=power * ACCURACY)


ARMS = st.lists(st.tuples(st.floats(-1.0, 1.0), st.floats(0.01, 1.0)), min_size=1, max_size=8)
SHARE = st.floats(1e-3, 1.0)


@given(ARMS, SHARE, SHARE)
def test_less_feedback_never_lowers_the_likeliest_arm_nor_raises_the_unlikeliest(arms, one, other):
    utility, sd = (np.array(column) for column in zip(*arms, strict=True))
    more, less = (
        Thompson().probabilities(beliefs(utility, sd, judged_share=share))
        for share in sorted((one, other), reverse=True)
    )
    wins = win_probabilities(utility, sd)
    best, worst = wins.argmax(), wins.argmin()
    assert less[best] >= more[best] * (1.0 - 1e-12)
    assert less[worst] <= more[worst] * (1.0 + 1e-12)
    assert less.sum() == pytest.approx(1.0, abs=1e-12)


def test_arms_that_tie_share_what_the_others_lose_to_sparse_feedback():
    plain, sharp = (
        Thompson().probabilities(beliefs([0.5, 0.4, 0.5], judged_share=share))
        for share in (1.0, 0.02)
    )
    assert sharp[0] == pytest.approx(sharp[2], rel=1e-12)
    assert sharp[0] > plain[0] > plain[1] > sharp[1] > 0.0


def test_an_arm_that_cannot_win_stays_without_a_chance_under_sparse_feedback():
    hopeless = beliefs([9.0, 0.0, 0.0], sd=1e-3, judged_share=0.02)
    assert Thompson().probabilities(hopeless).tolist() == [1.0, 0.0, 0.0]


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
