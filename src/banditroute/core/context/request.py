"""Reading an OpenAI chat body, whatever is in it.

Nothing in a body is trusted: a field of the wrong type counts as absent, and nothing raises.
Time is bounded by the number of messages, not by their length: texts are measured with
``len`` and looked at only through :func:`cut`.

Words are taken from the **last user message**, because it says what is wanted now. The system
prompt is the same for all requests of an application and would drown what tells them apart,
so only its presence and its length count; which application it is, tasks and tags say better.
A body without any text of a user falls back to its last text of any role.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson

Json: TypeAlias = Mapping[str, Any]

CUT = 2000  # characters of a text that are looked at: half of them its head, half its tail

TOKENS_PER_MESSAGE = 4  # role and separators, in the usual chat templates
TOKENS_PER_IMAGE = 765  # one 1024 × 1024 image at high detail, by OpenAI's published rule
TOKENS_PER_AUDIO = 500  # a spoken question of fifty seconds, at ten tokens a second
TOKENS_PER_TOOL = 100  # a tool definition that JSON cannot express
LARGEST_LIMIT = 2**31 - 1  # a caller's 10**400 must stay a number that a float can hold

IMAGE_PARTS = ("image_url", "input_image", "image")
AUDIO_PARTS = ("input_audio", "audio")
JSON_FORMATS = ("json_object", "json_schema")


@dataclass(frozen=True, slots=True)
class Prompt:
    """What was found in a body, before it becomes numbers. Lengths are in characters.

    ``text`` is what the words are taken from, cut; ``text_length`` its length before the cut.
    """

    text: str
    text_length: int
    total_length: int
    turns: int
    system: bool
    tools: int
    images: int
    json_mode: bool
    input_tokens: int
    max_output_tokens: int | None
    needs: frozenset[str]


def read(body: Json) -> Prompt:
    """Everything that context features are made of, from one chat body. Never raises."""
    messages = [_Message.of(item) for item in _items(body.get("messages"))]
    tools = [*_items(body.get("tools")), *_items(body.get("functions"))]
    text, text_length = _words(messages)
    json_mode = _type_of(body.get("response_format")) in JSON_FORMATS
    return Prompt(
        text=text,
        text_length=text_length,
        total_length=sum(message.length for message in messages),
        turns=sum(message.role in ("user", "assistant") for message in messages),
        system=any(message.role in ("system", "developer") for message in messages),
        tools=len(tools),
        images=sum(message.images for message in messages),
        json_mode=json_mode,
        input_tokens=sum(message.tokens() for message in messages) + _json_tokens(tools),
        max_output_tokens=_output_limit(body),
        needs=frozenset(_needs(messages, bool(tools), json_mode, body.get("modalities"))),
    )


def cut(text: str) -> str:
    """The head and the tail of a text: at most CUT characters, and a line break between."""
    if len(text) <= CUT:
        return text
    return f"{text[: CUT // 2]}\n{text[-CUT // 2 :]}"


def tokens_in(text: str) -> int:
    """About how many tokens a text has: 4 ASCII characters each, or 3 bytes of other scripts.

    Three bytes of UTF-8 are one Chinese character or one and a half Cyrillic ones. A long
    text that is not pure ASCII is extrapolated from its head and tail.
    """
    if text.isascii():
        return (len(text) + 3) // 4
    sample = cut(text)
    ascii_bytes = len(sample.encode("ascii", "ignore"))
    other_bytes = len(sample.encode("utf-8", "replace")) - ascii_bytes
    return round((ascii_bytes / 4 + other_bytes / 3) * len(text) / len(sample)) + 1


@dataclass(frozen=True, slots=True)
class _Message:
    """One message, reduced to what is counted. A thing that is no message has no role."""

    role: object = None
    texts: tuple[str, ...] = ()
    images: int = 0
    audio: int = 0
    calls: object = None

    @classmethod
    def of(cls, item: object) -> _Message:
        if not isinstance(item, Mapping):
            return cls()
        role, content = item.get("role"), item.get("content")
        calls = item.get("tool_calls") or item.get("function_call")
        if isinstance(content, str):
            return cls(role, (content,), calls=calls)
        parts = _items(content)
        kinds = [_type_of(part) for part in parts]
        images = sum(kind in IMAGE_PARTS for kind in kinds)
        audio = sum(kind in AUDIO_PARTS for kind in kinds)
        return cls(role, tuple(_texts(parts)), images, audio, calls)

    @property
    def length(self) -> int:
        return sum(map(len, self.texts))

    @property
    def uses_tools(self) -> bool:
        return bool(self.calls) or self.role in ("tool", "function")

    def tokens(self) -> int:
        media = self.images * TOKENS_PER_IMAGE + self.audio * TOKENS_PER_AUDIO
        calls = _json_tokens([self.calls]) if self.calls else 0
        return TOKENS_PER_MESSAGE + sum(map(tokens_in, self.texts)) + media + calls


def _items(value: object) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _type_of(value: object) -> object:
    return value.get("type") if isinstance(value, Mapping) else None


def _texts(parts: Sequence[Any]) -> Iterator[str]:
    for part in parts:
        text = part.get("text", part.get("refusal")) if isinstance(part, Mapping) else part
        if isinstance(text, str):
            yield text


def _words(messages: Sequence[_Message]) -> tuple[str, int]:
    """The text of the last user message that has one, else of the last message, and its length."""
    spoken = [message for message in messages if message.length]
    asked = [message for message in spoken if message.role == "user"]
    if not spoken:
        return "", 0
    message = (asked or spoken)[-1]
    whole = "\n".join(message.texts)
    text = whole.strip()  # what is around it says nothing
    return cut(text), message.length - (len(whole) - len(text))


def _json_tokens(value: Sequence[object]) -> int:
    """Tokens of what is sent as JSON. What JSON cannot express gets a flat number apiece."""
    if not value:
        return 0
    try:
        return len(orjson.dumps(value)) // 4
    except TypeError:  # orjson's errors are TypeErrors: no such type, depth, lone surrogates
        return TOKENS_PER_TOOL * len(value)


def _output_limit(body: Json) -> int | None:
    for key in ("max_completion_tokens", "max_tokens"):
        limit = body.get(key)
        if isinstance(limit, int) and not isinstance(limit, bool) and limit > 0:
            return min(limit, LARGEST_LIMIT)
    return None


def _needs(
    messages: Sequence[_Message], tools: bool, json_mode: bool, modalities: object
) -> Iterator[str]:
    """The capabilities without which an arm cannot answer, hear or see the request."""
    if tools or any(message.uses_tools for message in messages):
        yield "tools"
    if any(message.images for message in messages):
        yield "vision"
    if any(message.audio for message in messages) or "audio" in _items(modalities):
        yield "audio"
    if json_mode:
        yield "json"
