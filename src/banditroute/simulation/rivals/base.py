"""What every rival shares: arms that are barred, and the one reward that is learned."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from banditroute.core.policies import TIE
from banditroute.simulation.players import Ask, Cell
from banditroute.values import Vector

Rows: TypeAlias = NDArray[np.intp]


class Rival(ABC):
    """A player that chooses among the arms of an ask that are not barred."""

    def probabilities(self, ask: Ask) -> Vector:
        """(K,) exactly 0 for barred arms. Raises ValueError when every arm is barred."""
        rows = open_rows(ask)
        spread = np.zeros(len(ask.roster))
        spread[rows] = self.choose(ask, rows)
        return spread

    @abstractmethod
    def choose(self, ask: Ask, rows: Rows) -> Vector:
        """The probabilities of the arms in ``rows``, which are at least one; they sum to 1."""

    @abstractmethod
    def called(self, ask: Ask, row: int, propensity: float, cell: Cell) -> None:
        """As of :class:`~banditroute.simulation.players.Player`."""

    @abstractmethod
    def told(self, ask: Ask, row: int, propensity: float, quality: float) -> None:
        """As of :class:`~banditroute.simulation.players.Player`."""


class Learner(Rival):
    """Learns one number of every judged answer: r = quality − cost / answer value.

    The cost is what the call really cost; where answers are worth infinitely much, r = quality.
    """

    def __init__(self) -> None:
        self._cost_usd: dict[str, float] = {}

    @abstractmethod
    def learn(self, ask: Ask, row: int, reward: float) -> None:
        """The answer of arm ``row`` was worth ``reward``."""

    def called(self, ask: Ask, row: int, propensity: float, cell: Cell) -> None:  # noqa: ARG002
        """Remember the cost until somebody judges the answer."""
        self._cost_usd[ask.decision_id] = cell.cost_usd

    def told(self, ask: Ask, row: int, propensity: float, quality: float) -> None:  # noqa: ARG002
        """Learn what the answer was worth."""
        cost = self._cost_usd.pop(ask.decision_id)
        self.learn(ask, row, quality - cost / ask.answer_value_usd)


class Knower(Rival):
    """Learns nothing: what it knows, it knew beforehand."""

    def called(self, ask: Ask, row: int, propensity: float, cell: Cell) -> None:
        """Nothing to learn."""

    def told(self, ask: Ask, row: int, propensity: float, quality: float) -> None:
        """Nothing to learn."""


def open_rows(ask: Ask) -> Rows:
    """The rows of the roster that are not barred. Raises ValueError when there are none."""
    ids = ask.roster.ids
    rows = np.array([row for row, arm_id in enumerate(ids) if arm_id not in ask.barred], np.intp)
    if len(rows) == 0:
        raise ValueError(f"request {ask.at}: every arm is barred; leave at least one")
    return rows


def shared_argmax(index: Vector) -> Vector:
    """All probability on the largest index; ties share."""
    best = (index >= index.max() - TIE).astype(np.float64)
    shared: Vector = best / best.sum()
    return shared
