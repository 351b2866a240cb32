"""The linear rivals against straightforward implementations that solve from the sums."""

from __future__ import annotations

import numpy as np
import pytest
from rival_examples import DIMENSION, all_on, linear_problem, taught

from banditroute.core.winning import win_probabilities
from banditroute.simulation.rivals import (
    DLinUCB,
    EpsilonGreedyRidge,
    FullInformationRidge,
    LinTSTextbook,
    LinUCBTextbook,
    ParetoBandit,
    SquareCB,
)
from banditroute.simulation.rivals.ridge import Ridges
from banditroute.simulation.scenario import Scenario

ARMS = 3
VALUE_USD = 0.1


class Sums:
    """A = λI + Σ w x xᵀ and b = Σ w r x of every arm, solved when asked."""

    def __init__(self, ridge: float = 1.0) -> None:
        self.gram = np.tile(ridge * np.eye(DIMENSION), (ARMS, 1, 1))
        self.moment = np.zeros((ARMS, DIMENSION))

    def add(self, row, x, reward):
        self.gram[row] += np.outer(x, x)
        self.moment[row] += reward * x

    def mean(self, x):
        return np.array(
            [x @ np.linalg.solve(a, b) for a, b in zip(self.gram, self.moment, strict=True)]
        )

    def width(self, x):
        return np.array([np.sqrt(x @ np.linalg.solve(a, x)) for a in self.gram])


@pytest.fixture
def problem(rng):
    return linear_problem(rng, prompts=250)


@pytest.fixture
def rows(rng):
    return [0, 1, 2, *rng.integers(ARMS, size=247).tolist()]


def worth(problem, at, row):
    return problem.quality[at, row] - problem.cost_usd[at, row] / VALUE_USD


def followed(player, problem, rows):
    """Each context with the player's probabilities, and the sums of what it was taught."""
    sums = Sums()
    for ask, chances in taught(player, problem, rows, VALUE_USD):
        yield ask, sums, chances
        sums.add(rows[ask.at], ask.context.x, worth(problem, ask.at, rows[ask.at]))


@pytest.mark.parametrize("ridge", [0.1, 1.0, 10.0])
def test_an_untaught_arm_is_as_wide_as_its_ridge_says(ridge):
    ridges = Ridges(2, 3, ridge)
    np.testing.assert_allclose(ridges.width(np.array([1.0, 0.0, 0.0])), ridge**-0.5)
    np.testing.assert_array_equal(ridges.mean(np.ones(3)), 0.0)


@pytest.mark.parametrize("ridge", [0.1, 1.0, 10.0])
def test_ridges_by_rank_one_updates_solve_the_normal_equations(ridge, rng):
    ridges, sums = Ridges(ARMS, DIMENSION, ridge), Sums(ridge)
    for _ in range(300):
        row, x, reward = int(rng.integers(2)), rng.normal(size=DIMENSION), float(rng.normal())
        ridges.observe(row, x, reward)
        sums.add(row, x, reward)
    x = rng.normal(size=DIMENSION)
    np.testing.assert_allclose(ridges.mean(x), sums.mean(x), atol=1e-9)
    np.testing.assert_allclose(ridges.width(x), sums.width(x), rtol=1e-9)


@pytest.mark.parametrize("alpha", [0.1, 1.0])
def test_linucb_chooses_the_largest_bound(alpha, problem, rows):
    player = LinUCBTextbook(ARMS, DIMENSION, alpha)
    for ask, sums, chances in followed(player, problem, rows):
        bound = sums.mean(ask.context.x) + alpha * sums.width(ask.context.x)
        if ask.at >= ARMS:  # untaught arms tie
            np.testing.assert_array_equal(chances, all_on(int(np.argmax(bound)), ARMS))


def test_untaught_arms_share_the_first_choice(problem, rows):
    _, first = next(taught(LinUCBTextbook(ARMS, DIMENSION), problem, rows))
    np.testing.assert_allclose(first, 1.0 / ARMS)


def test_lints_chooses_as_often_as_posterior_samples_win(problem, rows, rng):
    player, v = LinTSTextbook(ARMS, DIMENSION, v=0.3), 0.3
    for ask, sums, chances in followed(player, problem, rows[:60]):
        x = ask.context.x
        np.testing.assert_allclose(
            chances, win_probabilities(sums.mean(x), v * sums.width(x)), atol=1e-9
        )
    samples = [
        rng.multivariate_normal(np.linalg.solve(a, b), v**2 * np.linalg.inv(a), size=40_000) @ x
        for a, b in zip(sums.gram, sums.moment, strict=True)
    ]
    drawn = np.bincount(np.argmax(samples, axis=0), minlength=ARMS) / 40_000
    answer = player.probabilities(ask)
    np.testing.assert_allclose(answer, drawn, atol=0.012)


def test_squarecb_weighs_gaps_inversely(problem, rows):
    scale = 4.0
    for ask, sums, chances in followed(SquareCB(ARMS, DIMENSION, scale), problem, rows):
        predicted = sums.mean(ask.context.x)
        best = int(np.argmax(predicted))
        gamma = scale * np.sqrt(ask.at + 1)
        expected = 1.0 / (ARMS + gamma * (predicted[best] - predicted))
        expected[best] += 1.0 - expected.sum()
        np.testing.assert_allclose(chances, expected, atol=1e-9)


