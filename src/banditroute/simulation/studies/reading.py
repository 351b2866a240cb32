"""From a study file to a study: every mistake at once, each with its line."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from banditroute.config.lines import KeyPath, Lines
from banditroute.config.problems import Problem, did_you_mean, in_order, keys_of, translate
from banditroute.config.table import Table
from banditroute.errors import ConfigError
from banditroute.plugins import is_own
from banditroute.simulation.studies.checking import mistakes
from banditroute.simulation.studies.scenarios import BUILT_IN, chosen
from banditroute.simulation.studies.schema import (
    EVENTS,
    ArmSpec,
    DataSpec,
    Poison,
    ScenarioSpec,
    Study,
    WorldSpec,
)

_SINGLE: Mapping[str, type[Table]] = {"data": DataSpec, "world": WorldSpec}
_STAKES = ("answer_value_usd", "budget_usd_per_request")
_SCENARIOS = 'must be an array of names and tables, such as ["stationary", "regression"]'


def load_study(path: Path) -> Study:
    """The study in a file. Raises ConfigError, listing every problem at once.

    Paths in the file are relative to its folder.
    """
    return parse_study(_text_of(path), str(path), path.parent)


def parse_study(text: str, source: str = "study.toml", folder: Path = Path()) -> Study:
    """The study in a TOML text. ``source`` is what errors call it; raises as ``load_study``."""
    try:
        raw = tomllib.loads(text)
    except ValueError as error:
        raise ConfigError([f"not valid TOML: {error}{_both_ways(str(error))}"], source) from None
    problems: list[Problem] = []
    study = _study(raw, problems)
    if study is not None and not problems:
        problems += mistakes(study)
    if study is None or problems:
        raise ConfigError(in_order(problems, Lines(text)), source)
    return _placed(study, folder)


def revised(
    study: Study, given: Mapping[str, Any], feedback: Mapping[str, Any], data: Mapping[str, Any]
) -> Study:
    """A study with other values: keys of its own, feedback of its scenarios, keys of its data.

    Raises ConfigError listing every problem.
    """
    problems: list[Problem] = []
    changes = dict(given)
    if not changes.keys().isdisjoint(_STAKES):
        changes = dict.fromkeys(_STAKES) | changes
    if data:
        changes |= _other_data(study, data, problems)
    whole = {name: getattr(study, name) for name in Study.model_fields} | changes
    made = _validated(Study, whole, (), problems)
    if isinstance(made, Study) and not problems:
        problems += mistakes(made)
    if problems or not isinstance(made, Study):
        raise ConfigError(in_order(problems, Lines("")), "the options")
    return made.model_copy(update={"scenarios": _heard(made, feedback)}) if feedback else made


def _other_data(study: Study, data: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
    if study.data is None and "path" not in data:
        text = "--arms and --format are about a data folder; name it with --data"
        problems.append(Problem(("data",), text))
        return {}
    old = study.data.model_dump(exclude_none=True) if study.data else {}
    changed = {"data": _validated(DataSpec, {**old, **data}, ("data",), problems)}
    return changed | {"world": None} if "path" in data else changed


def _heard(study: Study, feedback: Mapping[str, Any]) -> tuple[ScenarioSpec, ...]:
    """The scenarios of a study with other feedback."""
    said = []
    for spec in chosen(study):
        other = spec.model_copy(update=feedback)
        rate, delay = other.feedback_rate, other.feedback_delay
        about = f"{spec.about} (Feedback on {rate:.1%} of the answers, with a delay of {delay}.)"
        said.append(other.model_copy(update={"about": about}))
    return tuple(said)


def _study(raw: Mapping[str, Any], problems: list[Problem]) -> Study | None:
    tables: dict[str, Any] = {
        key: _single(model, raw[key], key, problems) for key, model in _SINGLE.items() if key in raw
    }
    if "scenarios" in raw:
        tables["scenarios"] = _scenarios(raw["scenarios"], problems)
    flat = {key: value for key, value in raw.items() if key not in Study.TABLES}
    complete = {key: value for key, value in tables.items() if value is not None}
    made = _validated(Study, flat | complete, (), problems)
    return made if isinstance(made, Study) else None


def _single(model: type[Table], value: object, key: str, problems: list[Problem]) -> Table | None:
    if not isinstance(value, dict):
        problems.append(Problem((key,), f"must be one table; begin it with [{key}]"))
        return None
    if key == "world" and isinstance(value.get("arms"), list):
        arms = _array(ArmSpec, value["arms"], (key, "arms"), problems)
        value = value | {"arms": arms} if arms else {k: v for k, v in value.items() if k != "arms"}
    return _validated(model, value, (key,), problems)


def _scenarios(value: object, problems: list[Problem]) -> list[Any] | None:
    """Every scenario, as the name of a built-in one or as its table."""
    if not isinstance(value, list) or not value:
        problems.append(Problem(("scenarios",), _SCENARIOS))
        return None
    found = [_scenario(one, ("scenarios", at), problems) for at, one in enumerate(value)]
    return [one for one in found if one is not None] or None


def _scenario(value: object, path: KeyPath, problems: list[Problem]) -> object | None:
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        problems.append(Problem(path, "must be a name in quotes, or a table"))
        return None
    name = value.get("name")
    if isinstance(name, str) and name in BUILT_IN:
        if len(value) == 1:
            return name
        text = f'"{name}" is a built-in scenario; give yours another name'
        problems.append(Problem((*path, "name"), text))
    table = dict(value)
    if "events" in table:
        table["events"] = _events(table["events"], (*path, "events"), problems)
    if isinstance(table.get("poison"), dict):
        poison = _validated(Poison, table["poison"], (*path, "poison"), problems)
        table["poison"] = poison
    return _validated(ScenarioSpec, table, path, problems)


def _events(value: object, path: KeyPath, problems: list[Problem]) -> list[Table]:
    if not isinstance(value, list):
        problems.append(Problem(path, "must be an array of tables"))
        return []
    found = [_event(one, (*path, at), problems) for at, one in enumerate(value)]
    return [event for event in found if event is not None]


def _event(value: object, path: KeyPath, problems: list[Problem]) -> Table | None:
    kind = value.get("kind") if isinstance(value, dict) else None
    if isinstance(kind, str) and kind in EVENTS:
        return _validated(EVENTS[kind], value, path, problems)
    said = f', is "{kind}"{did_you_mean(kind, EVENTS)}' if isinstance(kind, str) else ""
    known = ", ".join(f'"{name}"' for name in EVENTS)
    problems.append(Problem((*path, "kind"), f"must be one of {known}{said}"))
    return None


def _array(
    model: type[Table], value: Sequence[object], path: KeyPath, problems: list[Problem]
) -> list[Table]:
    found = [_validated(model, one, (*path, at), problems) for at, one in enumerate(value)]
    return [one for one in found if one is not None]


def _validated(
    model: type[Table], value: object, path: KeyPath, problems: list[Problem]
) -> Table | None:
    """The table as its model, or None and its problems."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False)
        problems += _unrepeated(_problem(model, path, item) for item in found)
        return None


