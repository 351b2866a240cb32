"""What is believed of each arm: by hand, in units, and priced at decision time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from core_examples import (
    BIAS_ONLY,
    GROUPS,
    NOW_S,
    OBJECTIVE,
    arm,
    beliefs,
    context,
    folded,
    outcome,
    random_log,
    roster,
    taught_state,
    vector,
)
from hypothesis import given
from hypothesis import strategies as st

from banditroute.core.beliefs import Beliefs, Objective
from banditroute.core.choice import eligible
from banditroute.core.fold import RouterState
from banditroute.core.posterior import FeatureGroups, all_posteriors
from banditroute.core.roster import Roster

ARRAYS = [name for name in Beliefs._fields if name not in {"arm_ids", "x", "judged_share"}]


def test_an_arm_nobody_ever_called_by_hand():
    """Quality 0.5 ± 0.2; 1,000 tokens in at $1 and 1.2·300 out at $4 per million: $0.00244.

    Latency is log-normal (0, 1/2): mean e^(1/4) s. The sampling width is the wider of 0.5·0.2
    and the plain mean's 0.2.
    """
    knowledge = RouterState.empty(BIAS_ONLY).knowledge()
    seen = knowledge.beliefs(roster("a"), context(), OBJECTIVE, NOW_S)
    assert seen.arm_ids == ("a",)
    assert seen.quality[0] == pytest.approx(0.5)
    assert seen.quality_sd[0] == pytest.approx(0.2)
    assert seen.sampling_sd[0] == pytest.approx(0.2)
    assert seen.cost_usd[0] == pytest.approx(0.00244)
    assert seen.latency_s[0] == pytest.approx(np.exp(0.25))
    assert seen.utility[0] == pytest.approx(0.5 - 0.00244 / 0.05 - np.exp(0.25) / 120.0)
    assert (seen.error_rate[0], seen.latency_n[0], seen.taught[0]) == (0.0, 0.0, 0.0)


def test_a_taught_arm_by_hand():
    """Four scores of 1 at the starting scales: V = 0.04/(1 + 0.04·4/0.2) = 0.04/1.8.

    The plain mean's width is 1/√(4/0.2 + 1/0.04) = √(0.04/1.8) too, twice the 0.5 of v.
    """
    state = taught_state({"a": 1e9}, each=4)
    seen = state.knowledge().beliefs(roster("a"), context(), OBJECTIVE, NOW_S)
    assert seen.quality[0] == pytest.approx((0.5 + 0.04 * 4 / 0.2) / 1.8)
    assert seen.quality_sd[0] == pytest.approx(np.sqrt(0.04 / 1.8))
    assert seen.sampling_sd[0] == pytest.approx(np.sqrt(0.04 / 1.8))
    assert seen.taught[0] == 4.0


def test_quality_and_its_width_are_those_of_the_posterior_at_x(rng):
    state = folded(random_log(rng, 150))
    knowledge, x = state.knowledge(), vector(rng, 5)
    ids = tuple(state.rows)
    seen = knowledge.beliefs(roster(*ids), context(x), OBJECTIVE, NOW_S)
    for place, arm_id in enumerate(ids):
        row = state.rows[arm_id]
        covariance = state.quality.covariances[row]
        assert seen.quality[place] == pytest.approx(state.quality.means[row] @ x)
        assert seen.quality_sd[place] == pytest.approx(np.sqrt(x @ covariance @ x))
        assert seen.taught[place] == state.quality.taught[row]


def test_where_the_posterior_is_wide_half_its_width_is_explored():
    """Far outside what was seen xᵀVx dwarfs the plain mean's variance, and v = 0.5 of it counts.

    All of it: no answers were reported, so no words on them are awaited.
    """
    state = taught_state({"a": 0.3, "b": 0.6, "c": 0.9}, each=50, groups=GROUPS)
    x = np.array([1.0, 0.0, 0.0, 100.0, 0.0])
    seen = state.knowledge().beliefs(roster("a", "b", "c"), context(x), OBJECTIVE, NOW_S)
    np.testing.assert_array_equal(seen.sampling_sd, 0.5 * seen.quality_sd)


def test_the_sampling_width_is_never_narrower_than_the_plain_means():
    state = taught_state({"a": 0.7}, each=50)
    knowledge = state.knowledge()
    seen = knowledge.beliefs(roster("a"), context(), OBJECTIVE, NOW_S)
    noise, scale = knowledge.hyper.noise, knowledge.hyper.scales[0]
    assert seen.sampling_sd[0] == pytest.approx(1.0 / np.sqrt(50.0 / noise + 1.0 / scale))
    assert seen.sampling_sd[0] > 0.5 * seen.quality_sd[0]


def test_an_unknown_arm_is_believed_to_be_the_pooled_one(rng):
    state = folded(random_log(rng, 150))
    x = vector(rng, 5)
    seen = state.knowledge().beliefs(roster("arm-0", "new"), context(x), OBJECTIVE, NOW_S)
    hyper = state.quality.hyper
    assert seen.quality[1] == pytest.approx(hyper.pooled @ x)
    assert seen.quality_sd[1] == pytest.approx(np.sqrt(hyper.prior_variance(GROUPS) @ x**2))
    assert seen.taught[1] == 0.0
    assert seen.error_rate[1] == 0.0


def test_the_order_of_the_roster_is_the_order_of_the_beliefs(rng):
    knowledge = folded(random_log(rng, 150)).knowledge()
    ids, x = ("arm-0", "new", "arm-2", "arm-1"), vector(rng, 5)
    forth = knowledge.beliefs(roster(*ids), context(x), OBJECTIVE, NOW_S)
    back = knowledge.beliefs(roster(*reversed(ids)), context(x), OBJECTIVE, NOW_S)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(forth, name)[::-1], getattr(back, name))


def test_the_other_arms_of_a_roster_change_no_bit(rng):
    """So a decision can be recomputed from its eligible arms alone."""
    knowledge = folded(random_log(rng, 150)).knowledge()
    asked = context(vector(rng, 5), max_output_tokens=200)
    every = knowledge.beliefs(roster("arm-3", "new", "arm-0", "arm-1"), asked, OBJECTIVE, NOW_S)
    some = knowledge.beliefs(roster("arm-3", "arm-1"), asked, OBJECTIVE, NOW_S)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(some, name), getattr(every, name)[[0, 3]])


def test_published_knowledge_is_half_as_large_as_the_covariances(rng):
    """Only their triangles are kept; everything else is small at d = 60."""
    groups = FeatureGroups(("bias", *["tag"] * 59))
    state = folded(random_log(rng, 60, groups), groups)
    knowledge = state.knowledge()
    widths = ("exploration_width", "mean_width")
    names = ("means", "spreads", *widths, "evidence_n", "quality_mean", "taught")
    kept = sum(getattr(knowledge, name).nbytes for name in names)
    assert not hasattr(knowledge, "covariances")
    assert kept < 0.55 * state.quality.covariances.nbytes * 5 / 4


# cost


def test_a_new_price_counts_at_the_very_next_request():
    knowledge = RouterState.empty(BIAS_ONLY).knowledge()
    dear = Roster((arm("a", input_usd_per_mtok=10.0, output_usd_per_mtok=40.0),))
    before = knowledge.beliefs(roster("a"), context(), OBJECTIVE, NOW_S)
    after = knowledge.beliefs(dear, context(), OBJECTIVE, NOW_S)
    assert after.cost_usd[0] == pytest.approx(10.0 * before.cost_usd[0])
    assert after.quality[0] == before.quality[0]
    assert after.utility[0] - before.utility[0] == pytest.approx(-9.0 * 0.00244 / 0.05)


def test_max_output_tokens_caps_the_expected_cost():
    knowledge = RouterState.empty(BIAS_ONLY).knowledge()
    for limit, tokens in ((100, 100.0), (0, 0.0), (10_000, 360.0), (None, 360.0)):
        asked = context(max_output_tokens=limit)
        seen = knowledge.beliefs(roster("a"), asked, OBJECTIVE, NOW_S)
        assert seen.cost_usd[0] == pytest.approx((1000.0 + 4.0 * tokens) / 1e6)


def test_learned_lengths_set_the_cost_of_each_arm():
    tokens = {"a": 3000.0, "b": 30.0}
    log = [outcome(n, "ab"[n % 2], output_tokens=tokens["ab"[n % 2]]) for n in range(1, 401)]
    knowledge = folded(log, BIAS_ONLY).knowledge()
    seen = knowledge.beliefs(roster("a", "b"), context(input_tokens=0), OBJECTIVE, NOW_S)
    assert seen.cost_usd == pytest.approx([4.0 * 3000.0 / 1e6, 4.0 * 30.0 / 1e6], rel=0.1)


# utility


def test_utility_is_quality_less_cost_in_answers_and_waiting_in_patience():
    fates = [None, None, None, "timeout"] * 10
    log = [outcome(n, "a", latency_s=3.0, error=fate) for n, fate in enumerate(fates, start=1)]
    knowledge = folded(log, BIAS_ONLY).knowledge()
    seen = knowledge.beliefs(roster("a"), context(), Objective(0.02, 30.0), NOW_S)
    assert seen.error_rate[0] > 0.15
    assert seen.latency_s[0] == pytest.approx(
        np.exp(seen.latency_log[0] + seen.latency_var[0] / 2.0)
    )
    expected = (1.0 - seen.error_rate[0]) * seen.quality[0]
    expected -= seen.cost_usd[0] / 0.02 + seen.latency_s[0] / 30.0
    assert seen.utility[0] == pytest.approx(expected)


def test_waiting_can_cancel_an_answer_but_not_more():
    knowledge = RouterState.empty(BIAS_ONLY).knowledge()
    seen = knowledge.beliefs(roster("a"), context(), Objective(0.05, 1e-6), NOW_S)
    assert seen.utility[0] == pytest.approx(0.5 - 0.00244 / 0.05 - 1.0)


def test_latency_evidence_and_errors_fade_while_nobody_calls():
    log = [outcome(n, "a", latency_s=9.0) for n in range(1, 9)]
    log.append(outcome(9, "a", error="timeout"))
    knowledge = folded(log, BIAS_ONLY).knowledge()
    now = knowledge.beliefs(roster("a"), context(), OBJECTIVE, NOW_S)
    later = knowledge.beliefs(roster("a"), context(), OBJECTIVE, NOW_S + 300.0)
    assert later.latency_n[0] == pytest.approx(now.latency_n[0] / 2.0)
    assert later.error_rate[0] < now.error_rate[0]
    assert later.quality[0] == now.quality[0]


def test_a_budgets_price_adds_to_what_a_dollar_is_worth():
    knowledge = RouterState.empty(BIAS_ONLY).knowledge()
    assert Objective(0.05, 120.0, 7.0).dollar_price == 27.0
    plain = knowledge.beliefs(roster("a"), context(), OBJECTIVE, NOW_S)
    priced = replace(OBJECTIVE, budget_price=7.0)
    tight = knowledge.beliefs(roster("a"), context(), priced, NOW_S)
    assert tight.utility[0] - plain.utility[0] == pytest.approx(-7.0 * plain.cost_usd[0])
    np.testing.assert_array_equal(tight.quality, plain.quality)


# what a price says of an arm


def test_a_dearer_arm_is_presumed_to_be_better_by_hand():
    """Costs c/e, c and c·e: the quality moves by -0.05, 0 and 0.05; where half is learned, by half.

    The utility follows as far as the arm answers at all.
    """
    seen = beliefs(
        [0.5, 0.5, 0.5],
        cost_usd=[0.01 / np.e, 0.01, 0.01 * np.e],
        presumed=[1.0, 1.0, 0.5],
        error_rate=[0.2, 0.0, 0.0],
    )
    beside = seen.beside_each_other()
    assert beside.quality == pytest.approx([0.45, 0.5, 0.525])
    assert beside.utility == pytest.approx([0.46, 0.5, 0.525])
    for name in set(ARRAYS) - {"quality", "utility"}:
        np.testing.assert_array_equal(getattr(beside, name), getattr(seen, name))


def test_what_is_learned_needs_no_presumption():
    seen = beliefs([0.5, 0.7], cost_usd=[1e-6, 1.0], presumed=0.0)
    assert seen.beside_each_other().quality.tolist() == [0.5, 0.7]


def test_beyond_twenty_times_the_usual_cost_dearness_says_no_more():
    """Costs e⁻⁸ to e⁸: three factors e count, 0.15 either way."""
    beside = beliefs([0.5, 0.5], cost_usd=[np.exp(-8.0), np.exp(8.0)], presumed=1.0)
    assert beside.beside_each_other().quality == pytest.approx([0.35, 0.65])


def test_free_arms_have_no_price_to_go_by():
    seen = beliefs([0.5] * 3, cost_usd=[0.0, 0.01, 0.01 * np.e**2], presumed=1.0)
    assert seen.beside_each_other().quality == pytest.approx([0.5, 0.45, 0.55])
    for costs in ([0.0, 0.0, 0.0], [0.0, 0.0, 0.5]):
        seen = beliefs([0.5] * 3, cost_usd=costs, presumed=1.0)
        beside = seen.beside_each_other()
        np.testing.assert_array_equal(beside.quality, seen.quality)
        np.testing.assert_array_equal(beside.utility, seen.utility)


def test_arms_that_cost_the_same_are_presumed_to_be_the_same():
    seen = beliefs([0.1, 0.2, 0.3], cost_usd=0.01, presumed=1.0)
    assert seen.beside_each_other().quality == pytest.approx([0.1, 0.2, 0.3])


@given(st.lists(st.floats(0.0, 1e300), min_size=1, max_size=6), st.floats(0.0, 1.0), st.randoms())
def test_any_costs_move_qualities_by_little_and_alike_in_any_order(costs, presumed, random):
    seen = beliefs([0.5] * len(costs), cost_usd=costs, presumed=presumed)
    order = random.sample(range(len(costs)), len(costs))
    beside, other = seen.beside_each_other(), seen.take(order).beside_each_other()
    assert np.all(np.abs(beside.quality - 0.5) <= 0.15 + 1e-12)
    np.testing.assert_allclose(other.quality, beside.quality[order], atol=1e-12)
    np.testing.assert_allclose(other.utility, beside.utility[order], atol=1e-12)


def test_an_untaught_arm_is_presumed_whole_and_a_taught_one_less_and_less():
    """The prior keeps 1/(1 + τ²n/σ²) of the mean after n scores: its precision's share."""
    for each in (1, 7):
        seen = taught_state({"a": 0.7}, each).knowledge()
        beside = seen.beliefs(roster("a", "new"), context(), OBJECTIVE, NOW_S)
        start = 0.04 * each / 0.2
        assert beside.presumed == pytest.approx([1.0 / (1.0 + start), 1.0])


