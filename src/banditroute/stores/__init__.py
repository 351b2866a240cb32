"""Stores: where the learning log and the decisions are kept."""

from __future__ import annotations

from collections.abc import Callable

from banditroute.errors import StoreUnusable
from banditroute.stores.base import Store
from banditroute.stores.memory import MemoryStore
from banditroute.stores.sqlite import SQLiteStore

__all__ = ["MemoryStore", "SQLiteStore", "Store", "open_store"]

_FORMS = "memory://, sqlite:///relative.db or sqlite:////absolute.db"


def open_store(url: str, *, decision_ttl_s: float, clock: Callable[[], float]) -> Store:
    """The store that a ``[store] url`` names; call its ``open`` before anything else.

    ``clock`` gives seconds since the epoch. Raises StoreUnusable, naming the forms there are,
    for any other url, and ValueError for a ttl not above 0.
    """
    scheme, separator, rest = url.partition("://")
    if url == "memory://":
        return MemoryStore(decision_ttl_s=decision_ttl_s, clock=clock)
    if scheme == "sqlite" and rest.startswith("/") and rest[1:] not in ("", ":memory:"):
        return SQLiteStore(rest[1:], decision_ttl_s=decision_ttl_s, clock=clock)
    if scheme.startswith(("redis", "valkey", "unix")) and separator:
        # The rest of such a url can hold a password.
        raise StoreUnusable(f"{scheme}:// is not supported by this version: use {_FORMS}")
    raise StoreUnusable(f"[store] url is none of {_FORMS}")
