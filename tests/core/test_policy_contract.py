"""What every policy promises. A new policy joins by being added to ``POLICIES``.

What a user's own must promise too is published (:mod:`banditroute.plugins.contract`); built-in
ones share ties, and come back from their specs.
"""

from __future__ import annotations

import numpy as np
import pytest
from core_examples import NOW_S, OBJECTIVE, beliefs, context, roster, taught_state
from hypothesis import given, settings
from hypothesis import strategies as st

from banditroute.core.choice import Rules, choose
from banditroute.core.policies import (
    POLICY_NAMES,
    EpsilonGreedy,
    Fixed,
    Greedy,
    LinUCB,
    Thompson,
    Uniform,
    policy_from,
)
from banditroute.core.selection import distribution, draw, floors
from banditroute.plugins import check_policy

POLICIES = [
    Thompson(),
    LinUCB(),
    LinUCB(alpha=0.3),
    EpsilonGreedy(),
    EpsilonGreedy(epsilon=0.5),
    Greedy(),
    Uniform(),
    Fixed("arm-001"),
    Fixed("an-arm-that-is-not-eligible"),
]

pytestmark = pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.spec)


def random_beliefs(rng, k):
    return beliefs(
        rng.normal(0.4, 0.3, size=k),
        sd=rng.uniform(0.02, 0.4, size=k),
        sampling_sd=rng.uniform(0.02, 0.4, size=k),
        cost_usd=10.0 ** rng.uniform(-5.0, -1.0, size=k),
        judged_share=rng.choice([1.0, 0.3, 0.01]),
    )


def assert_a_distribution(probabilities, k):
    assert probabilities.shape == (k,)
    assert np.all(np.isfinite(probabilities))
    assert np.all(probabilities >= 0.0)
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-9)


def test_every_published_promise_is_kept(policy):
    check_policy(policy)


def test_a_single_arm_is_certain(policy):
    assert policy.probabilities(beliefs([0.3])).tolist() == [1.0]


EXTREME = st.lists(
    st.tuples(
        st.floats(-1e6, 1e6, allow_subnormal=False) | st.sampled_from([-1e6, 0.0, 1e6]),
        st.floats(-9.0, 3.0) | st.sampled_from([-9.0, 3.0]),
    ),
    min_size=1,
    max_size=8,
)


@given(EXTREME, st.sampled_from([1.0, 0.3, 0.01]))
@settings(max_examples=150)
def test_extreme_beliefs_give_a_distribution(policy, arms, share):
    """Utilities up to ±10⁶ and widths from 10⁻⁹ to 10³."""
    utility = np.array([mean for mean, _ in arms])
    sd = 10.0 ** np.array([log_sd for _, log_sd in arms])
    seen = beliefs(utility, sd, judged_share=share)
    assert_a_distribution(policy.probabilities(seen), len(arms))
    assert_a_distribution(distribution(policy, seen, 0.005, None), len(arms))


@pytest.mark.parametrize("k", [1, 3, 200])
@pytest.mark.parametrize("usual", [None, 0.0, 1e-4, 10.0])
@pytest.mark.parametrize("floor", [0.0, 0.005, 0.3, 1.0])
def test_what_is_drawn_from_keeps_every_arms_floor(policy, k, usual, floor, rng):
    seen = random_beliefs(rng, k)
    probabilities = distribution(policy, seen, floor, usual)
    assert_a_distribution(probabilities, k)
    least = floors(seen.cost_usd, floor, usual)
    assert np.all(probabilities >= least * (1.0 - 1e-12))


def test_an_untaught_arm_is_never_starved(policy):
    """However good the taught arms are, the newcomer keeps its floor."""
    knowledge = taught_state({"good": 0.9, "fair": 0.6}, each=300).knowledge()
    seen = knowledge.beliefs(roster("good", "fair", "new"), context(), OBJECTIVE, NOW_S)
    probabilities = distribution(policy, seen, 0.005, None)
    assert probabilities[2] >= floors(seen.cost_usd, 0.005, None)[2] * (1.0 - 1e-12) > 0.0


@pytest.mark.parametrize("k", [2, 5, 14])
def test_permuting_the_arms_permutes_the_probabilities(policy, k, rng):
    seen, order = random_beliefs(rng, k), rng.permutation(k)
    straight = distribution(policy, seen, 0.005, 0.001)
    permuted = distribution(policy, seen.take(list(order)), 0.005, 0.001)
    np.testing.assert_allclose(permuted, straight[order], rtol=1e-12, atol=1e-15)


def test_permuting_the_arms_draws_the_same_arm(policy, rng):
    seen = random_beliefs(rng, 7)
    for u in rng.uniform(size=50):
        row = draw(distribution(policy, seen, 0.2, None), seen.arm_ids, u)
        shuffled = seen.take(list(rng.permutation(7)))
        again = draw(distribution(policy, shuffled, 0.2, None), shuffled.arm_ids, u)
        assert shuffled.arm_ids[again] == seen.arm_ids[row]


@pytest.mark.parametrize("k", [2, 3, 50])
@pytest.mark.parametrize("share", [1.0, 0.01])
def test_equal_arms_share_equally(policy, k, share):
    """None of them is the one that ``fixed`` names."""
    twins = [f"twin-{row}" for row in range(k)]
    equal = beliefs([0.37] * k, arm_ids=twins, judged_share=share)
    np.testing.assert_allclose(policy.probabilities(equal), 1.0 / k, rtol=1e-9)


def test_the_same_decision_id_draws_the_same_arm(policy, rng):
    seen = random_beliefs(rng, 4)
    arms = roster(*seen.arm_ids)
    rules = Rules(policy, floor=0.2, seed=9)
    for decision in range(20):
        first = choose(seen, arms, rules, 0.001, f"decision-{decision}")
        assert choose(seen, arms, rules, 0.001, f"decision-{decision}") == first


def test_what_a_policy_is_given_is_left_alone(policy, rng):
    seen = random_beliefs(rng, 6)
    names = [name for name in seen._fields if name not in {"arm_ids", "judged_share"}]
    before = {name: getattr(seen, name).copy() for name in names}
    for name in names:
        getattr(seen, name).setflags(write=False)
    distribution(policy, seen, 0.005, 0.001)
    for name in names:
        np.testing.assert_array_equal(getattr(seen, name), before[name])


def test_a_policy_comes_back_from_its_spec(policy):
    again = policy_from(policy.spec)
    assert again == policy
    assert again.spec == policy.spec


def test_every_policy_of_the_configuration_is_under_this_contract(policy):
    assert {each.spec.partition(":")[0] for each in POLICIES} == set(POLICY_NAMES)
    assert policy.spec.partition(":")[0] in POLICY_NAMES
