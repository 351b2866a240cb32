"""What commands share that read a whole router from its store, beside whoever serves it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from banditroute.cli.console import note
from banditroute.config import Settings
from banditroute.errors import StoreUnusable
from banditroute.stores import Store, open_store
from banditroute.stores.transfer import has_state


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Store]:
    """The configured store, for as long as it is needed."""
    store = open_store(
        settings.store.url, decision_ttl_s=settings.store.decision_ttl_s, clock=time.time
    )
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def expect_lasting(settings: Settings) -> None:
    """Raise StoreUnusable for a store that has nothing when a command begins."""
    if settings.store.url == "memory://":
        raise StoreUnusable("memory:// ends with the command: name a lasting store with --store")


async def names(
    store: Store, settings: Settings, asked: Sequence[str] | None, to: str
) -> list[str]:
    """The routers to do something with: those asked for, or the configured ones in the store.

    ``to`` says what is to be done with them. Raises StoreUnusable where there is nothing.
    """
    wanted = dict.fromkeys(asked or [router.name for router in settings.routers])
    found = [name for name in wanted if await has_state(store, name)]
    missing = [name for name in wanted if name not in found]
    if missing and (asked or not found):
        raise StoreUnusable(
            f"nothing to {to} of router {', '.join(missing)} in this store: name another store "
            "with --store, or its routers with --router"
        )
    for name in missing:
        note(f"router {name} has nothing in this store; it is left out")
    return found
