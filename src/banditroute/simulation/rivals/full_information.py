"""The ceiling of linear models on the same features: no answer stays unseen."""

from __future__ import annotations

import numpy as np

from banditroute.simulation.players import Ask, Cell
from banditroute.simulation.problem import Problem
from banditroute.simulation.rivals.base import Rival, Rows, shared_argmax
from banditroute.simulation.rivals.world import World
from banditroute.simulation.scenario import Scenario
from banditroute.values import Matrix, Vector

RIDGE = 30.0  # within 0.0002 of the best of 1, 3, 10, 30 and 100 on the development sets


class FullInformationRidge(Rival):
    """Greedy on ridge regressions that learn every arm's utility of every prompt asked so far.

    All arms have seen the same x, so they share one inverse: Θ = (λI + Σ x xᵀ)⁻¹ Σ x uᵀ. It
    learns with or without feedback, but never of a prompt before it has chosen for it.
    """

    def __init__(self, problem: Problem, scenario: Scenario, ridge: float = RIDGE) -> None:
        d = problem.groups.dimension
        self.world = World(problem, scenario)
        self.inverse: Matrix = np.eye(d) / ridge
        self.theta: Matrix = np.zeros((d, len(problem.roster)))

    def choose(self, ask: Ask, rows: Rows) -> Vector:
        """All on the best prediction."""
        return shared_argmax((ask.context.x @ self.theta)[rows])

    def called(self, ask: Ask, row: int, propensity: float, cell: Cell) -> None:  # noqa: ARG002
        """Learn what every arm would have done."""
        problem, x = self.world.at(ask), ask.context.x
        worth = problem.quality[ask.prompt] - problem.cost_usd[ask.prompt] / ask.answer_value_usd
        gain = self.inverse @ x
        scale = 1.0 + float(x @ gain)
        self.theta += np.multiply.outer(gain, (worth - x @ self.theta) / scale)
        step = gain / np.sqrt(scale)
        self.inverse -= np.multiply.outer(step, step)

    def told(self, ask: Ask, row: int, propensity: float, quality: float) -> None:
        """It knows already."""
