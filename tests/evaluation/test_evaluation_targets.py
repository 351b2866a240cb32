"""What another policy would have chosen, recomputed from what the router knew then."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from doubles import Clock, memory, running
from evaluation_examples import drawn, rows
from log_worlds import live, world

from banditroute.core.policies import EpsilonGreedy, Fixed, Greedy, LinUCB, Thompson, Uniform
from banditroute.core.selection import floors
from banditroute.errors import DataError
from banditroute.evaluation import Given, InForce, Instead, Log, Weights
from banditroute.evaluation.gathering import FAILED, NAMED
from banditroute.evaluation.targets import target_of


def log(policy=None):
    return Log.of_rows(rows(120, policy))


@pytest.mark.parametrize(
    "policy", [Thompson(), LinUCB(1.0), EpsilonGreedy(0.2), Uniform()], ids=lambda one: one.spec
)
def test_the_policy_in_force_made_again_gives_the_logged_probabilities_back(policy):
    made = log(policy)
    assert set(made.policies) == {policy.spec}
    np.testing.assert_allclose(Instead().probabilities(made), made.probabilities, atol=1e-9)
    assert InForce().probabilities(made) is made.probabilities


def test_so_does_that_of_a_router_with_budgets_fallbacks_and_failures():
    async def lived():
        clock = Clock()
        store = memory(clock)
        async with running(world(store, clock)) as engine:
            await live(engine, clock, 60)
            return await Log.of_records(store.decisions("auto"))

    made = asyncio.run(lived())
    assert made.left_out[NAMED] > 0
    assert made.left_out[FAILED] > 0
    assert made.budget_price.max() > 0.0
    assert (made.eligible.sum(axis=1) < len(made.arms)).any()
    np.testing.assert_allclose(Instead().probabilities(made), made.probabilities, atol=1e-9)


def test_so_does_that_of_a_router_whose_answers_are_seldom_judged():
    made = Log.of_rows(rows(120, judged=0.3))
    assert made.judged_share.min() < 0.9
    np.testing.assert_allclose(Instead().probabilities(made), made.probabilities, atol=1e-9)
    untold = replace(made, judged_share=np.ones(120))
    off = np.abs(Instead().probabilities(untold) - made.probabilities)
    assert off.max() > 0.01


def test_a_policy_chooses_by_its_own_rule_and_the_logs_floor():
    made = log()
    greedy = Instead(Greedy()).probabilities(made)
    utility = np.where(made.eligible, made.predictions.utility, -np.inf)
    rounds = np.arange(len(made))
    for at in (0, 60, 119):
        usual = made.usual_cost_usd[at]
        least = floors(made.predictions.cost_usd[at], 0.3, None if np.isnan(usual) else usual)
        best = utility[at].argmax()
        assert greedy[at, best] == pytest.approx(1.0 - least.sum() + least[best])
    bare = Instead(Greedy(), floor=0.0).probabilities(made)
    assert bare[rounds, utility.argmax(axis=1)] == pytest.approx(1.0)
    assert Instead(Fixed("dear"), floor=0.0).probabilities(made)[:, 1] == pytest.approx(1.0)


def test_other_weights_are_other_utilities():
    made = log()
    said = made.predictions
    poor = Instead(Greedy(), Weights(answer_value_usd=0.002, patience_s=4.0), floor=0.0)
    utility = (
        (1.0 - said.error_rate) * said.quality
        - said.cost_usd / 0.002
        - np.minimum(said.latency_s / 4.0, 1.0)
    )
    rounds = np.arange(len(made))
    assert poor.probabilities(made)[rounds, utility.argmax(axis=1)] == pytest.approx(1.0)
    same = Instead(weights=Weights(answer_value_usd=0.05, patience_s=120.0))
    np.testing.assert_allclose(same.probabilities(made), made.probabilities, atol=1e-6)


def test_an_arm_that_is_left_out_is_never_chosen_unless_it_is_alone():
    made = log()
    chances = Instead(without=frozenset({"dear"})).probabilities(made)
    assert not chances[:, 1].any()
    assert chances.sum(axis=1) == pytest.approx(1.0)
    alone = made.eligible.copy()
    alone[5] = [False, True, False]
    narrow = Log.of_arrays(
        made.arms,
        np.full(len(made), 1),
        quality=made.quality,
        probabilities=np.tile([0.0, 1.0, 0.0], (len(made), 1)),
        eligible=alone,
        predictions=made.predictions._asdict(),
        policies="thompson",
    )
    assert Instead(without=frozenset({"dear"})).probabilities(narrow)[5].tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (Instead(without=frozenset({"typo"})), "no arm typo; it has cheap, dear, middle"),
        (Instead(Fixed("typo")), "no arm typo; it has cheap, dear, middle"),
        (Instead(without=frozenset({"cheap", "dear", "middle"})), "leaves no arm"),
    ],
)
def test_an_arm_that_the_log_does_not_have_is_refused(target, said):
    with pytest.raises(DataError, match=said):
        target.probabilities(log())


def test_a_policy_of_nobody_knows_whom_cannot_be_asked_again():
    with pytest.raises(DataError, match="'unknown', which cannot be asked again"):
        Instead().probabilities(drawn(5))


class Taught:
    spec = "taught"

    def probabilities(self, beliefs):
        return beliefs.taught / beliefs.taught.sum()


class Careless:
    spec = "careless"

    def probabilities(self, beliefs):
        return np.full(len(beliefs.arm_ids), 0.9)


def test_a_policy_that_goes_by_what_is_not_logged_is_refused_and_not_guessed_at():
    with pytest.raises(DataError, match=r"taught: in round 0 .*more than what the log holds"):
        Instead(Taught()).probabilities(log())
    with pytest.raises(DataError, match="careless: in round 0"):
        Instead(Careless()).probabilities(log())


def test_a_policy_of_ones_own_sees_what_the_router_saw():
    made, seen = log(), []

    class Own:
        spec = "own"

        def probabilities(self, beliefs):
            seen.append(beliefs)
            return beliefs.quality / beliefs.quality.sum()

    Instead(Own()).probabilities(made)
    assert len(seen) == len(made)
    last = seen[-1]
    assert last.arm_ids == made.arms
    assert np.array_equal(last.x, made.x[-1])
    assert np.array_equal(last.sampling_sd, made.predictions.sampling_sd[-1])
    assert last.judged_share == made.judged_share[-1]


def test_without_predictions_only_what_needs_none_can_be_asked():
    bare = drawn(20, predictions=None)
    assert Instead(Uniform()).probabilities(bare) == pytest.approx(1.0 / 3.0)
    assert Instead(Fixed("b")).probabilities(bare)[:, 1] == pytest.approx(1.0)
    with pytest.raises(DataError, match="greedy"), np.errstate(invalid="ignore"):
        Instead(Greedy()).probabilities(bare)


def test_given_probabilities_must_fit_the_log():
    made = drawn(4)
    chances = np.tile([0.5, 0.5, 0.0], (4, 1))
    assert Given("mine", chances).probabilities(made) is not None
    with pytest.raises(DataError, match=r"mine: .*shape"):
        Given("mine", chances[:3]).probabilities(made)
    with pytest.raises(DataError, match="mine: in round 0"):
        Given("mine", chances * 0.5).probabilities(made)
    never = Log.of_arrays(
        "abc", [0] * 4, quality=[1.0] * 4, propensity=[0.5] * 4, eligible=[[True, True, False]] * 4
    )
    with pytest.raises(DataError, match="not eligible"):
        Given("mine", np.tile([0.5, 0.0, 0.5], (4, 1))).probabilities(never)


def test_a_target_is_named_for_what_is_different():
    assert Instead().name == "policy in force"
    changed = Instead(Greedy(), Weights(0.02, 30.0), without=frozenset({"b", "a"}), floor=0.1)
    assert changed.name == (
        "greedy, answers worth $0.02, patience 30 s, without a, without b, floor 0.1"
    )
    assert Instead(Greedy(), called="mine").name == "mine"


def test_policies_and_their_specs_are_targets():
    assert target_of("linucb:2").name == "linucb:2.0"
    assert target_of(Uniform()).name == "uniform"
    assert target_of(InForce()) == InForce()
    for wrong, said in (("typo", "typo: unknown policy"), (3, "3 is no target")):
        with pytest.raises(DataError, match=said):
            target_of(wrong)
