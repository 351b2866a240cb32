"""Fixtures for the engine: a standing clock, and both embedded stores."""

import pytest
from doubles import TTL_S, Clock, memory
from patience import PATIENCE_S
from redis_clients import fake_links

from banditroute.engine import engine as engine_module
from banditroute.stores import RedisStore, SQLiteStore, Store


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine makes nobody give up waiting for the store."""
    monkeypatch.setattr(engine_module, "SETTLE_S", PATIENCE_S)
    monkeypatch.setattr(engine_module, "LEVEL_S", PATIENCE_S)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
def store(request, clock, tmp_path) -> Store:
    if request.param == "memory":
        return memory(clock)
    return SQLiteStore(tmp_path / "log.db", decision_ttl_s=TTL_S, clock=clock, poll_s=0.01)


@pytest.fixture(params=["sqlite", "redis"])
def shared(request, clock, tmp_path):
    """Makes clients of one store."""
    kept = {"decision_ttl_s": TTL_S, "clock": clock}
    if request.param == "sqlite":
        return lambda: SQLiteStore(tmp_path / "log.db", poll_s=0.01, **kept)
    links = fake_links()
    return lambda: RedisStore(links, **kept)
