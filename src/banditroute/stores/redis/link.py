"""The wire to a Redis or Valkey: one server, a service behind sentinels, or a cluster.

Nothing is ever sent twice by itself: redis-py's own retries are off, because a reply that got
lost says nothing about whether the command was carried out. Every wait has an end, and no
more than ``MOST_CONNECTIONS`` commands are under way at once; the others wait their turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

from redis import exceptions as redis_errors
from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from banditroute.errors import StoreUnavailable, StoreUnusable
from banditroute.stores.redis.address import Address
from banditroute.stores.redis.connections import (
    ServiceConnection,
    TCPConnection,
    TLSConnection,
    TLSServiceConnection,
    UnixConnection,
)
from banditroute.stores.redis.scripts import Script

MOST_CONNECTIONS = 32
CONNECT_S = 1.5  # a lost first packet is sent again only after 1 s (RFC 6298)
ANSWER_S = 2.0
BLOCK_S = 1.0
"""How long one blocking read lasts; a longer wait is several."""

_Arg = str | bytes | int | float
_LOST = (
    redis_errors.RedisError,
    redis_errors.RedisClusterException,  # which is no RedisError: no node can be reached
    OSError,
    TimeoutError,
    AttributeError,  # of redis-py, when a connection is closed just as somebody takes it,
    TypeError,  # and of asyncio, since Python 3.12
)

_OF_THE_OTHERS_TOO = (redis_errors.ReadOnlyError, redis_errors.ConnectionError)
"""What went wrong on one connection and will on every other that is open: a primary became a
replica, or the network was cut.
"""


class Client(Protocol):
    """What is used of redis-py's asynchronous clients, and of their stand-in for tests."""

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        """Send one command to whoever has its key."""

    async def aclose(self) -> None:
        """Let go of every connection."""


class Link:
    """Commands and scripts on one server, service or cluster.

    ``client`` carries the commands, ``waiting`` the blocking reads. Every method raises
    StoreUnavailable when it was not answered well; a command may have been carried out then.
    """

    def __init__(self, client: Client, waiting: Client) -> None:
        self._client = client
        self._waiting = waiting
        self._places = asyncio.Semaphore(MOST_CONNECTIONS)

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[_Arg] = ()) -> Any:
        """What a script answers; it is loaded where it is not known."""
        tail = (len(keys), *keys, *args)
        async with self._place():
            try:
                return await self._client.execute_command("EVALSHA", script.sha, *tail)
            except redis_errors.NoScriptError:
                return await self._client.execute_command("EVAL", script.text, *tail)

    async def command(self, *args: _Arg) -> Any:
        """What a command answers. Its first argument after the name is its key."""
        async with self._place():
            return await self._client.execute_command(*args)

    async def grows(self, log: str, after: int, timeout_s: float) -> bool:
        """Wait for an entry after a position of a stream, at most ``BLOCK_S``."""
        timeout_ms = round(min(timeout_s, BLOCK_S) * 1000)
        block = ("BLOCK", timeout_ms) if timeout_ms > 0 else ()  # 0 would mean for ever
        command = ("XREAD", "COUNT", 1, *block, "STREAMS", log, f"{after}-0")
        with _translated():
            # Where its key stands, redis-py would ask any node of a cluster, and that may be down.
            where = await _place_of(log, self._waiting)
            return bool(await self._waiting.execute_command(*command, **where))

    def now(self) -> float:
        """Seconds on a clock that never steps back, to measure waits by."""
        return asyncio.get_running_loop().time()

    async def server(self, key: str) -> str:
        """Which server has a key, in a word that changes with a failover or a restart."""
        async with self._place():
            try:
                return str((await self._info(key))["run_id"])
            except (redis_errors.ResponseError, KeyError):
                return ""  # some proxies and stand-ins do not say

    async def check(self) -> None:
        """Raise StoreUnusable where the server answers that it can never be used so.

        One that does not answer at all may come back, and is no reason to raise.
        """
        try:
            await self._client.execute_command("GET", "br1:routers:check")
        except _LOST as error:
            if refusal := _refusal(error):
                raise StoreUnusable(refusal) from error

    async def close(self) -> None:
        """Let go of every connection."""
        for client in (self._client, self._waiting):
            with suppress(*_LOST):
                await client.aclose()

    async def _info(self, key: str) -> Mapping[str, Any]:
        where = await _place_of(key, self._client)
        said: Mapping[str, Any] = await self._client.execute_command("INFO", "server", **where)
        return said

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._places.acquire()
        except TimeoutError:
            raise StoreUnavailable("redis is behind: too many commands wait for it") from None
        try:
            with _translated():
                yield
        except StoreUnavailable as error:
            if isinstance(error.__cause__, _OF_THE_OTHERS_TOO):
                await self._forget_connections()
            raise
        finally:
            self._places.release()

    async def _forget_connections(self) -> None:
        """Whoever connects anew may reach a server that is well, or the one that took over."""
        for client in (self._client, self._waiting):
            if isinstance(client, Redis):
                with suppress(*_LOST):
                    await client.connection_pool.disconnect(inuse_connections=False)