def test_what_is_presumed_is_what_moving_the_prior_would_move(rng):
    """Second opinion: every posterior mean again, with the prior of the bias 1e-3 higher."""
    state, x = folded(random_log(rng, 150)), vector(rng, 5)
    x[1:] *= 0.3
    quality, hyper = state.quality, state.quality.hyper
    higher = replace(hyper, pooled=hyper.pooled + 1e-3 * np.eye(5)[0])
    moved = (all_posteriors(quality.sums, higher, GROUPS)[0] - quality.refreshed()[0]) @ x / 1e-3
    ids = tuple(state.rows)
    seen = state.knowledge().beliefs(roster(*ids), context(x), OBJECTIVE, NOW_S)
    rows = [state.rows[arm_id] for arm_id in ids]
    np.testing.assert_allclose(seen.presumed, np.clip(moved[rows], 0.0, 1.0), atol=1e-9)
    assert 0.0 < seen.presumed.max() < 1.0


def test_of_two_unknown_arms_the_dearer_is_preferred_where_dollars_are_nothing():
    knowledge = RouterState.empty(BIAS_ONLY).knowledge()
    arms = Roster((arm("cheap", output_usd_per_mtok=0.1), arm("dear", output_usd_per_mtok=90.0)))
    seen = knowledge.beliefs(arms, context(), Objective(1e9, 120.0), NOW_S)
    left = eligible(seen, {})
    assert left.utility[1] - left.utility[0] > 0.05
    assert eligible(seen, {"cheap": "failed"}).quality.tolist() == [0.5]


