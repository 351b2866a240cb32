"""Stores: where the learning log and the decisions are kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from banditroute.errors import StoreUnusable
from banditroute.stores.base import Store
from banditroute.stores.memory import MemoryStore
from banditroute.stores.outbox import OutboxStore
from banditroute.stores.redis import RedisStore, connect, parse_address
from banditroute.stores.redis.address import FORMS as REDIS_FORMS
from banditroute.stores.sqlite import SQLiteStore

__all__ = ["MemoryStore", "OutboxStore", "RedisStore", "SQLiteStore", "Store", "open_store"]

_FORMS = f"memory://, sqlite:///relative.db or sqlite:////absolute.db, {REDIS_FORMS}"


def open_store(
    url: str,
    *,
    decision_ttl_s: float,
    clock: Callable[[], float],
    outbox: Path | None = None,
) -> Store:
    """The store that a ``[store] url`` names; call its ``open`` before anything else.

    ``clock`` gives seconds since the epoch. With ``outbox``, what is written to a remote store
    is kept in that folder first. Raises StoreUnusable, naming the forms there are, for any
    other url, and ValueError for a ttl not above 0.
    """
    scheme, separator, rest = url.partition("://")
    if url == "memory://":
        return MemoryStore(decision_ttl_s=decision_ttl_s, clock=clock)
    if scheme == "sqlite" and rest.startswith("/") and rest[1:] not in ("", ":memory:"):
        return SQLiteStore(rest[1:], decision_ttl_s=decision_ttl_s, clock=clock)
    if not (scheme.startswith(("redis", "valkey", "unix")) and separator):
        raise StoreUnusable(f"[store] url is none of {_FORMS}")
    link = partial(connect, parse_address(url))
    remote = RedisStore(link, decision_ttl_s=decision_ttl_s, clock=clock)
    if outbox is None:
        return remote
    return OutboxStore(remote, outbox, decision_ttl_s=decision_ttl_s, clock=clock)
