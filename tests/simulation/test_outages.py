"""Arms that do not answer in a simulation: another one does, and the router notices."""

from __future__ import annotations

import numpy as np
import pytest
from rival_examples import linear_problem

from banditroute.core.choice import Rules, recompute
from banditroute.core.eligibility import FAILED
from banditroute.core.policies import Thompson
from banditroute.simulation import Outage, RouterPlayer, Scenario, play
from banditroute.simulation.rivals import RIVALS


class Watching(RouterPlayer):
    """The router, keeping every decision, and what it knew."""

    def __init__(self, posed, seed=0):
        super().__init__(posed.groups, Rules(Thompson(), 0.005, seed))
        self.made = []

    def decide(self, ask):
        made = super().decide(ask)
        self.made.append((made, self.state.knowledge()))
        return made


@pytest.fixture
def posed():
    return linear_problem(np.random.default_rng(3))


def away(posed, begin=100, end=300):
    return Scenario(outages=tuple(Outage(arm, begin, end) for arm in posed.roster.ids[1:]))


def test_a_request_whose_call_failed_goes_to_another_arm(posed):
    trace = play(Watching(posed), posed, range(400), 0, away(posed))
    assert np.all(trace.arm[100:300] == 0)
    assert np.all(trace.attempts[:100] == 1)
    assert np.all(trace.attempts[300:] == 1)
    assert trace.attempts[100:300].max() > 1
    assert np.array_equal(trace.quality, posed.quality[trace.prompt, trace.arm])


def test_the_router_turns_away_from_an_arm_that_fails_and_comes_back(posed):
    trace = play(Watching(posed), posed, range(600), 0, away(posed))
    early, late = trace.attempts[100:140].mean(), trace.attempts[200:300].mean()
    assert late < early
    assert np.mean(trace.arm[400:] != 0) > 0.1


def test_the_second_call_is_a_decision_of_its_own_that_says_why(posed):
    player = Watching(posed)
    trace = play(player, posed, range(200), 0, away(posed))
    assert len(player.made) == trace.attempts.sum()
    again = [made for made, _ in player.made if FAILED in made.excluded.values()]
    assert len(again) == (trace.attempts - 1).sum()
    assert all(made.propensity > 0.0 for made in again)


def test_where_every_arm_fails_the_answer_is_worth_nothing(posed):
    course = Scenario(outages=tuple(Outage(arm, 10, 20) for arm in posed.roster.ids))
    player = Watching(posed)
    trace = play(player, posed, range(40), 0, course)
    assert np.all(trace.attempts[10:20] == len(posed.roster))
    assert np.all(trace.quality[10:20] == 0.0)
    assert player.state.quality.taught.sum() == 30


@pytest.mark.parametrize("name", ["context-free", "linucb-textbook", "paretobandit", "oracle"])
def test_rivals_go_on_during_an_outage(posed, name):
    course = away(posed)
    trace = play(RIVALS[name](posed, 0, course), posed, range(400), 0, course)
    assert np.all(trace.arm[100:300] == 0)


def test_what_a_simulated_router_decides_can_be_made_again_like_any_decision(posed):
    player = Watching(posed)
    play(player, posed, range(300), 0, away(posed))
    for made, knowledge in player.made[::7]:
        assert recompute(made, knowledge).candidates == made.candidates
