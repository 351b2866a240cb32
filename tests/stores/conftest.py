"""Fixtures for stores: a clock that stands still until it is told to move."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from chaos import ChaosProxy
from patience import PATIENCE_S
from redis_fleets import Cluster
from redis_servers import SKIP_REASON, RedisServer, a_binary, binaries, running

pytest.register_assert_rewrite(
    "contract",
    "contract_retention",
    "contract_shared",
    "contract_transfer",
    "faulty",
    "store_examples",
    "transfer_examples",
)

from store_examples import TTL_S, Clock, Examples, opened  # noqa: E402
from transfer_examples import Make, teach  # noqa: E402

from banditroute.stores import MemoryStore, SQLiteStore, Store  # noqa: E402
from banditroute.stores.outbox import lane  # noqa: E402
from banditroute.stores.outbox import store as outbox  # noqa: E402
from banditroute.stores.redis import link  # noqa: E402
from banditroute.values import Checkpoint  # noqa: E402

LIMITS = {"CONNECT_S": link.CONNECT_S, "ANSWER_S": link.ANSWER_S}


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine makes nobody give Redis up: who does not answer now will."""
    for name in LIMITS:
        monkeypatch.setattr(link, name, PATIENCE_S)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis is given up as soon as it is outside tests: for tests of one that never answers."""
    for name, seconds in LIMITS.items():
        monkeypatch.setattr(link, name, seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def made(clock: Clock) -> Examples:
    return Examples(clock)


@pytest.fixture(scope="session", params=["redis", "valkey"])
def _redis_process(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    binary = binaries().get(request.param)
    if binary is None:
        pytest.skip(SKIP_REASON)
    with running(tmp_path_factory.mktemp("redis"), binary=binary) as server:
        yield server


@pytest.fixture
def redis_server(_redis_process: RedisServer) -> RedisServer:
    """A real server, Redis and Valkey in turn, with nothing in it."""
    _redis_process.ask("FLUSHALL")
    return _redis_process


@pytest.fixture(scope="session")
def _cluster_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster"), binary=a_binary()) as cluster:
        yield cluster


@pytest.fixture
def redis_cluster(_cluster_processes: Cluster) -> Cluster:
    """Three primaries, with nothing in them."""
    for server in _cluster_processes.servers:
        server.ask("FLUSHALL")
    return _cluster_processes


@pytest.fixture(params=["redis", "valkey"])
def binary(request: pytest.FixtureRequest) -> Path:
    """Redis and Valkey in turn, for a test that starts servers of its own; or "any" of them."""
    if request.param == "any":
        return a_binary()
    return binaries().get(request.param) or pytest.skip(SKIP_REASON)


@pytest.fixture
def server(tmp_path: Path, binary: Path) -> Iterator[RedisServer]:
    """A real server of the test's own, to do with as it likes."""
    with running(tmp_path / "server", binary=binary) as server:
        yield server


@pytest.fixture
def proxy(server: RedisServer) -> Iterator[ChaosProxy]:
    """The network between the test's own server and its clients."""
    with ChaosProxy(server.address) as proxy:
        yield proxy


@pytest.fixture
def hasty_outbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outbox that looks all the time what there is to do, and waits long for an answer."""
    for name in ("LOOK_S", "REST_S", "PARKED_S", "IDLE_S", "FIRST_PAUSE_S", "LONGEST_PAUSE_S"):
        monkeypatch.setattr(lane, name, 0.02)
    for name in ("ANSWER_S", "KNOWN_S"):
        monkeypatch.setattr(outbox, name, PATIENCE_S)
    monkeypatch.setattr(outbox, "ADOPT_EVERY_S", 0.1)


@pytest.fixture
def make(clock: Clock, tmp_path: Path) -> Make:
    """Fresh stores of a kind."""
    fresh = iter(range(1_000_000))

    def make(kind: str) -> Store:
        if kind == "memory":
            return MemoryStore(decision_ttl_s=TTL_S, clock=clock)
        path = tmp_path / f"{next(fresh)}.db"
        return SQLiteStore(path, decision_ttl_s=TTL_S, clock=clock, poll_s=0.002)

    return make


@pytest.fixture
async def stores(make: Make) -> AsyncIterator[Callable[[str], Any]]:
    """Fresh, open stores of a kind; closed after the test."""
    async with AsyncExitStack() as stack:

        async def fresh(kind: str) -> Store:
            return await stack.enter_async_context(opened(make(kind)))

        yield fresh


@pytest.fixture
async def taught(stores: Any, made: Examples) -> Store:
    """Two routers: one with 24 entries and a checkpoint, one with a decision alone."""
    store = await stores("memory")
    await store.claim("auto", "features-1")
    await teach(store, made, 12)
    await store.save_checkpoint("auto", Checkpoint(20, "features-1", b"twenty"))
    await store.remember([made.decision("support"), made.decision()])
    return store
