"""What a study says of its runs: baselines, regret, curves, intervals, JSON and CSV."""

from __future__ import annotations

import csv
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from scipy import stats
from study_examples import REQUESTS, SMALL, course, problem

from banditroute.simulation import Study, play, simulate
from banditroute.simulation.rivals import BestFixed, Oracle, Random
from banditroute.simulation.studies.files import results_view, runs_csv
from banditroute.simulation.studies.jobs import Job, ends_of, measured
from banditroute.simulation.studies.phases import Bounds, baselines_of, phases_of
from banditroute.simulation.studies.summary import Interval, lines

VALUE = 0.05
STRONG = 2
NAMES = ("stationary", "regression", "price-change", "traffic-shift", "onboarding", "outage")


def played(laid, player, seed=0):
    trace = play(player, laid.problem, laid.order(seed).tolist(), seed, laid.scenario)
    return trace, measured(Job(0, "x", "x", seed), laid, trace)


@pytest.fixture(scope="module")
def results():
    return simulate(
        SMALL,
        ["context-free", "random", "fixed:best"],
        seeds=3,
        requests=400,
        scenario=["stationary", "regression"],
        answer_value_usd=VALUE,
    )


def test_baselines_of_a_plain_run_are_means_over_all_prompts():
    laid = course("stationary", answer_value_usd=VALUE)
    phases = list(phases_of(laid))
    bounds = [Bounds.of(phases, laid.order(seed), VALUE) for seed in range(3)]
    found = baselines_of(bounds, VALUE)
    posed = laid.problem
    utility = posed.utility(VALUE)
    best = int(utility.mean(axis=0).argmax())
    assert found["best_fixed"].quality == pytest.approx(posed.quality[:, best].mean())
    assert found["best_fixed"].cost_usd == pytest.approx(posed.cost_usd[:, best].mean())
    assert found["random"].quality == pytest.approx(posed.quality.mean())
    assert found["oracle"].utility == pytest.approx(utility.max(axis=1).mean())


@pytest.mark.parametrize("name", NAMES)
def test_baselines_are_what_those_policies_do_in_the_scenario(name):
    laid = course(name, answer_value_usd=VALUE)
    bounds = Bounds.of(list(phases_of(laid)), laid.order(0), VALUE)
    posed, order = laid.problem, laid.order(0)
    _, oracle = played(laid, Oracle(posed, laid.scenario))
    found = baselines_of([bounds], VALUE)
    assert found["oracle"].utility >= oracle.means.utility - 1e-9
    if name != "outage":  # before it fails over, the oracle's player asks the arm that is down
        assert found["oracle"].utility == pytest.approx(oracle.means.utility)
    random = np.mean([played(laid, Random(), seed)[1].means.quality for seed in range(20)])
    bound = 4.0 * 0.3 / np.sqrt(20 * len(order))
    assert found["random"].quality == pytest.approx(random, abs=bound)
    assert found["best_fixed"].utility <= found["oracle"].utility


def test_the_best_fixed_arm_fails_over_while_it_is_down():
    laid = course("outage", answer_value_usd=VALUE)
    _, fixed = played(laid, BestFixed(laid.problem, laid.scenario))
    bounds = Bounds.of(list(phases_of(laid)), laid.order(0), VALUE)
    found = baselines_of([bounds], VALUE)["best_fixed"]
    assert found.utility == pytest.approx(fixed.means.utility, abs=0.01)


def test_the_best_fixed_arm_is_one_arm_for_all_seeds():
    def bounds(first, second):
        both = np.array([[first, 0.0], [second, 0.0]])
        return Bounds(both, np.zeros(2), np.zeros(2))

    found = baselines_of([bounds(1.0, 0.0), bounds(0.0, 0.9)], VALUE)
    assert found["best_fixed"].quality == 0.5


def test_regret_is_exact_where_the_truth_is_known():
    laid = course("regression", answer_value_usd=VALUE)
    trace, run = played(laid, Random())
    half, at = REQUESTS // 2, np.arange(REQUESTS)
    before, after = phases_of(laid)
    lost = np.zeros(REQUESTS)
    for phase in (before, after):
        part = (at >= phase.begin) & (at < phase.end)
        worth = phase.problem.truth - phase.problem.cost_usd / VALUE
        best = worth.mean(axis=0).argmax()
        assert phase.best == best
        lost[part] = worth[trace.prompt[part], best] - worth[trace.prompt[part], trace.arm[part]]
    assert (before.best, half) == (STRONG, after.begin)
    assert after.best != STRONG
    assert run.regret == pytest.approx(lost.mean())
    assert run.curves.regret(ends_of(REQUESTS))[-1] == pytest.approx(lost.sum())


def test_regret_is_what_was_earned_less_where_only_samples_are_known():
    laid = course("stationary", replace(problem(), expected=None), answer_value_usd=VALUE)
    _, run = played(laid, Random())
    best = laid.problem.utility(VALUE).mean(axis=0).max()
    assert run.regret == pytest.approx(best - run.means.utility)
    assert run.curves.expected == pytest.approx(run.curves.utility)


