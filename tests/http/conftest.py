"""Fixtures for the wire."""

from collections.abc import AsyncIterator

import pytest

pytest.register_assert_rewrite("wire")

from wire import Served  # noqa: E402 - after its assertions are rewritten
from wire import served as serve  # noqa: E402


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serve() as running:
        yield running