def _unrepeated(problems: Iterator[Problem]) -> Iterator[Problem]:
    """One problem for each key: a value that fits no way of writing it is one mistake."""
    seen: set[KeyPath] = set()
    for problem in problems:
        if problem.path not in seen:
            seen.add(problem.path)
            yield problem


def _problem(model: type[Table], path: KeyPath, error: ErrorDetails) -> Problem:
    """A pydantic error in words; what it says of unknown and missing keys is about a study."""
    known = keys_of(model)
    key = error["loc"][0] if error["loc"] else None
    inside = () if key is None else (key,)
    match error["type"]:
        case "extra_forbidden":
            near = did_you_mean(str(key), known) or f"; known here: {', '.join(known)}"
            text = f"unknown key{near}"
        case "missing":
            text = "missing; it has no default"
        case "value_error":
            text = str(error.get("ctx", {}).get("error", error["msg"]))
        case _ if inside:
            text = translate(model, path, error | {"loc": inside}).text
        case _:
            text = "must be a table"
    return Problem((*path, *inside), text)


def _placed(study: Study, folder: Path) -> Study:
    """The study with its files where they are, seen from here."""
    policies = tuple(_placed_policy(spec, folder) for spec in study.policies)
    changes: dict[str, Any] = {"policies": policies}
    if study.data is not None:
        changes["data"] = study.data.model_copy(update={"path": folder / study.data.path})
    return study.model_copy(update=changes)


def _placed_policy(spec: str, folder: Path) -> str:
    in_file = is_own(spec) and spec.partition(":")[0].endswith(".py")
    return str(folder / spec) if in_file else spec


def _both_ways(message: str) -> str:
    """A hint where one key is written in both of its forms."""
    if "scenarios" not in message and "immutable" not in message:
        return ""
    return '; where there are [[scenarios]] tables, a built-in one is a table too: name = "outage"'


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        problem = "no such file; name a study file, or say --data FOLDER without one"
    except IsADirectoryError:
        problem = "is a folder; a folder of prompts is named by --data"
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 text (byte {error.start}); save it as UTF-8"
    except OSError as error:
        problem = f"cannot be read: {error.strerror}; check its permissions"
    raise ConfigError([problem], str(path))
