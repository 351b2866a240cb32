"""The application: endpoints, error shapes, request ids."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from banditroute import __version__
from banditroute.config import Settings
from banditroute.dispatch import Dispatcher
from banditroute.engine import Operator
from banditroute.http import admin, chat, errors, feedback, metrics, state
from banditroute.http.keyring import Key, Keyring, Role
from banditroute.http.parts import Desk, Parts

_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

ABOUT = """
One OpenAI-compatible endpoint in front of several models. For every request a contextual
bandit chooses the model that is worth its price, and learns from the feedback you post.

1. `POST /v1/chat/completions` with `model` set to a router's name.
2. Show the answer; keep its `id`.
3. `POST /feedback` with that `id` and a `score`, `thumbs` or `rating`.

`GET /v1/arms` shows what was learned, `GET /v1/decisions/{id}` why an arm was chosen.
"""


def create_app(
    dispatcher: Dispatcher,
    *,
    monotonic: Callable[[], float],
    started_s: int,
    settings: Settings,
    reread: Callable[[], Settings] | None = None,
) -> FastAPI:
    """The web application around a dispatcher, whose engine it starts and stops.

    ``reread`` reads the settings again from where they came from.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await dispatcher.engine.start()
        yield
        await dispatcher.close()
        await dispatcher.engine.stop()

    app: FastAPI = FastAPIOffline(
        title="banditroute",
        version=__version__,
        description=ABOUT,
        lifespan=lifespan,
        redoc_url=None,
        responses=errors.DOCUMENTED,
    )
    parts = Parts(
        dispatcher,
        monotonic,
        started_s,
        settings.server.max_body_bytes,
        settings.server.max_concurrency,
        Keyring(
            [
                Key(key.name, key.hash, frozenset(map(Role, key.roles)), key.feedback_share)
                for key in settings.keys
            ]
        ),
        Desk(Operator(dispatcher.engine), settings, settings, reread),
    )
    app.state.parts = parts
    app.state.metrics = metrics.registry_of(parts)
    errors.install(app)
    for part in (chat, feedback, state, metrics, admin):
        app.include_router(part.router)
    app.add_middleware(RequestIds)
    return app


class RequestIds:
    """Gives every response an ``x-request-id``: the client's own if it is sane, else a new one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope).get("x-request-id", "")
        request_id = asked if _SANE_ID.fullmatch(asked) else uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id  # for answers made outside of us

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        await self._app(scope, receive, send_with_id)
