"""The rivals without a linear model: arm means, baselines, mixes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rival_examples import all_on, ask_of, linear_problem, taught
from scipy.optimize import linprog

from banditroute.core.posterior import START_NOISE
from banditroute.core.winning import win_probabilities
from banditroute.simulation import Scenario, play
from banditroute.simulation.rivals import (
    AT_BUDGET,
    RIVALS,
    BestFixed,
    ContextFree,
    EpsilonGreedyMeans,
    Oracle,
    Random,
    StaticMix,
)
from banditroute.simulation.rivals.means import ArmMeans
from banditroute.simulation.rivals.static_mix import best_mix

ARMS = 3


@pytest.fixture
def problem(rng):
    return linear_problem(rng, prompts=200)


def test_arm_means_are_the_hierarchical_normal_posterior(rng):
    """m₀ ~ N(½, 1), m_k ~ N(m₀, 0.3²), r ~ N(m_k, σ²), by least squares in (m₀, m_1, m_2, m_3)."""
    means = ArmMeans(ARMS)
    rows, rewards = rng.integers(2, size=60), rng.uniform(size=60)
    for row, reward in zip(rows.tolist(), rewards.tolist(), strict=True):
        means.observe(row, reward)
    sd = np.sqrt(means.noise)
    apart = np.concatenate([-np.ones((ARMS, 1)), np.eye(ARMS)], axis=1) / 0.3
    design = np.concatenate([np.eye(4)[rows + 1] / sd, apart, np.eye(4)[:1]])
    target = np.concatenate([rewards / sd, np.zeros(ARMS), [0.5]])
    expected = np.linalg.lstsq(design, target, rcond=None)[0]
    assert means.pooled() == pytest.approx(expected[0])
    np.testing.assert_allclose(means.mean(), expected[1:])
    counts = np.bincount(rows, minlength=ARMS)
    np.testing.assert_allclose(means.variance(), 1.0 / (counts / means.noise + 1.0 / 0.09))


def test_one_reward_moves_the_noise_by_one_step():
    """By hand: a reward of 0.9 with σ² = 0.2 and τ² = 0.09."""
    means = ArmMeans(1)
    means.observe(0, 0.9)
    pooled = (0.5 + 0.9 / 0.29) / (1.0 + 1.0 / 0.29)
    variance = 1.0 / (1.0 / 0.2 + 1.0 / 0.09)
    mean = variance * (0.9 / 0.2 + pooled / 0.09)
    assert means.noise == pytest.approx(((0.9 - mean) ** 2 + variance + 10 * 0.15) / 11.0)


def test_noise_is_pooled_and_settles_at_the_spread_around_the_means(rng):
    means = ArmMeans(2)
    assert means.noise == START_NOISE
    for _ in range(4000):
        means.observe(0, float(rng.normal(0.2, 0.1)))
        means.observe(1, float(rng.normal(0.9, 0.1)))
    assert means.noise == pytest.approx(0.01, rel=0.1)


def test_context_free_looks_at_nothing_but_arm_means(problem, rng):
    player, rows = ContextFree(ARMS), rng.integers(ARMS, size=100).tolist()
    for ask, chances in taught(player, problem, rows):
        means = player.means
        expected = win_probabilities(means.mean(), np.sqrt(means.variance()))
        if ask.at < 99:  # the last ask of all has learned one reward more by now
            np.testing.assert_array_equal(chances, expected)
    blind = replace(problem, contexts=problem.contexts[::-1])
    np.testing.assert_array_equal(
        player.probabilities(ask_of(problem, 100)), player.probabilities(ask_of(blind, 100))
    )


def test_a_reward_is_quality_less_cost_in_answers(problem):
    """An arm that costs a tenth of an answer's value earns 0.1 less."""
    player = ContextFree(ARMS)
    for _ in taught(player, problem, [1] * 10, value_usd=0.01):
        pass
    assert player.means.total[1] == pytest.approx(problem.quality[:10, 1].sum() - 10 * 0.1)


