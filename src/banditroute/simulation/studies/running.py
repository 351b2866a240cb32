"""From a plan to results: what was kept is taken, what is missing is played."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from banditroute.errors import StudyError
from banditroute.simulation.results import Chapter, Means, Results, Run
from banditroute.simulation.studies.courses import Course
from banditroute.simulation.studies.jobs import Job, ends_of
from banditroute.simulation.studies.keeping import Shelf, packed, rounded, unpacked
from banditroute.simulation.studies.phases import Bounds, baselines_of, phases_of
from banditroute.simulation.studies.plans import Plan
from banditroute.simulation.studies.schema import ScenarioSpec
from banditroute.simulation.studies.workers import Failure, Outcomes, elsewhere, here
from banditroute.values import Vector


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a study is; ``kept`` of the runs that are done were done before."""

    requests: int
    of_requests: int
    runs: int
    of_runs: int
    kept: int


Watch = Callable[[Progress], None]


def run(
    plan: Plan, *, processes: int = 1, folder: Path | None = None, watch: Watch | None = None
) -> Results:
    """Play a plan. The same plan gives the same results on any number of processes.

    Finished runs are kept in ``folder``, and are not played again. Policies that another process
    could not import are played in this one. Raises StudyError when a run fails.
    """
    runs = _Runs(plan, Shelf.at(folder), watch or (lambda _: None))
    runs.play(processes)
    chapters = tuple(
        _chapter(spec, course, runs.of(number), plan.study.seeds)
        for number, (spec, course) in enumerate(zip(plan.specs, plan.courses, strict=True))
    )
    study = plan.study
    return Results(study.name, study.title or study.name, plan.data, chapters, (*plan.notes(),))


class _Runs:
    """The runs of a plan as they come."""

    def __init__(self, plan: Plan, shelf: Shelf, watch: Watch) -> None:
        self._plan, self._shelf, self._watch = plan, shelf, watch
        self._keys = dict(zip(plan.jobs, plan.keys, strict=True)) if shelf.folder else {}
        self._done: dict[Job, Run] = {
            job: found for job, key in self._keys.items() if key and (found := shelf.find(key))
        }
        self._kept = len(self._done)
        self._requests = sum(plan.courses[job.chapter].requests for job in self._done)

    def play(self, processes: int) -> None:
        """Play all that is missing."""
        missing = [job for job in self._plan.jobs if job not in self._done]
        self._tell(0)
        if not missing:
            return
        with closing(self._played(missing, processes)) as played:
            for job, outcome in played:
                self._take(job, outcome)

    def of(self, chapter: int) -> tuple[Run, ...]:
        """The runs of one chapter, in order of the jobs."""
        return tuple(self._done[job] for job in self._plan.jobs if job.chapter == chapter)

    def _played(self, missing: Sequence[Job], processes: int) -> Outcomes:
        courses, floor = self._plan.courses, self._plan.study.floor
        if all(map(_can_travel, self._plan.policies.values())):
            return elsewhere(missing, courses, floor, self._tell, processes)
        return here(missing, courses, floor, self._tell)

    def _take(self, job: Job, outcome: Run | Failure) -> None:
        if isinstance(outcome, Failure):
            scenario = self._plan.specs[job.chapter].name
            raise StudyError(
                f'policy {job.label} failed in scenario "{scenario}" at seed {job.seed}: '
                f"{outcome.words}"
            )
        key = self._keys.get(job)
        if key is not None:
            self._shelf.keep(key, outcome)
        self._done[job] = unpacked(packed(outcome))
        self._tell(0)

    def _tell(self, more: int) -> None:
        self._requests += more
        jobs = self._plan.jobs
        total = sum(self._plan.courses[job.chapter].requests for job in jobs)
        done = total if len(self._done) == len(jobs) else min(self._requests, total)
        self._watch(Progress(done, total, len(self._done), len(jobs), self._kept))


def _can_travel(policy: object) -> bool:
    """Whether another process can have a policy: by name, or by what it can import."""
    if isinstance(policy, str):
        return True
    if getattr(policy, "__module__", "__main__") == "__main__":
        return False
    try:
        pickle.dumps(policy)
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return True


def _chapter(spec: ScenarioSpec, course: Course, runs: tuple[Run, ...], seeds: int) -> Chapter:
    problem, stakes = course.problem, course.stakes
    phases, value = list(phases_of(course)), stakes.answer_value_usd
    bounds = [Bounds.of(phases, course.order(seed), value) for seed in range(seeds)]
    return Chapter(
        scenario=spec.name,
        about=spec.about,
        marks=course.marks,
        arms=problem.roster.ids,
        arm_quality=_rounded(problem.quality.mean(axis=0)),
        arm_cost_usd=_rounded(problem.cost_usd.mean(axis=0)),
        answer_value_usd=value,
        budget_usd=stakes.budget_usd,
        requests=course.requests,
        ends=ends_of(course.requests),
        baselines={name: _means(means) for name, means in baselines_of(bounds, value).items()},
        runs=runs,
    )


def _means(means: Means) -> Means:
    return Means(rounded(means.quality), rounded(means.cost_usd), rounded(means.utility))


def _rounded(values: Vector) -> Vector:
    return np.array([rounded(value) for value in values.tolist()])
