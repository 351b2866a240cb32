"""The guard, against what every arm alone would really have earned."""

from __future__ import annotations

import numpy as np
import pytest

from banditroute.core.guard import LEAST_N, Guard

QUALITY = np.array([0.8, 0.6, 0.4])
COST = np.array([0.010, 0.002, 0.001])


def guard_of(arms: int = 3) -> Guard:
    guard = Guard.empty()
    for _ in range(arms):
        guard.grow()
    return guard


def logged(rng, policy, rounds, model=None) -> Guard:
    """A guard that heard of so many rounds under fixed probabilities."""
    guard, expected = guard_of(), np.full(3, 0.5) if model is None else model
    for _ in range(rounds):
        arm = int(rng.choice(3, p=policy))
        guard.hear(arm, float(rng.random() < QUALITY[arm]), expected, policy[arm])
        guard.pay(arm, COST[arm], policy[arm])
    return guard


@pytest.mark.parametrize("model", [None, QUALITY, 1.0 - QUALITY], ids=["flat", "right", "wrong"])
def test_every_arms_lead_is_what_it_would_have_earned_whatever_the_model_believes(rng, model):
    policy = np.array([0.2, 0.5, 0.3])
    verdict = logged(rng, policy, 6000, model).verdict(10.0)
    truth = QUALITY - 10.0 * COST - float(policy @ (QUALITY - 10.0 * COST))
    assert np.all(np.abs(verdict.lead - truth) < 4.0 * verdict.error + 1e-9)
    assert verdict.best == 0


def test_a_router_that_is_losing_is_told_so_and_one_that_is_not_is_not(rng):
    assert logged(rng, np.array([0.2, 0.4, 0.4]), 3000).verdict(0.0).losing_to == 0
    assert logged(rng, np.array([0.98, 0.01, 0.01]), 3000).verdict(0.0).losing_to is None


def test_an_honest_router_is_accused_in_few_of_many_logs():
    """All arms are alike: whoever is accused is accused wrongly."""
    accused = 0
    for seed in range(100):
        rng, guard = np.random.default_rng(seed), guard_of()
        for _ in range(500):
            guard.hear(int(rng.integers(3)), float(rng.random() < 0.6), np.full(3, 0.6), 1.0 / 3.0)
            guard.pay(int(rng.integers(3)), 0.001, 1.0 / 3.0)
        accused += guard.verdict(0.0).losing_to is not None
    assert accused <= 6


def test_the_dear_best_arm_leads_only_while_a_dollar_is_worth_little(rng):
    guard = logged(rng, np.full(3, 1.0 / 3.0), 4000)
    assert guard.verdict(1.0).best == 0
    assert guard.verdict(100.0).best != 0


def test_little_feedback_says_nothing(rng):
    guard = logged(rng, np.full(3, 1.0 / 3.0), int(LEAST_N) - 1)
    assert guard.verdict(0.0) is None
    assert guard.quality_loss(0) == 0.0
    assert guard_of(0).verdict(0.0) is None


def test_an_arm_that_came_late_is_judged_by_the_time_since(rng):
    guard = logged(rng, np.full(3, 1.0 / 3.0), 500)
    guard.grow()
    assert 3 not in guard.verdict(0.0).rows
    for _ in range(200):
        guard.hear(3, 1.0, np.full(4, 0.5), 0.5)
        guard.pay(3, 0.0, 0.5)
    verdict = guard.verdict(0.0)
    assert verdict.lead[list(verdict.rows).index(3)] == pytest.approx(0.5)  # Γ = 1.5, r = 1


def test_a_loss_against_an_arm_is_in_quality_alone_and_fades(rng):
    guard = logged(rng, np.array([0.1, 0.45, 0.45]), 3000)
    assert guard.quality_loss(0) == pytest.approx(0.8 - (0.08 + 0.27 + 0.18), abs=0.08)
    for _ in range(20_000):
        guard.hear(0, float(rng.random() < 0.8), np.full(3, 0.5), 1.0)
    assert abs(guard.quality_loss(0)) < 0.02


def test_a_context_free_policy_is_no_better_than_the_best_arm(rng):
    verdict = logged(rng, np.array([0.2, 0.5, 0.3]), 3000).verdict(0.0)
    assert verdict.context_free <= verdict.lead.max() + 1e-12


def test_a_copy_is_left_alone(rng):
    guard = logged(rng, np.full(3, 1.0 / 3.0), 100)
    copy = guard.copy()
    guard.hear(0, 1.0, np.full(3, 0.5), 0.5)
    guard.pay(0, 0.1, 0.5)
    assert copy.n[0] != guard.n[0]
    assert copy.cost[0] != guard.cost[0]
