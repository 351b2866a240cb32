"""Routers through a file while others use their store, or it fails."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from store_examples import TTL_S, Clock, Examples, evidence_of, records_of
from transfer_examples import (
    KINDS,
    Busy,
    assert_consistent,
    assert_equal,
    exported,
    frames_of,
    imported,
    teach,
)

from banditroute.errors import StoreError, StoreUnavailable
from banditroute.stores import transfer
from banditroute.stores.base import Store
from banditroute.stores.sqlite import store as sqlite_store
from banditroute.stores.transfer import has_state
from banditroute.values import (
    Checkpoint,
)

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", KINDS)
async def test_nobody_sees_half_an_import(
    stores: Any, taught: Store, monkeypatch: pytest.MonkeyPatch, kind: str
):
    monkeypatch.setattr(transfer, "PAGE", 5)
    target, data = await stores(kind), await exported(taught)
    looks = 0

    def put_looking(put: Any) -> Any:
        async def look(*args: Any, **kwargs: Any) -> None:
            nonlocal looks
            await put(*args, **kwargs)
            assert not await has_state(target, "auto")
            assert await target.evidence("auto", 0, 10) == []
            looks += 1

        return look

    monkeypatch.setattr(target, "put", put_looking(target.put))
    await imported(target, data)
    assert looks == 9
    assert await has_state(target, "auto")


@pytest.mark.parametrize("kind", KINDS)
async def test_waiting_ends_when_a_router_has_arrived(stores: Any, taught: Store, kind: str):
    target = await stores(kind)
    waiting = asyncio.create_task(target.wait("auto", 0, 60.0))
    await asyncio.sleep(0)
    await imported(target, await exported(taught))
    assert await waiting


@pytest.mark.parametrize("method", ["begin_import", "put", "finish_import"])
async def test_a_store_that_goes_away_can_be_tried_again(stores: Any, taught: Store, method: str):
    target, data = await stores("memory"), await exported(taught)

    async def fail() -> None:
        raise StoreUnavailable("taken away by the test")

    with pytest.raises(StoreUnavailable, match="taken away"):
        await imported(Busy(target, {method: fail}), data)
    await imported(target, data)
    await assert_equal(taught, target)


async def test_what_a_cut_import_left_in_a_file_is_deleted_in_pieces(
    stores: Any, taught: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sqlite_store, "CHUNK", 5)
    target, data = await stores("sqlite"), await exported(taught)
    with pytest.raises(StoreError):
        await imported(target, data[:-1])
    await target.begin_import("auto")
    with closing(sqlite3.connect(target._path)) as db:
        for table in ("log", "decisions", "checkpoints"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    await imported(target, data)
    await assert_equal(taught, target)


async def test_a_checkpoint_of_nothing_that_came_between_does_not_stay(stores: Any, taught: Store):
    target = await stores("sqlite")
    await target.begin_import("auto")
    await target.save_checkpoint("auto", Checkpoint(0, "features-1", b"prior"))
    await target.put("auto", checkpoints=await taught.checkpoints("auto"))
    await target.finish_import("auto", "features-1", 24)
    assert await target.checkpoints("auto") == await taught.checkpoints("auto")
    await target.claim("new", "features-1")  # takes the number that became free
    assert await target.checkpoints("new") == []


@pytest.mark.parametrize("when", ["head", "evidence", "find", "checkpoints"])
@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_learned_during_an_export_is_in_it(
    stores: Any, made: Examples, monkeypatch: pytest.MonkeyPatch, kind: str, when: str
):
    monkeypatch.setattr(transfer, "PAGE", 4)
    source, target = await stores(kind), await stores("memory")
    known = await teach(source, made, 10)
    left = iter(range(8))

    async def learn() -> None:
        """A new decision that is learned from, old ones that are again, and one that is not."""
        if next(left, None) is not None:
            known.extend(await teach(source, made, 1))
            await source.absorb("auto", [made.feedback(d, made.rng.random()) for d in known[::3]])
            await source.remember([made.decision()])

    busy = Busy(source, {"checkpoints": learn, when: learn})
    await imported(target, await exported(busy))
    await assert_consistent(target)
    assert next(left, None) == (1 if when == "checkpoints" else None)
    assert await evidence_of(source) == await evidence_of(target)
    assert await records_of(source) == await records_of(target)


async def test_an_export_beside_writers_is_of_one_moment(
    stores: Any, made: Examples, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(transfer, "PAGE", 10)
    source = await stores("sqlite")
    known = await teach(source, made, 30)

    async def write() -> None:
        for n in range(30):  # 90 entries: fewer than the looks at which an export gives up
            known.extend(await teach(source, made, 1))
            await source.absorb("auto", [made.feedback(known[n], made.rng.random())])
            await asyncio.sleep(0.005)

    writing = asyncio.create_task(write())
    while not writing.done():
        target = await stores("memory")
        await imported(target, await exported(source))
        await assert_consistent(target)
    await writing
    assert await target.head("auto") > 60


async def test_a_late_decision_with_an_early_id_comes_along_once_it_taught_something(
    stores: Any, made: Examples
):
    source, target = await stores("memory"), await stores("memory")
    late = made.decision()
    await teach(source, made, 3)
    looks = 0

    async def arrive() -> None:
        nonlocal looks
        looks += 1
        if looks == 2:  # the first look back, when all decisions are written
            await source.remember([late])
            await source.absorb("auto", [made.feedback(late)])

    await imported(target, await exported(Busy(source, {"head": arrive})))
    assert await target.find("auto", late.id) is not None
    await assert_consistent(target)


async def test_a_router_that_is_never_quiet_is_to_be_stopped_first(stores: Any, made: Examples):
    source = await stores("memory")
    [decision] = await teach(source, made, 1)

    async def learn() -> None:
        await source.absorb("auto", [made.feedback(decision, made.rng.random())])

    with pytest.raises(StoreUnavailable, match=r"'auto' learned .* 100 looks: stop it"):
        await exported(Busy(source, {"head": learn}))


@pytest.mark.parametrize("after", [0, 1, 3])
async def test_a_log_that_is_trimmed_while_it_is_read_is_read_anew(
    stores: Any,
    made: Examples,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    after: int,
):
    monkeypatch.setattr(transfer, "PAGE", 4)
    source, target = await stores("memory"), await stores("sqlite")
    await teach(source, made, 10)
    for position in (3, 16):
        await source.save_checkpoint("auto", Checkpoint(position, "features-1", b"state"))
        clock.advance(TTL_S / 3)
    reads = 0

    async def expire() -> None:
        nonlocal reads
        reads += 1
        if reads == after + 1:
            clock.advance(TTL_S)
            await source.expire()

    data = await exported(Busy(source, {"evidence": expire}))
    assert [frame[0] for frame in frames_of(data)[1:]].count("anew") == (after > 0)
    await imported(target, data)
    assert [e.position for e in await target.evidence("auto", 0, 100)] == [17, 18, 19, 20]
    clock.advance(TTL_S)
    await target.expire()
    assert await evidence_of(source) == await evidence_of(target)


@pytest.mark.parametrize("lost", ["position = 9", "position > 20", "position < 5"])
async def test_a_log_with_a_gap_is_not_exported(
    stores: Any, made: Examples, monkeypatch: pytest.MonkeyPatch, lost: str
):
    monkeypatch.setattr(transfer, "PAGE", 4)
    source = await stores("sqlite")
    await teach(source, made, 12)
    with closing(sqlite3.connect(source._path, isolation_level=None)) as db:
        db.execute(f"DELETE FROM log WHERE {lost}")
    with pytest.raises(StoreError, match=r"'auto' has a gap near position .*backup"):
        await exported(source)
