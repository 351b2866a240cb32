"""Fixtures for stores: a clock that stands still until it is told to move."""

import pytest

pytest.register_assert_rewrite(
    "contract", "contract_retention", "contract_shared", "store_examples"
)

from store_examples import Clock, Examples  # noqa: E402 - after the assertions are rewritten


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def made(clock: Clock) -> Examples:
    return Examples(clock)
