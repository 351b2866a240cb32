"""What is wrong with a configuration, in words that say what to change.

pydantic finds the mistakes inside one table; this module puts them into the house's words.
Of values, only numbers, names and choices are repeated: never one that could be a secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args, get_origin

from pydantic_core import ErrorDetails

from banditroute.config.limits import RouterBudget
from banditroute.config.lines import KeyPath, Lines, spell
from banditroute.config.schema import Settings, Simulation
from banditroute.config.table import Table

_MISSING = {
    "arm": "name the arm that judges",
    "id": "every arm needs an id of its own",
    "provider": "every arm needs the name of one of the [[providers]]",
    "input_usd_per_mtok": "every arm needs a price, 0.0 for a free one",
    "output_usd_per_mtok": "every arm needs a price, 0.0 for a free one",
    "name": "every table of this kind needs a name of its own",
    "kind": 'say kind = "openai" or kind = "simulated"',
    "hash": "run `banditroute keys new NAME`: it prints the whole table",
    "base_url": 'say where its API is, such as "https://api.openai.com/v1"',
}
_TYPES = {
    "string_type": "a string in quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": 'an array, such as ["..."]',
    "mapping_type": "a table, such as {key = value}",
    "dict_type": "a table, such as {key = value}",
    "model_type": "a table, such as {key = value}",
    "path_type": "a string in quotes",
    "finite_number": "a finite number",
}
_BOUNDS = {
    "greater_than": (">", "gt"),
    "greater_than_equal": ("≥", "ge"),
    "less_than": ("<", "lt"),
    "less_than_equal": ("≤", "le"),
}
_KINDS = ("openai", "simulated")
# Keys that other versions of the format have: refused in words that do not suggest a typo.
_UNSUPPORTED = frozenset({"rules"})


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: the key it is about, and what to change."""

    path: KeyPath
    text: str

    def at(self, lines: Lines) -> str:
        """``line 41: arms[2].input_usd_per_mtok: missing; ...``."""
        line = lines.of(self.path)
        place = "" if line is None else f"line {line}: "
        return f"{place}{spell(self.path)}: {self.text}"


def in_order(problems: Iterable[Problem], lines: Lines) -> list[str]:
    """Every problem in words, in the order of the file; what has no line comes first."""
    return [problem.at(lines) for problem in sorted(problems, key=lambda p: lines.of(p.path) or 0)]


def translate(model: type[Table], path: KeyPath, error: ErrorDetails) -> Problem:
    """A pydantic error of ``model``, validated from the table at ``path``, as a problem."""
    inside = tuple(part for part in error["loc"] if part != "[key]")
    return Problem((*path, *inside), _words(model, inside, error))


def unknown_key(key: str, known: Iterable[str]) -> str:
    """Words for a key that stands where it has no meaning; ``known`` are those that have one."""
    if key in _UNSUPPORTED:
        return "unknown key: not supported by this version; take it out"
    hint = did_you_mean(key, known)
    if hint:
        return f"unknown key{hint}"
    homes = [title for title, keys in _homes().items() if key in keys]
    if homes:
        return f"unknown key here; it belongs into {' or '.join(homes)}"
    return f"unknown key; known here: {', '.join(sorted(known))}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean "nearest"?``, or nothing when nothing is near."""
    nearest = get_close_matches(word, list(known), n=1)
    return f'; did you mean "{nearest[0]}"?' if nearest else ""


def keys_of(model: type[Table]) -> tuple[str, ...]:
    """The keys of a table as they stand in the file."""
    return tuple(field.alias or name for name, field in model.model_fields.items())


def _words(model: type[Table], inside: KeyPath, error: ErrorDetails) -> str:
    """Words for the error's type; pydantic's own, which repeat no input, for a type not met yet."""
    kind, context, value, key = error["type"], error.get("ctx", {}), error["input"], str(inside[-1])
    if kind in _TYPES:
        quoted = isinstance(value, str) and kind in {"int_type", "float_type"}
        return f"must be {_TYPES[kind]}{', without quotes' if quoted else ''}"
    if kind in _BOUNDS:
        sign, bound = _BOUNDS[kind]
        return f"must be {sign} {_number(context[bound])}, is {_number(value)}"
    match kind:
        case "missing":
            text = f"missing; {_MISSING.get(key, 'it has no default')}"
        case "extra_forbidden":
            text = unknown_key(key, keys_of(_table_at(model, inside[:-1])))
        case "literal_error":
            text = _choice(value, _KINDS if key == "kind" else _quoted(context["expected"]))
        case "too_short" | "string_too_short":
            text = "must not be empty"
        case "value_error":
            text = str(context["error"])
        case _:  # tests meet every type that the schema has; this is for pydantic's next ones
            text = error["msg"].replace("Input should", "must")
    return text


def _choice(value: Any, choices: Iterable[str]) -> str:
    """Words for a value that is none of a few. Such keys never hold a secret."""
    must = f"must be one of {', '.join(json.dumps(choice) for choice in choices)}"
    return f'{must}, is "{value}"{did_you_mean(value, choices)}' if isinstance(value, str) else must


def _quoted(text: str) -> list[str]:
    """The words in single quotes, as in pydantic's ``'a', 'b' or 'c'``."""
    return re.findall(r"'([^']*)'", text)


def _number(value: Any) -> str:
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _table_at(model: type[Table], inside: KeyPath) -> type[Table]:
    """The model of the table at ``inside`` within ``model``."""
    for part in inside:
        model = next(iter(_tables_in(model.model_fields[str(part)].annotation)))
    return model


def _tables_in(annotation: Any) -> list[type[Table]]:
    """Every table model that an annotation is made of."""
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return [annotation]
    return [table for inner in get_args(annotation) for table in _tables_in(inner)]


def _is_array(annotation: Any) -> bool:
    return get_origin(annotation) is tuple


def _homes() -> dict[str, tuple[str, ...]]:
    """The keys of each kind of table, by the words for that kind."""
    homes = {
        "simulated = {...} of [[arms]]": keys_of(Simulation),
        "[routers.budget]": keys_of(RouterBudget),
    }
    for name, field in Settings.model_fields.items():
        for model in _tables_in(field.annotation):
            title = f"[[{name}]]" if _is_array(field.annotation) else f"[{name}]"
            if "kind" in model.model_fields:
                (kind,) = get_args(model.model_fields["kind"].annotation)
                title += f' of kind "{kind}"'
            homes[title] = keys_of(model)
    return homes
