"""What was possible in a run: the best single arm at any time, and who knows everything.

A run falls into phases in which nothing changes: the same data, the same arms, the same traffic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from banditroute.simulation.problem import Problem
from banditroute.simulation.results import Means
from banditroute.simulation.studies.courses import Course
from banditroute.simulation.studies.traffic import groups_of
from banditroute.values import Matrix, Vector


@dataclass(frozen=True, slots=True)
class Phase:
    """Requests ``begin`` to ``end``; ``open`` (K,) the arms that answer.

    ``best`` is the open arm with the highest expected utility over the prompts that may come.
    """

    begin: int
    end: int
    problem: Problem
    open: NDArray[np.bool_]
    best: int


def phases_of(course: Course) -> Iterator[Phase]:
    """The phases of a course, in order, none of them empty."""
    problem, value = course.problem, course.stakes.answer_value_usd
    groups = groups_of(problem) if course.mixes else ()
    cuts = sorted({0, course.requests, *_cuts(course)} & set(range(course.requests + 1)))
    for begin, end in pairwise(cuts):
        if begin in course.scenario.changes:
            problem = course.scenario.changes[begin](problem)
        mix = next((m for m in reversed(course.mixes) if m.at <= begin), None)
        weights = np.full(len(problem), 1.0 / len(problem)) if mix is None else mix.weights(groups)
        there = _open(course, begin)
        utility = weights @ (problem.truth - problem.cost_usd / value)
        best = int(np.argmax(np.where(there, utility, -np.inf)))
        yield Phase(begin, end, problem, there, best)


def _cuts(course: Course) -> Iterator[int]:
    yield from course.scenario.changes
    yield from course.scenario.arrivals.values()
    yield from (mix.at for mix in course.mixes)
    for outage in course.scenario.outages:
        yield from (outage.begin, outage.end)


def _open(course: Course, at: int) -> NDArray[np.bool_]:
    down = {one.arm_id for one in course.scenario.outages if one.begin <= at < one.end}
    ids = course.problem.roster.ids
    gone = course.scenario.barred(ids, at) | down
    return np.array([arm_id not in gone for arm_id in ids])


def expected_utility(
    phases: Sequence[Phase], order: NDArray[np.int64], arm: NDArray[np.int64], value: float
) -> tuple[Vector, Vector]:
    """(T,) each: what the arms that answered were expected to be worth, and the best single arm."""
    mine, best = np.zeros(len(order)), np.zeros(len(order))
    for phase in phases:
        part, problem = slice(phase.begin, phase.end), phase.problem
        prompts, rows = order[part], arm[part]
        mine[part] = problem.truth[prompts, rows] - problem.cost_usd[prompts, rows] / value
        best[part] = (
            problem.truth[prompts, phase.best] - problem.cost_usd[prompts, phase.best] / value
        )
    return mine, best


@dataclass(frozen=True, slots=True)
class Bounds:
    """What others would have done on the prompts of one run, per request.

    ``fixed`` (K, 2) is the quality and cost of each arm, while it does not answer those of the
    best that does; ``random`` and ``oracle`` (2,) are every arm equally often, and the best
    answer to every prompt.
    """

    fixed: Matrix
    random: Vector
    oracle: Vector

    @classmethod
    def of(cls, phases: Sequence[Phase], order: NDArray[np.int64], value: float) -> Bounds:
        """Sum up over the phases."""
        parts = [_bounds(phase, order[phase.begin : phase.end], value) for phase in phases]
        sums = [np.sum(column, axis=0) / len(order) for column in zip(*parts, strict=True)]
        return cls(*sums)


def _bounds(
    phase: Phase, prompts: NDArray[np.int64], value: float
) -> tuple[Matrix, Vector, Vector]:
    """Sums over the prompts of a phase, as of :class:`Bounds`."""
    quality, cost = phase.problem.quality[prompts], phase.problem.cost_usd[prompts]
    both = np.stack([quality, cost], axis=2)  # (n, K, 2)
    answers = np.where(phase.open[:, None], both, both[:, [phase.best]])
    utility = np.where(phase.open, quality - cost / value, -np.inf)
    top = utility.argmax(axis=1)
    return (
        answers.sum(axis=0),
        both[:, phase.open].mean(axis=1).sum(axis=0),
        both[np.arange(len(prompts)), top].sum(axis=0),
    )


def baselines_of(bounds: Sequence[Bounds], value: float) -> dict[str, Means]:
    """Means over the runs at all seeds; the best fixed arm is one arm for all of them."""
    fixed = np.mean([one.fixed for one in bounds], axis=0)
    best = fixed[int(np.argmax(fixed[:, 0] - fixed[:, 1] / value))]
    rows = {
        "best_fixed": best,
        "random": np.mean([one.random for one in bounds], axis=0),
        "oracle": np.mean([one.oracle for one in bounds], axis=0),
    }
    return {name: means_of(row[0], row[1], value) for name, row in rows.items()}


def means_of(quality: float, cost_usd: float, value: float) -> Means:
    """Quality, cost and the utility that follows."""
    return Means(float(quality), float(cost_usd), float(quality - cost_usd / value))
