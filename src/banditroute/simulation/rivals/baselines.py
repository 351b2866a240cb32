"""Players that bound the others from both sides: no learning at all, or nothing left to learn."""

from __future__ import annotations

import numpy as np

from banditroute.simulation.players import Ask
from banditroute.simulation.problem import Problem
from banditroute.simulation.rivals.base import Knower, Rows, shared_argmax
from banditroute.simulation.rivals.world import World
from banditroute.simulation.scenario import Scenario
from banditroute.values import Vector


class Random(Knower):
    """Every arm equally often."""

    def choose(self, ask: Ask, rows: Rows) -> Vector:  # noqa: ARG002
        """1/K each."""
        return np.full(len(rows), 1.0 / len(rows))


class BestFixed(Knower):
    """The one arm of the highest mean utility over all the data, as it is at the beginning.

    While that arm is barred, the best of the others.
    """

    def __init__(self, problem: Problem, scenario: Scenario) -> None:
        self.utility: Vector = problem.utility(scenario.answer_value_usd).mean(axis=0)

    def choose(self, ask: Ask, rows: Rows) -> Vector:  # noqa: ARG002
        """All on the best mean."""
        return shared_argmax(self.utility[rows])


class Oracle(Knower):
    """The best cell of every prompt: mostly luck that nobody can foresee, and no target."""

    def __init__(self, problem: Problem, scenario: Scenario) -> None:
        self.world = World(problem, scenario)

    def choose(self, ask: Ask, rows: Rows) -> Vector:
        """All on the best utility of this very prompt."""
        problem = self.world.at(ask)
        worth = problem.quality[ask.prompt] - problem.cost_usd[ask.prompt] / ask.answer_value_usd
        return shared_argmax(worth[rows])
