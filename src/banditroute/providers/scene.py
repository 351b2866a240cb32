"""What a simulated provider plays: a scene answers an arm's request with one cell."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from banditroute.values import Arm

CHARACTERS_PER_TOKEN = 4  # the usual rule of thumb for English
TOKENS_PER_MESSAGE = 4  # role and separators


@dataclass(frozen=True, slots=True)
class Cell:
    """One answer of one arm to one request, and what it is worth.

    ``quality`` is in [0, 1]. ``cost_usd`` is a recorded cost, None where the price list tells.
    ``fails`` says that this very call breaks; everything else is the same at every call.
    ``tool`` names the function that is called instead of answering in words.
    """

    quality: float
    input_tokens: int
    output_tokens: int
    latency_s: float
    cost_usd: float | None
    fails: bool
    text: str
    task: str | None = None
    tool: str | None = None
    truncated: bool = False

    def spent_usd(self, arm: Arm) -> float:
        """The recorded cost, or the list price of the tokens."""
        if self.cost_usd is not None:
            return self.cost_usd
        return arm.cost_usd(self.input_tokens, self.output_tokens)


class Scene(Protocol):
    """A world of answers. Baselines ask it directly, for any arm and the same requests."""

    def answer(self, arm: Arm, body: Mapping[str, Any]) -> Cell:
        """The answer of ``arm``: a pure function of its arguments but for ``fails``.

        Raises UpstreamError for an arm or a request that the scene does not know, ConfigError
        for an arm whose settings it cannot use.
        """


def last_user_text(body: Mapping[str, Any]) -> str:
    """The text of the last message from the user; empty if there is none."""
    texts = [_text(m.get("content")) for m in _messages(body) if m.get("role") == "user"]
    return texts[-1] if texts else ""


def last_role(body: Mapping[str, Any]) -> str | None:
    """Who spoke last."""
    roles = [message.get("role") for message in _messages(body)]
    return roles[-1] if roles and isinstance(roles[-1], str) else None


def estimated_tokens(body: Mapping[str, Any]) -> int:
    """About how many tokens the messages are; no tokenizer is asked."""
    return sum(
        TOKENS_PER_MESSAGE + math.ceil(len(_text(message.get("content"))) / CHARACTERS_PER_TOKEN)
        for message in _messages(body)
    )


def _messages(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    messages = body.get("messages")
    if isinstance(messages, list):
        yield from (message for message in messages if isinstance(message, Mapping))


def _text(content: object) -> str:
    """A message's content as text; of a list of parts, the text parts, one a line."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [part.get("text") for part in content if isinstance(part, Mapping)]
    return "\n".join(part for part in parts if isinstance(part, str))
