"""What targets would have earned: against known truths, and what is refused or doubted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from evaluation_examples import CHANCES, DOLLARS, TRUTH, WAITED_S, cost, drawn, rows, truth

from banditroute.core.offpolicy import ESTIMATORS, mean_interval
from banditroute.core.policies import Fixed, Greedy, Uniform
from banditroute.errors import DataError
from banditroute.evaluation import Given, InForce, Instead, Log, Ways, Weights, evaluate
from banditroute.evaluation.modelling import ridge
from banditroute.evaluation.verdict import CANNOT_SAY, KEEP, OF_RECORD, PROMOTE

MOSTLY_A = (0.8, 0.1, 0.1)


def mostly(chances, log, name="mine"):
    return Given(name, np.tile(chances, (len(log), 1)))


def judged(log, *targets, **ways):
    return evaluate(log, targets, ways=Ways(**ways))


def covers(one, value):
    return one.low - 1e-9 <= value <= one.high + 1e-9


def test_every_estimator_is_right_about_a_known_truth_in_every_measure():
    log = drawn(4_000, answer_value_usd=0.1)
    (found,) = judged(log, mostly(MOSTLY_A, log)).targets
    quality = float(np.dot(MOSTLY_A, TRUTH))
    dollars = float(np.dot(MOSTLY_A, DOLLARS))
    values = {"quality": quality, "cost_usd": dollars, "utility": quality - 10.0 * dollars}
    logged = {
        "quality": np.dot(CHANCES, TRUTH),
        "cost_usd": np.dot(CHANCES, DOLLARS),
        "utility": np.dot(CHANCES, TRUTH) - 10.0 * np.dot(CHANCES, DOLLARS),
    }
    assert set(found.measures) == set(values)
    for measure, value in values.items():
        one = found.measures[measure]
        assert set(one.values) == set(one.lifts) == set(ESTIMATORS)
        for estimate in one.values.values():
            assert estimate.estimate == pytest.approx(value, rel=0.1)
        for estimate in (one.values["dr"], one.values["ips"], one.values["snips"]):
            assert covers(estimate, value)
            assert estimate.bootstrap_low <= estimate.estimate <= estimate.bootstrap_high
        assert covers(one.lifts["dr"], value - logged[measure])
    assert set(found.refusals) == {"latency_s"}


def test_intervals_cover_a_policy_that_chooses_by_task():
    """100 logs whose arms are good at one of two tasks, predicted the same for both."""
    good, covered, within = np.array([[0.9, 0.2], [0.3, 0.8]]), 0, 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        kind = rng.integers(2, size=300)
        chances = np.tile([0.3, 0.7], (300, 1))
        arm = (rng.random(300) < 0.7).astype(int)
        right = (rng.random(300) < good[kind, arm]).astype(float)
        flat = {"quality": np.full((300, 2), 0.5)}
        log = Log.of_arrays("ab", arm, quality=right, probabilities=chances, predictions=flat)
        (found,) = judged(log, Given("by task", np.eye(2)[kind])).targets
        value = float(good[kind, kind].mean())
        covered += covers(found.measures["quality"].values["dr"], value)
        within += covers(found.measures["quality"].always, value)
    assert covered >= 91
    assert within >= 91


def test_a_log_of_a_learning_router_is_right_about_what_it_did_not_do():
    log = Log.of_rows(rows(400, Uniform()))
    found = judged(log, Greedy(), Fixed("dear"), Instead(Greedy(), Weights(0.01)))
    for target, asked in zip(
        found.targets, (Greedy(), Fixed("dear"), Instead(Greedy(), Weights(0.01))), strict=True
    ):
        chances = (asked if isinstance(asked, Instead) else Instead(asked)).probabilities(log)
        quality = float((chances * truth(log)).sum(axis=1).mean())
        dollars = float((chances * [cost(one) for one in log.arms]).sum(axis=1).mean())
        assert covers(target.measures["quality"].values["dr"], quality)
        assert target.measures["cost_usd"].values["dr"].estimate == pytest.approx(dollars, rel=0.1)
        assert covers(target.measures["quality"].always, quality)
    in_force = found.in_force.measures
    for estimate in (one for name, one in in_force["quality"].values.items() if name != "dm"):
        assert estimate.estimate == pytest.approx(log.quality.mean(), abs=0.02)
    assert in_force["latency_s"].values["ips"].estimate == pytest.approx(WAITED_S)
    utility = log.quality - log.cost_usd / 0.05 - WAITED_S / 120.0
    assert in_force["utility"].values["ips"].estimate == pytest.approx(utility.mean())
    assert in_force["utility"].lifts == {}


def test_weights_are_the_measure_of_every_policy():
    log = drawn(500, answer_value_usd=1.0, latency_s=4.0)
    found = judged(log, weights=Weights(answer_value_usd=0.01, patience_s=8.0)).in_force
    utility = log.quality - log.cost_usd / 0.01 - 0.5
    assert found.measures["utility"].values["ips"].estimate == pytest.approx(utility.mean())
    slow = judged(log, weights=Weights(patience_s=2.0)).in_force
    worth = log.quality - log.cost_usd - 1.0  # waiting costs one answer at most
    assert slow.measures["utility"].values["ips"].estimate == pytest.approx(worth.mean())


def test_what_a_log_knows_nothing_of_is_left_out_of_utility():
    log = drawn(300, answer_value_usd=0.01, patience_s=5.0, cost_usd=None)
    one = judged(log).in_force.measures["utility"].values["ips"]
    assert one.estimate == pytest.approx(log.quality.mean())


def test_rounds_that_nobody_judged_count_for_cost_alone():
    log = drawn(1_000)
    quality = log.quality.copy()
    quality[::2] = np.nan
    found = judged(replace(log, quality=quality), Uniform())
    assert (found.rounds, found.judged) == (1_000, 500)
    measures = found.targets[0].measures
    assert measures["quality"].rounds == measures["utility"].rounds == 500
    assert measures["cost_usd"].rounds == 1_000


def test_ridge_predicts_what_the_router_did_not():
    rng = np.random.default_rng(3)
    x = np.hstack([np.ones((2_000, 1)), rng.normal(size=(2_000, 2))])
    slopes = np.array([[0.5, 0.15, 0.0], [0.5, -0.15, 0.0], [0.3, 0.0, 0.1]])
    mean = x @ slopes.T
    arm = rng.integers(3, size=2_000)
    rewards = np.clip(mean[np.arange(2_000), arm] + rng.normal(0, 0.05, 2_000), 0, 1)
    log = Log.of_arrays(
        "abc", arm, quality=rewards, propensity=np.full(2_000, 1.0 / 3.0), x=x, predictions=None
    )
    predicted = ridge(log, rewards)
    assert np.abs(predicted - mean).mean() < 0.03
    onward = ridge(log, rewards, onward=True)
    assert not onward[:200].any()
    assert np.abs(onward[400:] - mean[400:]).mean() < 0.03
    (found,) = judged(log, Given("best", np.eye(3)[mean.argmax(axis=1)])).targets
    assert found.measures["quality"].model == "ridge"
    assert covers(found.measures["quality"].values["dr"], float(mean.max(axis=1).mean()))
    none = judged(replace(log, x=None), Uniform()).targets[0].measures["quality"]
    assert none.values["dm"].estimate == pytest.approx(rewards.mean(), abs=0.01)


def test_a_round_is_predicted_without_what_came_of_it():
    """Cross-fitted: other blocks only. Onward: earlier blocks only."""
    log = drawn(400, predictions=None, x=np.random.default_rng(0).normal(size=(400, 3)))
    changed = log.quality.copy()
    changed[120:160] = 1.0 - changed[120:160]  # the fourth of ten blocks
    same = np.isclose(ridge(log, changed), ridge(log, log.quality)).all(axis=1)
    assert same[120:160].all()
    assert not same[:120].any()
    onward = ridge(log, changed, onward=True), ridge(log, log.quality, onward=True)
    unmoved = np.isclose(*onward).all(axis=1)
    assert unmoved[:160].all()
    assert not unmoved[160:].any()


def test_the_models_that_are_asked_for_are_used():
    log = Log.of_rows(rows(120))
    for model in ("logged", "ridge"):
        assert judged(log, model=model).in_force.measures["quality"].model == model


def test_groups_are_parts_of_the_log():
    log = Log.of_rows(rows(400, Uniform()))
    found = judged(log, Fixed("dear"), by=("task", "tag"), least_group=100)
    groups = found.targets[0].groups
    assert set(groups["task"]) == {"code", "chat"}
    assert set(groups["tag"]) == {"all", "code", "chat"}
    code = groups["task"]["code"]["quality"]
    assert code.rounds == log.tasks.count("code")
    chances = Instead(Fixed("dear")).probabilities(log)
    part = np.array([task == "code" for task in log.tasks])
    assert covers(code.values["dr"], float((chances * truth(log)).sum(axis=1)[part].mean()))
    assert set(code.values) == {"dr"}
    everything = groups["tag"]["all"]["quality"].values["dr"].estimate
    whole = found.targets[0].measures["quality"].values["dr"].estimate
    assert everything == pytest.approx(whole)
    few = judged(log, by=("task",), least_group=300).in_force.groups
    assert few == {"task": {}}


def test_what_was_never_possible_is_refused_and_named():
    log = drawn(500, chances=(0.5, 0.5, 0.0))
    found = judged(log, mostly((0.5, 0.3, 0.2), log), mostly((0.5, 0.495, 0.005), log), "uniform")
    refused, close, other = found.targets
    assert refused.refused
    assert refused.measures == {}
    assert "20.0% of its choices" in refused.refusals["utility"]
    assert "c (20.0%)" in refused.refusals["utility"]
    assert "floor" in refused.refusals["utility"]
    assert refused.verdict.word == CANNOT_SAY
    assert other.refused
    assert not close.refused
    assert "0.50% of its choices could not be drawn (c (0.5%))" in " ".join(close.warnings)
    assert not found.all_refused
    assert judged(log, mostly((0.2, 0.2, 0.6), log)).all_refused


def test_what_was_as_good_as_never_possible_is_said_loudly_and_honestly():
    log = drawn(500, chances=(0.5, 0.49995, 0.00005))
    chances = np.tile((0.5, 0.3, 0.2), (500, 1))
    (found,) = judged(log, Given("mine", chances)).targets
    assert not found.refused
    said = " ".join(found.warnings)
    assert "20.00% of its choices" in said
    assert "c (20.0%)" in said
    assert "floor" in said
    assert found.verdict.word == CANNOT_SAY
    interval = found.measures["quality"].values["dr"]
    assert covers(interval, float(chances[0] @ TRUTH))
    assert interval.high - interval.low > 0.3


def test_a_group_without_support_is_left_out():
    tasks = ["free"] * 500 + ["walled"] * 500
    chances = np.tile(CHANCES, (1_000, 1))
    chances[500:] = (0.5, 0.5, 0.0)
    arm = np.r_[drawn(500).arm, np.random.default_rng(1).integers(2, size=500)]
    log = Log.of_arrays(
        "abc", arm, quality=np.ones(1_000), probabilities=chances, tasks=tasks, predictions=None
    )
    target = Given("mine", np.r_[np.tile([0.0, 0.0, 1.0], (8, 1)), chances[8:]])
    walled = Given("wall", np.r_[chances[:992], np.tile([0.0, 0.0, 1.0], (8, 1))])
    free, wall = judged(log, target, walled, by=("task",)).targets
    assert set(free.groups["task"]["walled"]) == {"utility", "quality"}
    assert wall.groups["task"]["walled"] == {}
    assert wall.groups["task"]["free"]


def test_what_was_never_drawn_is_refused():
    log = Log.of_arrays("ab", [0] * 50, quality=[1.0] * 50, propensity=[0.99] * 50)
    (found,) = judged(log, "fixed:b").targets
    assert "ever drawn" in found.refusals["utility"]


@pytest.mark.parametrize("known", [0, 1])
def test_without_judgements_quality_is_refused_and_cost_is_not(known):
    log = drawn(100)
    quality = np.full(100, np.nan)
    quality[:known] = 1.0
    found = judged(replace(log, quality=quality), Uniform())
    assert f"{known} of 100 answers were judged" in found.targets[0].refusals["quality"]
    assert set(found.targets[0].measures) == {"cost_usd"}
    assert found.all_refused


def test_an_empty_log_refuses_everything():
    found = judged(Log.of_rows([]))
    assert found.all_refused
    assert "no rounds" in found.in_force.refusals["utility"]
    assert found.in_force.support is None


def test_few_rounds_that_decide_are_warned_of():
    log = drawn(3_000, chances=(0.01, 0.49, 0.5))
    (found,) = judged(log, Fixed("a")).targets
    assert "effective sample size" in " ".join(found.warnings)
    assert found.support.ess < 100
    (sure,) = judged(log, Fixed("b")).targets
    assert sure.warnings == ()


def test_propensities_that_are_wrong_are_warned_of():
    log = drawn(4_000)
    wrong = replace(log, probabilities=np.tile([0.3, 0.2, 0.5], (4_000, 1)))
    found = judged(wrong, Fixed("a"))
    assert "mean weight" in " ".join(found.targets[0].warnings)
    assert "not drawn as often as their probabilities say" in " ".join(found.warnings)
    assert judged(log, Fixed("a")).warnings == ()


def test_feedback_that_depends_on_the_arm_is_warned_of():
    log, rng = drawn(4_000), np.random.default_rng(5)
    alike = np.where(rng.random(4_000) < 0.5, log.quality, np.nan)
    assert judged(replace(log, quality=alike)).warnings == ()
    rate = np.array([0.8, 0.4, 0.4])[log.arm]
    unlike = np.where(rng.random(4_000) < rate, log.quality, np.nan)
    (said,) = judged(replace(log, quality=unlike)).warnings
    assert "answers of some arms are judged more often" in said
    assert "a 3" in said
    assert "instead of 2" in said


def test_feedback_that_depends_on_the_task_is_not():
    """Arms are drawn by task, and one task is judged more often: no arm is, given its task."""
    rng = np.random.default_rng(5)
    kind = rng.integers(2, size=4_000)
    chances = np.array([[0.9, 0.1], [0.1, 0.9]])[kind]
    arm = (rng.random(4_000) < chances[:, 1]).astype(int)
    quality = np.where(rng.random(4_000) < np.array([0.9, 0.1])[kind], 1.0, np.nan)
    log = Log.of_arrays("ab", arm, quality=quality, probabilities=chances)
    assert judged(log).warnings == ()


def test_several_policies_and_a_poor_model_are_warned_of():
    log = drawn(500, policies=["thompson"] * 250 + ["linucb:2.0"] * 250)
    (said,) = judged(log).warnings
    assert "several policies made the log: linucb:2.0, thompson" in said
    poor = drawn(500, predictions={"quality": np.tile([0.0, 1.0, 1.0], (500, 1))})
    (said,) = judged(poor).warnings
    assert "worse than the mean" in said


def test_the_verdict_follows_the_gate():
    log = drawn(4_000)
    found = judged(
        log, mostly((0.9, 0.05, 0.05), log), mostly((0.0, 0.1, 0.9), log), mostly(CHANCES, log)
    )
    better, worse, alike = found.targets
    assert (better.verdict.word, worse.verdict.word) == (PROMOTE, KEEP)
    assert (alike.verdict.word, found.in_force.verdict.word) == (CANNOT_SAY, OF_RECORD)
    gate = better.measures["utility"].gate
    assert f"at least {gate.low:.4f} higher" in better.verdict.sentence
    assert "lower a request" in worse.verdict.sentence


def test_a_policy_that_is_no_better_is_seldom_promoted():
    """All arms are alike: nothing can be better."""
    promoted = 0
    for seed in range(100):
        log = drawn(300, good=(0.5, 0.5, 0.5), seed=seed)
        (found,) = judged(log, mostly(MOSTLY_A, log)).targets
        promoted += found.verdict.word == PROMOTE
    assert promoted <= 5


def test_of_several_policies_all_gates_hold_together():
    log = drawn(300)
    first, second = mostly(MOSTLY_A, log), mostly(CHANCES, log)
    (alone,) = judged(log, first, level=0.95).targets
    assert alone.measures["utility"].lift_always.low < alone.measures["utility"].gate.low
    one, in_force, _ = judged(log, first, InForce(), second, level=0.9).targets
    gate, wanted = (found.measures["utility"].gate for found in (one, alone))
    assert (gate.low, gate.high) == pytest.approx((wanted.low, wanted.high))
    assert "at the 90% level for all 2 policies together" in one.verdict.sentence
    assert "together" not in alone.verdict.sentence
    assert in_force.verdict.word == OF_RECORD


def test_the_interval_of_many_rounds_is_about_students():
    log = drawn(30_000)
    one = judged(log).in_force.measures["quality"].values["ips"]
    students = mean_interval(log.quality)
    assert (one.low, one.high) == (students.low, students.high)
    assert one.bootstrap_low == pytest.approx(one.low, abs=0.001)
    assert one.bootstrap_high == pytest.approx(one.high, abs=0.001)


@pytest.mark.parametrize(
    ("ways", "said"),
    [
        ({"model": "gpt"}, "model: there is no 'gpt'; name one of logged, ridge"),
        ({"estimator": "best"}, "estimator: .*dr"),
        ({"by": ("task", "hour")}, "by: there is no 'hour'; name one of task, tag"),
        ({"level": 1.0}, "level: give a number between 0.5 and 1"),
    ],
)
def test_ways_that_there_are_not_are_refused(ways, said):
    with pytest.raises(DataError, match=said):
        Ways(**ways)


def test_progress_is_told_target_by_target():
    done = []
    evaluate(drawn(50), [InForce(), Uniform(), "uniform"], progress=done.append)
    assert done == [1, 2, 3]


def test_a_short_log_says_how_short_it_is():
    (found,) = judged(drawn(20), "fixed:a").targets
    assert any("it rests on 20 rounds" in said for said in found.warnings)
