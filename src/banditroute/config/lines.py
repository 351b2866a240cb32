"""On which line of a TOML text a key stands.

:mod:`tomllib` reads a text but keeps no places. Here a text that tomllib accepted is cut into
its statements (one header or one ``key = value`` each, however many lines long), and each is
read by tomllib again to learn its keys. Keys inside a value (inline tables, arrays) have the
line on which their statement begins.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any, TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")  # TOML's keys that need no quotes
_TOKEN = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}'  # a closing run of five quotes is two quotes and the end
    r"|'''.*?'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|[\[\]{}\n]"
    r"|[^\"'\#\[\]{}\n]+",
    re.DOTALL,
)


def spell(path: KeyPath) -> str:
    """``("arms", 2, "id")`` as people write it: ``arms[2].id``."""
    return "".join(_spell_part(part) for part in path).removeprefix(".")


def _spell_part(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    return f".{part}" if _BARE.fullmatch(part) else f".{json.dumps(part)}"


class Lines:
    """Where the keys of one text stand. ``text`` must be valid TOML."""

    def __init__(self, text: str) -> None:
        self._lines: dict[KeyPath, int] = {}
        self._last_index: dict[KeyPath, int] = {}
        table: KeyPath = ()
        for line, statement in _statements(text):
            tree = tomllib.loads(statement)
            if statement.lstrip().startswith("["):
                table = self._open(tree)
                for end in range(len(table)):
                    self._lines.setdefault(table[: end + 1], line)
            else:
                self._note(table, tree, line)

    def of(self, path: KeyPath) -> int | None:
        """The line of ``path``, or of the nearest table around it; None if that is the file."""
        for end in range(len(path), 0, -1):
            if path[:end] in self._lines:
                return self._lines[path[:end]]
        return None

    def _open(self, header: dict[str, Any]) -> KeyPath:
        """The path of the table that a header begins, with the index in each array on the way."""
        path: KeyPath = ()
        node: Any = header
        while isinstance(node, dict) and node:
            ((key, node),) = node.items()
            path = (*path, key)
            if isinstance(node, list):  # [[...]] begins the array's next table
                self._last_index[path] = self._last_index.get(path, -1) + 1
            if path in self._last_index:
                path = (*path, self._last_index[path])
        return path

    def _note(self, path: KeyPath, value: Any, line: int) -> None:
        """Put ``value`` and everything inside it on ``line``."""
        if path:
            self._lines.setdefault(path, line)
        if isinstance(value, dict):
            for key, inner in value.items():
                self._note((*path, key), inner, line)
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                self._note((*path, index), inner, line)


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each statement with the number of its first line; blank lines are empty statements."""
    line, first, depth, parts = 1, 1, 0, list[str]()
    for match in _TOKEN.finditer(text + "\n"):
        token = match[0]
        parts.append(token)
        line += token.count("\n")
        depth += (token in {"[", "{"}) - (token in {"]", "}"})
        if token == "\n" and depth == 0:  # noqa: S105 - a line break, no secret
            yield first, "".join(parts)
            first, parts = line, []
