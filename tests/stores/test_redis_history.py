"""A server that lost what it had is found out by whoever had read it, and no other is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from faulty import Pair, any_server, assert_whole, pair, redis_store
from patience import PATIENCE_S
from redis_servers import AOF_ALWAYS, RedisServer, running
from store_examples import TTL_S, Clock, Examples, opened

from banditroute.errors import CheckpointInvalid, HistoryLost
from banditroute.stores import RedisStore
from banditroute.values import Checkpoint, Learned

pytestmark = pytest.mark.anyio


@pytest.fixture
async def writer(server: RedisServer, clock: Clock) -> AsyncIterator[RedisStore]:
    async with opened(redis_store(server.url, clock)) as store:
        yield store


@pytest.fixture
def two(tmp_path: Path, binary: Path) -> Iterator[Pair]:
    with pair(tmp_path / "pair", binary) as two:
        yield two


async def write(store: RedisStore, made: Examples, entries: int) -> None:
    decisions = [made.decision() for _ in range(entries)]
    await store.remember(decisions)
    said = await store.absorb("auto", [made.feedback(decision) for decision in decisions])
    assert said == [Learned.LEARNED] * entries


async def read(store: RedisStore, after: int = 0) -> int:
    """Read what there is, three entries at a time as a follower would; the last position."""
    while entries := await store.evidence("auto", after, 3):
        assert entries[0].position == after + 1
        after = entries[-1].position
    return after


@asynccontextmanager
async def reader(url: str, clock: Clock, position: int) -> AsyncIterator[RedisStore]:
    """A store that has read a log up to a position."""
    async with opened(redis_store(url, clock)) as store:
        assert await read(store) == position
        yield store


async def assert_lost(store: RedisStore, position: int) -> None:
    """Whoever reads on is told so, and then reads what there is now."""
    with pytest.raises(HistoryLost, match=f"up to position {position}"):
        await store.evidence("auto", position, 10)
    await assert_whole(store)


async def assert_not_lost(store: RedisStore, made: Examples, position: int) -> None:
    assert await store.evidence("auto", position, 10) == []
    assert not await store.wait("auto", position, 0.0)
    await write(store, made, 2)
    assert await store.wait("auto", position, PATIENCE_S)
    entries = await store.evidence("auto", position, 10)
    assert [entry.position for entry in entries] == [position + 1, position + 2]


@pytest.mark.parametrize("regrown", [0, 3, 5, 7], ids="regrown to {}".format)
async def test_a_wiped_log_is_found_out_however_far_it_has_grown_again(
    writer: RedisStore, server: RedisServer, clock: Clock, made: Examples, regrown: int
):
    await write(writer, made, 5)
    async with reader(server.url, clock, 5) as store:
        server.ask("FLUSHALL")
        if regrown:
            await write(writer, made, regrown)
        await assert_lost(store, 5)


async def test_waiting_for_an_entry_ends_when_the_log_is_wiped(
    writer: RedisStore, server: RedisServer, clock: Clock, made: Examples
):
    await write(writer, made, 5)
    async with reader(server.url, clock, 5) as store:
        waiting = asyncio.create_task(store.wait("auto", 5, 600.0))
        await asyncio.sleep(0)
        server.ask("FLUSHALL")
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(HistoryLost, match="up to position 5"):
                await waiting


async def test_a_restart_without_persistence_is_found_out(
    writer: RedisStore, server: RedisServer, clock: Clock, made: Examples
):
    await write(writer, made, 5)
    async with reader(server.url, clock, 5) as store, reader(server.url, clock, 5) as late:
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        await assert_lost(store, 5)
        await write(store, made, 9)
        await assert_lost(late, 5)


async def test_a_restart_with_persistence_loses_nothing(
    tmp_path: Path, binary: Path, clock: Clock, made: Examples
):
    with running(tmp_path, binary=binary, options=AOF_ALWAYS) as server:
        async with opened(redis_store(server.url, clock)) as store:
            await write(store, made, 5)
            assert await read(store) == 5
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            await assert_not_lost(store, made, 5)


async def test_a_failover_that_loses_nothing_is_none_to_readers(
    two: Pair, clock: Clock, made: Examples
):
    async with opened(redis_store(two.url, clock)) as store:
        await write(store, made, 5)
        assert await read(store) == 5
        two.part()
        await asyncio.to_thread(two.fail_over)
        await assert_not_lost(store, made, 5)


@any_server
@pytest.mark.parametrize("regrown", [0, 2, 3, 4], ids="regrown by {}".format)
async def test_a_failover_that_lost_the_tail_is_found_out_however_far_it_has_grown_again(
    two: Pair, clock: Clock, made: Examples, regrown: int
):
    async with opened(redis_store(two.url, clock)) as writer:
        await write(writer, made, 5)
        async with reader(two.url, clock, 5) as early:
            two.part()
            await write(writer, made, 3)
            async with reader(two.url, clock, 8) as store:
                await asyncio.to_thread(two.fail_over)
                if regrown:
                    await write(early, made, regrown)
                await assert_lost(store, 8)
                # Who had read only what is still there goes on.
                assert await read(early, 5) == 5 + regrown


@pytest.mark.parametrize("keeps", ["nothing", "newer entries"])
async def test_a_trimmed_log_is_not_a_lost_one(
    writer: RedisStore, server: RedisServer, clock: Clock, made: Examples, keeps: str
):
    await write(writer, made, 5)
    async with reader(server.url, clock, 5) as store:
        await writer.save_checkpoint("auto", Checkpoint(5, "features-1", b"it"))
        clock.advance(TTL_S + 1.0)
        if keeps == "newer entries":
            await write(writer, made, 4)
        await writer.expire()
        begins = [entry.position for entry in await writer.evidence("auto", 0, 1)]
        assert begins == ([6] if keeps == "newer entries" else [])
        if keeps == "nothing":
            await assert_not_lost(store, made, 5)
        else:
            assert await read(store, 5) == 9


async def test_a_position_that_somebody_still_reads_at_is_never_forgotten(
    writer: RedisStore, server: RedisServer, clock: Clock, made: Examples
):
    """Not even while many others are read, as for replaying old decisions."""
    await write(writer, made, 600)
    async with opened(redis_store(server.url, clock)) as store:
        assert len(await store.evidence("auto", 0, 600)) == 600
        for position in range(599):
            await store.evidence("auto", position, 1)
            if position % 100 == 0:  # meanwhile the follower looks at the end for news
                await store.wait("auto", 600, 0.001)
        server.ask("FLUSHALL")
        await write(writer, made, 601)
        await assert_lost(store, 600)


async def test_a_loaded_checkpoint_says_what_must_lie_before_it(
    writer: RedisStore, server: RedisServer, clock: Clock, made: Examples
):
    await write(writer, made, 5)
    await read(writer)
    await writer.save_checkpoint("auto", Checkpoint(5, "features-1", b"it"))
    async with opened(redis_store(server.url, clock)) as store:
        assert (await store.load_checkpoint("auto")).position == 5
        server.ask("FLUSHALL")
        await write(writer, made, 7)
        await assert_lost(store, 5)


async def test_a_state_folded_from_lost_entries_is_not_kept(
    writer: RedisStore, server: RedisServer, clock: Clock, made: Examples
):
    await write(writer, made, 5)
    async with reader(server.url, clock, 5) as store:
        folded = Checkpoint(5, "features-1", b"of what is lost")
        server.ask("FLUSHALL")
        with pytest.raises(CheckpointInvalid, match="ahead of the log"):
            await store.save_checkpoint("auto", folded)
        await write(writer, made, 5)  # the last one has the position, and is another
        with pytest.raises(HistoryLost, match="not the one that was folded"):
            await store.save_checkpoint("auto", folded)
        await write(writer, made, 2)
        with pytest.raises(HistoryLost, match="not the one that was folded"):
            await store.save_checkpoint("auto", folded)
        assert await store.load_checkpoint("auto") is None
        assert await store.checkpoints("auto") == []


@any_server
async def test_a_state_folded_from_a_lost_tail_is_not_kept_by_the_heir(
    two: Pair, clock: Clock, made: Examples
):
    async with opened(redis_store(two.url, clock)) as writer:
        await write(writer, made, 5)
        await read(writer)
        await writer.save_checkpoint("auto", Checkpoint(5, "features-1", b"kept"))
        two.part()
        await write(writer, made, 3)
        async with reader(two.url, clock, 8) as store:
            await asyncio.to_thread(two.fail_over)
            await write(writer, made, 4)
            with pytest.raises(HistoryLost):
                await store.save_checkpoint("auto", Checkpoint(8, "features-1", b"lost"))
            assert await store.load_checkpoint("auto") == Checkpoint(5, "features-1", b"kept")
