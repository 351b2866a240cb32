"""What every rival promises. A new one joins by being added to ``RIVALS`` or ``AT_BUDGET``.

What a user's own must promise too is published (:mod:`banditroute.simulation.contract`); rivals
also refuse a request that every arm is barred from, and share ties.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rival_examples import ask_of, linear_problem, taught

from banditroute.core.roster import Roster
from banditroute.simulation import Player, Problem, Scenario, check_player
from banditroute.simulation.rivals import AT_BUDGET, RIVALS, Factory

BUDGET_USD = 2e-3
MAKERS: dict[str, Factory] = dict(RIVALS) | {
    f"{name} at a budget": at_budget(BUDGET_USD) for name, at_budget in AT_BUDGET.items()
}

pytestmark = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())


def player_of(make: Factory, problem: Problem) -> Player:
    return make(problem, 0, Scenario())


def test_every_published_promise_is_kept(make, rng):
    check_player(make)
    check_player(make, linear_problem(rng, prompts=60, arms=5))


def test_probabilities_are_a_distribution_while_it_learns(make, rng):
    problem = linear_problem(rng, prompts=120)
    rows = rng.integers(3, size=120)
    for _, chances in taught(player_of(make, problem), problem, rows):
        assert chances.shape == (3,)
        assert np.all(chances >= 0.0)
        assert chances.sum() == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("barred", [["arm-0"], ["arm-1"], ["arm-2", "arm-0"]])
def test_a_barred_arm_is_never_chosen(make, barred, rng):
    problem = linear_problem(rng, prompts=120)
    player = player_of(make, problem)
    for _ in taught(player, problem, rng.integers(3, size=80)):
        pass
    for at in range(80, 120):
        chances = player.probabilities(ask_of(problem, at, barred=barred))
        assert all(chances[int(arm_id[-1])] == 0.0 for arm_id in barred)
        assert chances.sum() == pytest.approx(1.0, abs=1e-9)


def test_nothing_is_left_to_choose_when_every_arm_is_barred(make, rng):
    problem = linear_problem(rng, prompts=2)
    ask = ask_of(problem, 0, barred=problem.roster.ids)
    with pytest.raises(ValueError, match="every arm is barred"):
        player_of(make, problem).probabilities(ask)


def permuted(problem: Problem, order: list[int]) -> Problem:
    columns = {
        name: getattr(problem, name)[:, order]
        for name in ("quality", "cost_usd", "output_tokens", "latency_s")
    }
    arms = tuple(problem.roster.arms[row] for row in order)
    return replace(problem, roster=Roster(arms), **columns)


def test_permuting_the_arms_permutes_the_probabilities(make, rng):
    straight = linear_problem(rng, prompts=150)
    order = [2, 0, 1]
    turned = permuted(straight, order)
    rows = rng.integers(3, size=150)
    there = taught(player_of(make, straight), straight, rows, value_usd=0.1)
    here = taught(player_of(make, turned), turned, [order.index(row) for row in rows], 0.1)
    for (_, chances), (_, again) in zip(there, here, strict=True):
        np.testing.assert_allclose(again, chances[order], atol=1e-9)
