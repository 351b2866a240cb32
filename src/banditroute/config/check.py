"""Rules between tables: names differ, references lead somewhere, every router has arms.

They look at what the file says, not at the validated tables, so that they also hold for a
table with another mistake in it. What has a wrong type is skipped: that is said already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from banditroute.config.draft import tables_of
from banditroute.config.lines import KeyPath, Lines, spell
from banditroute.config.problems import Problem, did_you_mean
from banditroute.config.schema import RouterSettings, matches

IMPLIED_ROUTER = RouterSettings(name="auto")  # what a file without [[routers]] gets

_NAMES = {"routers": "name", "arms": "id", "providers": "name", "tasks": "name"}


def check(raw: Mapping[str, Any], lines: Lines) -> Iterator[Problem]:
    """Everything that no table can know by itself."""
    for array in _NAMES:
        yield from _repeated(raw, array, lines)
    yield from _unknown_providers(raw)
    yield from _simulated_elsewhere(raw)
    yield from _routers_named_like_arms(raw, lines)
    if not raw.get("arms"):
        yield Problem(("arms",), "missing; add at least one [[arms]] for the router to choose")
    arms = [arm_id for _, arm_id in _names(raw, "arms")]
    if arms:  # otherwise no router could do anything right
        for index, router in enumerate(tables_of(raw, "routers")):
            yield from _wrong_arms(router, ("routers", index), arms)
            yield from _wrong_default(router, ("routers", index), arms)


def _names(raw: Mapping[str, Any], array: str) -> list[tuple[int, str]]:
    """What the tables of an array are called, with their index."""
    named = enumerate(table.get(_NAMES[array]) for table in tables_of(raw, array))
    return [(index, name) for index, name in named if isinstance(name, str)]


def _repeated(raw: Mapping[str, Any], array: str, lines: Lines) -> Iterator[Problem]:
    key = _NAMES[array]
    first: dict[str, int] = {}
    for index, name in _names(raw, array):
        if name in first:
            earlier = (array, first[name], key)
            place = f"{spell(earlier)} on line {lines.of(earlier)}"
            yield Problem((array, index, key), f'"{name}" is already {place}; rename one of them')
        first.setdefault(name, index)


def _unknown_providers(raw: Mapping[str, Any]) -> Iterator[Problem]:
    known = [name for _, name in _names(raw, "providers")]
    for index, arm in enumerate(tables_of(raw, "arms")):
        name = arm.get("provider")
        if isinstance(name, str) and name not in known:
            hint = did_you_mean(name, known) or "; add it, or use one that is there"
            yield Problem(("arms", index, "provider"), f'no [[providers]] is named "{name}"{hint}')


def _simulated_elsewhere(raw: Mapping[str, Any]) -> Iterator[Problem]:
    providers = tables_of(raw, "providers")
    real = [provider.get("name") for provider in providers if provider.get("kind") == "openai"]
    for index, arm in enumerate(tables_of(raw, "arms")):
        if "simulated" in arm and arm.get("provider") in real:
            text = "only for the arms of a simulated provider; take it out"
            yield Problem(("arms", index, "simulated"), text)


def _routers_named_like_arms(raw: Mapping[str, Any], lines: Lines) -> Iterator[Problem]:
    arms = {arm_id: index for index, arm_id in _names(raw, "arms")}
    for index, name in _names(raw, "routers"):
        if name in arms:
            arm = ("arms", arms[name], "id")
            place = f"{spell(arm)} on line {lines.of(arm)}"
            yield Problem(("routers", index, "name"), f'"{name}" is also {place}; rename one')
    implied = IMPLIED_ROUTER.name
    if implied in arms and not raw.get("routers"):
        text = f'"{implied}" is the router of a file without [[routers]]; rename the arm'
        yield Problem(("arms", arms[implied], "id"), text)


def _wrong_arms(router: Mapping[str, Any], path: KeyPath, arms: list[str]) -> Iterator[Problem]:
    for place, pattern in enumerate(_patterns(router)):
        if not any(matches(arm_id, [pattern]) for arm_id in arms):
            text = f'"{pattern}" matches no arm{did_you_mean(pattern, arms)}'
            yield Problem((*path, "arms", place), text)


def _wrong_default(router: Mapping[str, Any], path: KeyPath, arms: list[str]) -> Iterator[Problem]:
    default = router.get("default_arm")
    own = [arm_id for arm_id in arms if matches(arm_id, _patterns(router))]
    if default is None and router.get("policy") == "fixed":
        text = 'missing; policy = "fixed" needs the arm that it always takes'
        yield Problem((*path, "default_arm"), text)
    if isinstance(default, str) and default not in own:
        hint = did_you_mean(default, own) or f"; it has {', '.join(own) or 'none'}"
        yield Problem((*path, "default_arm"), f'"{default}" is no arm of this router{hint}')


def _patterns(router: Mapping[str, Any]) -> list[str]:
    """A router's ``arms`` as far as they are strings."""
    patterns = router.get("arms", IMPLIED_ROUTER.arms)
    return [p for p in patterns if isinstance(p, str)] if isinstance(patterns, list | tuple) else []
