"""The tables of a file, each read for itself, so that one mistake hides no other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from pydantic import ValidationError

from banditroute.config.environment import filled, filled_store, misplaced
from banditroute.config.limits import BudgetSettings
from banditroute.config.lines import KeyPath
from banditroute.config.problems import Problem, translate, unknown_key
from banditroute.config.schema import (
    ArmSettings,
    FeatureSettings,
    JudgeSettings,
    KeySettings,
    LoggingSettings,
    OpenAIProviderSettings,
    RouterSettings,
    ServerSettings,
    Settings,
    SimulatedProviderSettings,
    StoreSettings,
    TaskSettings,
)
from banditroute.config.table import Table

_SINGLE: dict[str, type[Table]] = {
    "server": ServerSettings,
    "store": StoreSettings,
    "features": FeatureSettings,
    "logging": LoggingSettings,
    "judge": JudgeSettings,
}
_OPTIONAL = frozenset({"judge"})  # tables that are not even there unless the file has them
_ARRAYS: dict[str, type[Table]] = {
    "routers": RouterSettings,
    "arms": ArmSettings,
    "tasks": TaskSettings,
    "keys": KeySettings,
    "budgets": BudgetSettings,
}


def read(raw: Mapping[str, Any], env: Mapping[str, str]) -> tuple[dict[str, Any], list[Problem]]:
    """Every table of ``raw`` as its model, by key, and what is wrong with the others.

    Nothing is raised. In place of a table with a problem stands None; without problems the
    first half is what :class:`Settings` is made of.
    """
    problems = [*_shape(raw), *misplaced(raw)]
    tables: dict[str, Any] = {}
    for key, model in _SINGLE.items():
        value = raw.get(key, None if key in _OPTIONAL else {})
        if isinstance(value, dict):
            if key == "store":
                value, found = filled_store(value, env)
                problems += found
            tables[key] = _validated(model, value, (key,), problems)
    for key, model in _ARRAYS.items():
        tables[key] = tuple(
            _validated(model, table, (key, index), problems)
            for index, table in enumerate(tables_of(raw, key))
        )
    tables["providers"] = _providers(raw, env, problems)
    return tables, problems


def tables_of(raw: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """An array of tables; empty where it is missing or something else."""
    value = raw.get(key)
    return value if _is_array(value) else []


def _is_array(value: object) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _shape(raw: Mapping[str, Any]) -> Iterator[Problem]:
    """Unknown tables, and tables with the wrong number of brackets."""
    for key, value in raw.items():
        if key not in Settings.model_fields:
            yield Problem((key,), unknown_key(key, Settings.model_fields))
        elif key in _SINGLE and not isinstance(value, dict):
            yield Problem((key,), f"must be one table; begin it with [{key}]")
        elif key not in _SINGLE and not _is_array(value):
            yield Problem((key,), f"must be an array of tables; begin each with [[{key}]]")


def _providers(
    raw: Mapping[str, Any], env: Mapping[str, str], problems: list[Problem]
) -> tuple[Table | None, ...]:
    """The providers that an arm uses; the others are checked too, but need no variables."""
    wanted = [arm.get("provider") for arm in tables_of(raw, "arms")]
    providers: list[Table | None] = []
    for index, table in enumerate(tables_of(raw, "providers")):
        used = table.get("name") in wanted
        complete, found = filled(table, ("providers", index), env, used=used)
        problems += found
        provider = _validated(_kind(table), complete, ("providers", index), problems)
        providers += [provider] if used else []
    return tuple(providers)


def _kind(table: Mapping[str, Any]) -> type[Table]:
    """The model to judge a provider by; one that names no known kind is judged by its keys."""
    if table.get("kind") == "openai" or (table.get("kind") != "simulated" and "base_url" in table):
        return OpenAIProviderSettings
    return SimulatedProviderSettings


def _validated(
    model: type[Table], table: Mapping[str, Any], path: KeyPath, problems: list[Problem]
) -> Table | None:
    """The table as its model, or None and its problems."""
    try:
        return model.model_validate(table)
    except ValidationError as error:
        found = error.errors(include_url=False)
        # pydantic calls an array too short when none of its items is sound; that is no second fault
        real = [item for item in found if item["type"] != "too_short" or not item["input"]]
        problems += [translate(model, path, item) for item in real]
        return None
