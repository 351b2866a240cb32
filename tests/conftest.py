"""Fixtures that every test may use."""

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# As the command line sets it, and before numpy is loaded: with several workers, BLAS threads
# would only fight over the cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# The same examples for everybody, and on a busy machine as long as they take.
settings.register_profile(
    "steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Commands set logging up for the whole process; the next test must not feel it."""
    root, httpx = logging.getLogger(), logging.getLogger("httpx")
    levels = root.level, httpx.level
    yield
    root.setLevel(levels[0])
    httpx.setLevel(levels[1])