def test_an_answer_is_charged_its_own_cost_when_feedback_comes_late(problem):
    dear = replace(problem, cost_usd=problem.cost_usd * np.arange(1, 201)[:, None])
    scenario = Scenario(answer_value_usd=0.05, feedback_delay=9)
    player = ContextFree(ARMS)
    trace = play(player, dear, range(200), 4, scenario)
    assert player.means.n.sum() == 191.0
    assert player.means.total.sum() == pytest.approx(trace.utility(0.05)[:191].sum())


def test_epsilon_greedy_on_means_explores_less_and_less(problem):
    player = EpsilonGreedyMeans(ARMS, explored=1.0)
    least = [chances.min() for _, chances in taught(player, problem, [0, 1, 2] * 60)]
    np.testing.assert_allclose(least[:3], 1.0 / ARMS)
    np.testing.assert_allclose(least[3:], 1.0 / np.arange(4, 181))


def test_random_is_uniform_over_what_is_there(problem):
    ask = ask_of(problem, 0, barred=["arm-1"])
    np.testing.assert_array_equal(Random().probabilities(ask), [0.5, 0.0, 0.5])


@pytest.mark.parametrize("value_usd", [float("inf"), 0.02])
def test_best_fixed_has_the_highest_mean_utility(problem, value_usd):
    problem.quality[:] *= [0.8, 0.9, 1.0]  # the best arm is also the dearest
    scenario = Scenario(answer_value_usd=value_usd)
    totals = [
        play(BestFixed(problem, scenario), problem, range(200), 0, scenario),
        play(Oracle(problem, scenario), problem, range(200), 0, scenario),
    ]
    utility = problem.utility(value_usd)
    assert totals[0].utility(value_usd).sum() == pytest.approx(utility.sum(axis=0).max())
    assert totals[1].utility(value_usd).sum() == pytest.approx(utility.max(axis=1).sum())


def test_best_fixed_is_second_best_while_the_best_is_barred(problem):
    order = np.argsort(problem.quality.mean(axis=0))
    best, second = problem.roster.ids[order[-1]], int(order[-2])
    chances = BestFixed(problem, Scenario()).probabilities(ask_of(problem, 0, barred=[best]))
    np.testing.assert_array_equal(chances, all_on(second, ARMS))


@pytest.mark.parametrize("name", ["oracle", "ridge-full"])
def test_those_who_know_the_data_know_its_changes(name, rng):
    """After a swap of the best arm with the worst, they follow at once or learn the new cells."""
    problem = linear_problem(rng, prompts=400)
    problem.quality[:] = [0.2, 0.5, 0.9]
    scenario = Scenario(changes={100: lambda known: known.swapped(0, 2)})
    trace = play(RIVALS[name](problem, 0, scenario), problem, range(400), 0, scenario)
    assert np.all(trace.arm[10:100] == 2)
    assert np.all(trace.arm[-100:] == 0)
    assert np.all(trace.quality[-100:] == 0.9)


@pytest.mark.parametrize("budget", [0.5, 1.0, 1.7, 3.0, 40.0, 99.0, 200.0])
def test_the_static_mix_solves_the_linear_programme(budget, rng):
    for _ in range(20):
        quality, cost = rng.uniform(size=5), np.sort(rng.uniform(1.0, 100.0, size=5))
        mix = best_mix(quality, cost, budget)
        assert mix.sum() == pytest.approx(1.0)
        assert np.count_nonzero(mix) <= 2
        best = linprog(-quality, A_ub=[cost], b_ub=[budget], A_eq=[np.ones(5)], b_eq=[1.0])
        if best.success:
            assert mix @ quality == pytest.approx(-best.fun, abs=1e-9)
            assert mix @ cost <= budget * (1.0 + 1e-9)
        else:
            np.testing.assert_array_equal(mix, all_on(0, 5))


def test_the_static_mix_spends_its_budget(problem):
    problem.quality[:] = [0.2, 0.5, 0.9]
    player = AT_BUDGET["static-mix"](3e-3)(problem, 0, Scenario())
    assert isinstance(player, StaticMix)
    chances = player.probabilities(ask_of(problem, 0))
    assert chances @ problem.cost_usd[0] == pytest.approx(3e-3)