def test_the_best_single_arm_is_regretted_by_nobody_who_used_it():
    laid = course("stationary", answer_value_usd=VALUE)
    _, run = played(laid, BestFixed(laid.problem, laid.scenario))
    assert abs(run.regret) < 0.02


def test_curves_are_means_of_parts_of_about_equal_length():
    laid = course("stationary", requests=530, answer_value_usd=VALUE)
    trace, run = played(laid, Random())
    ends = ends_of(530)
    sizes = np.diff(ends, prepend=0)
    assert (len(ends), ends[-1], sizes.min(), sizes.max()) == (200, 530, 2, 3)
    assert run.curves.quality[1] == pytest.approx(trace.quality[ends[0] : ends[1]].mean())
    assert run.curves.utility @ sizes / 530 == pytest.approx(run.means.utility)
    assert run.curves.shares.sum(axis=1) == pytest.approx(np.ones(200))
    assert run.curves.shares.T @ sizes == pytest.approx(np.bincount(trace.arm, minlength=4))
    assert run.quality_first_500 == pytest.approx(trace.quality[:500].mean())
    assert run.quality_last_half == pytest.approx(trace.quality[265:].mean())


def test_a_run_shorter_than_its_parts_has_one_for_each_request():
    assert ends_of(3).tolist() == [1, 2, 3]


def test_failed_calls_are_counted():
    laid = course("outage")
    trace, run = played(laid, Random())
    assert run.failed == (trace.attempts - 1).sum() > 10


def test_prompts_start_again_in_the_same_order():
    order = course("stationary", requests=2 * REQUESTS + 7).order(5)
    assert np.array_equal(order[:REQUESTS], order[REQUESTS : 2 * REQUESTS])
    assert np.array_equal(order[:7], order[-7:])
    assert not np.array_equal(order, course("stationary", requests=2 * REQUESTS + 7).order(6))


def test_an_interval_is_students(rng):
    values = rng.normal(size=12)
    interval = Interval.of(values)
    low, high = stats.t.interval(0.95, 11, values.mean(), stats.sem(values))
    assert interval.mean - interval.half == pytest.approx(low)
    assert interval.mean + interval.half == pytest.approx(high)
    assert np.isnan(Interval.of([0.5]).half)


def test_differences_are_paired_by_seed(results):
    first, second, _ = lines(results.chapters[0])
    assert first.gain is None
    runs = results.chapters[0].of("random"), results.chapters[0].of("context-free")
    gains = [mine.means.utility - other.means.utility for mine, other in zip(*runs, strict=True)]
    assert second.gain.mean == pytest.approx(np.mean(gains))
    assert second.gain.half == pytest.approx(Interval.of(gains).half)
    assert second.gain.mean < 0.0


def test_the_json_of_one_scenario_is_the_contract(results):
    view = results_view(replace(results, chapters=results.chapters[:1]))
    assert list(view) == ["runs", "baselines"]
    keys = ("policy", "seed", "requests", "quality", "cost_usd", "utility")
    assert tuple(view["runs"][0]) == (*keys, "quality_first_500", "quality_last_half")
    assert set(view["baselines"]) == {"best_fixed", "random", "oracle"}
    assert tuple(view["baselines"]["oracle"]) == ("quality", "cost_usd", "utility")
    one = view["runs"][0]
    assert one["utility"] == pytest.approx(one["quality"] - one["cost_usd"] / VALUE)
    assert one["requests"] == 400


def test_the_json_of_several_scenarios_names_them(results):
    view = results_view(results)
    assert [run["scenario"] for run in view["runs"][::9]] == ["stationary", "regression"]
    assert view["baselines"] == view["scenarios"]["stationary"]["baselines"]
    assert set(view["scenarios"]) == {"stationary", "regression"}
    assert view["scenarios"]["regression"]["baselines"] != view["baselines"]


def test_without_a_worth_utility_is_quality():
    results = simulate(SMALL, ["random"], seeds=1, requests=50)
    view = results_view(results)
    assert view["runs"][0]["utility"] == view["runs"][0]["quality"]
    assert view["runs"][0]["cost_usd"] > 0.0


def test_the_csv_has_a_line_for_every_run(results):
    rows = list(csv.DictReader(StringIO(runs_csv(results))))
    assert len(rows) == 18
    assert rows[0]["scenario"] == "stationary"
    assert float(rows[0]["quality"]) == results.chapters[0].runs[0].means.quality
    assert {"regret", "failed"} < set(rows[0])


def test_numbers_are_kept_to_twelve_digits(results):
    for run in results.chapters[0].runs:
        assert f"{run.means.quality:.12g}" == repr(run.means.quality)


def test_arms_are_described_as_the_scenario_begins(results):
    chapter = results.chapters[1]
    assert chapter.arms == ("weak", "middling", "strong", "other")
    assert chapter.arm_quality == pytest.approx(problem().quality.mean(axis=0))
    assert chapter.marks == ((200, f"strong answers like {_median()}"),)
    assert Study().seeds == 20


def _median():
    utility = problem().truth.mean(axis=0) - problem().cost_usd.mean(axis=0) / VALUE
    return ("weak", "middling", "strong", "other")[int(np.argsort(utility)[1])]
