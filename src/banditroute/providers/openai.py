"""Any upstream that speaks OpenAI's chat completions.

OpenAI itself, Azure (v1), Gemini's and Anthropic's compatible endpoints, vLLM, Ollama,
OpenRouter: they differ by ``base_url``, key and headers, and by how they fail.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import httpx
import orjson

from banditroute.errors import UpstreamError, UpstreamFault
from banditroute.providers.base import Completion
from banditroute.providers.client import call_headers, endpoint, open_client
from banditroute.providers.faults import translated, upstream_error
from banditroute.providers.reading import (
    TAIL_S,
    Progress,
    chunks_of,
    closing,
    completion_of,
    event_stream,
    next_chunk,
    refusal_of,
)
from banditroute.values import Arm


class OpenAIProvider:
    """One OpenAI-compatible endpoint; see :class:`~banditroute.providers.base.Provider`.

    Raises ConfigError for a ``base_url`` or header that can never be sent. Connections are
    opened at the first call, inside the running loop. Proxies of the environment are not
    used, redirects not followed, cookies not kept.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str,
        api_key: str | None = None,
        headers: Mapping[str, str] = {},
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.name = name
        self._url = endpoint(name, base_url)
        self._headers = call_headers(name, api_key, headers)
        self._transport = transport
        # Reading the certificates takes tens of milliseconds: not in the running loop.
        self._ssl = httpx.create_ssl_context()
        self._client: httpx.AsyncClient | None = None
        self._usage_option = True  # until this upstream refuses stream_options

    async def complete(self, arm: Arm, body: Mapping[str, Any]) -> Completion:
        """The whole answer, within ``arm.timeout_s`` in every case."""
        content = _encoded(arm, _without(body, "stream", "stream_options"))
        # httpx has no total deadline, and a drip of bytes never meets a read timeout.
        with translated(arm, answering=False):
            async with asyncio.timeout(arm.timeout_s):
                response = await self._send(content)
                async with closing(response):
                    if not response.is_success:
                        raise await self._refused(arm, response)
                    return Completion(await completion_of(arm, response))

    async def stream(
        self, arm: Arm, body: Mapping[str, Any]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The answer's chunks; ``arm.timeout_s`` bounds the wait for the first and each next."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + arm.timeout_s
        progress = Progress(body.get("n"))
        with translated(arm, answering=False):
            async with asyncio.timeout_at(deadline):
                response = await self._open_stream(arm, body)
        async with closing(response), aclosing(chunks_of(arm, response)) as chunks:
            while (chunk := await next_chunk(arm, chunks, deadline, progress)) is not None:
                progress.note(chunk)
                yield chunk
                deadline = loop.time() + (TAIL_S if progress.all_done else arm.timeout_s)
        if not progress.complete:
            raise upstream_error(arm, UpstreamFault.INTERRUPTED)

    async def close(self) -> None:
        """Close every connection. A later call opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _open_stream(self, arm: Arm, body: Mapping[str, Any]) -> httpx.Response:
        """A stream that was accepted; asked for once more, without usage, where that offends."""
        ours = self._usage_option and _only_asks_usage(body)
        response = await self._send(_encoded(arm, self._streamed(body)))
        if response.is_success:
            return await event_stream(arm, response)
        refusal = await refusal_of(response)
        if not (ours and refusal.names("stream_options")):
            raise refusal.error(arm, time.time())
        plain = {**_without(body, "stream_options"), "stream": True}
        response = await self._send(_encoded(arm, plain))
        if not response.is_success:
            raise await self._refused(arm, response)
        self._usage_option = False  # it helped, so it was no echo of the caller's own words
        return await event_stream(arm, response)

    def _streamed(self, body: Mapping[str, Any]) -> dict[str, Any]:
        if not self._usage_option:
            return {**_without(body, "stream_options"), "stream": True}
        given = body.get("stream_options")
        options = {**(given if isinstance(given, Mapping) else {}), "include_usage": True}
        return {**body, "stream": True, "stream_options": options}

    async def _send(self, content: bytes) -> httpx.Response:
        """The response as soon as its headers have come."""
        if self._client is None:
            self._client = open_client(self._headers, self._ssl, self._transport)
        request = self._client.build_request("POST", self._url, content=content)
        return await self._client.send(request, stream=True)

    async def _refused(self, arm: Arm, response: httpx.Response) -> UpstreamError:
        return (await refusal_of(response)).error(arm, time.time())


def _only_asks_usage(body: Mapping[str, Any]) -> bool:
    """Whether the caller set no stream option that would be lost with ours."""
    given = body.get("stream_options") or {}
    return isinstance(given, Mapping) and set(given) <= {"include_usage"}


def _without(body: Mapping[str, Any], *fields: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key not in fields}


def _encoded(arm: Arm, body: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps({**body, "model": arm.model})
    except orjson.JSONEncodeError:
        detail = "it cannot be written as JSON"
        raise upstream_error(arm, UpstreamFault.BAD_REQUEST, detail=detail) from None
