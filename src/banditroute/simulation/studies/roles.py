"""Arms by the part they play in a problem, as a scenario begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from banditroute.config.problems import did_you_mean
from banditroute.errors import ConfigError
from banditroute.simulation.problem import Problem
from banditroute.simulation.studies.schema import ROLES
from banditroute.values import Vector


def arm_named(name: str, problem: Problem, answer_value_usd: float, where: str) -> int:
    """The row of an arm by its id or its role.

    Raises ConfigError when there is none; ``where`` is what asks for it.

    ``best``, ``second`` and ``median`` are by mean utility, ``cheapest`` and ``dearest`` by mean
    cost; of an even number of arms, the median is the lower one.
    """
    ids = problem.roster.ids
    if name in ids:
        return ids.index(name)
    if name not in _BY_ROLE:
        near = did_you_mean(name, ids) or f"; there are {', '.join(ids)}"
        roles = ", ".join(ROLES)
        raise ConfigError([f'no arm "{name}"{near}; or name one by its role: {roles}'], where)
    if name in {"cheapest", "dearest"} and not problem.priced:
        problem_is = f'the data has no costs, so that no arm is the "{name}"; name it by its id'
        raise ConfigError([problem_is], where)
    if name == "second" and len(ids) < 2:
        raise ConfigError(['there is one arm only, so that none is the "second"'], where)
    utility = mean_utility(problem, answer_value_usd)
    return _BY_ROLE[name](utility, problem.cost_usd.mean(axis=0))


def mean_utility(problem: Problem, answer_value_usd: float) -> Vector:
    """(K,) what each arm alone is worth on all prompts."""
    worth: Vector = (problem.truth - problem.cost_usd / answer_value_usd).mean(axis=0)
    return worth


_BY_ROLE: Mapping[str, Callable[[Vector, Vector], int]] = {
    "best": lambda utility, _: int(np.argmax(utility)),
    "second": lambda utility, _: int(np.argsort(-utility, kind="stable")[1]),
    "median": lambda utility, _: int(np.argsort(utility, kind="stable")[(len(utility) - 1) // 2]),
    "cheapest": lambda _, cost: int(np.argmin(cost)),
    "dearest": lambda _, cost: int(np.argmax(cost)),
}
