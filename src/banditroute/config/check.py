"""Rules between tables: names differ, references lead somewhere, every router has arms.

They look at what the file says, not at the validated tables, so that they also hold for a
table with another mistake in it. What has a wrong type is skipped: that is said already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from banditroute.config.draft import tables_of
from banditroute.config.limits import LIMITS
from banditroute.config.lines import KeyPath, Lines, spell
from banditroute.config.problems import Problem, did_you_mean
from banditroute.config.schema import RouterSettings, matches

IMPLIED_ROUTER = RouterSettings(name="auto")  # what a file without [[routers]] gets

_NAMES = {"routers": "name", "arms": "id", "providers": "name", "tasks": "name", "keys": "name"}


def check(raw: Mapping[str, Any], lines: Lines) -> Iterator[Problem]:
    """Everything that no table can know by itself."""
    for array in _NAMES:
        yield from _repeated(raw, array, lines)
    yield from _same_key_twice(raw, lines)
    yield from _unknown_providers(raw)
    yield from _simulated_elsewhere(raw)
    yield from _routers_named_like_arms(raw, lines)
    yield from _wrong_judge(raw)
    yield from _wrong_budgets(raw)
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


def _same_key_twice(raw: Mapping[str, Any], lines: Lines) -> Iterator[Problem]:
    first: dict[object, int] = {}
    for index, table in enumerate(tables_of(raw, "keys")):
        earlier = first.setdefault(table.get("hash"), index)
        if earlier != index and isinstance(table.get("hash"), str):
            line = lines.of(("keys", earlier, "hash"))
            yield Problem(("keys", index, "hash"), f"the same key as on line {line}; remove one")


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
    default, baseline = router.get("default_arm"), router.get("baseline_arm")
    own = [arm_id for arm_id in arms if matches(arm_id, _patterns(router))]
    if default is None and router.get("policy") == "fixed":
        text = 'missing; policy = "fixed" needs the arm that it always takes'
        yield Problem((*path, "default_arm"), text)
    for key, named in (("default_arm", default), ("baseline_arm", baseline)):
        if isinstance(named, str) and named not in own:
            hint = did_you_mean(named, own) or f"; it has {', '.join(own) or 'none'}"
            yield Problem((*path, key), f'"{named}" is no arm of this router{hint}')


def _wrong_judge(raw: Mapping[str, Any]) -> Iterator[Problem]:
    judge = raw.get("judge")
    if not isinstance(judge, dict):
        return
    arms = {arm_id: tables_of(raw, "arms")[index] for index, arm_id in _names(raw, "arms")}
    asked = judge.get("arm")
    if isinstance(asked, str) and asked not in arms:
        text = f'no [[arms]] has the id "{asked}"{did_you_mean(asked, arms)}'
        yield Problem(("judge", "arm"), text)
    elif isinstance(asked, str) and "json" not in _strings(arms[asked], "capabilities", ("json",)):
        text = f'"{asked}" lacks the capability "json", in which a judge answers'
        yield Problem(("judge", "arm"), text)
    yield from _wrong_routers(raw, judge, ("judge",))


def _wrong_budgets(raw: Mapping[str, Any]) -> Iterator[Problem]:
    for index, router in enumerate(tables_of(raw, "routers")):
        if isinstance(router.get("budget"), dict):
            yield from _limits_nothing(router["budget"], ("routers", index, "budget"))
    for index, budget in enumerate(tables_of(raw, "budgets")):
        yield from _limits_nothing(budget, ("budgets", index))
        yield from _wrong_payer(raw, budget, ("budgets", index))
        yield from _wrong_routers(raw, budget, ("budgets", index))


def _limits_nothing(budget: Mapping[str, Any], path: KeyPath) -> Iterator[Problem]:
    if budget.keys() <= {"tag", "key", "routers", "when_spent"}:  # a misspelt limit is no second
        yield Problem(path, f"limits nothing; give it {', '.join(LIMITS[:-1])} or {LIMITS[-1]}")


def _wrong_payer(
    raw: Mapping[str, Any], budget: Mapping[str, Any], path: KeyPath
) -> Iterator[Problem]:
    keys, key = [name for _, name in _names(raw, "keys")], budget.get("key")
    if not budget.keys() & {"tag", "key"}:
        yield Problem(path, 'says not whose it is; give it tag = "..." or key = "..."')
    elif {"tag", "key"} <= budget.keys():
        yield Problem((*path, "key"), "stands beside a tag; a budget is for one of the two")
    if isinstance(key, str) and key not in keys:
        hint = did_you_mean(key, keys) or "; add it, or use one that is there"
        yield Problem((*path, "key"), f'no [[keys]] is named "{key}"{hint}')


def _wrong_routers(
    raw: Mapping[str, Any], table: Mapping[str, Any], path: KeyPath
) -> Iterator[Problem]:
    routers = [name for _, name in _names(raw, "routers")] or [IMPLIED_ROUTER.name]
    for place, pattern in enumerate(_strings(table, "routers", ("*",))):
        if not any(matches(name, [pattern]) for name in routers):
            text = f'"{pattern}" matches no router{did_you_mean(pattern, routers)}'
            yield Problem((*path, "routers", place), text)


def _patterns(router: Mapping[str, Any]) -> list[str]:
    """A router's ``arms`` as far as they are strings."""
    return _strings(router, "arms", IMPLIED_ROUTER.arms)


def _strings(table: Mapping[str, Any], key: str, default: Sequence[str]) -> list[str]:
    """An array of a table as far as it holds strings."""
    values = table.get(key, default)
    return [v for v in values if isinstance(v, str)] if isinstance(values, list | tuple) else []