class _translated:  # noqa: N801 - reads as a statement
    """Turns what redis-py raises into StoreUnavailable; a class, for it is on every command."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: object, _: object) -> None:
        if isinstance(error, redis_errors.NoScriptError) or not isinstance(error, _LOST):
            return
        raise StoreUnavailable(f"redis did not do it: {_what(error)}") from error


async def _place_of(key: str, client: Client) -> dict[str, Any]:
    """How to tell a cluster's client that a command is for the node of a key."""
    if not isinstance(client, RedisCluster):
        return {}
    await client.initialize()
    return {"target_nodes": client.get_node_from_key(key)}


def connect(address: Address) -> Link:
    """A link to an address. Nothing is sent yet."""
    if address.kind == "cluster":
        return Link(_cluster(address, ANSWER_S), _cluster(address, ANSWER_S + BLOCK_S))
    if address.kind == "sentinel":
        return Link(_service(address, ANSWER_S), _service(address, ANSWER_S + BLOCK_S))
    return Link(_single(address, ANSWER_S), _single(address, ANSWER_S + BLOCK_S))


def _single(address: Address, answer_s: float) -> Client:
    # Of blocking reads there is one for each router, of commands as many as have a place.
    pool = BlockingConnectionPool(
        connection_class=_connection_class(address),
        max_connections=2**16,
        timeout=CONNECT_S,
        db=address.db,
        **_where(address),
        **_options(address, answer_s),
        **_trust(address),
    )
    return Redis.from_pool(pool)


def _where(address: Address) -> dict[str, Any]:
    if address.path is not None:
        return {"path": address.path}
    host, port = address.hosts[0]
    return {"host": host, "port": port}


def _connection_class(address: Address) -> type[Any]:
    if address.path is not None:
        return UnixConnection
    return TLSConnection if address.tls else TCPConnection


def _service(address: Address, answer_s: float) -> Client:
    asking = {**_options(address, ANSWER_S), "username": None}
    tls = {"ssl": True, **_trust(address)} if address.tls else {}
    asking["password"] = address.sentinel_password
    hosts = list(address.hosts)
    sentinel = Sentinel(hosts, sentinel_kwargs={**asking, **tls})  # type: ignore[no-untyped-call]
    client: Client = sentinel.master_for(
        address.service,
        db=address.db,
        connection_class=TLSServiceConnection if address.tls else ServiceConnection,
        **_options(address, answer_s),
        **_trust(address),
    )
    return client


def _cluster(address: Address, answer_s: float) -> Client:
    tls = {"ssl": True, **_trust(address)} if address.tls else {}
    client = RedisCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in address.hosts],
        max_connections=2**16,
        **_options(address, answer_s),
        **tls,
    )
    # Every node that is found from now on is asked over them; there is no argument for it.
    client.get_connection_kwargs()["connection_class"] = _connection_class(address)
    return client


def _options(address: Address, answer_s: float) -> dict[str, Any]:
    return {
        "username": address.username,
        "password": address.password,
        "socket_connect_timeout": CONNECT_S,
        "socket_timeout": answer_s,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 3,
        # With them a pool does not look whether an idle connection was closed meanwhile.
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }


def _trust(address: Address) -> dict[str, Any]:
    return {"ssl_ca_certs": address.ca} if address.tls and address.ca else {}


def _refusal(error: BaseException) -> str | None:
    """Why a server can never be used so; None for an error that may pass."""
    if isinstance(error, redis_errors.RedisClusterException):
        error = error.__cause__ or error  # what the last of the nodes said
    match error:
        case (
            redis_errors.AuthenticationError()
            | redis_errors.AuthorizationError()
            | redis_errors.NoPermissionError()
        ):
            return "redis refuses this user or password: check the one in [store] url"
        case redis_errors.MovedError():
            return "[store] url names a node of a cluster: write redis+cluster:// instead"
        case redis_errors.ResponseError() if "DB index" in str(error):
            return "[store] url names a database that redis lacks"
        case redis_errors.RedisClusterException() if "not enabled" in str(error):
            return "[store] url names no cluster: write redis:// instead"
        case _:
            return None


def _what(error: BaseException) -> str:
    """What went wrong, in words without an address: they may reach a caller."""
    match error:
        case redis_errors.TimeoutError() | TimeoutError():
            return "no answer in time"
        case redis_errors.ReadOnlyError():
            return "it is a read-only replica"
        case redis_errors.BusyLoadingError():
            return "it is loading its data"
        case redis_errors.OutOfMemoryError():
            return "it is out of memory"
        case redis_errors.ClusterDownError() | redis_errors.MasterDownError():
            return "the cluster or its primary is down"
        case redis_errors.RedisClusterException():
            return "no node of the cluster serves it"
        case redis_errors.ConnectionError() | OSError() | AttributeError() | TypeError():
            return "no connection"
        case _:
            return str(error).partition(" ")[0] or type(error).__name__
