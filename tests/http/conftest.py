"""Fixtures for the wire."""

from collections.abc import AsyncIterator

import pytest
from serving import Served
from serving import served as serve


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serve() as running:
        yield running
