"""What those know who know everything: the data as it stands at a request."""

from __future__ import annotations

from banditroute.simulation.players import Ask
from banditroute.simulation.problem import Problem
from banditroute.simulation.scenario import Scenario


class World:
    """A problem with the changes of a scenario applied as their requests come."""

    def __init__(self, problem: Problem, scenario: Scenario) -> None:
        self._problem = problem
        self._changes = sorted(scenario.changes.items())

    def at(self, ask: Ask) -> Problem:
        """The problem that ``ask`` is put to. Asks must come in order."""
        while self._changes and self._changes[0][0] <= ask.at:
            self._problem = self._changes.pop(0)[1](self._problem)
        return self._problem
