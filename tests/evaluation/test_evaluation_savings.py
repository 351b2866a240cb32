"""What routing saved against always asking one arm, what it cost itself, and the whole as JSON."""

from __future__ import annotations

import doctest
import json

import numpy as np
import pytest
from evaluation_examples import DOLLARS, TRUTH, cost, drawn, rows, truth

import banditroute.evaluation
from banditroute.core.policies import Uniform
from banditroute.errors import DataError
from banditroute.evaluation import (
    BEST_FIXED,
    Log,
    Overhead,
    Weights,
    evaluate,
    evaluation_view,
    savings,
)


def test_savings_are_those_of_the_known_truth():
    log = drawn(3_000, answer_value_usd=0.1)
    found = savings(log, "c")
    spent, quality = float(log.cost_usd.mean()), float(log.quality.mean())
    assert found.usd.estimate == pytest.approx(DOLLARS[2] - spent)
    assert found.usd.low <= found.usd.estimate <= found.usd.high
    assert found.quality.low <= quality - TRUTH[2] <= found.quality.high
    utility = quality - spent / 0.1 - (TRUTH[2] - DOLLARS[2] / 0.1)
    assert found.utility.low <= utility <= found.utility.high
    assert (found.baseline, found.chosen_on_this_log, found.requests) == ("c", False, 3_000)
    assert found.overhead_usd == 0.0
    assert found.total_usd == pytest.approx(3_000 * found.usd.estimate)


def test_the_best_single_arm_is_that_of_the_highest_utility():
    assert savings(drawn(2_000), BEST_FIXED).baseline == "a"
    dear = drawn(2_000, answer_value_usd=0.01, cost_usd=None)
    arms = np.array([0.008, 0.001, 0.0005])
    priced = drawn(
        2_000,
        answer_value_usd=0.01,
        cost_usd=arms[dear.arm],
        predictions={"quality": np.tile(TRUTH, (2_000, 1)), "cost_usd": np.tile(arms, (2_000, 1))},
    )
    best = savings(priced, BEST_FIXED)
    assert (best.baseline, best.chosen_on_this_log) == ("b", True)
    assert savings(priced, BEST_FIXED, weights=Weights(answer_value_usd=1.0)).baseline == "a"


def test_an_arm_that_few_rounds_speak_for_is_not_the_best_one():
    log = drawn(2_000, chances=(0.004, 0.496, 0.5), good=(0.9, 0.5, 0.2))
    assert savings(log, BEST_FIXED).baseline == "b"


def test_a_baseline_of_a_router_that_learned_is_right():
    log = Log.of_rows(rows(400, Uniform()))
    found = savings(log, "dear")
    assert found.usd.estimate == pytest.approx(cost("dear") - log.cost_usd.mean(), rel=0.1)
    known = float(log.quality.mean() - truth(log)[:, log.arms.index("dear")].mean())
    assert found.quality.low <= known <= found.quality.high


def test_the_routers_and_the_judges_own_cost_are_taken_off():
    log = Log.of_rows(rows(100, Uniform(), 0.5, "judge:small"))
    read = int(log.judged.sum())
    plain = savings(log, "dear")
    dear = savings(log, "dear", overhead=Overhead(1e-5, 3e-4))
    assert (plain.judged_by_judge, plain.judge_usd, plain.router_usd) == (read, 0.0, 0.0)
    assert dear.judge_usd == pytest.approx(3e-4 * read / 100)
    assert dear.net_usd == pytest.approx(plain.usd.estimate - 1e-5 - 3e-4 * read / 100)
    assert dear.total_usd == pytest.approx(100 * dear.net_usd)
    by_hand = Log.of_rows(rows(100, Uniform(), 0.5))
    assert savings(by_hand, "dear", overhead=Overhead(0.0, 1.0)).judge_usd == 0.0


def test_a_baseline_that_was_never_possible_is_refused_and_an_unknown_one_too():
    log = drawn(500, chances=(0.5, 0.5, 0.0))
    found = savings(log, "c")
    assert (found.usd, found.net_usd, found.total_usd) == (None, None, None)
    assert "c (100.0%)" in found.refusals["cost_usd"]
    assert savings(log, BEST_FIXED).baseline == "a"
    with pytest.raises(DataError, match="no arm 'typo'; name best-fixed or one of a, b, c"):
        savings(log, "typo")


def test_an_evaluation_is_json_and_holds_every_estimator():
    log = drawn(300, chances=(0.5, 0.5, 0.0), tasks=["x", "y", None] * 100)
    found = evaluate(log, ["fixed:c", "fixed:a"], baseline="b", overhead=Overhead(0.001))
    view = json.loads(json.dumps(evaluation_view(found), allow_nan=False))
    in_force, refused, best = view["policies"]
    assert (view["rounds"], view["arms"], view["since"]) == (300, ["a", "b", "c"], None)
    assert refused["refused"]
    assert refused["support"]["unsupported_arms"] == {"c": 1.0}
    assert not in_force["measures"]["utility"]["lifts"]
    assert set(best["measures"]["quality"]["values"]) == {
        *("ips", "clipped-ips", "snips", "dm", "dr", "switch-dr"),
    }
    assert best["measures"]["quality"]["always"]["low"] > 0.0
    assert best["measures"]["cost_usd"]["always"] is None
    assert view["savings"]["net_usd"] == pytest.approx(found.savings.net_usd)
    assert evaluation_view(evaluate(Log.of_rows(rows(20))))["since"] == "2027-01-15T08:00:01Z"


def test_the_example_of_the_library_is_right():
    done = doctest.testmod(banditroute.evaluation)
    assert done.attempted >= 8
    assert done.failed == 0
