"""Simulated runs: the router's own core, the same numbers from the same seed, no peeking."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from banditroute.core.choice import Rules
from banditroute.core.pacing import Budget
from banditroute.core.policies import Thompson, Uniform
from banditroute.core.posterior import FeatureGroups
from banditroute.core.roster import Roster
from banditroute.simulation import Problem, RouterPlayer, Scenario, play
from banditroute.values import Arm, Context

PROMPTS = 600


def problem(seed: int = 0) -> Problem:
    """Two kinds of prompts, each answered well by an arm of its own; the third arm is bad."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(2, size=PROMPTS)
    skill = np.array([[0.9, 0.3, 0.1], [0.3, 0.9, 0.1]])[kind]
    contexts = tuple(Context(np.array([1.0, 1.0 - k, float(k)]), 100) for k in kind)
    shape = (PROMPTS, 3)
    return Problem(
        "kinds",
        FeatureGroups(("bias", "task", "task")),
        contexts,
        tuple(f"kind-{k}" for k in kind),
        Roster(tuple(Arm(f"arm-{k}", "p", "m", 0.0, 10.0 ** (k - 1)) for k in range(3))),
        (rng.random(shape) < skill).astype(np.float64),
        np.tile([0.00003, 0.0003, 0.003], (PROMPTS, 1)),
        np.full(shape, 300.0),
        np.full(shape, np.nan),
    )


def router(posed, seed=0, budget=None, policy=None):
    return RouterPlayer(posed.groups, Rules(policy or Thompson(), 0.005, seed), budget)


def test_the_router_learns_which_arm_is_good_for_which_kind():
    """In four worlds. In the first, early bad luck hides one of the good arms for long."""
    right = []
    for seed in range(4):
        posed = problem(seed)
        trace = play(router(posed, seed), posed, range(PROMPTS), seed)
        best = np.array([0 if c.x[1] else 1 for c in posed.contexts])
        right.append(trace.arm == best)
        assert np.mean(right[-1][450:]) > 0.95
        assert trace.quality[300:].mean() > 0.75
    assert np.mean([each[300:] for each in right]) > 0.9


def test_the_same_seed_gives_the_same_trace_and_another_one_does_not():
    posed = problem()
    traces = [play(router(posed, seed), posed, range(PROMPTS), seed) for seed in (1, 1, 2)]
    assert np.array_equal(traces[0].arm, traces[1].arm)
    assert np.array_equal(traces[0].propensity, traces[1].propensity)
    assert not np.array_equal(traces[0].arm, traces[2].arm)


def test_what_was_not_chosen_is_never_seen():
    """Changing every cell that was not drawn changes nothing that happens."""
    posed = problem()
    trace = play(router(posed), posed, range(PROMPTS), 0)
    quality = 1.0 - posed.quality
    quality[trace.prompt, trace.arm] = trace.quality
    again = play(router(posed), replace(posed, quality=quality), range(PROMPTS), 0)
    assert np.array_equal(trace.arm, again.arm)


def test_the_propensity_is_the_probability_of_the_arm_that_was_drawn():
    posed = problem()
    trace = play(router(posed, policy=Uniform()), posed, range(300), 0)
    assert trace.propensity == pytest.approx(1.0 / 3.0, abs=0.005)  # the floor is dear
    counts = np.bincount(trace.arm, minlength=3)
    assert np.all(np.abs(counts - 100) < 35)


def test_late_and_rare_feedback_arrives_late_and_rarely():
    posed = problem()
    late, rare = router(posed), router(posed)
    play(late, posed, range(100), 0, Scenario(feedback_delay=90))
    play(rare, posed, range(PROMPTS), 0, Scenario(feedback_rate=0.1))
    assert late.state.quality.taught.sum() == 10
    assert 35 < rare.state.quality.taught.sum() < 85
    assert rare.state.usage.requests.sum() == PROMPTS


def test_an_arm_that_is_not_there_yet_is_not_drawn():
    posed = problem()
    trace = play(router(posed), posed, range(PROMPTS), 0, Scenario(arrivals={"arm-1": 200}))
    assert not np.any(trace.arm[:200] == 1)
    assert np.any(trace.arm[200:300] == 1)


def test_changes_come_when_they_are_due():
    posed = problem()
    seen = []

    def change(now: Problem) -> Problem:
        seen.append(now)
        return now.swapped(0, 1).repriced(2, 0.5)

    play(router(posed), posed, range(20), 0, Scenario(changes={10: change}))
    (before,) = seen
    after = before.swapped(0, 1).repriced(2, 0.5)
    assert np.array_equal(after.quality[:, 0], posed.quality[:, 1])
    assert np.array_equal(after.cost_usd[:, 2], posed.cost_usd[:, 2] * 0.5)
    assert after.roster.arms[2].output_usd_per_mtok == pytest.approx(5.0)
    assert posed.roster.arms[2].output_usd_per_mtok == pytest.approx(10.0)


def test_poison_is_what_is_said_and_not_what_is_counted():
    posed = problem()
    lies = Scenario(poison_rate=1.0, poison=lambda _, __: 0.0)
    player = router(posed)
    trace = play(player, posed, range(200), 0, lies)
    assert trace.quality.mean() > 0.2
    assert player.state.quality.sums.mean().max() == 0.0


def test_a_budget_is_kept_in_a_simulation_as_in_the_engine():
    posed = problem()
    dear = play(router(posed), posed, range(PROMPTS), 0)
    paced = play(router(posed, budget=Budget(usd_per_request=1e-4)), posed, range(PROMPTS), 0)
    assert dear.cost_usd.mean() > 1.2e-4
    assert paced.cost_usd.mean() <= 1.02e-4


def test_progress_is_told():
    done = []
    posed = problem()
    play(router(posed), posed, range(5), 0, progress=done.append)
    assert done == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("sent", [True, False])
def test_a_task_that_is_not_sent_is_not_seen(sent):
    class Watching(RouterPlayer):
        def probabilities(self, ask):
            self.tasks.append(ask.task)
            return super().probabilities(ask)

    posed = replace(problem(), task_sent=sent)
    player = Watching(posed.groups, Rules(Thompson(), 0.005, 0))
    player.tasks = []
    play(player, posed, range(20), 0)
    assert player.tasks == (list(posed.tasks[:20]) if sent else [None] * 20)
