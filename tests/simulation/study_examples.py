"""Small worlds and studies to test the studies with."""

from __future__ import annotations

from banditroute.simulation import Problem, ScenarioSpec, Study, World, WorldArm
from banditroute.simulation.studies.courses import Course, course_of
from banditroute.simulation.studies.scenarios import BUILT_IN

REQUESTS = 300
ARMS = (
    WorldArm("weak", {"chat": 0.5, "code": 0.4, "maths": 0.45, "law": 0.5}, 0.05, 0.2),
    WorldArm("middling", {"default": 0.7}, 0.5, 2.0),
    WorldArm("strong", {"chat": 0.8, "code": 0.95, "maths": 0.95, "law": 0.8}, 2.5, 10.0),
    WorldArm("other", {"chat": 0.75, "code": 0.6, "maths": 0.6, "law": 0.78}, 1.0, 4.0),
)
TASKS = {"chat": 0.4, "code": 0.3, "maths": 0.2, "law": 0.1}
SMALL = World(prompts=REQUESTS, arms=ARMS, tasks=TASKS)


def problem() -> Problem:
    """Four arms: by utility at any worth, and by quality, ``strong`` is the best."""
    return SMALL.problem()


def course(name: str | ScenarioSpec, posed: Problem | None = None, **study: object) -> Course:
    """The course of a built-in scenario, or of one of one's own."""
    spec = BUILT_IN[name] if isinstance(name, str) else name
    return course_of(spec, Study(**study), posed or problem(), study.get("requests", REQUESTS))
