"""Secrets: ``${NAME}`` in a provider's ``api_key`` and ``headers``, in the store's ``url``, and
nowhere else.

A key never stands in the file itself. What is read from the environment goes straight into
a :class:`pydantic.SecretStr` or the store's url, and into no message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from banditroute.config.lines import KeyPath
from banditroute.config.problems import Problem
from banditroute.config.urls import is_credential

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SCHEMES = ("bearer ", "basic ", "sk-")
_PASSWORD = re.compile(r"://[^@/]*:([^@/]+)@|[?&]\w*password=([^&]+)")
_MAY_HOLD = {("providers", "api_key"), ("providers", "headers"), ("tasks", "examples")}


def filled(
    provider: Mapping[str, Any], path: KeyPath, env: Mapping[str, str], *, used: bool
) -> tuple[dict[str, Any], list[Problem]]:
    """A raw provider table with its variables filled in, and what was wrong with them.

    A key whose value cannot be used is left out. A variable that is missing is a problem
    only where the provider is ``used``.
    """
    table = dict(provider)
    problems: list[Problem] = []
    example = _example_name(provider.get("name"))
    if "api_key" in table:
        problems += _fill(table, "api_key", path, env, secret=example, used=used)
    if isinstance(table.get("headers"), dict):
        table["headers"] = dict(table["headers"])
        for header in provider["headers"]:
            secret = example if _is_credential(header, table["headers"][header]) else None
            place = (*path, "headers")
            problems += _fill(table["headers"], header, place, env, secret=secret, used=used)
    return table, problems


def filled_store(
    store: Mapping[str, Any], env: Mapping[str, str]
) -> tuple[dict[str, Any], list[Problem]]:
    """The raw ``[store]`` table with the variables in its url filled in, and what was wrong."""
    table, path = dict(store), ("store", "url")
    url = table.get("url")
    if not isinstance(url, str):
        return table, []
    written = [part for match in _PASSWORD.finditer(url) for part in match.groups() if part]
    if any(not _VARIABLE.search(part) for part in written):
        del table["url"]
        way_out = 'write "${REDIS_PASSWORD}" there and set that environment variable'
        return table, [Problem(path, f"a secret never stands in the file; {way_out}")]
    missing = [name for name in _VARIABLE.findall(url) if not env.get(name, "").strip()]
    if missing:
        del table["url"]
        return table, [Problem(path, _unset(name, env)) for name in missing]
    whole = _VARIABLE.fullmatch(url)  # a whole url is taken as it is, a part of one is quoted
    table["url"] = (
        env[whole[1]].strip()
        if whole
        else _VARIABLE.sub(lambda match: quote(env[match[1]].strip(), safe=""), url)
    )
    return table, []


def misplaced(value: Any, path: KeyPath = ()) -> Iterator[Problem]:
    """A ``${NAME}`` where it would silently stay as it is. Example prompts may hold anything."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from misplaced(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from misplaced(inner, (*path, index))
    elif isinstance(value, str) and _VARIABLE.search(value) and not _may_hold_variables(path):
        places = "a provider's api_key and headers and in [store] url"
        yield Problem(path, f"${{...}} is read only in {places}; write it out")


def _fill(
    table: dict[str, Any],
    key: str,
    path: KeyPath,
    env: Mapping[str, str],
    *,
    secret: str | None,
    used: bool,
) -> list[Problem]:
    """Fill ``table[key]`` in, or take it out and say why. ``secret``: a name to suggest."""
    value = table[key]
    if not isinstance(value, str):
        return []  # the schema has the words for a wrong type
    names = _VARIABLE.findall(value)
    if secret and not names:
        del table[key]
        way_out = f'write "${{{secret}}}" and set that environment variable'
        return [Problem((*path, key), f"a secret never stands in the file; {way_out}")]
    missing = [name for name in names if not env.get(name, "").strip()]
    if missing:
        del table[key]
        return [Problem((*path, key), _unset(name, env)) for name in missing if used]
    # keys that were read from a file end in a line break
    table[key] = _VARIABLE.sub(lambda match: env[match[1]].strip(), value)
    return []


def _unset(name: str, env: Mapping[str, str]) -> str:
    state = "empty" if name in env else "not set"
    return f"environment variable {name} is {state}; set it before starting"


def _example_name(provider: object) -> str:
    """A variable's name to suggest, after the provider's: ``OPENAI_API_KEY``."""
    stem = re.sub(r"[^A-Z0-9]+", "_", str(provider or "provider").upper()).strip("_")
    return f"{stem if stem[:1].isalpha() else 'PROVIDER'}_API_KEY"


def _is_credential(header: str, value: object) -> bool:
    """Whether a header's name, or the way its value begins, says that it is a secret."""
    opens_like_one = isinstance(value, str) and value.lower().startswith(_SCHEMES)
    return opens_like_one or is_credential(header)


def _may_hold_variables(path: KeyPath) -> bool:
    return path == ("store", "url") or (len(path) >= 3 and (path[0], path[2]) in _MAY_HOLD)
