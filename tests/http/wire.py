"""The whole application in this process: real parts, a store in memory, and no network."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from doubles import Clock

from banditroute.bootstrap import Application, build
from banditroute.config import parse

CONFIG = """
[store]
url = "memory://"
decision_ttl = "1h"

[server]
max_body_bytes = 1_000_000

[[routers]]
name = "auto"
arms = ["small", "large"]
floor = 0.2

[[routers]]
name = "private"
arms = ["local"]

[[providers]]
name = "simulated"
kind = "simulated"
time_scale = 0

[[arms]]
id = "small"
provider = "simulated"
input_usd_per_mtok = 0.1
output_usd_per_mtok = 0.4
context_window = 4000
simulated.output_tokens = 20

[[arms]]
id = "large"
provider = "simulated"
input_usd_per_mtok = 1.0
output_usd_per_mtok = 4.0
capabilities = ["tools", "json", "vision"]
simulated.output_tokens = 30

[[arms]]
id = "local"
provider = "simulated"
input_usd_per_mtok = 0.0
output_usd_per_mtok = 0.0
labels = ["personal"]
simulated.output_tokens = 10
"""

UPSTREAM = """
[store]
url = "memory://"

[[providers]]
name = "cloud"
kind = "openai"
base_url = "https://secret-host.example/v1"
api_key = "${KEY}"

[[arms]]
id = "one"
provider = "cloud"
model = "upstream-model"
input_usd_per_mtok = 1.0
output_usd_per_mtok = 2.0
"""
SECOND = UPSTREAM[UPSTREAM.index("[[arms]]") :].replace('"one"', '"two"')
KEY = "sk-canary-key-000"
CANARY = "canary-7f3a"  # in prompts; never to be seen in an error or a log


@dataclass
class Served:
    """A client, and the application behind it."""

    client: httpx.AsyncClient
    application: Application
    clock: Clock

    async def post(self, path: str, body: Any, **more: Any) -> httpx.Response:
        return await self.client.post(path, json=body, **more)

    async def get(self, path: str, **params: Any) -> httpx.Response:
        return await self.client.get(path, params=params)

    async def decide(self, **banditroute: Any) -> str:
        """The id of a decision that nobody acted on yet."""
        response = await self.post("/v1/route", chat(banditroute=banditroute))
        assert response.status_code == 200, response.text
        return response.json()["decision_id"]

    async def learned(self, router: str = "auto") -> int:
        """How many decisions have feedback."""
        arms = (await self.get("/v1/arms", router=router)).json()["data"]
        return sum(arm["feedback_n"] for arm in arms)


def chat(text: str = "Hello!", **fields: Any) -> dict[str, Any]:
    return {"model": "auto", "messages": [{"role": "user", "content": text}], **fields}


@asynccontextmanager
async def served(config: str = CONFIG, **parts: Any) -> AsyncIterator[Served]:
    """The application of a configuration, started; ``parts`` are those of ``build``."""
    clock = Clock()
    application = build(parse(config, {"KEY": KEY}), clock=clock, **parts)
    web = application.http
    transport = httpx.ASGITransport(app=web, raise_app_exceptions=False)
    async with (
        web.router.lifespan_context(web),
        httpx.AsyncClient(transport=transport, base_url="http://router") as client,
    ):
        yield Served(client, application, clock)


def events(response: httpx.Response) -> list[str]:
    """The data of a response's server-sent events."""
    assert response.headers["content-type"].startswith("text/event-stream")
    parts = response.text.split("\n\n")
    assert parts.pop() == ""
    return [part.removeprefix("data: ") for part in parts if not part.startswith(":")]


def shaped(response: httpx.Response) -> dict[str, Any]:
    """The error of a response, which must be of OpenAI's shape and nothing besides."""
    body = response.json()
    assert body.keys() == {"error"}
    error = body["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["message"]
    kinds = {404: "not_found_error", 429: "rate_limit_error"}
    usual = "invalid_request_error" if response.status_code < 500 else "api_error"
    assert error["type"] == kinds.get(response.status_code, usual)
    assert "x-request-id" in response.headers
    return error