def test_epsilon_greedy_decays_as_one_over_t(problem, rows):
    player = EpsilonGreedyRidge(ARMS, DIMENSION, explored=2.0)
    for ask, sums, chances in followed(player, problem, rows):
        epsilon = min(1.0, 2.0 * ARMS / (ask.at + 1))
        if ask.at > 0:
            best = all_on(int(np.argmax(sums.mean(ask.context.x))), ARMS)
            np.testing.assert_allclose(chances, epsilon / ARMS + (1.0 - epsilon) * best)


def aged_sums(problem, rows, now, gamma):
    """V without its ridge, and b, of Russac et al. 2019 before request ``now``."""
    gram, moment = np.zeros((ARMS, DIMENSION, DIMENSION)), np.zeros((ARMS, DIMENSION))
    for at in range(now):
        x, weight = problem.contexts[at].x, gamma ** (now - at)
        gram[rows[at]] += weight * np.outer(x, x)
        moment[rows[at]] += weight * worth(problem, at, rows[at]) * x
    return gram, moment


@pytest.mark.parametrize("top_up", [1, 20])
@pytest.mark.parametrize("gamma", [0.9, 0.99, 1.0])
def test_d_linucb_equals_the_sums_weighted_by_age(gamma, top_up, problem, rows):
    """As in the paper where the ridge is made whole before every request; else it ages too."""
    player = DLinUCB(ARMS, DIMENSION, gamma, alpha=0.7, ridge=2.0, top_up=top_up)
    for ask, chances in taught(player, problem, rows[:120], VALUE_USD):
        if ask.at % 17 != 16:
            continue
        x, kept = ask.context.x, gamma ** (ask.at % top_up)
        gram, moment = aged_sums(problem, rows, ask.at, gamma)
        squared, _ = aged_sums(problem, rows, ask.at, gamma**2)
        inverses = np.linalg.inv(gram + kept * 2.0 * np.eye(DIMENSION))
        spread = squared + kept**2 * 2.0 * np.eye(DIMENSION)
        width = [np.sqrt(x @ i @ s @ i @ x) for i, s in zip(inverses, spread, strict=True)]
        mean = [x @ i @ b for i, b in zip(inverses, moment, strict=True)]
        np.testing.assert_allclose(player.theta @ x, mean, atol=1e-9)
        np.testing.assert_allclose(player.width(x), width, rtol=1e-9)
        best = int(np.argmax(np.array(mean) + 0.7 * np.array(width)))
        np.testing.assert_array_equal(chances, all_on(best, ARMS))


def test_d_linucb_between_top_ups_is_close_to_the_paper(problem, rows):
    """At γ⁵⁰ = 0.95 a ridge that ages in between moves nothing by more than 0.02."""
    exact = DLinUCB(ARMS, DIMENSION, 0.999, top_up=1)
    rare = DLinUCB(ARMS, DIMENSION, 0.999)
    pairs = zip(taught(exact, problem, rows), taught(rare, problem, rows), strict=True)
    for (ask, _), _ in pairs:
        x = ask.context.x
        np.testing.assert_allclose(rare.theta @ x, exact.theta @ x, atol=0.02)
        np.testing.assert_allclose(rare.width(x), exact.width(x), atol=0.02)


def test_d_linucb_without_forgetting_is_linucb(problem, rows):
    still = taught(DLinUCB(ARMS, DIMENSION, 1.0, alpha=1.0), problem, rows)
    plain = taught(LinUCBTextbook(ARMS, DIMENSION, 1.0), problem, rows)
    for (_, chances), (_, again) in zip(still, plain, strict=True):
        np.testing.assert_array_equal(chances, again)


def test_d_linucb_forgets_by_the_papers_corollary():
    assert DLinUCB.tuned_gamma(dimension=10, requests=100) == pytest.approx(0.99)
    assert DLinUCB.tuned_gamma(dimension=10, requests=1000, variation=10.0) == pytest.approx(0.99)


def test_paretobandit_without_forgetting_is_linucb(problem, rows):
    still = taught(ParetoBandit(ARMS, DIMENSION, alpha=0.4, gamma=1.0), problem, rows)
    plain = taught(LinUCBTextbook(ARMS, DIMENSION, 0.4), problem, rows)
    for (_, chances), (_, again) in zip(still, plain, strict=True):
        np.testing.assert_array_equal(chances, again)


def test_the_ceiling_learns_every_cell_of_the_prompts_before(problem, rows):
    player = FullInformationRidge(problem, Scenario(answer_value_usd=VALUE_USD), ridge=2.0)
    x = np.stack([context.x for context in problem.contexts])
    worths = problem.utility(VALUE_USD)
    for ask, chances in taught(player, problem, rows[:60], VALUE_USD):
        if ask.at == 0:
            continue
        seen, known = x[: ask.at], worths[: ask.at]
        theta = np.linalg.solve(seen.T @ seen + 2.0 * np.eye(DIMENSION), seen.T @ known)
        best = int(np.argmax(ask.context.x @ theta))
        np.testing.assert_array_equal(chances, all_on(best, ARMS))
