"""Policies to compare the router with: they see what it sees, and learn from what it is told.

Where a published policy has a tuning constant, the default is one constant for all data sets,
stated in the policy's module. ``RIVALS`` makes each from (problem, seed, scenario). Those that
need a budget are made by ``AT_BUDGET`` from dollars per request; no policy here draws random
numbers of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from banditroute.simulation.players import Player
from banditroute.simulation.problem import Problem
from banditroute.simulation.rivals.baselines import BestFixed, Oracle, Random
from banditroute.simulation.rivals.context_free import ContextFree
from banditroute.simulation.rivals.dlinucb import DLinUCB
from banditroute.simulation.rivals.epsilon_greedy import EpsilonGreedyMeans, EpsilonGreedyRidge
from banditroute.simulation.rivals.full_information import FullInformationRidge
from banditroute.simulation.rivals.lints import LinTSTextbook
from banditroute.simulation.rivals.linucb import TUNED_ALPHA, LinUCBTextbook
from banditroute.simulation.rivals.paretobandit import ALPHA_AT_BUDGET, ParetoBandit
from banditroute.simulation.rivals.squarecb import SquareCB
from banditroute.simulation.rivals.static_mix import StaticMix
from banditroute.simulation.scenario import Scenario

__all__ = [
    "AT_BUDGET",
    "RIVALS",
    "BestFixed",
    "ContextFree",
    "DLinUCB",
    "EpsilonGreedyMeans",
    "EpsilonGreedyRidge",
    "Factory",
    "FullInformationRidge",
    "LinTSTextbook",
    "LinUCBTextbook",
    "Oracle",
    "ParetoBandit",
    "Random",
    "SquareCB",
    "StaticMix",
]

Factory: TypeAlias = Callable[[Problem, int, Scenario], Player]


def _size(problem: Problem) -> tuple[int, int]:
    """K and d."""
    return len(problem.roster), problem.groups.dimension


def _forgetting(problem: Problem) -> DLinUCB:
    arms, d = _size(problem)
    return DLinUCB(arms, d, DLinUCB.tuned_gamma(d, len(problem)))


RIVALS: Mapping[str, Factory] = {
    "best-fixed": lambda problem, _, scenario: BestFixed(problem, scenario),
    "context-free": lambda problem, _, __: ContextFree(len(problem.roster)),
    "d-linucb": lambda problem, _, __: _forgetting(problem),
    "epsilon-greedy": lambda problem, _, __: EpsilonGreedyMeans(len(problem.roster)),
    "epsilon-greedy-ridge": lambda problem, _, __: EpsilonGreedyRidge(*_size(problem)),
    "lints-textbook": lambda problem, _, __: LinTSTextbook(*_size(problem)),
    "linucb-textbook": lambda problem, _, __: LinUCBTextbook(*_size(problem)),
    "linucb-tuned": lambda problem, _, __: LinUCBTextbook(*_size(problem), TUNED_ALPHA),
    "oracle": lambda problem, _, scenario: Oracle(problem, scenario),
    "paretobandit": lambda problem, _, __: ParetoBandit(*_size(problem)),
    "random": lambda _, __, ___: Random(),
    "ridge-full": lambda problem, _, scenario: FullInformationRidge(problem, scenario),
    "squarecb": lambda problem, _, __: SquareCB(*_size(problem)),
}

AT_BUDGET: Mapping[str, Callable[[float], Factory]] = {
    "paretobandit": lambda budget_usd: (
        lambda problem, _, __: ParetoBandit(
            *_size(problem), budget_usd=budget_usd, alpha=ALPHA_AT_BUDGET
        )
    ),
    "static-mix": lambda budget_usd: lambda problem, _, __: StaticMix(problem, budget_usd),
}
