"""The clients of a demo: real HTTP requests, and honest feedback on every answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx
from httpx_aiohttp import AiohttpTransport

from banditroute.cli.demo.stage import Prompt
from banditroute.cli.demo.tally import Tally
from banditroute.errors import StoreUnavailable

CLIENTS = 8
TIMEOUT_S = 60.0
TRIES = 30


async def drive(url: str, model: str, prompts: Sequence[Prompt], tally: Tally) -> None:
    """Send every prompt to a router, post what each answer was worth, count what came back."""
    async with httpx.AsyncClient(
        base_url=url, transport=AiohttpTransport(), timeout=TIMEOUT_S
    ) as client:
        rows = iter(range(len(prompts)))
        clients = (_client(client, model, prompts, rows, tally) for _ in range(CLIENTS))
        await asyncio.gather(*clients)


async def _client(
    client: httpx.AsyncClient,
    model: str,
    prompts: Sequence[Prompt],
    rows: Iterator[int],
    tally: Tally,
) -> None:
    for row in rows:
        answer = await client.post(
            "/v1/chat/completions", json={"model": model, **prompts[row].body()}
        )
        if answer.status_code >= 500:  # every attempt failed: nobody judges what nobody saw
            tally.failed += 1
            continue
        answer.raise_for_status()
        content = answer.json()
        quality = content["simulated"]["quality"]
        await _tell(client, {"id": content["id"], "score": quality})
        tally.add(row, content["model"], quality, content["banditroute"]["cost_usd"])


async def _tell(client: httpx.AsyncClient, word: Mapping[str, Any]) -> None:
    """Post feedback; again where the store is behind, as often as is worth it."""
    for _ in range(TRIES):
        answer = await client.post("/feedback", json=word)
        if answer.status_code != 503:
            answer.raise_for_status()
            return
        await asyncio.sleep(float(answer.headers["retry-after"]))
    raise StoreUnavailable(answer.json()["error"]["message"])
