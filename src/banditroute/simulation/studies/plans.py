"""What a study comes down to: the data, the courses of its scenarios, and the jobs.

A plan is complete: whatever can be wrong with a study is found before its first run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from banditroute.config.lines import spell
from banditroute.datasets import Dataset, load
from banditroute.errors import ConfigError
from banditroute.simulation.problem import Problem, problem_of
from banditroute.simulation.studies import policies
from banditroute.simulation.studies.checking import mistakes
from banditroute.simulation.studies.courses import Course, course_of
from banditroute.simulation.studies.jobs import Job
from banditroute.simulation.studies.keeping import fingerprint, key_of
from banditroute.simulation.studies.policies import Policy
from banditroute.simulation.studies.scenarios import chosen
from banditroute.simulation.studies.schema import ArmSpec, ScenarioSpec, Study, WorldSpec
from banditroute.simulation.worlds import TASKS, World, WorldArm

Given = Problem | Dataset | World


@dataclass(frozen=True)
class Plan:
    """A study that can be run. ``policies`` maps what each is called to what it is."""

    study: Study
    specs: tuple[ScenarioSpec, ...]
    courses: tuple[Course, ...]
    policies: Mapping[str, Policy]
    made_up: bool = field(default=False)

    @cached_property
    def jobs(self) -> tuple[Job, ...]:
        """Scenario × policy × seed, in that order."""
        return tuple(
            Job(chapter, label, policy, seed)
            for chapter in range(len(self.courses))
            for label, policy in self.policies.items()
            for seed in range(self.study.seeds)
        )

    @cached_property
    def keys(self) -> tuple[str | None, ...]:
        """What each job is kept under; None for a policy that has no name."""
        digests = {id(course.problem): "" for course in self.courses}
        for course in self.courses:
            place = id(course.problem)
            digests[place] = digests[place] or fingerprint(course.problem)
        return tuple(self._key(job, digests) for job in self.jobs)

    def _key(self, job: Job, digests: Mapping[int, str]) -> str | None:
        if not isinstance(job.policy, str):
            return None
        course, spec = self.courses[job.chapter], self.specs[job.chapter]
        return key_of(
            {
                "data": digests[id(course.problem)],
                "scenario": spec.model_dump(mode="json", exclude={"name", "about"}),
                "stakes": repr(course.stakes),
                "requests": course.requests,
                "floor": self.study.floor,
                "policy": job.policy,
                "source": policies.source_digest(job.policy),
                "seed": job.seed,
            }
        )

    @property
    def data(self) -> str:
        """What the study is played on, in words."""
        problem = self.courses[0].problem
        kind = " made-up" if self.made_up else ""
        return f"{problem.name}: {len(problem):,}{kind} prompts × {len(problem.roster)} arms"

    def notes(self) -> Iterator[str]:
        """What a reader of the results must know."""
        study, problem = self.study, self.courses[0].problem
        if study.about:
            yield study.about
        money = study.answer_value_usd or study.budget_usd_per_request
        if money is not None and not problem.priced:
            yield f"{problem.name} has no costs: quality alone counts"
        if not study.task:
            yield "policies are not told the task of a prompt"
        if self.courses[0].requests > len(problem):
            yield f"prompts come again in the same order after {len(problem):,} requests"
        if any(course.stakes.budget_usd for course in self.courses):
            yield "at a budget, the best fixed arm and regret are what they are without it"
            heedless = ", ".join(policies.heedless(self.policies.values()))
            if heedless:
                yield f"of a budget, these policies know nothing: {heedless}"


def plan_of(
    study: Study, given: Given | None = None, players: Mapping[str, Policy] | None = None
) -> Plan:
    """The plan of a study; ``given`` and ``players`` count instead of its data and policies.

    Raises ConfigError listing what is wrong with it, and DataError for its data.
    """
    asked = players or {spec: spec for spec in study.policies}
    _refuse_mistakes(study, given, asked)
    source = _Source(study, given)
    specs = tuple(chosen(study))
    courses = tuple(_course(spec, study, source) for spec in specs)
    plan = Plan(study, specs, courses, asked, source.made_up)
    for spec, course in zip(specs, courses, strict=True):
        _refuse_wrong_policies(plan, spec, course)
    return plan


def _refuse_mistakes(study: Study, given: Given | None, asked: Mapping[str, Policy]) -> None:
    """What is given takes the place of what the study names, and is judged so."""
    named = tuple(policy for policy in asked.values() if isinstance(policy, str))
    changes: dict[str, object] = {"policies": named}
    if given is not None:
        changes |= {"data": None, "world": WorldSpec() if isinstance(given, World) else None}
    found = mistakes(study.model_copy(update=changes))
    problems = [f"{spell(problem.path)}: {problem.text}" for problem in found]
    if problems:
        raise ConfigError(problems, f"study {study.name}")


class _Source:
    """Problems, each made once: the study's, and with as many arms as a scenario draws."""

    def __init__(self, study: Study, given: Given | None) -> None:
        self._given: Given = _given(study) if given is None else given
        self._with_task = study.task
        self._made: dict[int | None, Problem] = {}
        self.made_up = isinstance(self._given, World)

    def problem(self, arms: int | None) -> Problem:
        """The problem, with so many arms drawn for a made-up world."""
        if arms not in self._made:
            self._made[arms] = self._make(arms)
        return self._made[arms]

    def _make(self, arms: int | None) -> Problem:
        match self._given:
            case World() as world:
                drawn = world if arms is None else replace(world, arms=arms)
                return drawn.problem(with_task=self._with_task)
            case Dataset() as data:
                return problem_of(data, with_task=self._with_task)
            case problem:
                return problem


def _given(study: Study) -> Given:
    if study.world is not None:
        return world_of(study.world, study.name)
    if study.data is None:
        text = "there are no prompts; say --data FOLDER, or [data] or [world] in a study file"
        raise ConfigError([text], f"study {study.name}")
    return load(study.data.path, study.data.format, study.data.arms)


def world_of(spec: WorldSpec, name: str) -> World:
    """The world that a study describes."""
    arms = spec.arms if isinstance(spec.arms, int) else tuple(map(_arm, spec.arms))
    return World(spec.prompts, arms, dict(spec.tasks or TASKS), spec.seed, name)


def _arm(spec: ArmSpec) -> WorldArm:
    return WorldArm(**spec.model_dump())


def _course(spec: ScenarioSpec, study: Study, source: _Source) -> Course:
    problem = source.problem(spec.arms)
    return course_of(spec, study, problem, study.requests or len(problem))


def _refuse_wrong_policies(plan: Plan, spec: ScenarioSpec, course: Course) -> None:
    stakes = course.stakes
    making = policies.Making(plan.study.floor, stakes.answer_value_usd, stakes.budget_usd)
    for label, policy in plan.policies.items():
        if policies.needs_budget(policy) and stakes.budget_usd is None:
            how = "say budget_usd_per_request, or leave it out"
            text = f'policy "{label}" needs a budget in scenario "{spec.name}"; {how}'
            raise ConfigError([text], f"study {plan.study.name}")
        making.refuse_unusable(policy, course.problem)
