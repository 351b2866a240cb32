"""Fixtures for the dispatcher: an engine on a store in memory, and a provider with a script."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
from doubles import Clock, ScriptedProvider, engine_on, memory, router, running
from patience import PATIENCE_S

from banditroute.dispatch import Dispatcher
from banditroute.engine import engine as engine_module


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine makes nobody give up waiting for the store."""
    monkeypatch.setattr(engine_module, "SETTLE_S", PATIENCE_S)
    monkeypatch.setattr(engine_module, "LEVEL_S", PATIENCE_S)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ticks() -> Clock:
    """The monotonic clock of the dispatcher."""
    return Clock(100.0)


@pytest.fixture
async def dispatching(clock, ticks) -> AsyncIterator[Callable]:
    """Makes a dispatcher over a running engine: ``await dispatching(provider, *routers)``."""
    async with AsyncExitStack() as stack:

        async def make(provider: ScriptedProvider, *routers) -> Dispatcher:
            engine = engine_on(memory(clock), clock, *(routers or [router()]))
            await stack.enter_async_context(running(engine))
            return Dispatcher(engine, {"scripted": provider}, ticks)

        yield make
