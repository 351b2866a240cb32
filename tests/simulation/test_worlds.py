"""Made-up worlds: the truth that they state is the truth of their numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logit

from banditroute.simulation import World, WorldArm
from banditroute.simulation.worlds import TASKS, drawn_arms

PROMPTS = 20_000
SKILLED = (
    WorldArm("a", {"chat": 0.3, "code": 0.9}, 0.1, 1.0, output_tokens=200.0, latency_s=0.5),
    WorldArm("b", {"chat": 0.6, "default": 0.5}, 1.0, 10.0, output_tokens=400.0),
    WorldArm("perfect", {"default": 1.0}),
    WorldArm("hopeless", {"default": 0.0}),
)


@pytest.fixture(scope="module")
def made():
    return World(PROMPTS, SKILLED, {"chat": 3.0, "code": 1.0}).made()


def test_the_mean_quality_at_a_task_is_the_skill(made):
    data, expected = made
    tasks = np.array(data.tasks)
    for column, arm in enumerate(SKILLED):
        for task in ("chat", "code"):
            cells = data.quality[tasks == task, column]
            bound = 4.0 * 0.3 / np.sqrt(len(cells))
            assert cells.mean() == pytest.approx(arm.skill_at(task), abs=bound)
            assert expected[tasks == task, column].mean() == pytest.approx(
                arm.skill_at(task), abs=bound
            )


def test_the_expected_quality_is_the_mean_of_the_answers_to_prompts_alike(made):
    data, expected = made
    for column in (0, 1):
        edges = np.quantile(expected[:, column], np.linspace(0.0, 1.0, 9)[1:-1])
        place = np.searchsorted(edges, expected[:, column])
        for part in range(8):
            cells = place == part
            bound = 4.0 * 0.3 / np.sqrt(cells.sum())
            means = data.quality[cells, column].mean(), expected[cells, column].mean()
            assert means[0] == pytest.approx(means[1], abs=bound)
        assert expected[:, column].std() > 0.05


def test_skills_of_0_and_1_leave_nothing_to_luck(made):
    data, expected = made
    assert np.all(data.quality[:, 2] == 1.0)
    assert np.all(data.quality[:, 3] == 0.0)
    assert np.all(expected[:, 2:] == [1.0, 0.0])


def test_arms_tend_to_fail_at_the_same_prompts(made):
    data, expected = made
    luck = (data.quality - expected)[:, :2]
    assert np.corrcoef(luck.T)[0, 1] > 0.3


def test_tasks_come_by_their_shares_and_lengths_and_costs_are_as_described(made):
    data, _ = made
    assert data.tasks.count("chat") / PROMPTS == pytest.approx(0.75, abs=0.02)
    assert data.output_tokens.mean(axis=0)[:2] == pytest.approx([200.0, 400.0], rel=0.02)
    assert np.median(data.latency_s[:, 0]) == pytest.approx(0.5, rel=0.02)
    spent = data.input_tokens[:, 1] * 1.0 + data.output_tokens[:, 1] * 10.0
    assert data.cost_usd[:, 1] == pytest.approx(spent / 1e6)


def test_the_features_of_a_request_tell_topic_and_length():
    """Even without the task: a linear model finds most of what can be expected."""
    posed = World(prompts=3000, arms=4, tasks={"chat": 1.0}).problem(with_task=False)
    x = np.array([context.x for context in posed.contexts])
    seen, kept = slice(0, 2000), slice(2000, None)
    theta = np.linalg.solve(
        x[seen].T @ x[seen] + 5.0 * np.eye(x.shape[1]), x[seen].T @ posed.expected[seen]
    )
    missed = posed.expected[kept] - x[kept] @ theta
    explained = 1.0 - (missed**2).sum() / (posed.expected[kept].var(axis=0) * 1000).sum()
    assert explained > 0.5


def test_the_same_world_is_the_same_and_another_seed_is_another():
    worlds = [World(prompts=200, arms=3, seed=seed).made() for seed in (0, 0, 1)]
    assert worlds[0][0].prompts == worlds[1][0].prompts
    assert np.array_equal(worlds[0][0].quality, worlds[1][0].quality)
    assert worlds[0][0].prompts != worlds[2][0].prompts
    assert not np.array_equal(worlds[0][0].quality, worlds[2][0].quality)


def test_more_arms_leave_those_that_were_there_as_they_were():
    few, many = World(prompts=200, arms=3).made(), World(prompts=200, arms=8).made()
    assert many[0].arms[:3] == few[0].arms
    assert np.array_equal(many[0].quality[:, :3], few[0].quality)
    assert np.array_equal(many[1][:, :3], few[1])


def test_arms_are_drawn_from_the_documented_market():
    arms = drawn_arms(2000, tuple(TASKS), seed=3)
    skill = np.array([np.mean(list(arm.skill.values())) for arm in arms])
    price = np.log10([arm.output_usd_per_mtok for arm in arms])
    assert price.mean() == pytest.approx(0.3, abs=0.06)
    assert price.std() == pytest.approx(0.4 * 2.0**0.5, abs=0.04)
    assert 0.5 < np.corrcoef(skill, price)[0, 1] < 0.8
    ability = np.array([np.mean(logit(list(arm.skill.values()))) for arm in arms])
    assert ability.mean() == pytest.approx(0.7, abs=0.06)
    assert ability.std() == pytest.approx((0.6**2 + 0.5**2 / 6) ** 0.5, abs=0.05)
    assert all(
        arm.input_usd_per_mtok == pytest.approx(arm.output_usd_per_mtok / 4.0, abs=1e-4)
        for arm in arms
    )


def test_a_problem_of_a_world_keeps_the_truth_through_every_change():
    posed = World(prompts=100, arms=3).problem()
    swapped = posed.swapped(0, 2)
    assert np.array_equal(swapped.truth[:, 0], posed.expected[:, 2])
    assert np.array_equal(swapped.quality[:, 0], posed.quality[:, 2])
    assert not np.array_equal(posed.truth, posed.quality)
