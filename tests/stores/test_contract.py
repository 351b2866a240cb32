"""Every store keeps the contract. A new store joins with one class."""

from __future__ import annotations

from pathlib import Path

import pytest
from contract import MakeStore, StoreContract
from contract_retention import RetentionContract
from contract_shared import SharedStoreContract
from store_examples import TTL_S, Clock

from banditroute.stores import MemoryStore, SQLiteStore

pytestmark = pytest.mark.anyio


class TestMemoryStore(StoreContract, RetentionContract):
    @pytest.fixture
    def make_store(self, clock: Clock) -> MakeStore:
        return lambda: MemoryStore(decision_ttl_s=TTL_S, clock=clock)


class TestSQLiteStore(StoreContract, RetentionContract, SharedStoreContract):
    @pytest.fixture
    def make_store(self, clock: Clock, tmp_path: Path) -> MakeStore:
        return lambda: SQLiteStore(tmp_path / "store.db", decision_ttl_s=TTL_S, clock=clock)
