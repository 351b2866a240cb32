"""Rivals learn what there is to learn, from context where they have it."""

from __future__ import annotations

import numpy as np
import pytest
from rival_examples import linear_problem

from banditroute.simulation import Scenario, play
from banditroute.simulation.rivals import RIVALS

LINEAR = [
    "d-linucb",
    "epsilon-greedy-ridge",
    "lints-textbook",
    "linucb-textbook",
    "linucb-tuned",
    "paretobandit",
    "ridge-full",
    "squarecb",
]


def later_quality(name, problem):
    """(300,) the quality of requests 300 to 599, and of every arm there."""
    trace = play(RIVALS[name](problem, 0, Scenario()), problem, range(600), 5)
    return trace.quality[300:], problem.quality[300:]


def assert_above(gain):
    """By more than three standard errors."""
    assert gain.mean() > 3.0 * gain.std() / np.sqrt(len(gain))


@pytest.mark.parametrize("name", sorted(set(RIVALS) - {"random"}))
def test_everybody_beats_random(name, rng):
    problem = linear_problem(rng)
    problem.quality[:, 1] = np.minimum(problem.quality[:, 1] + 0.15, 1.0)
    earned, cells = later_quality(name, problem)
    assert_above(earned - cells.mean(axis=1))


@pytest.mark.parametrize("name", LINEAR)
def test_context_pays_for_those_who_look_at_it(name, rng):
    """They beat the best single arm of the data where the best arm depends on x."""
    problem = linear_problem(rng)
    earned, cells = later_quality(name, problem)
    assert_above(earned - cells[:, problem.quality.mean(axis=0).argmax()])


@pytest.mark.parametrize("name", ["context-free", "epsilon-greedy"])
def test_without_context_the_best_arm_is_found(name, rng):
    problem = linear_problem(rng, noise=0.02)
    problem.quality[:] *= [0.6, 0.8, 1.0]
    earned, cells = later_quality(name, problem)
    assert earned.mean() > cells.mean(axis=0).max() - 0.03
