"""Which prompts come, and in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum

import numpy as np
from numpy.typing import NDArray

from banditroute.errors import ConfigError
from banditroute.simulation.problem import Problem
from banditroute.values import Vector

STRONG_SHARE = 0.9  # of a shifted traffic, what comes from the tasks that it is shifted to


@dataclass(frozen=True, slots=True)
class Mix:
    """From request ``at`` on, prompts come by these shares of the groups, which sum to 1."""

    at: int
    shares: Mapping[str, float]

    def weights(self, groups: Sequence[str]) -> Vector:
        """(N,) the probability that each prompt is the next."""
        names, place, sizes = np.unique(groups, return_inverse=True, return_counts=True)
        share = np.array([self.shares.get(str(name), 0.0) for name in names])
        weights: Vector = (share / sizes)[place]
        return weights


def groups_of(problem: Problem) -> tuple[str, ...]:
    """What traffic can be shifted by: tasks; without two of them, short and long prompts."""
    tasks = tuple(task or "" for task in problem.tasks)
    if len(set(tasks)) > 1:
        return tasks
    lengths = np.array([context.input_tokens for context in problem.contexts])
    longer = lengths > np.median(lengths)
    return tuple("long" if one else "short" for one in longer.tolist())


def shares_of(tasks: str | Mapping[str, float], problem: Problem, best: int) -> dict[str, float]:
    """The shares that a scenario asks for, in which ``best`` is the best arm's row.

    Raises ConfigError for a task that the data does not have.
    """
    groups = groups_of(problem)
    known = sorted(set(groups))
    if not isinstance(tasks, str):
        for task in tasks:
            if task not in known:
                text = f'no prompt of task "{task}"; there are {", ".join(known)}'
                raise ConfigError([text], "the traffic")
        total = fsum(tasks.values())
        return {task: share / total for task, share in tasks.items()}
    if len(known) == 1:
        return {known[0]: 1.0}
    strong = _strongest(groups, known, problem, best)
    share = STRONG_SHARE if tasks == "strong" else 1.0 - STRONG_SHARE
    sizes = {name: groups.count(name) for name in known}
    many = sum(sizes[name] for name in strong)
    return {
        name: share * size / many if name in strong else (1.0 - share) * size / (len(groups) - many)
        for name, size in sizes.items()
    }


def _strongest(
    groups: Sequence[str], known: Sequence[str], problem: Problem, best: int
) -> list[str]:
    """The half of the groups in which the best arm leads the best of the others by most."""
    names = np.array(groups)

    def lead(name: str) -> float:
        means = problem.truth[names == name].mean(axis=0)
        others = np.delete(means, best)
        return float(means[best] - (others.max() if len(others) else 0.0))

    ranked = sorted(known, key=lambda name: (-lead(name), name))
    return ranked[: max(len(ranked) // 2, 1)]


def order_of(
    groups: Sequence[str], mixes: Sequence[Mix], requests: int, seed: int
) -> NDArray[np.int64]:
    """(T,) the prompts as they come.

    They are shuffled, and start again in the same order when all have come; from a mix on, the
    group of each is drawn by its shares, and the group's next prompt in the shuffled order comes.
    """
    shuffled = np.random.default_rng(seed).permutation(len(groups))
    order = np.resize(shuffled, requests)
    drawn = np.random.default_rng([seed, 1])
    names = np.array(groups)[shuffled]
    used: dict[str, int] = {}
    ends = [*(mix.at for mix in mixes[1:]), requests]
    for mix, end in zip(mixes, ends, strict=False):
        picked = drawn.choice(list(mix.shares), max(end - mix.at, 0), p=list(mix.shares.values()))
        for name in mix.shares:
            places = np.flatnonzero(picked == name)
            queue = shuffled[names == name]
            first = used.get(name, 0)
            order[mix.at + places] = queue[(first + np.arange(len(places))) % max(len(queue), 1)]
            used[name] = first + len(places)
    return order
