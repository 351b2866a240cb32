"""What every endpoint is handed, and how its body is described in the API docs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import BaseModel

from banditroute.config import Settings
from banditroute.dispatch import Dispatcher
from banditroute.engine import Engine, Operator
from banditroute.http.errors import Overloaded
from banditroute.http.keyring import Keyring
from banditroute.values import Learned


@dataclass(slots=True)
class Desk:
    """Where an operator works: the settings this process was started with, and those of the
    file when it was read last, which ``reread`` does again.
    """

    operator: Operator
    started: Settings
    settings: Settings
    reread: Callable[[], Settings] | None = None


@dataclass(slots=True)
class Parts:
    """The dispatcher, the time, how many chats run at once, and what became of feedback.

    ``keys`` are those that let somebody in; ``desk`` is what an operator needs.
    """

    dispatcher: Dispatcher
    monotonic: Callable[[], float]
    started_s: int
    max_body_bytes: int
    max_concurrency: int
    keys: Keyring
    desk: Desk
    running: int = 0
    feedback: Counter[Learned] = field(default_factory=Counter)

    @property
    def operator(self) -> Operator:
        """Who changes the dispatcher's engine."""
        return self.desk.operator

    @property
    def engine(self) -> Engine:
        """The dispatcher's engine."""
        return self.dispatcher.engine

    @property
    def arm_ids(self) -> frozenset[str]:
        """The ids of every arm that any router has now."""
        rosters = (self.engine.in_force(name).roster for name in self.engine.routers)
        return frozenset(arm_id for roster in rosters for arm_id in roster.ids)

    @contextmanager
    def place(self) -> Iterator[Place]:
        """A place among the running chats, given back at the end unless it is kept.

        Raises Overloaded when there is none.
        """
        if self.running >= self.max_concurrency:
            raise Overloaded(
                f"{self.running} chat requests are running, as many as [server] "
                "max_concurrency allows; try again in a moment"
            )
        place = Place(self)
        try:
            yield place
        finally:
            if not place.kept:
                place.leave()


class Place:
    """One of the running chats. It is counted until it leaves, once."""

    def __init__(self, parts: Parts) -> None:
        parts.running += 1
        self._parts: Parts | None = parts
        self.kept = False

    def keep(self) -> Place:
        """Stay beyond the ``with``; whoever keeps a place must leave it."""
        self.kept = True
        return self

    def leave(self) -> None:
        """Give the place back; a second time changes nothing."""
        if self._parts is not None:
            self._parts.running -= 1
            self._parts = None


async def _parts(request: Request) -> Parts:  # not async, it would cost a thread a request
    parts: Parts = request.app.state.parts
    return parts


PartsDep = Annotated[Parts, Depends(_parts)]


def json_body(
    model: type[BaseModel], example: dict[str, Any], *, many: bool = False
) -> dict[str, Any]:
    """The OpenAPI description of a JSON body, for endpoints that read it themselves."""
    schema: dict[str, Any] = model.model_json_schema(ref_template="#/$defs/{model}")
    schema = _inlined(schema, schema.pop("$defs", {}))
    if many:
        schema = {"anyOf": [schema, {"type": "array", "items": schema, "maxItems": 1000}]}
    content = {"application/json": {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def _inlined(node: Any, defs: dict[str, Any]) -> Any:
    """A JSON schema with its local definitions put in place, for OpenAPI has no room for them."""
    if isinstance(node, dict):
        if "$ref" in node:
            return _inlined(defs[node["$ref"].rsplit("/", 1)[-1]], defs)
        return {key: _inlined(value, defs) for key, value in node.items()}
    return [_inlined(item, defs) for item in node] if isinstance(node, list) else node
