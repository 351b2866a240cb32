"""Remote stores that are about to fail, and what must hold of them whatever happened."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from inspect import isawaitable
from pathlib import Path
from typing import TypeVar

import pytest
from chaos import ChaosProxy
from patience import PATIENCE_S
from redis_servers import RedisServer, wait_until
from store_examples import TTL_S, Clock, Examples

from banditroute.core import feedback
from banditroute.errors import StoreUnavailable
from banditroute.stores import OutboxStore, RedisStore
from banditroute.stores.base import Store
from banditroute.stores.redis import connect, parse_address
from banditroute.values import Checkpoint, Decision, Learned, OutcomeEvidence, QualityEvidence

T = TypeVar("T")


CHECKPOINT = Checkpoint(1, "features-1", b"it")

any_server = pytest.mark.parametrize("binary", ["any"], indirect=True)
"""For a test that takes its time and learns nothing from a second kind of server."""


def redis_store(url: str, clock: Clock) -> RedisStore:
    address = parse_address(url)
    return RedisStore(lambda: connect(address), decision_ttl_s=TTL_S, clock=clock)


async def eventually(look: Callable[[], Awaitable[T] | T]) -> T:
    """The first true answer; a store that is away may answer later."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with suppress(StoreUnavailable):
                answer = look()
                if answer := (await answer if isawaitable(answer) else answer):
                    return answer
            await asyncio.sleep(0.01)


def outbox_store(url: str, clock: Clock, folder: Path, *, early_s: float = 60.0) -> OutboxStore:
    remote = redis_store(url, clock)
    return OutboxStore(remote, folder, decision_ttl_s=TTL_S, clock=clock, early_s=early_s)


async def given_over(*stores: Store) -> None:
    """Until everything that was promised is in the remote store."""
    for store in stores:
        await eventually(lambda store=store: not store.pending().waiting)


async def noted(store: OutboxStore) -> None:
    """Until a mark says that all rows are over."""
    await given_over(store)
    lane = store._opened().own.lane("auto")
    await eventually(lambda: not lane._appends and lane._known.applied == lane._applied)


async def rows_of(store: OutboxStore) -> int:
    """How many rows there are in an open store's own file."""
    count = "SELECT count(*) FROM rows"
    return await store._opened().own.file._run(lambda db: db.execute(count).fetchone()[0])


@contextmanager
def counting(server: RedisServer) -> Iterator[Counter[str]]:
    """How often the server carries out each command inside the block, also for a script."""
    done: Counter[str] = Counter()
    server.ask("CONFIG", "RESETSTAT")
    yield done
    for name, stats in server.info("commandstats").items():
        done[name.removeprefix("cmdstat_")] = stats["calls"]


async def assert_whole(store: Store, router: str = "auto") -> None:
    """The log has no gap, and it says of every decision just what is kept beside it."""
    log = await store.evidence(router, 0, 100_000)
    assert [entry.position for entry in log] == list(range(1, await store.head(router) + 1))
    readings, outcomes = {}, Counter()
    for entry in log:
        if isinstance(entry, QualityEvidence):
            assert entry.old == readings.get(entry.decision_id)
            readings[entry.decision_id] = entry.new
        elif isinstance(entry, OutcomeEvidence):
            outcomes[entry.decision_id] += 1
    async for record in store.decisions(router):
        id_ = record.decision.id
        assert readings.pop(id_, None) == feedback.reading(record.marks)
        assert outcomes.pop(id_, 0) == (record.outcome is not None)
    assert not readings
    assert not outcomes


async def scores(store: Store, router: str = "auto") -> dict[str, float | None]:
    """The last word on every decision that anybody spoke of, as the log has it."""
    log = await store.evidence(router, 0, 100_000)
    return {
        entry.decision_id: entry.new and entry.new.quality
        for entry in log
        if isinstance(entry, QualityEvidence)
    }


async def refuses_to_write(store: RedisStore, made: Examples, decision: Decision, why: str) -> None:
    """Every way to write ends with an error of ours that says why."""
    for write in (
        store.remember([made.decision()]),
        store.absorb("auto", [made.feedback(decision, 0.75)]),
        store.record("auto", [made.outcome(decision)]),
        store.save_checkpoint("auto", CHECKPOINT),
        store.claim("new", "features-1"),
    ):
        with pytest.raises(StoreUnavailable, match=why):
            await write


async def assert_as_it_was(store: RedisStore, decision: Decision) -> None:
    """All that there is, is the decision with its word."""
    [record] = [record async for record in store.decisions("auto")]
    assert record.decision.id == decision.id
    assert record.outcome is None
    assert [mark.score for mark in record.marks.values()] == [0.25]
    assert await store.load_checkpoint("auto") is None
    assert await store.head("auto") == 1
    await assert_whole(store)


async def assert_works(store: RedisStore, made: Examples, decision: Decision) -> None:
    await store.remember([made.decision()])
    assert await store.absorb("auto", [made.feedback(decision, 0.75)]) == [Learned.AMENDED]
    assert await store.record("auto", [made.outcome(decision)]) == [Learned.LEARNED]
    await store.save_checkpoint("auto", CHECKPOINT)
    assert await store.load_checkpoint("auto") == CHECKPOINT
    await assert_whole(store)


class Pair:
    """A primary and a replica, and the two networks that may fail: between them, and ``front``
    between them and their clients.
    """

    def __init__(
        self, primary: RedisServer, replica: RedisServer, between: ChaosProxy, front: ChaosProxy
    ) -> None:
        self.primary, self.replica, self.front = primary, replica, front
        self._between = between
        wait_until(self.level, "the replica's first sync")

    @property
    def url(self) -> str:
        return self.front.url

    def level(self) -> bool:
        """Whether the replica has all that the primary has."""
        primary, replica = (s.info("replication") for s in (self.primary, self.replica))
        linked = replica.get("master_link_status") == "up"
        return linked and primary["master_repl_offset"] == replica["slave_repl_offset"]

    def part(self) -> None:
        """What is written from now on, the primary alone has."""
        wait_until(self.level, "a replica that has everything")
        self._between.cut()

    def fail_over(self) -> None:
        """The primary dies, and the replica takes its place with what it has."""
        self.primary.kill()
        self.replica.ask("REPLICAOF", "NO", "ONE")
        self.front.target(*self.replica.address)
        self.front.reset_connections()


@contextmanager
def pair(folder: Path, binary: Path) -> Iterator[Pair]:
    with (
        RedisServer(folder / "primary", binary=binary) as primary,
        ChaosProxy(primary.address) as between,
        ChaosProxy(primary.address) as front,
        RedisServer(folder / "replica", binary=binary, replica_of=between.address) as replica,
    ):
        yield Pair(primary, replica, between, front)
