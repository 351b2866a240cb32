"""A shared store that lost what it had is given it back: everything that was promised, once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from chaos import ChaosProxy
from faulty import (
    Pair,
    any_server,
    assert_whole,
    eventually,
    given_over,
    noted,
    outbox_store,
    pair,
    redis_store,
    scores,
)
from redis_servers import AOF_ALWAYS, RedisServer, running
from store_examples import TTL_S, Clock, Examples, opened

from banditroute.errors import HistoryLost
from banditroute.stores import OutboxStore, RedisStore
from banditroute.stores.base import FeedbackChange, Pending, Store
from banditroute.values import Decision, Learned, Outcome

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("hasty_outbox"), any_server]

Words = dict[str, float]


@pytest.fixture
async def replicas(
    server: RedisServer, clock: Clock, tmp_path: Path
) -> AsyncIterator[list[OutboxStore]]:
    async with two_on(server.url, clock, tmp_path) as stores:
        yield stores


@asynccontextmanager
async def two_on(url: str, clock: Clock, folder: Path) -> AsyncIterator[list[OutboxStore]]:
    """Two replicas with an outbox each."""
    stores = [outbox_store(url, clock, folder / name) for name in ("ours", "theirs")]
    async with opened(stores[0]), opened(stores[1]):
        yield stores


async def live(stores: Sequence[Store], made: Examples, count: int = 12) -> Words:
    """Decisions on each replica; each speaks of its own and of the other's, some words are
    amended by another replica, and some taken back. The last words.
    """
    last: Words = {}
    for number in range(count):
        one, other = stores[number % 2], stores[(number + number // 3) % 2]
        decision = made.decision()
        await one.remember([decision])
        await other.record("auto", [made.outcome(decision)])
        for score in (0.25, number / 100):
            await one.absorb("auto", [made.feedback(decision, score)])
            one, other = other, one
        last[decision.id] = number / 100
        if number % 4 == 3:
            await other.absorb("auto", [made.retraction(decision)])
            last[decision.id] = None
    return last


async def assert_all_there(stores: Sequence[OutboxStore], words: Words) -> None:
    """Every decision with its outcome and its last word, once, and nothing else."""
    await eventually(lambda: _complete(stores, words))
    await given_over(*stores)
    for store in stores:
        assert await scores(store) | words == words
        found = {r.decision.id: r async for r in store.decisions("auto")}
        assert set(found) == set(words)
        assert {id_: record.marks["user"].score for id_, record in found.items()} == words
        assert all(record.outcome for record in found.values())
        await assert_whole(store)
        assert store.pending() == Pending()


async def _complete(stores: Sequence[OutboxStore], words: Words) -> bool:
    found = {record.decision.id: record async for record in stores[0].decisions("auto")}
    return found.keys() == words.keys() and all(
        record.outcome and "user" in record.marks and record.marks["user"].score == words[id_]
        for id_, record in found.items()
    )


async def test_a_wiped_server_is_given_everything_back(
    replicas: list[OutboxStore], server: RedisServer, made: Examples
):
    words = await live(replicas, made)
    await given_over(*replicas)
    server.ask("FLUSHALL")
    await assert_all_there(replicas, words)


async def test_a_server_wiped_again_and_again_in_the_middle_of_the_work_loses_nothing(
    replicas: list[OutboxStore], server: RedisServer, made: Examples
):
    working, wiped = asyncio.create_task(live(replicas, made, 40)), 0

    async def can_be_wiped() -> bool:
        return working.done() or all([await _knows_the_log(store) for store in replicas])

    while await eventually(can_be_wiped) and not working.done():
        await asyncio.to_thread(server.ask, "FLUSHALL")
        wiped += 1
    words = await working
    assert wiped > 2
    await assert_all_there(replicas, words)


async def _knows_the_log(store: OutboxStore) -> bool:
    """Whether a replica would notice that the log, as it is now, is gone."""
    known = store._opened().own.lane("auto")._known
    if known is None or known.mark is None:
        return False
    held, _ = await store._remote.prove("auto", [known.mark])
    return held


async def test_a_restart_without_persistence_loses_nothing(
    replicas: list[OutboxStore], server: RedisServer, made: Examples
):
    words = await live(replicas, made)
    await asyncio.to_thread(server.kill)
    words |= await live(replicas, made, 5)
    await asyncio.to_thread(server.start)
    words |= await live(replicas, made, 5)
    await assert_all_there(replicas, words)


@pytest.fixture
def two_servers(tmp_path: Path, binary: Path) -> Iterator[Pair]:
    with pair(tmp_path / "pair", binary) as two:
        yield two


async def test_a_failover_that_loses_the_tail_loses_nothing(
    two_servers: Pair, clock: Clock, tmp_path: Path, made: Examples
):
    async with two_on(two_servers.url, clock, tmp_path) as replicas:
        words = await live(replicas, made)
        await given_over(*replicas)
        two_servers.part()
        words |= await live(replicas, made)
        for store in replicas:
            assert store.pending().waiting == 0
        await asyncio.to_thread(two_servers.fail_over)
        await assert_all_there(replicas, words)


async def test_a_tail_is_given_back_by_a_replica_that_was_closed_meanwhile(
    two_servers: Pair, clock: Clock, tmp_path: Path, made: Examples
):
    async with two_on(two_servers.url, clock, tmp_path) as replicas:
        words = await live(replicas, made)
        await given_over(*replicas)
        two_servers.part()
        words |= await live(replicas, made)
        await given_over(*replicas)
    await asyncio.to_thread(two_servers.fail_over)
    async with two_on(two_servers.url, clock, tmp_path) as again:
        await assert_all_there(again, words)


async def test_whoever_reads_hears_that_it_was_lost_and_then_reads_it_again(
    replicas: list[OutboxStore], server: RedisServer, made: Examples
):
    words = await live(replicas, made)
    await given_over(*replicas)
    store = replicas[0]
    await scores(store)
    head = await store.head("auto")
    server.ask("FLUSHALL")
    with pytest.raises(HistoryLost):
        await store.wait("auto", head, 60.0)
    await assert_all_there(replicas, words)


async def test_decisions_that_nobody_spoke_of_yet_are_given_back_too(
    replicas: list[OutboxStore], server: RedisServer, made: Examples
):
    first = await live(replicas, made, 1)
    decisions = [made.decision() for _ in range(6)]
    for at, decision in enumerate(decisions):
        await replicas[at % 2].remember([decision])
    await given_over(*replicas)
    server.ask("FLUSHALL")
    others = [made.feedback(d, 0.5) for at, d in enumerate(decisions) if at % 2]
    assert set(await replicas[0].absorb("auto", others)) <= {Learned.LEARNED, Learned.ACCEPTED}
    ids = {*first, *(decision.id for decision in decisions)}
    await eventually(lambda: _known(replicas[0], ids))
    await given_over(*replicas)
    assert await scores(replicas[0]) == first | {said.decision_id: 0.5 for said in others}


async def _known(store: OutboxStore, ids: set[str]) -> bool:
    return {record.decision.id async for record in store.decisions("auto")} == ids


async def test_words_replayed_in_the_wrong_order_leave_the_last_one_standing(
    replicas: list[OutboxStore], server: RedisServer, made: Examples, tmp_path: Path, clock: Clock
):
    decisions = [made.decision() for _ in range(8)]
    await replicas[0].remember(decisions)
    older = [made.feedback(decision, 0.25) for decision in decisions]
    newer = [made.feedback(decision, 0.75) for decision in decisions]
    await replicas[0].absorb("auto", older)
    await replicas[1].absorb("auto", newer)
    await given_over(*replicas)
    await replicas[0].close()
    server.ask("FLUSHALL")
    await eventually(lambda: _parked(replicas[1]))  # the newer words are there first
    async with opened(outbox_store(server.url, clock, tmp_path / "ours")) as again:
        await given_over(again, replicas[1])
        assert await scores(again) == {decision.id: 0.75 for decision in decisions}
        await assert_whole(again)


def _parked(store: OutboxStore) -> bool:
    return store.pending().parked == 1


class Spied(RedisStore):
    """Notes what it is told."""

    told: list[str]

    def watch(self) -> list[str]:
        self.told = []
        return self.told

    async def remember(self, decisions: Sequence[Decision]) -> None:
        await super().remember(decisions)
        self.told += [decision.id for decision in decisions]

    async def record(
        self, router: str, outcomes: Sequence[Outcome], at_s: float | None = None
    ) -> list[Learned]:
        self.told += [outcome.decision_id for outcome in outcomes]
        return await super().record(router, outcomes, at_s)

    async def absorb(self, router: str, changes: Sequence[FeedbackChange]) -> list[Learned]:
        self.told += [change.decision_id for change in changes]
        return await super().absorb(router, changes)


@pytest.fixture
async def spied(
    tmp_path: Path, binary: Path, clock: Clock
) -> AsyncIterator[tuple[OutboxStore, Spied, RedisServer, ChaosProxy]]:
    """An outbox, the store behind it, its server that loses nothing, and the network between."""
    with (
        running(tmp_path / "kept", binary=binary, options=AOF_ALWAYS) as server,
        ChaosProxy(server.address) as proxy,
    ):
        link = redis_store(proxy.url, clock)._connect
        remote = Spied(link, decision_ttl_s=TTL_S, clock=clock)
        remote.watch()
        folder = tmp_path / "ours"
        store = OutboxStore(remote, folder, decision_ttl_s=TTL_S, clock=clock)
        async with opened(store):
            yield store, remote, server, proxy


async def teach(store: OutboxStore, made: Examples, count: int) -> list[str]:
    """The ids of decisions that each got a word, one after the other."""
    decisions = [made.decision() for _ in range(count)]
    await store.remember(decisions)
    for decision in decisions:
        await store.absorb("auto", [made.feedback(decision, 0.5)])
    return [decision.id for decision in decisions]


@pytest.mark.parametrize("how", ["cut", "restarted"])
async def test_after_an_outage_without_loss_only_what_is_not_surely_there_is_sent_again(
    spied: tuple[OutboxStore, Spied, RedisServer, ChaosProxy], made: Examples, how: str
):
    store, remote, server, proxy = spied
    early = await teach(store, made, 20)
    await noted(store)
    late = await teach(store, made, 3)
    await noted(store)
    told = remote.watch()
    proxy.cut()
    away = await teach(store, made, 4)
    if how == "restarted":  # it could have lost its last writes: a mark says how many at most
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
    proxy.heal()
    await noted(store)
    again = Counter(told)
    assert all(again[id_] >= 2 for id_ in away)  # as a decision, and with its word
    assert not set(early) & again.keys()
    if how == "cut":
        assert again.keys() == set(away)
    else:
        assert again.keys() <= {*late, *away}
    assert await eventually(lambda: store.head("auto")) == 27
    await assert_whole(store)


async def test_at_rest_nothing_is_sent_again(
    spied: tuple[OutboxStore, Spied, RedisServer, ChaosProxy], made: Examples
):
    store, remote, _, _ = spied
    await teach(store, made, 5)
    await noted(store)
    told, at_s = remote.watch(), _looked_at_s(store)
    await eventually(lambda: _looked_at_s(store) > at_s + 0.2)
    assert told == []


def _looked_at_s(store: OutboxStore) -> float:
    return store._opened().own.lane("auto")._looked_at_s


async def test_after_reopening_only_what_is_not_surely_there_is_sent_again(
    spied: tuple[OutboxStore, Spied, RedisServer, ChaosProxy], made: Examples
):
    store, remote, _, _ = spied
    await teach(store, made, 20)
    await noted(store)
    await store.close()
    told = remote.watch()
    await store.open()
    late = await teach(store, made, 2)
    await noted(store)
    assert set(told) == set(late)
    assert await store.head("auto") == 22
