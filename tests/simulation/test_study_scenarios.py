"""Every named scenario does what its sentence says, seen in what a policy meets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from study_examples import REQUESTS, SMALL, course, problem

from banditroute.core.roster import Roster
from banditroute.errors import ConfigError
from banditroute.simulation import ScenarioSpec, Study, play
from banditroute.simulation.rivals import Random
from banditroute.simulation.rivals.base import Knower
from banditroute.simulation.studies.courses import stakes_of
from banditroute.simulation.studies.phases import phases_of
from banditroute.simulation.studies.plans import plan_of
from banditroute.simulation.studies.roles import arm_named
from banditroute.simulation.studies.scenarios import BUILT_IN, chosen
from banditroute.simulation.studies.schema import Poison, Regression, TrafficShift

STRONG = 2


class Watcher(Knower):
    """Random, and remembers all that it meets."""

    def __init__(self):
        self.asked, self.heard, self.rosters = [], [], []

    def choose(self, ask, rows):
        self.asked.append(ask)
        self.rosters.append(ask.roster)
        return Random().choose(ask, rows)

    def told(self, ask, row, propensity, quality):
        self.heard.append((len(self.asked) - 1, ask.at, row, quality))


def watched(name, seed=0, **study):
    laid = course(name, **study)
    watcher = Watcher()
    trace = play(watcher, laid.problem, laid.order(seed).tolist(), seed, laid.scenario)
    return watcher, trace, laid


def test_every_scenario_says_in_one_sentence_what_it_does():
    for name, spec in BUILT_IN.items():
        assert spec.name == name
        assert spec.about.endswith(".")
        assert ". " not in spec.about


def test_nothing_changes_in_a_stationary_run():
    watcher, trace, laid = watched("stationary")
    assert sorted(trace.prompt) == list(range(REQUESTS))
    assert len(watcher.heard) == REQUESTS
    assert {id(roster) for roster in watcher.rosters} == {id(laid.problem.roster)}
    assert laid.marks == ()


def test_sparse_feedback_is_on_a_tenth():
    watcher, _, _ = watched("sparse-feedback", requests=2000)
    assert len(watcher.heard) / 2000 == pytest.approx(0.1, abs=0.03)


def test_late_feedback_comes_a_tenth_of_the_run_later():
    watcher, _, _ = watched("late-feedback")
    assert {now - at for now, at, _, _ in watcher.heard} == {REQUESTS // 10}


def test_after_a_regression_the_best_arm_answers_like_the_median_one():
    _, trace, laid = watched("regression")
    posed, half = laid.problem, REQUESTS // 2
    median = arm_named("median", posed, float("inf"), "")
    strong = trace.arm == STRONG
    at = np.arange(REQUESTS)
    early, late = strong & (at < half), strong & (at >= half)
    assert np.array_equal(trace.quality[early], posed.quality[trace.prompt[early], STRONG])
    assert np.array_equal(trace.quality[late], posed.quality[trace.prompt[late], median])
    assert trace.cost_usd[late] == pytest.approx(posed.cost_usd[trace.prompt[late], STRONG])


def test_after_a_price_change_the_best_arm_costs_tenfold_and_says_so():
    watcher, trace, laid = watched("price-change")
    half, posed = REQUESTS // 2, laid.problem
    late = (trace.arm == STRONG) & (np.arange(REQUESTS) >= half)
    assert trace.cost_usd[late] == pytest.approx(10.0 * posed.cost_usd[trace.prompt[late], STRONG])
    prices = [roster.output_price[STRONG] for roster in watcher.rosters]
    assert prices[half] == pytest.approx(10.0 * prices[half - 1])


def test_traffic_shifts_away_from_the_tasks_at_which_the_best_arm_leads():
    _, trace, laid = watched("traffic-shift", requests=2000)
    tasks = np.array(laid.problem.tasks)[trace.prompt]
    strong = np.isin(tasks, ["code", "maths"])
    assert strong[:1000].mean() == pytest.approx(0.9, abs=0.04)
    assert strong[1000:].mean() == pytest.approx(0.1, abs=0.04)
    assert laid.marks == ((1000, "traffic shifts to chat, law"),)


def test_traffic_without_tasks_shifts_by_length():
    posed = replace(problem(), tasks=(None,) * REQUESTS)
    laid = course("traffic-shift", posed)
    read = np.array([context.input_tokens for context in posed.contexts])
    long = (read > np.median(read))[laid.order(0)]
    assert abs(long[:150].mean() - long[150:].mean()) > 0.6


def test_traffic_that_is_all_alike_stays_as_it_is():
    posed = problem()
    alike = tuple(replace(context, input_tokens=50) for context in posed.contexts)
    laid = course("traffic-shift", replace(posed, tasks=(None,) * REQUESTS, contexts=alike))
    assert sorted(laid.order(0)) == list(range(REQUESTS))


def test_the_order_of_a_task_starts_again_when_its_prompts_have_all_come():
    spec = ScenarioSpec(name="law", events=[TrafficShift(at=0, tasks={"law": 2.0})])
    laid = course(spec, requests=100)
    order, law = laid.order(0), laid.problem.tasks.count("law")
    assert {laid.problem.tasks[prompt] for prompt in order} == {"law"}
    assert len(set(order[:law])) == law
    assert np.array_equal(order[law : 2 * law], order[:law])


def test_an_arm_that_is_onboarded_is_not_used_before():
    _, trace, laid = watched("onboarding")
    assert not np.any(trace.arm[: REQUESTS // 3] == STRONG)
    assert np.any(trace.arm[REQUESTS // 3 :] == STRONG)
    assert laid.marks == ((REQUESTS // 3, "strong is added"),)


def test_in_an_outage_requests_fail_over_to_another_arm():
    _, trace, _ = watched("outage")
    at = np.arange(REQUESTS)
    down = (at >= 0.4 * REQUESTS) & (at < 0.6 * REQUESTS)
    assert not np.any(trace.arm[down] == STRONG)
    assert np.any(trace.attempts[down] == 2)
    assert np.all(trace.attempts[~down] == 1)
    assert np.any(trace.arm[~down] == STRONG)


def test_the_budget_lies_between_the_cheapest_and_the_best_arm():
    laid = course("budget", answer_value_usd=0.05)
    cost = laid.problem.cost_usd.mean(axis=0)
    assert laid.stakes.budget_usd == pytest.approx((cost.min() * cost[STRONG]) ** 0.5)
    assert laid.stakes.answer_value_usd == float("inf")


def test_poison_praises_bad_arms_and_blames_the_two_best():
    watcher, _, laid = watched("poisoning", requests=3000)
    best = {STRONG, arm_named("second", laid.problem, float("inf"), "")}
    order = laid.order(0)
    lies = [
        (row, said)
        for _, at, row, said in watcher.heard
        if said != laid.problem.quality[order[at], row]
    ]
    assert len(lies) / 3000 == pytest.approx(0.1, abs=0.02)
    assert {said for row, said in lies if row in best} == {0.0}
    assert {said for row, said in lies if row not in best} == {1.0}


def test_many_arms_are_fifty_on_a_made_up_world_and_refused_elsewhere():
    plan = plan_of(Study(scenarios=["stationary", "many-arms"]), SMALL)
    assert [len(laid.problem.roster) for laid in plan.courses] == [4, 50]
    with pytest.raises(ConfigError, match=r'scenarios\[0\]: "many-arms" draws arms'):
        plan_of(Study(scenarios=["many-arms"]), problem())


def test_a_price_change_where_quality_alone_counts_has_a_budget():
    (spec,) = chosen(Study(scenarios=["price-change"]))
    assert spec.budget_usd_per_request == "middle"
    (spec,) = chosen(Study(scenarios=["price-change"], answer_value_usd=1.0))
    assert spec.budget_usd_per_request is None


def test_without_costs_quality_alone_counts_and_prices_cannot_change():
    free = replace(problem(), cost_usd=np.zeros((REQUESTS, 4)))
    assert course("stationary", free, budget_usd_per_request=1e-3).stakes.budget_usd is None
    for name in ("budget", "price-change"):
        with pytest.raises(ConfigError, match=f'scenario "{name}"(.|\n)*the data has n'):
            course(name, free)


def test_an_arm_can_answer_worse_by_a_factor_and_never_better_than_perfectly():
    for factor, mean in ((0.5, 0.5), (3.0, None)):
        spec = ScenarioSpec(name="s", events=[Regression(arm="weak", at=100, factor=factor)])
        (_, after) = phases_of(course(spec))
        before = problem().quality[:, 0]
        assert after.problem.quality[:, 0] == pytest.approx(np.minimum(factor * before, 1.0))
        assert after.problem.expected[:, 0].max() <= 1.0
        assert mean is None or after.problem.expected[:, 0].mean() < before.mean()


def test_roles_are_by_utility_and_by_cost():
    posed = problem()
    rows = [
        arm_named(role, posed, float("inf"), "")
        for role in ("best", "second", "median", "cheapest", "dearest", "other")
    ]
    assert rows == [2, 1, 3, 0, 2, 3]
    assert arm_named("best", posed, 0.001, "") == 0
    assert arm_named("median", posed, float("inf"), "") == 3


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"events": [Regression(arm="strng", at=0.5, like="weak")]}, "did you mean .strong"),
        ({"events": [Regression(arm="best", at=900, factor=0.5)]}, "request 900 is beyond"),
        ({"events": [TrafficShift(at=0, tasks={"poetry": 1.0})]}, 'no prompt of task "poetry"'),
        ({"poison": Poison(rate=0.1, against=["nobody"])}, 'no arm "nobody"'),
    ],
)
def test_what_the_data_does_not_have_is_named(spec, words):
    with pytest.raises(ConfigError, match=words):
        course(ScenarioSpec(name="mine", **spec))


def test_a_scenario_leaves_at_least_one_arm():
    posed = problem()
    alone = replace(
        posed,
        roster=Roster(posed.roster.arms[:1]),
        quality=posed.quality[:, :1],
        expected=posed.expected[:, :1],
        cost_usd=posed.cost_usd[:, :1],
    )
    with pytest.raises(ConfigError, match="no arm is left at request 120"):
        course("outage", alone)


def test_a_scenarios_own_budget_replaces_the_studys():
    spec = ScenarioSpec(name="poor", budget_usd_per_request=1e-4)
    assert stakes_of(spec, Study(answer_value_usd=1.0), problem()).budget_usd == 1e-4
