"""Fixtures for the wire."""

from collections.abc import AsyncIterator

import pytest
from wire import Served
from wire import served as serve


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serve() as running:
        yield running
