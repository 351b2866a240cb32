"""What is wrong with a study that no single key of it shows, without looking at its data."""

from __future__ import annotations

from collections.abc import Iterator

from banditroute.config.problems import Problem, did_you_mean
from banditroute.simulation.studies import policies
from banditroute.simulation.studies.scenarios import BUILT_IN
from banditroute.simulation.studies.schema import OutageEvent, ScenarioSpec, Study


def mistakes(study: Study) -> Iterator[Problem]:
    """Every problem, with the key that it is about."""
    if study.answer_value_usd is not None and study.budget_usd_per_request is not None:
        text = "there is an answer_value_usd too; a study has one or the other"
        yield Problem(("budget_usd_per_request",), text)
    if study.data is not None and study.world is not None:
        yield Problem(("world",), "there is [data] too; a study has one or the other")
    yield from _wrong_policies(study)
    yield from _wrong_scenarios(study)
    yield from _wrong_world(study)


def _wrong_policies(study: Study) -> Iterator[Problem]:
    for index, spec in enumerate(study.policies):
        text = policies.mistake(spec)
        if spec in study.policies[:index]:
            text = f'"{spec}" is named twice; name each policy once'
        if text is not None:
            yield Problem(("policies", index), text)


def _wrong_scenarios(study: Study) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, scenario in enumerate(study.scenarios):
        name = scenario if isinstance(scenario, str) else scenario.name
        key = ("scenarios", index) if isinstance(scenario, str) else ("scenarios", index, "name")
        if name in seen:
            yield Problem(key, f'"{name}" is there twice; rename one of them')
        elif isinstance(scenario, str) and name not in BUILT_IN:
            near = did_you_mean(name, BUILT_IN) or f"; there are {', '.join(BUILT_IN)}"
            yield Problem(key, f'no built-in scenario "{name}"{near}')
        elif isinstance(scenario, ScenarioSpec):
            yield from _wrong_table(scenario, index)
        seen.add(name)
        found = BUILT_IN.get(scenario) if isinstance(scenario, str) else scenario
        if found is not None and found.arms is not None and study.world is None:
            text = f'"{name}" draws arms, which only a made-up [world] can do'
            yield Problem(("scenarios", index), text)


def _wrong_table(scenario: ScenarioSpec, index: int) -> Iterator[Problem]:
    for place, event in enumerate(scenario.events):
        if isinstance(event, OutageEvent) and _ends_early(event):
            path = ("scenarios", index, "events", place, "until")
            yield Problem(path, f"must be later than at = {event.at}, is {event.until}")


def _wrong_world(study: Study) -> Iterator[Problem]:
    if study.world is None or isinstance(study.world.arms, int):
        return
    seen: set[str] = set()
    for index, arm in enumerate(study.world.arms):
        if arm.id in seen:
            text = f'"{arm.id}" is the id of an arm before it; rename one of them'
            yield Problem(("world", "arms", index, "id"), text)
        seen.add(arm.id)


def _ends_early(event: OutageEvent) -> bool:
    """Whether two moments of the same kind are in the wrong order."""
    return type(event.at) is type(event.until) and event.until <= event.at
