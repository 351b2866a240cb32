"""The bandit that does not look at the request."""

from __future__ import annotations

import numpy as np

from banditroute.core.winning import win_probabilities
from banditroute.simulation.players import Ask
from banditroute.simulation.rivals.base import Learner, Rows
from banditroute.simulation.rivals.means import ArmMeans
from banditroute.values import Vector


class ContextFree(Learner):
    """Gaussian Thompson sampling on arm means (Agrawal & Goyal 2013b, algorithm 2).

    Uses the posterior of :class:`ArmMeans` at its exact width, and exact probabilities.
    """

    def __init__(self, arms: int) -> None:
        super().__init__()
        self.means = ArmMeans(arms)

    def choose(self, ask: Ask, rows: Rows) -> Vector:  # noqa: ARG002
        """P(arm k's mean is the largest)."""
        return win_probabilities(self.means.mean()[rows], np.sqrt(self.means.variance()[rows]))

    def learn(self, ask: Ask, row: int, reward: float) -> None:  # noqa: ARG002
        """One reward of one arm."""
        self.means.observe(row, reward)
