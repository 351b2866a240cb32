"""Fixtures for stores: a clock that stands still until it is told to move."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos import ChaosProxy
from redis_fleets import Cluster
from redis_servers import SKIP_REASON, RedisServer, a_binary, binaries, running

pytest.register_assert_rewrite(
    "contract",
    "contract_retention",
    "contract_shared",
    "contract_transfer",
    "faulty",
    "store_examples",
)

from faulty import SOON_S  # noqa: E402 - after the assertions are rewritten
from store_examples import Clock, Examples  # noqa: E402

from banditroute.stores.outbox import lane  # noqa: E402
from banditroute.stores.outbox import store as outbox  # noqa: E402


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
        monkeypatch.setattr(outbox, name, SOON_S)
    monkeypatch.setattr(outbox, "ADOPT_EVERY_S", 0.1)
