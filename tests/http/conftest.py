"""Fixtures for the wire."""

from collections.abc import AsyncIterator

import pytest
from patience import PATIENCE_S

from banditroute.engine import engine as engine_module

pytest.register_assert_rewrite("wire")

from wire import Served  # noqa: E402 - after its assertions are rewritten
from wire import served as serve  # noqa: E402


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine makes nobody give up waiting for the store."""
    monkeypatch.setattr(engine_module, "SETTLE_S", PATIENCE_S)
    monkeypatch.setattr(engine_module, "LEVEL_S", PATIENCE_S)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serve() as running:
        yield running
