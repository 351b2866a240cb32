"""Real servers that belong together: a primary and its replica under sentinels, a cluster."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from patience import PATIENCE_S
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis_servers import (
    HOST,
    NONE,
    Address,
    Options,
    RedisServer,
    wait_until,
)


class _Fleet:
    """Servers that come up together, and go together whatever happened to each."""

    servers: Sequence[RedisServer] = ()

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.callback(self.kill)
            self._start()
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _start(self) -> None:
        """Each kind of fleet below starts its own servers; this one is never used by itself."""
        raise NotImplementedError

    def kill(self) -> None:
        for server in self.servers:
            server.kill()

    def on_port(self, port: int) -> RedisServer:
        return next(server for server in self.servers if server.port == port)

    @staticmethod
    def awake(servers: Sequence[RedisServer]) -> list[RedisServer]:
        return [server for server in servers if server.alive and not server.paused]


class Sentinels(_Fleet):
    """A primary with a replica, ``servers``, watched by three sentinels of which two decide."""

    name = "watched"

    def __init__(self, folder: Path, *, binary: Path, options: Options = NONE) -> None:
        self._folder, self._binary, self._options = folder, binary, options
        self.sentinels: list[RedisServer] = []

    @property
    def addresses(self) -> list[Address]:
        return [sentinel.address for sentinel in self.sentinels]

    def kill(self) -> None:
        for sentinel in self.sentinels:
            sentinel.kill()
        super().kill()

    def _server(self, name: str, **more: Any) -> RedisServer:
        return RedisServer(self._folder / name, binary=self._binary, **more)

    def _start(self) -> None:
        first = self._server("first", options=self._options)
        self.servers = [first]
        first.start()
        second = self._server("second", options=self._options, replica_of=first.address)
        self.servers = [first, second]
        second.start()
        # A sentinel that meets a replica before its first sync looks again only 10 s later.
        wait_until(lambda: _linked(second), "the replica's first sync")
        watch = {
            f"sentinel monitor {self.name}": f"{HOST} {first.port} 2",
            f"sentinel down-after-milliseconds {self.name}": "3000",
            f"sentinel failover-timeout {self.name}": "3000",
        }
        for number in range(3):
            watcher = self._server(f"sentinel-{number}", options=watch, sentinel=True)
            self.sentinels.append(watcher)
            watcher.start()
        wait_until(self._acquainted, "sentinels that know the replica and each other")

    def _acquainted(self) -> bool:
        for sentinel in self.sentinels:
            flat = sentinel.ask("SENTINEL", "MASTER", self.name)
            known = dict(zip(flat[::2], flat[1::2], strict=True))
            if (known[b"num-slaves"], known[b"num-other-sentinels"]) != (b"1", b"2"):
                return False
        return True

    def _named_by(self, sentinel: RedisServer) -> Address:
        host, port = sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.name)
        return host.decode(), int(port)

    def primary(self) -> Address:
        """Where the first sentinel that is awake says that the primary is."""
        return self._named_by(self.awake(self.sentinels)[0])

    def failover_done(self, old_port: int, timeout_s: float = 3 * PATIENCE_S) -> RedisServer:
        """The new primary, once every sentinel that is awake names it and it says so itself.

        The old one, restarted, takes writes as a primary until the sentinels demote it, which
        may be 20 s later. Sentinels that were held up for 2 s act no sooner than 30 s after (TILT).
        """

        def promoted() -> RedisServer | None:
            named = {self._named_by(sentinel) for sentinel in self.awake(self.sentinels)}
            if len(named) != 1 or (port := named.pop()[1]) == old_port:
                return None
            server = self.on_port(port)
            return server if server.info("replication")["role"] == "master" else None

        return wait_until(promoted, f"a primary other than port {old_port}", timeout_s)


def _linked(replica: RedisServer) -> bool:
    return replica.info("replication").get("master_link_status") == "up"


class Cluster(_Fleet):
    """Three primaries that share the slots and, with ``replicas``, a replica for each.

    ``servers`` lists the first primaries, then their replicas in the same order.
    """

    PRIMARIES = 3

    def __init__(
        self, folder: Path, *, binary: Path, replicas: bool = False, options: Options = NONE
    ) -> None:
        self._copies = 2 if replicas else 1
        enabled = {"cluster-enabled": "yes", **options}
        if replicas:  # a lost primary is missed soon, one that a busy machine holds up is not
            enabled |= {
                "cluster-node-timeout": "4000",
                "cluster-replica-validity-factor": "0",
                "cluster-allow-replica-migration": "no",
            }
        self.servers = [
            RedisServer(folder / f"node-{number}", binary=binary, options=enabled)
            for number in range(self.PRIMARIES * self._copies)
        ]

    @property
    def url(self) -> str:
        """The first three nodes; a client learns of the others from any of them."""
        nodes = ",".join(f"{HOST}:{server.port}" for server in self.servers[: self.PRIMARIES])
        return f"redis+cluster://{nodes}"

    def _start(self) -> None:
        for server in self.servers:
            server.start()
        first, *others = self.servers
        primaries = self.servers[: self.PRIMARIES]
        share = REDIS_CLUSTER_HASH_SLOTS // self.PRIMARIES
        for number, server in enumerate(primaries):
            last = REDIS_CLUSTER_HASH_SLOTS if server is primaries[-1] else (number + 1) * share
            server.ask("CLUSTER", "ADDSLOTSRANGE", number * share, last - 1)
            server.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for server in others:
            first.ask("CLUSTER", "MEET", HOST, server.port, server.bus_port)
        wait_until(self._met, "nodes that all know each other")
        for replica in self.servers[self.PRIMARIES :]:
            replica.ask("CLUSTER", "REPLICATE", _id(self.partner(replica)))
        self.wait_until_whole()

    def _met(self) -> bool:
        seen = [server.ask("CLUSTER", "NODES").splitlines() for server in self.servers]
        return all(len(nodes) == len(self.servers) for nodes in seen) and not any(
            b"handshake" in node for nodes in seen for node in nodes
        )

    def _agree(self, copies: int = 1) -> list[tuple[range, int]] | None:
        """Each range of slots and its primary's port, if all who are awake say the same.

        They must also find the cluster's state ok, and at least ``copies`` nodes for each slot.
        """
        views = []
        for server in self.awake(self.servers):
            if b"cluster_state:ok" not in server.ask("CLUSTER", "INFO"):
                return None
            rows = sorted(server.ask("CLUSTER", "SLOTS"))
            if any(len(nodes) < copies for _, _, *nodes in rows):
                return None
            views.append([(range(first, last + 1), nodes[0][1]) for first, last, *nodes in rows])
        return views[0] if views and all(view == views[0] for view in views) else None

    def wait_until_whole(self, timeout_s: float = PATIENCE_S) -> None:
        """Until all nodes are up, agree, and every replica is linked to its primary."""

        def whole() -> bool:
            if len(self.awake(self.servers)) < len(self.servers) or not self._agree(self._copies):
                return False
            roles = [server.info("replication") for server in self.servers]
            replicas = [role for role in roles if role["role"] == "slave"]
            return len(replicas) == len(self.servers) - self.PRIMARIES and all(
                role["master_link_status"] == "up" for role in replicas
            )

        wait_until(whole, "a cluster that is whole", timeout_s)

    def partner(self, server: RedisServer) -> RedisServer:
        """The other of the two nodes that hold the same slots."""
        assert self._copies == 2, "this cluster has no replicas"
        at = (self.servers.index(server) + self.PRIMARIES) % len(self.servers)
        return self.servers[at]

    def owner(self, key: str | bytes) -> RedisServer:
        """The primary that serves ``key``, once all nodes that are awake agree."""
        return self.owner_of(key_slot(key.encode() if isinstance(key, str) else key))

    def owner_of(self, slot: int) -> RedisServer:
        ranges = wait_until(self._agree, "nodes that agree on who serves what")
        return self.on_port(next(port for slots, port in ranges if slot in slots))

    def begin_move(self, slot: int, to: RedisServer) -> None:
        """Open the slot's migration: from now on its owner answers ASK for keys it has not."""
        source = self.owner_of(slot)
        to.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", _id(source))
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", _id(to))

    def move_keys(self, slot: int, to: RedisServer, *keys: bytes) -> None:
        """Carry these keys of a slot in migration, or all that it has."""
        source = self.owner_of(slot)
        while batch := keys or source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100):
            source.ask("MIGRATE", HOST, to.port, "", 0, 60_000, "KEYS", *batch)
            if keys:
                return

    def finish_move(self, slot: int, to: RedisServer) -> None:
        """Carry what is left, give the slot away, and wait until every node knows."""
        source = self.owner_of(slot)
        self.move_keys(slot, to)
        owners = {port for _, port in wait_until(self._agree, "nodes that agree")}
        rest = [self.on_port(port) for port in owners - {to.port, source.port}]
        for server in (to, source, *rest):
            server.ask("CLUSTER", "SETSLOT", slot, "NODE", _id(to))
        wait_until(lambda: self.owner_of(slot) is to, f"slot {slot} on port {to.port}")

    def move_slot(self, slot: int, to: RedisServer) -> None:
        """A whole live migration."""
        self.begin_move(slot, to)
        self.finish_move(slot, to)

    def wait_for_failover(self, of: RedisServer, timeout_s: float = PATIENCE_S) -> RedisServer:
        """The replica of a lost primary, once all who are awake know it as the primary."""
        heir = self.partner(of)

        def taken_over() -> bool:
            ports = {port for _, port in self._agree() or ()}
            return heir.port in ports and of.port not in ports

        wait_until(taken_over, f"port {heir.port} in place of port {of.port}", timeout_s)
        return heir


def _id(server: RedisServer) -> bytes:
    return server.ask("CLUSTER", "MYID")
