"""``POST /v1/chat/completions`` and ``POST /v1/route``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from banditroute.dispatch import Answer, StreamedAnswer
from banditroute.errors import InvalidRequest
from banditroute.http.access import ClientDep
from banditroute.http.bodies import ChatBody, RouteBody
from banditroute.http.errors import error_body
from banditroute.http.keyring import Key
from banditroute.http.parts import Parts, PartsDep, Place, json_body
from banditroute.http.reading import check, read_json
from banditroute.http.views import route_view
from banditroute.values import Decision, Wishes
from banditroute.values import Request as ChatRequest

router = APIRouter(tags=["chat"])
KEEPALIVE_S = 15.0
EXAMPLE = {
    "messages": [{"role": "user", "content": "Translate into French: good morning."}],
    "banditroute": {"task": "translation"},
}


@router.post(
    "/v1/chat/completions",
    summary="Answer a chat request with the arm that is worth its price",
    openapi_extra=json_body(ChatBody, {"model": "auto", **EXAMPLE}),
)
async def chat_completions(request: Request, parts: PartsDep, key: ClientDep) -> Response:
    """OpenAI's chat completions, routed.

    `model` is a router's name (the bandit chooses) or an arm's id (that arm answers). The
    answer's `id` is the handle for `POST /feedback`; its `model` is the arm that answered.
    With `stream`, the last data chunk before `[DONE]` carries `banditroute`.
    """
    began = parts.monotonic()
    raw = await read_json(request)
    body = check(ChatBody, raw)
    chat = _chat_request(parts, raw, body.wishes(), key)
    with parts.place() as place:
        if body.stream:
            streamed = await parts.dispatcher.stream(body.model, chat)
            return EventStream(streamed, place.keep(), _headers(parts, streamed, began))
        answer = await parts.dispatcher.complete(body.model, chat)
        headers = _headers(parts, answer, began) | _cost_header(answer.cost_usd)
        return Response(orjson.dumps(answer.body), headers=headers, media_type="application/json")


@router.post(
    "/v1/route",
    summary="Decide, and let the caller make the call",
    openapi_extra=json_body(RouteBody, EXAMPLE),
)
async def route(request: Request, parts: PartsDep, key: ClientDep) -> dict[str, Any]:
    """The decision without the call. Report what the call did to `POST /v1/outcomes`.

    `model` may be left out: the first router then decides.
    """
    raw = await read_json(request)
    body = check(RouteBody, raw)
    model = body.model or next(iter(parts.engine.routers))
    chat = _chat_request(parts, raw, body.wishes(), key)
    return route_view(await parts.dispatcher.route(model, chat))


def _chat_request(
    parts: Parts, raw: Mapping[str, Any], wishes: Wishes, key: Key | None
) -> ChatRequest:
    """The request without our own object, which never reaches a provider."""
    for name in ("candidates", "exclude"):
        unknown = sorted((getattr(wishes, name) or frozenset()) - parts.arm_ids)
        if unknown:
            raise InvalidRequest(
                f"banditroute.{name} names no arm of this server: {', '.join(unknown[:5])}; "
                "GET /v1/models lists them",
                param=f"banditroute.{name}",
            )
    payers = () if key is None else (f"key:{key.name}",)
    return ChatRequest({k: v for k, v in raw.items() if k != "banditroute"}, wishes, payers)


class EventStream(StreamingResponse):
    """A streamed answer as server-sent events.

    However it ends (finished, client gone, server stopping), the upstream is closed and the
    place among the running chats is given back.
    """

    def __init__(self, streamed: StreamedAnswer, place: Place, headers: Mapping[str, str]) -> None:
        self._chunks = streamed.chunks
        self._place = place
        self._events = _events(streamed.chunks)
        super().__init__(
            self._events,
            media_type="text/event-stream",
            headers={**headers, "cache-control": "no-cache", "x-accel-buffering": "no"},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response (ASGI)."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._place.leave()
            await self._events.aclose()
            await self._chunks.aclose()


async def _events(chunks: AsyncGenerator[dict[str, Any]]) -> AsyncGenerator[bytes]:
    """The chunks as events, with a comment whenever the arm is silent for long."""
    async with aclosing(_with_keepalive(chunks)) as paced:
        async for chunk in paced:
            yield b": keepalive\n\n" if chunk is None else _event(chunk)
    yield b"data: [DONE]\n\n"


def _event(chunk: Mapping[str, Any]) -> bytes:
    error = chunk.get("error")
    content = chunk if error is None else error_body(error)
    return b"data: " + orjson.dumps(content) + b"\n\n"


async def _with_keepalive(
    chunks: AsyncGenerator[dict[str, Any]],
) -> AsyncGenerator[dict[str, Any] | None]:
    """The chunks, and None after every ``KEEPALIVE_S`` seconds without one."""
    pending = asyncio.ensure_future(anext(chunks, None))
    try:
        while True:
            done, _ = await asyncio.wait({pending}, timeout=KEEPALIVE_S)
            if not done:
                yield None
                continue
            chunk = pending.result()
            if chunk is None:
                return
            yield chunk
            pending = asyncio.ensure_future(anext(chunks, None))
    finally:
        if not pending.done():
            pending.cancel()
            await asyncio.wait({pending})


def _headers(parts: Parts, answer: Answer | StreamedAnswer, began: float) -> dict[str, str]:
    decision: Decision = answer.decision
    overhead_ms = (parts.monotonic() - began - answer.upstream_s) * 1e3
    headers = {
        "x-banditroute-decision-id": decision.id,
        "x-banditroute-model": decision.arm_id,
        "x-banditroute-attempts": str(answer.attempts),
        "x-banditroute-overhead-ms": f"{max(overhead_ms, 0.0):.2f}",
    }
    if decision.degraded:
        headers["x-banditroute-degraded"] = "true"
    return headers


def _cost_header(cost_usd: float | None) -> dict[str, str]:
    return {} if cost_usd is None else {"x-banditroute-cost-usd": f"{cost_usd:.8f}"}