# taking some of the arms


def test_taking_rows_keeps_their_numbers_in_the_order_asked_for(rng):
    every = beliefs(rng.normal(size=5), sd=rng.uniform(0.1, 1.0, size=5), judged_share=0.25)
    some = every.take([4, 1])
    assert some.arm_ids == ("arm-004", "arm-001")
    assert some.judged_share == 0.25
    np.testing.assert_array_equal(some.x, every.x)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(some, name), getattr(every, name)[[4, 1]])


def test_taking_every_row_in_order_is_the_same_value():
    every = beliefs([0.1, 0.2, 0.3])
    assert every.take([0, 1, 2]) is every
    assert every.take([0, 2, 1]).arm_ids == ("arm-000", "arm-002", "arm-001")
    assert every.take([0, 1]).arm_ids == ("arm-000", "arm-001")


def test_taking_no_row_leaves_nothing():
    none = beliefs([0.1, 0.2]).take([])
    assert none.arm_ids == ()
    assert none.utility.shape == (0,)


# the roster


def test_a_roster_keeps_the_operators_order_and_lays_out_prices():
    arms = Roster((arm("b", input_usd_per_mtok=2), arm("a", output_usd_per_mtok=9)))
    assert arms.ids == ("b", "a")
    assert [each.id for each in arms] == ["b", "a"]
    assert len(arms) == 2
    assert arms.input_price.tolist() == [2.0, 1.0]
    assert arms.output_price.tolist() == [4.0, 9.0]


def test_two_arms_of_one_roster_cannot_share_an_id():
    with pytest.raises(ValueError, match="same id"):
        Roster((arm("a"), arm("a", model="other")))


def test_a_roster_of_one_of_its_arms_alone():
    arms = roster("a", "b")
    assert arms.only("b").ids == ("b",)
    with pytest.raises(KeyError):
        arms.only("c")


def test_repricing_one_arm_leaves_the_other_as_it_was():
    knowledge = RouterState.empty(BIAS_ONLY).knowledge()
    cheap = arm("a", output_usd_per_mtok=0.4)
    pair = Roster((cheap, arm("b")))
    repriced = Roster((replace(cheap, output_usd_per_mtok=4.0), arm("b")))
    before = knowledge.beliefs(pair, context(), OBJECTIVE, NOW_S)
    after = knowledge.beliefs(repriced, context(), OBJECTIVE, NOW_S)
    assert after.cost_usd[0] > before.cost_usd[0]
    assert after.cost_usd[1] == before.cost_usd[1]
