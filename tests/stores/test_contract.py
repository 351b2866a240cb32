"""Every store keeps the contract. A new store joins with one class."""

from __future__ import annotations

from pathlib import Path

import pytest
from contract import MakeStore, StoreContract
from contract_retention import RetentionContract
from contract_shared import SharedStoreContract
from contract_transfer import SharedTransferContract, TransferContract
from patience import PATIENCE_S
from redis_clients import fake_links
from redis_fleets import Cluster
from redis_servers import RedisServer
from store_examples import TTL_S, Clock

from banditroute.stores import MemoryStore, OutboxStore, RedisStore, SQLiteStore
from banditroute.stores.outbox import store as outbox
from banditroute.stores.redis import connect, parse_address

pytestmark = pytest.mark.anyio


class TestMemoryStore(StoreContract, RetentionContract, TransferContract):
    @pytest.fixture
    def make_store(self, clock: Clock) -> MakeStore:
        return lambda: MemoryStore(decision_ttl_s=TTL_S, clock=clock)


class SharedContract(
    StoreContract, RetentionContract, TransferContract, SharedStoreContract, SharedTransferContract
):
    """All that a store keeps which several clients have in common."""


class TestSQLiteStore(SharedContract):
    @pytest.fixture
    def make_store(self, clock: Clock, tmp_path: Path) -> MakeStore:
        return lambda: SQLiteStore(tmp_path / "store.db", decision_ttl_s=TTL_S, clock=clock)


class TestRedisStoreOnFakeRedis(SharedContract):
    @pytest.fixture
    def make_store(self, clock: Clock) -> MakeStore:
        links = fake_links()
        return lambda: RedisStore(links, decision_ttl_s=TTL_S, clock=clock)


class TestRedisStoreOnARealServer(SharedContract):
    @pytest.fixture
    def make_store(self, clock: Clock, redis_server: RedisServer) -> MakeStore:
        return redis_stores(redis_server.url, clock)


class TestRedisStoreOnACluster(SharedContract):
    @pytest.fixture
    def make_store(self, clock: Clock, redis_cluster: Cluster) -> MakeStore:
        return redis_stores(redis_cluster.url, clock)


class TestOutboxStore(SharedContract):
    @pytest.fixture
    def make_store(
        self,
        clock: Clock,
        redis_server: RedisServer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> MakeStore:
        monkeypatch.setattr(outbox, "ANSWER_S", PATIENCE_S)  # however busy the machine is
        remotes = redis_stores(redis_server.url, clock)
        return lambda: OutboxStore(
            remotes(), tmp_path / "outbox", decision_ttl_s=TTL_S, clock=clock, early_s=0.0
        )


def redis_stores(url: str, clock: Clock) -> MakeStore:
    address = parse_address(url)
    return lambda: RedisStore(lambda: connect(address), decision_ttl_s=TTL_S, clock=clock)
