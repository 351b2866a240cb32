"""ParetoBandit against its published package's rules, written out by solves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rival_examples import DIMENSION, ask_of, linear_problem, roster, taught

from banditroute.simulation import Scenario, play
from banditroute.simulation.rivals import AT_BUDGET, ParetoBandit
from banditroute.simulation.rivals.pacer import PRICE_MAX, DualPacer
from banditroute.simulation.rivals.paretobandit import log_scaled, unit_usd

ARMS = 3


@pytest.fixture
def problem(rng):
    return linear_problem(rng, prompts=300)


def expected_scores(problem, rows, x, alpha, gamma):
    """Σ γ^Δ r x and λ₀-filled precisions by replaying every step, then solves."""
    gram = np.tile(np.eye(DIMENSION), (ARMS, 1, 1))
    moment, ridge, last = np.zeros((ARMS, DIMENSION)), np.ones(ARMS), np.zeros(ARMS, int)
    for at, row in enumerate(rows):
        kept = gamma ** min(at + 1 - last[row], 1000)
        gram[row] *= kept
        moment[row] *= kept
        ridge[row] *= kept
        if ridge[row] < 0.1:
            gram[row] += (1.0 - ridge[row]) * np.eye(DIMENSION)
            ridge[row] = 1.0
        seen = problem.contexts[at].x
        gram[row] += np.outer(seen, seen)
        moment[row] += problem.quality[at, row] * seen
        last[row] = at + 1
    stale = np.minimum(gamma ** -np.minimum(len(rows) - last, 1000.0), 200.0)
    mean = [x @ np.linalg.solve(a, b) for a, b in zip(gram, moment, strict=True)]
    width = [np.sqrt(x @ np.linalg.solve(a, x)) for a in gram]
    return np.array(mean) + alpha * np.array(width) * np.sqrt(stale)


@pytest.mark.parametrize("gamma", [0.9, 0.97, 0.997, 1.0])
def test_scores_are_those_of_the_published_rules(gamma, problem, rng):
    """Arm 2 rests for long stretches, so that staleness, its cap and the ridge floor matter."""
    rows = np.where(np.arange(250) % 97 == 0, 2, rng.integers(2, size=250)).tolist()
    player = ParetoBandit(ARMS, DIMENSION, alpha=0.3, gamma=gamma)
    for ask, _ in taught(player, problem, rows):
        if ask.at % 23 == 22:
            x = ask.context.x
            expected = expected_scores(problem, rows[: ask.at], x, 0.3, gamma)
            np.testing.assert_allclose(player.score(x), expected, atol=1e-8)


def test_a_resting_arm_becomes_uncertain_up_to_a_bound(problem):
    player = ParetoBandit(ARMS, DIMENSION, alpha=1.0, gamma=0.9)
    for _ in taught(player, problem, [0] * 300):
        pass
    x = problem.contexts[0].x
    np.testing.assert_allclose(player.score(x)[1:], np.sqrt(200.0) * np.linalg.norm(x))


def test_the_pacer_follows_its_two_updates():
    pacer, smoothed, price = DualPacer(2.0), 2.0, 0.0
    for cost in [5.0, 0.1, 9.0, 2.0] * 20:
        pacer.observe(cost)
        smoothed = 0.95 * smoothed + 0.05 * cost
        price = min(5.0, max(0.0, price + 0.05 * (smoothed / 2.0 - 1.0)))
        assert pacer.smoothed_usd == pytest.approx(smoothed)
        assert pacer.price == pytest.approx(price)


@pytest.mark.parametrize(("cost", "price"), [(0.0, 0.0), (1e9, PRICE_MAX)])
def test_the_price_of_a_dollar_is_bounded(cost, price):
    pacer = DualPacer(1.0)
    for _ in range(50):
        pacer.observe(cost)
    assert pacer.price == price


def test_the_pacer_bars_dear_arms_only_while_it_is_over_budget():
    pacer, unit, rows = DualPacer(1.0), np.array([1.0, 4.0, 10.0]), np.arange(3)
    assert pacer.affordable(unit, rows).tolist() == [0, 1, 2]
    pacer.price = 2.0  # ceiling 10/3
    assert pacer.affordable(unit, rows).tolist() == [0]
    assert pacer.affordable(unit, rows[1:]).tolist() == [1, 2]  # none is below: all stay


def test_unit_prices_are_scaled_by_their_logarithm():
    """$1 and $10 per million tokens: 0.0055 per 1,000 on average."""
    assert unit_usd(roster(2))[1] == pytest.approx((1.0 + 10.0) / 2000.0)
    np.testing.assert_allclose(
        log_scaled(np.array([0.0, 1e-5, 1e-4, 1e-2, 0.1, 7.0])), [0, 0, 0, 2 / 3, 1, 1], atol=1e-12
    )


def test_the_price_counts_against_dear_arms(problem):
    """Arms alike in quality: whoever is cheaper wins once a dollar has a price."""
    player = ParetoBandit(ARMS, DIMENSION, budget_usd=1e-9)
    alike = replace(problem, roster=roster(ARMS))
    np.testing.assert_allclose(player.probabilities(ask_of(alike, 0)), 1.0 / ARMS)
    player.pacer.price = 0.01  # everything is still below the ceiling but the dearest arm
    np.testing.assert_array_equal(player.probabilities(ask_of(alike, 0)), [1.0, 0.0, 0.0])


@pytest.mark.parametrize("budget_usd", [5e-4, 2e-3, 6e-3])
def test_the_budget_is_kept_on_average(budget_usd, problem, rng):
    """Within 15% over 1,500 requests of arms that cost $1e-4, $1e-3 and $1e-2."""
    problem.quality[:] = [0.3, 0.6, 0.9]
    player = AT_BUDGET["paretobandit"](budget_usd)(problem, 0, Scenario())
    trace = play(player, problem, rng.integers(300, size=1500).tolist(), 0)
    assert trace.cost_usd.mean() < 1.15 * budget_usd
    assert trace.quality.mean() > 0.3
