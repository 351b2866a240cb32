"""A decision is a pure function, and can be made again from what was logged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from core_examples import GROUPS, NOW_S, arm, beliefs, folded, random_log, roster, vector

from banditroute.core.beliefs import Objective
from banditroute.core.choice import Choice, Rules, choose, eligible, probabilities_of, recompute
from banditroute.core.policies import EpsilonGreedy, Fixed, Greedy, LinUCB, Thompson, Uniform
from banditroute.core.roster import Roster
from banditroute.values import Context, Decision

LOG = random_log(np.random.default_rng(8), 200)
ARMS = Roster(
    tuple(
        arm(f"arm-{place}", input_usd_per_mtok=price, output_usd_per_mtok=4.0 * price)
        for place, price in enumerate((0.1, 3.0, 0.7, 25.0, 1.0))
    )
)
POLICIES = [Thompson(), LinUCB(1.0 / 3.0), EpsilonGreedy(0.1), Greedy(), Uniform(), Fixed("arm-2")]


def made(state, policy, *, number=0, excluded=None, **changes) -> tuple[Choice, Decision]:
    """A choice as the engine makes it, and the decision as it is logged."""
    rng = np.random.default_rng(number)
    values = {
        "answer_value_usd": 0.037,
        "patience_s": 41.0,
        "made_at_s": NOW_S + 1234.5,
        "input_tokens": 777,
        "max_output_tokens": None,
        "floor": 0.03,
        "seed": 2**63 + 5,
        "budget_price": 3.7,
    } | changes
    x = vector(rng, 5)
    knowledge = state.knowledge()
    seen = knowledge.beliefs(
        ARMS,
        Context(x, values["input_tokens"], max_output_tokens=values["max_output_tokens"]),
        Objective(values["answer_value_usd"], values["patience_s"], values["budget_price"]),
        values["made_at_s"],
    )
    excluded = excluded or {}
    rules = Rules(policy, values["floor"], values["seed"])
    usual = knowledge.usage.recent_spend_usd()
    choice = choose(eligible(seen, excluded), ARMS, rules, usual, f"decision-{number}")
    decision = Decision(
        id=f"decision-{number}",
        router="auto",
        arm_id=choice.arm_id,
        propensity=choice.propensity,
        candidates=choice.candidates,
        excluded=excluded,
        x=np.frombuffer(x.astype("<f4").tobytes(), dtype="<f4").astype(np.float64),
        fingerprint="features",
        position=knowledge.position,
        policy=policy.spec,
        **values,
    )
    return choice, decision


# choosing


def test_the_propensity_is_the_probability_of_the_arm_drawn():
    state, drawn = folded(LOG), set()
    for number in range(60):
        choice, _ = made(state, Uniform(), number=number)
        shares = {each.arm_id: each.probability for each in choice.candidates}
        assert choice.propensity == shares[choice.arm_id]
        assert sum(shares.values()) == pytest.approx(1.0, abs=1e-9)
        drawn.add(choice.arm_id)
    assert drawn == set(ARMS.ids)


def test_a_candidate_shows_what_was_believed_and_the_prices_in_force():
    seen = beliefs(
        [0.4, 0.2],
        arm_ids=["arm-3", "arm-0"],
        quality=[0.6, 0.7],
        quality_sd=[0.05, 0.06],
        sampling_sd=[0.07, 0.08],
        cost_usd=[0.01, 0.02],
        latency_s=[1.5, 2.5],
        error_rate=[0.1, 0.0],
    )
    choice = choose(seen, ARMS, Rules(Uniform(), 0.0, 1), None, "decision")
    first, second = choice.candidates
    assert (first.arm_id, second.arm_id) == ("arm-3", "arm-0")
    assert (first.quality, first.quality_sd, first.sampling_sd) == (0.6, 0.05, 0.07)
    assert (first.cost_usd, first.latency_s, first.error_rate) == (0.01, 1.5, 0.1)
    assert (first.utility, first.probability) == (0.4, 0.5)
    assert (first.input_usd_per_mtok, first.output_usd_per_mtok) == (25.0, 100.0)
    assert (second.input_usd_per_mtok, second.output_usd_per_mtok) == (0.1, 0.4)
    plain = (value for name in first._fields for value in [getattr(first, name)])
    assert {type(value) for value in plain} == {str, float}


def test_the_draw_depends_on_the_decision_and_on_the_seed():
    seen = beliefs([0.4, 0.4, 0.4])
    arms = roster(*seen.arm_ids)

    def drawn(seed):
        rules = Rules(Uniform(), 0.0, seed)
        return [choose(seen, arms, rules, None, f"decision-{n}").arm_id for n in range(40)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert len(set(drawn(1))) == 3


def test_arms_that_are_excluded_are_left_out_in_order():
    seen = beliefs([0.1, 0.2, 0.3, 0.4])
    left = eligible(seen, {"arm-002": "failed", "elsewhere": "failed"})
    assert left.arm_ids == ("arm-000", "arm-001", "arm-003")
    assert left.utility.tolist() == [0.1, 0.2, 0.4]
    assert eligible(seen, {}).utility.tolist() == seen.utility.tolist()


def test_probabilities_of_a_choice_and_of_its_decision_are_the_candidates():
    choice, decision = made(folded(LOG), Thompson())
    expected = [candidate.probability for candidate in choice.candidates]
    assert probabilities_of(choice).tolist() == expected
    assert probabilities_of(decision).tolist() == expected


# making it again


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.spec)
@pytest.mark.parametrize("position", [0, 1, 57, 200])
def test_a_logged_decision_is_recomputed_to_the_bit(policy, position):
    state = folded(LOG[:position])
    for number in range(8):
        choice, decision = made(state, policy, number=number)
        assert recompute(decision, state.knowledge()) == choice


@pytest.mark.parametrize(
    "changes",
    [
        {"excluded": {"arm-1": "failed", "arm-3": "over_max_cost_usd"}},
        {"max_output_tokens": 12},
        {"floor": 0.0},
        {"floor": 1.0},
        {"answer_value_usd": 1e-6, "patience_s": 1e6},
        {"made_at_s": NOW_S - 1e6},
    ],
    ids=["excluded", "capped", "no-floor", "all-floor", "other-values", "before"],
)
def test_everything_that_entered_a_decision_is_in_its_log_entry(changes):
    state = folded(LOG)
    for number in range(8):
        choice, decision = made(state, Thompson(), number=number, **changes)
        assert recompute(decision, state.knowledge()) == choice


@pytest.mark.parametrize(
    "changes",
    [
        {"x": np.ones(5)},
        {"answer_value_usd": 0.01},
        {"patience_s": 4.0},
        {"made_at_s": NOW_S + 900.0},
        {"input_tokens": 7770},
        {"max_output_tokens": 5},
        {"floor": 0.02},
        {"policy": "linucb"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_log_entry_that_was_changed_no_longer_recomputes(changes):
    """Guards the tests above: each of these fields does enter the arithmetic."""
    state = folded(LOG)
    choice, decision = made(state, Thompson())
    assert recompute(replace(decision, **changes), state.knowledge()) != choice


def test_a_decision_is_recomputed_by_a_replica_that_folded_the_log_itself():
    choice, decision = made(folded(LOG[:150]), Thompson(), number=3)
    replica = folded(LOG[:60])
    replica.fold(LOG[:150])
    assert recompute(decision, replica.knowledge()) == choice


def test_prices_that_changed_since_do_not_change_what_was_decided():
    """The candidates carry the prices in force, so today's roster is not asked."""
    state = folded(LOG)
    choice, decision = made(state, Thompson())
    again = recompute(decision, state.knowledge())
    assert [each.input_usd_per_mtok for each in again.candidates] == [0.1, 3.0, 0.7, 25.0, 1.0]
    assert again == choice


@pytest.mark.parametrize("position", [149, 151])
def test_knowledge_of_another_position_is_refused(position):
    _, decision = made(folded(LOG[:150]), Thompson())
    with pytest.raises(ValueError, match=f"at position 150, not {position}"):
        recompute(decision, folded(LOG[:position], GROUPS).knowledge())
