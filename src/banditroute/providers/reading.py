"""Reading what an upstream answers: whole completions, streams of chunks, refusals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import orjson

from banditroute.errors import UpstreamFault
from banditroute.providers.faults import (
    TRANSPORT_ERRORS,
    Refusal,
    error_object,
    in_band_error,
    translated,
    transport_fault,
    upstream_error,
)
from banditroute.providers.sse import EventParser, EventTooLongError
from banditroute.values import Arm

MAX_BODY_BYTES = 32 * 1024 * 1024  # of a whole answer, and of one event of a stream
MAX_ERROR_BYTES = 64 * 1024

TAIL_S = 2.0  # how long a complete stream may take to send its usage and [DONE]
DRAIN_S = 0.05  # how long after [DONE] the end of the HTTP body may take


class Progress:
    """Which choices of a stream have begun and which have had their finish_reason."""

    def __init__(self, wanted: object) -> None:
        self._wanted = wanted if isinstance(wanted, int) else 1
        self._begun: set[int] = set()
        self._finished: set[int] = set()

    def note(self, chunk: Mapping[str, Any]) -> None:
        """Take in what a chunk says of its choices."""
        for choice in chunk.get("choices") or ():
            index = choice.get("index")
            index = index if isinstance(index, int) else 0  # some leave it out for a single one
            self._begun.add(index)
            if choice.get("finish_reason"):
                self._finished.add(index)

    @property
    def complete(self) -> bool:
        """Every choice that began has finished, and at least one began."""
        return bool(self._begun) and self._begun == self._finished

    @property
    def all_done(self) -> bool:
        """Complete, with as many choices as were asked for: only usage can still come."""
        return self.complete and len(self._finished) >= self._wanted


async def next_chunk(
    arm: Arm,
    chunks: AsyncIterator[dict[str, Any]],
    deadline: float,
    progress: Progress,
) -> dict[str, Any] | None:
    """The next chunk before ``deadline`` (loop time); None at the end of the stream.

    A connection that breaks or stalls after a complete answer has spoiled nothing.
    """
    try:
        async with asyncio.timeout_at(deadline):
            return await anext(chunks, None)
    except TRANSPORT_ERRORS as error:
        if progress.complete:
            return None
        raise upstream_error(arm, transport_fault(error, answering=True)) from None


async def chunks_of(arm: Arm, response: httpx.Response) -> AsyncGenerator[dict[str, Any], None]:
    """The parsed events of a stream up to ``[DONE]`` or its end."""
    parser = EventParser(MAX_BODY_BYTES)
    pieces = response.aiter_bytes()
    async for piece in pieces:
        for event in _fed(arm, parser, piece):
            if event.startswith(b"[DONE]"):
                await _drain(pieces)
                return
            yield _chunk(arm, event)
    for event in parser.close():
        if _is_json(event):  # else the stream was cut off inside its last event
            yield _chunk(arm, event)


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    """Read the end of the HTTP body, which follows at once: the connection is then kept."""
    with suppress(*TRANSPORT_ERRORS):
        async with asyncio.timeout(DRAIN_S):
            async for _ in pieces:
                pass


def _fed(arm: Arm, parser: EventParser, piece: bytes) -> list[bytes]:
    try:
        return parser.feed(piece)
    except EventTooLongError:
        raise upstream_error(arm, UpstreamFault.MALFORMED, detail="event too long") from None


def _chunk(arm: Arm, event: bytes) -> dict[str, Any]:
    chunk = _parsed(arm, event)
    choices = chunk.get("choices")
    if choices is not None and not _are_objects(choices):
        raise upstream_error(arm, UpstreamFault.MALFORMED, detail="choices is not a list")
    return chunk


async def completion_of(arm: Arm, response: httpx.Response) -> dict[str, Any]:
    """The body of a 200 answer, checked to be a completion."""
    with translated(arm, answering=True):
        content = await _read(response, MAX_BODY_BYTES)
    if content is None:
        raise upstream_error(arm, UpstreamFault.MALFORMED, detail="answer too long")
    body = _parsed(arm, content)
    if not body.get("choices") or not _are_objects(body["choices"]):
        raise upstream_error(arm, UpstreamFault.MALFORMED, detail="no choices")
    return body


def _parsed(arm: Arm, content: bytes) -> dict[str, Any]:
    """A JSON object that reports no error."""
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise upstream_error(arm, UpstreamFault.MALFORMED, detail="not JSON") from None
    details = error_object(body)
    if details is not None:
        raise in_band_error(arm, details)
    if not isinstance(body, dict):
        raise upstream_error(arm, UpstreamFault.MALFORMED, detail="not a JSON object")
    return body


def _is_json(content: bytes) -> bool:
    try:
        orjson.loads(content)
    except orjson.JSONDecodeError:
        return False
    return True


def _are_objects(choices: object) -> bool:
    return isinstance(choices, list) and all(isinstance(choice, dict) for choice in choices)


async def event_stream(arm: Arm, response: httpx.Response) -> httpx.Response:
    """The response, if it can be a stream; a JSON or HTML answer to ``stream: true`` is not."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in {"application/json", "text/html"}:  # some streams come as text/plain
        return response
    async with closing(response):
        await completion_of(arm, response)  # says what is wrong, if it is an error
        raise upstream_error(arm, UpstreamFault.MALFORMED, detail="not an event stream")


async def refusal_of(response: httpx.Response) -> Refusal:
    """A refused call's status and what can be read of its reason. Closes the response."""
    content = None
    async with closing(response):
        with suppress(*TRANSPORT_ERRORS):
            content = await _read(response, MAX_ERROR_BYTES)
    return Refusal(response.status_code, response.headers, content or b"")


async def _read(response: httpx.Response, limit: int) -> bytes | None:
    """The whole body, or None when it is longer than ``limit``."""
    content = bytearray()
    async for piece in response.aiter_bytes():
        content += piece
        if len(content) > limit:
            return None
    return bytes(content)


@asynccontextmanager
async def closing(response: httpx.Response) -> AsyncIterator[None]:
    """Close the response, and with it a connection on which anything is still to come."""
    try:
        yield
    finally:
        with suppress(*TRANSPORT_ERRORS):
            await response.aclose()
