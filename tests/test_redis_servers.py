"""The servers and the network that other tests break are real, and break as they say."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from chaos import ChaosProxy
from patience import PATIENCE_S
from redis.exceptions import AskError, MovedError
from redis_fleets import Cluster, Sentinels
from redis_servers import (
    AOF_ALWAYS,
    SKIP_REASON,
    RedisServer,
    a_binary,
    binaries,
    free_port,
    running,
    wait_until,
)

every_binary = pytest.mark.parametrize(
    "binary",
    [pytest.param(path, id=name) for name, path in binaries().items()]
    or [pytest.param(None, marks=pytest.mark.skip(reason=SKIP_REASON))],
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running(tmp_path / "server") as server:
        yield server


@pytest.fixture
def proxy(server: RedisServer) -> Iterator[ChaosProxy]:
    with ChaosProxy(server.address) as proxy:
        yield proxy


@pytest.fixture
def through(server: RedisServer, proxy: ChaosProxy) -> Iterator[redis.Redis]:
    """A client that reaches the server through the proxy, and never tries twice."""
    with server.client(port=proxy.port) as client:
        yield client


@contextmanager
def talking(proxy: ChaosProxy) -> Iterator[socket.socket]:
    """A bare connection on which the server has answered; redis-py would mend it silently."""
    with socket.create_connection(proxy.address, PATIENCE_S) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(100) == b"+PONG\r\n"
        yield connection


@every_binary
@pytest.mark.parametrize(("options", "kept"), [(AOF_ALWAYS, b"here"), ({}, None)])
def test_a_killed_server_has_what_it_wrote_to_disk_and_no_more(
    tmp_path: Path, binary: Path, options: dict[str, str], kept: bytes | None
) -> None:
    with running(tmp_path, binary=binary, options=options) as server:
        server.ask("SET", "key", "here")
        url = server.url
        server.kill()
        with pytest.raises(redis.ConnectionError):
            server.ask("PING")
        server.start()
        assert server.url == url
        assert server.ask("GET", "key") == kept


@every_binary
def test_a_paused_server_answers_nobody_until_it_is_resumed(tmp_path: Path, binary: Path) -> None:
    with running(tmp_path, binary=binary) as server, server.client(timeout_s=0.2) as hasty:
        server.ask("SET", "key", "here")
        server.pause()
        with pytest.raises(redis.TimeoutError):
            hasty.get("key")
        server.resume()
        assert server.ask("GET", "key") == b"here"
        server.pause()
    assert not server.alive


def test_a_server_without_a_port_of_its_own_moves_away_from_a_taken_one(
    tmp_path: Path, server: RedisServer
) -> None:
    late = RedisServer(tmp_path / "late", binary=server.binary)
    late.port = server.port
    with late:
        assert late.port != server.port
        assert late.ask("PING")


def test_a_server_that_cannot_start_says_why(tmp_path: Path, server: RedisServer) -> None:
    late = RedisServer(tmp_path / "late", binary=server.binary, port=server.port)
    with pytest.raises(AssertionError, match="Address already in use"):
        late.start()
    assert not late.alive


def test_what_never_happens_is_an_assertion_error_that_names_it() -> None:
    with pytest.raises(AssertionError, match=r"not within 0\.1 s: the impossible; .*None"):
        wait_until(lambda: None, "the impossible", 0.1)


def test_free_ports_leave_room_for_each_other() -> None:
    assert len({free_port() for _ in range(20)}) > 15


def test_sentinels_promote_the_replica_of_a_killed_primary(tmp_path: Path) -> None:
    with Sentinels(tmp_path, binary=a_binary()) as watched:
        primary, replica = watched.servers
        assert watched.primary() == primary.address
        primary.ask("SET", "key", "here")
        assert primary.ask("WAIT", 1, 60_000) == 1
        primary.kill()
        assert watched.failover_done(primary.port) is replica
        assert watched.primary() == replica.address
        assert replica.ask("GET", "key") == b"here"


def test_a_cluster_answers_says_moved_and_moves_a_slot(tmp_path: Path) -> None:
    with Cluster(tmp_path, binary=a_binary()) as cluster:
        owner = cluster.owner("key")
        other = next(server for server in cluster.servers if server is not owner)
        slot = owner.ask("CLUSTER", "KEYSLOT", "key")
        for key in ("key", "{key} too"):
            owner.ask("SET", key, "here")
        with pytest.raises(MovedError) as moved:
            other.ask("GET", "key")
        assert (moved.value.slot_id, moved.value.port) == (slot, owner.port)

        cluster.begin_move(slot, other)
        assert owner.ask("GET", "key") == b"here"
        cluster.move_keys(slot, other, b"key")
        with pytest.raises(AskError) as asked:
            owner.ask("GET", "key")
        assert asked.value.port == other.port
        owners_still = cluster.owner("key")
        cluster.finish_move(slot, other)
        assert (owners_still, cluster.owner("key")) == (owner, other)
        assert other.ask("MGET", "key", "{key} too") == [b"here", b"here"]


def test_a_cluster_gives_a_lost_primarys_slots_to_its_replica(tmp_path: Path) -> None:
    with Cluster(tmp_path, binary=a_binary(), replicas=True) as cluster:
        lost = cluster.owner("key")
        lost.ask("SET", "key", "here")
        assert lost.ask("WAIT", 1, 60_000) == 1
        lost.kill()
        heir = cluster.wait_for_failover(lost)
        assert heir is cluster.partner(lost)
        assert cluster.owner("key") is heir
        assert heir.ask("GET", "key") == b"here"
        lost.start()
        cluster.wait_until_whole()


def test_a_cut_resets_and_refuses_until_healed(proxy: ChaosProxy) -> None:
    with talking(proxy) as connection:
        proxy.cut()
        assert proxy.open_connections == 0
        with pytest.raises(ConnectionResetError):
            connection.recv(100)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(proxy.address, PATIENCE_S)
    proxy.heal()
    with talking(proxy):
        assert (proxy.connections, proxy.open_connections) == (2, 1)


def test_a_reset_lets_the_next_connection_through(proxy: ChaosProxy) -> None:
    with talking(proxy) as connection:
        proxy.reset_connections()
        with pytest.raises(ConnectionResetError):
            connection.recv(100)
    with talking(proxy):
        assert proxy.connections == 2


def test_a_server_that_is_down_resets_whoever_connects(
    server: RedisServer, proxy: ChaosProxy
) -> None:
    with talking(proxy) as connection:
        server.kill()
        assert connection.recv(100) == b""
    with pytest.raises(ConnectionResetError), talking(proxy):
        pass
    server.start()
    with talking(proxy):
        assert proxy.connections == 3


def test_a_delay_holds_replies_and_ends_for_those_it_holds(
    server: RedisServer, proxy: ChaosProxy, through: redis.Redis
) -> None:
    proxy.delay(0.3)
    begun_s = time.monotonic()
    assert through.ping()
    assert time.monotonic() - begun_s >= 0.3
    proxy.delay(60.0)
    with ThreadPoolExecutor(1) as elsewhere:
        late = elsewhere.submit(through.incr, "count")
        wait_until(lambda: server.ask("GET", "count") == b"1", "the command's arrival")
        assert not late.done()
        proxy.delay(0)
        assert late.result() == 1


def test_a_black_hole_keeps_connections_open_and_carries_nothing(
    server: RedisServer, proxy: ChaosProxy
) -> None:
    with talking(proxy) as old:
        carried = (proxy.bytes_up, proxy.bytes_down)
        proxy.blackhole()
        with socket.create_connection(proxy.address, PATIENCE_S) as new:
            for connection in (old, new):
                connection.settimeout(0.2)
                connection.sendall(b"INCR count\r\n")
                with pytest.raises(TimeoutError):
                    connection.recv(100)
            assert server.ask("EXISTS", "count") == 0
            server.kill()
            with pytest.raises(TimeoutError):  # not even that is heard
                old.recv(100)
            assert (proxy.connections, proxy.open_connections) == (2, 2)
            assert (proxy.bytes_up, proxy.bytes_down) == carried
            proxy.heal()
            for connection in (old, new):
                connection.settimeout(PATIENCE_S)
                assert connection.recv(100) == b""


def test_a_dropped_reply_is_of_a_command_that_was_carried_out(
    server: RedisServer, proxy: ChaosProxy, through: redis.Redis
) -> None:
    proxy.drop_replies(2, to=b"INCR")
    assert through.ping()
    for _ in range(2):
        with pytest.raises(redis.ConnectionError):
            through.incr("count")
    assert server.ask("GET", "count") == b"2"
    assert through.incr("count") == 3
    assert proxy.replies_dropped == 2


def test_new_connections_go_to_the_new_target(
    tmp_path: Path, proxy: ChaosProxy, through: redis.Redis
) -> None:
    with running(tmp_path / "second") as second:
        through.set("key", "first")
        second.ask("SET", "key", "second")
        proxy.target(*second.address)
        assert through.get("key") == b"first"
        proxy.reset_connections()
        assert through.get("key") == b"second"


async def large_value_through(port: int, value: bytes) -> bytes:
    async with redis.asyncio.Redis(port=port, protocol=2) as client:
        await client.set("large", value)
        return await client.get("large")


@pytest.mark.anyio
async def test_an_async_client_passes_many_chunks_in_order(proxy: ChaosProxy) -> None:
    value = bytes(range(256)) * 8192
    assert await large_value_through(proxy.port, value) == value
    assert proxy.bytes_up > len(value) < proxy.bytes_down
