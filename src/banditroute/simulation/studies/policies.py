"""Who plays: policies by name, the router's own and its rivals'.

``thompson``, ``linucb``, ``linucb:2``, ``epsilon-greedy:0.1``, ``greedy``, ``uniform`` and
``fixed:ARM`` are the router with that policy; the names of
:mod:`banditroute.simulation.rivals` are played as published (its ``epsilon-greedy`` is
``epsilon-greedy-means`` here); ``file.py:Class`` is a user's own: a player, which learns by
itself, or a policy for the router.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeAlias

from banditroute.config.problems import did_you_mean
from banditroute.core.choice import Rules
from banditroute.core.pacing import Budget
from banditroute.core.policies import POLICY_NAMES, policy_from
from banditroute.plugins import is_own, load_class, source_of
from banditroute.simulation.own import load_player
from banditroute.simulation.players import Player, RouterPlayer
from banditroute.simulation.problem import Problem
from banditroute.simulation.rivals import AT_BUDGET, RIVALS, Factory
from banditroute.simulation.scenario import Scenario
from banditroute.simulation.studies.roles import arm_named

Policy: TypeAlias = str | Factory

_RIVALS: Mapping[str, Factory] = {
    f"{name}-means" if name in POLICY_NAMES else name: make for name, make in RIVALS.items()
}
_PLAIN = frozenset({"thompson", "greedy", "uniform"})  # take no parameter


def policy_names() -> tuple[str, ...]:
    """Every name that a study knows."""
    routers = [f"{name}:ARM" if name == "fixed" else name for name in POLICY_NAMES]
    return (*routers, *sorted(_RIVALS.keys() | AT_BUDGET.keys()))


def is_router(spec: str) -> bool:
    """Whether a policy is the router's, with one of its own policies or a user's."""
    if is_own(spec):
        return not hasattr(load_class(spec), "told")
    return spec.partition(":")[0] in POLICY_NAMES


def needs_budget(spec: Policy) -> bool:
    """Whether a policy is nothing without a budget."""
    return spec in AT_BUDGET and spec not in _RIVALS


def mistake(spec: str) -> str | None:
    """What is wrong with a policy's name, in words."""
    name, _, parameter = spec.partition(":")
    if name in POLICY_NAMES:
        return _wrong_parameter(name, parameter)
    if is_own(spec) or spec in _RIVALS or spec in AT_BUDGET:
        return None
    known = policy_names()
    near = did_you_mean(spec, known) or f"; known: {', '.join(known)}, or your own file.py:Class"
    return f'unknown policy "{spec}"{near}'


def _wrong_parameter(name: str, parameter: str) -> str | None:
    if name in _PLAIN and parameter:
        return f'"{name}" takes no parameter; take ":{parameter}" out'
    if name == "fixed":
        return None if parameter else '"fixed" needs its arm; say "fixed:ARM", or "fixed:best"'
    try:
        value = float(parameter or "0")
    except ValueError:
        value = -1.0
    most = 1.0 if name == "epsilon-greedy" else 1e6
    if not 0.0 <= value <= most:
        return f'"{name}:{parameter}": the parameter must be a number from 0 to {most:g}'
    return None


def heedless(policies: Iterable[Policy]) -> list[str]:
    """The policies that a budget changes nothing for."""
    named = (policy for policy in policies if isinstance(policy, str))
    return [spec for spec in named if not is_router(spec) and spec not in AT_BUDGET]


@dataclass(frozen=True, slots=True)
class Making:
    """How to make a player: exploration floor, and the worth and the budget of an answer."""

    floor: float
    answer_value_usd: float
    budget_usd: float | None

    def player(self, policy: Policy, problem: Problem, seed: int, course: Scenario) -> Player:
        """The player of a policy.

        Raises ConfigError for an arm that there is not, PluginError for a class that is not.
        """
        if not isinstance(policy, str):
            return policy(problem, seed, course)
        if is_own(policy):
            return self._own(policy)(problem, seed, course)
        if is_router(policy):
            return self._router(policy, problem, seed)
        if self.budget_usd is not None and policy in AT_BUDGET:
            return AT_BUDGET[policy](self.budget_usd)(problem, seed, course)
        return _RIVALS[policy](problem, seed, course)

    def refuse_unusable(self, policy: Policy, problem: Problem) -> None:
        """Raise what making its player would raise."""
        if isinstance(policy, str) and is_own(policy):
            self._own(policy)
        elif isinstance(policy, str) and is_router(policy):
            self._router(policy, problem, 0)

    @property
    def _budget(self) -> Budget | None:
        return None if self.budget_usd is None else Budget(usd_per_request=self.budget_usd)

    def _own(self, spec: str) -> Factory:
        return load_player(spec, floor=self.floor, budget=self._budget)

    def _router(self, spec: str, problem: Problem, seed: int) -> RouterPlayer:
        name, _, parameter = spec.partition(":")
        if name == "fixed":
            row = arm_named(parameter, problem, self.answer_value_usd, f"policy {spec}")
            spec = f"fixed:{problem.roster.ids[row]}"
        rules = Rules(policy_from(spec), self.floor, seed)
        return RouterPlayer(problem.groups, rules, self._budget)


def source_digest(policy: str) -> str:
    """What tells a user's own file from what it was; nothing for policies by name."""
    return sha256(source_of(policy)).hexdigest() if is_own(policy) else ""
