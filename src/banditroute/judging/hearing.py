"""The text of an answer, as it comes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

LONGEST_HEARD = 64_000  # characters of an answer that are kept; nothing shows the judge more


class Hearing:
    """Listens to one answer, whole or in chunks: to the text of its first choice, up to a bound.

    Never raises, whatever an upstream sends.
    """

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._room = LONGEST_HEARD
        self._calls_tools = False

    def add(self, body: Mapping[str, Any]) -> None:
        """Hear a ``chat.completion`` or a ``chat.completion.chunk``."""
        for said in _first_choice(body):
            self._calls_tools |= bool(said.get("tool_calls") or said.get("function_call"))
            for key in ("content", "refusal"):
                piece = text_of(said.get(key))[: self._room]
                self._room -= len(piece)
                self._pieces += [piece] if piece else []

    @property
    def text(self) -> str | None:
        """What was said. None: nothing, or an answer that calls tools and so is not the last."""
        text = "".join(self._pieces)
        return text if text.strip() and not self._calls_tools else None


def text_of(content: object) -> str:
    """A message's content as text: itself, or its text parts, one a line."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list | tuple):
        return ""
    parts = [part.get("text") for part in content if isinstance(part, Mapping)]
    return "\n".join(part for part in parts if isinstance(part, str))


def _first_choice(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    choices = body.get("choices")
    for choice in choices if isinstance(choices, list) else []:
        if isinstance(choice, Mapping) and choice.get("index", 0) == 0:
            said = choice.get("message", choice.get("delta"))
            if isinstance(said, Mapping):
                yield said
