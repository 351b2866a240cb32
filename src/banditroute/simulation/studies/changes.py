"""What changes on the way, as functions from the problem before to the problem after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from banditroute.simulation.problem import Problem
from banditroute.simulation.scenario import Change
from banditroute.values import Matrix


@dataclass(frozen=True, slots=True)
class Likened:
    """One arm answers like another one, at its own price."""

    row: int
    like: int

    def __call__(self, problem: Problem) -> Problem:
        """The problem from then on."""
        return problem.rated(self._change)

    def _change(self, quality: Matrix) -> Matrix:
        quality[:, self.row] = quality[:, self.like]
        return quality


@dataclass(frozen=True, slots=True)
class Scaled:
    """One arm answers ``factor`` times as well, at most perfectly."""

    row: int
    factor: float

    def __call__(self, problem: Problem) -> Problem:
        """The problem from then on."""
        return problem.rated(self._change)

    def _change(self, quality: Matrix) -> Matrix:
        quality[:, self.row] = np.minimum(quality[:, self.row] * self.factor, 1.0)
        return quality


@dataclass(frozen=True, slots=True)
class Repriced:
    """One arm costs ``factor`` times as much."""

    row: int
    factor: float

    def __call__(self, problem: Problem) -> Problem:
        """The problem from then on."""
        return problem.repriced(self.row, self.factor)


@dataclass(frozen=True, slots=True)
class Together:
    """Several changes at one request, one after the other."""

    changes: tuple[Change, ...]

    def __call__(self, problem: Problem) -> Problem:
        """The problem from then on."""
        for change in self.changes:
            problem = change(problem)
        return problem


@dataclass(frozen=True, slots=True)
class Against:
    """Poisoned judgements: 0 of the arms in ``rows``, 1 of all others."""

    rows: frozenset[int]

    def __call__(self, row: int, quality: float) -> float:  # noqa: ARG002 - a lie needs no truth
        """What is said instead of the quality."""
        return 0.0 if row in self.rows else 1.0
