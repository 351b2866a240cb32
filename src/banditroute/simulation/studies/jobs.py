"""One run of a study: what is to be played, and the numbers that come out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from banditroute.simulation.playing import play
from banditroute.simulation.results import Curves, Run
from banditroute.simulation.studies.courses import Course
from banditroute.simulation.studies.phases import Phase, expected_utility, means_of, phases_of
from banditroute.simulation.studies.policies import Making, Policy
from banditroute.simulation.trace import Trace
from banditroute.values import Matrix, Vector

PARTS = 200  # that a run's curves are cut into
FIRST = 500


@dataclass(frozen=True, slots=True)
class Job:
    """One policy at one seed in the scenario number ``chapter``.

    ``label`` is what the policy is called; two policies of one study have different ones.
    """

    chapter: int
    label: str
    policy: Policy
    seed: int


def ends_of(requests: int) -> NDArray[np.int64]:
    """(B,) after how many requests each part of a run ends; B is at most ``PARTS``."""
    parts = min(PARTS, requests)
    return np.round(np.linspace(0, requests, parts + 1)[1:]).astype(np.int64)


def played(
    job: Job, course: Course, floor: float, *, progress: Callable[[int], None] | None = None
) -> Run:
    """Play a job. The same job gives the same run."""
    stakes = course.stakes
    making = Making(floor, stakes.answer_value_usd, stakes.budget_usd)
    player = making.player(job.policy, course.problem, job.seed, course.scenario)
    order = course.order(job.seed)
    trace = play(
        player, course.problem, order.tolist(), job.seed, course.scenario, progress=progress
    )
    return measured(job, course, trace)


def measured(job: Job, course: Course, trace: Trace) -> Run:
    """A trace in numbers and curves."""
    value, size = course.stakes.answer_value_usd, len(trace.arm)
    phases = list(phases_of(course))
    mine, best = expected_utility(phases, trace.prompt, trace.arm, value)
    mine = np.where(_answered(phases, trace), mine, 0.0)
    return Run(
        policy=job.label,
        seed=job.seed,
        means=means_of(trace.quality.mean(), trace.cost_usd.mean(), value),
        quality_first_500=float(trace.quality[:FIRST].mean()),
        quality_last_half=float(trace.quality[size // 2 :].mean()),
        regret=float((best - mine).mean()),
        failed=int(trace.attempts.sum()) - size,
        curves=_curves(trace, value, mine, best, len(course.problem.roster)),
    )


def _answered(phases: list[Phase], trace: Trace) -> NDArray[np.bool_]:
    """(T,) whether the last arm that was called did answer."""
    answered = np.zeros(len(trace.arm), dtype=np.bool_)
    for phase in phases:
        part = slice(phase.begin, phase.end)
        answered[part] = phase.open[trace.arm[part]]
    return answered


def _curves(trace: Trace, value: float, mine: Vector, best: Vector, arms: int) -> Curves:
    ends = ends_of(len(trace.arm))
    utility = trace.utility(value)
    return Curves(
        utility=_means(utility, ends),
        quality=_means(trace.quality, ends),
        cost_usd=_means(trace.cost_usd, ends),
        best_arm=_means(best, ends),
        shares=_shares(trace.arm, ends, arms),
        expected=_means(mine, ends),
    )


def _means(values: Vector, ends: NDArray[np.int64]) -> Vector:
    """(B,) the mean of each part."""
    starts = np.concatenate([[0], ends[:-1]])
    means: Vector = np.add.reduceat(values, starts) / (ends - starts)
    return means


def _shares(arm: NDArray[np.int64], ends: NDArray[np.int64], arms: int) -> Matrix:
    """(B, K) how much of each part every arm answered."""
    part = np.searchsorted(ends, np.arange(len(arm)), side="right")
    counts = np.zeros((len(ends), arms))
    np.add.at(counts, (part, arm), 1.0)
    shares: Matrix = counts / np.diff(ends, prepend=0)[:, None]
    return shares
