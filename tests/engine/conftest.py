"""Fixtures for the engine: a standing clock, and both embedded stores."""

import pytest
from doubles import TTL_S, Clock, memory

from banditroute.stores import SQLiteStore, Store


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
def store(request, clock, tmp_path) -> Store:
    if request.param == "memory":
        return memory(clock)
    return SQLiteStore(tmp_path / "log.db", decision_ttl_s=TTL_S, clock=clock, poll_s=0.01)
