"""The best that two fixed arms can do at a budget, in hindsight."""

from __future__ import annotations

import numpy as np

from banditroute.simulation.players import Ask
from banditroute.simulation.problem import Problem
from banditroute.simulation.rivals.base import Knower, Rows
from banditroute.values import Vector


class StaticMix(Knower):
    """Two arms drawn at a fixed rate: the highest mean quality at a mean cost of ≤ the budget.

    Quality at a cost is the upper hull of the arms' means, so no mix of more arms is better.
    Where even the cheapest arm costs more than the budget, it is the cheapest arm.
    """

    def __init__(self, problem: Problem, budget_usd: float) -> None:
        self.quality: Vector = problem.quality.mean(axis=0)
        self.cost_usd: Vector = problem.cost_usd.mean(axis=0)
        self.budget_usd = budget_usd

    def choose(self, ask: Ask, rows: Rows) -> Vector:  # noqa: ARG002
        """The mix of the arms that are there."""
        return best_mix(self.quality[rows], self.cost_usd[rows], self.budget_usd)


def best_mix(quality: Vector, cost_usd: Vector, budget_usd: float) -> Vector:
    """(K,) rates of at most two arms, best in mean quality at ≤ ``budget_usd``."""
    cheapest = int(np.argmin(cost_usd))
    best, best_quality = _pair(len(quality), cheapest, cheapest, 0.0), -np.inf
    for low in np.flatnonzero(cost_usd <= budget_usd):
        for high in range(len(quality)):
            rate = _affordable(cost_usd[low], cost_usd[high], budget_usd)
            worth = (1.0 - rate) * quality[low] + rate * quality[high]
            if worth > best_quality:
                best, best_quality = _pair(len(quality), int(low), high, rate), worth
    return best


def _affordable(low_usd: float, high_usd: float, budget_usd: float) -> float:
    """How often the dearer of two arms can be used."""
    if high_usd <= budget_usd:
        return 1.0
    return float((budget_usd - low_usd) / (high_usd - low_usd))


def _pair(arms: int, low: int, high: int, rate: float) -> Vector:
    rates = np.zeros(arms)
    rates[low] += 1.0 - rate
    rates[high] += rate
    return rates
