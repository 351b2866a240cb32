"""Whole routers through a file: exactly, or not at all."""

from __future__ import annotations

import asyncio
import io
import random
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgpack
import pytest
from doubles import decided, engine_on, featurizer, grow, running, score
from store_examples import TTL_S, Clock, Examples, evidence_of, opened, records_of

from banditroute.core import checkpoint
from banditroute.core.feedback import reading
from banditroute.core.fold import RouterState
from banditroute.core.posterior import FeatureGroups
from banditroute.engine import follower
from banditroute.errors import StoreError, StoreUnavailable, StoreUnusable
from banditroute.stores import MemoryStore, SQLiteStore, frames, transfer
from banditroute.stores.base import Store
from banditroute.stores.frames import FrameReader, FrameWriter
from banditroute.stores.sqlite import store as sqlite_store
from banditroute.stores.transfer import export_state, has_state, import_state
from banditroute.values import (
    Checkpoint,
    Decision,
    Learned,
    OutcomeEvidence,
    QualityEvidence,
)

pytestmark = pytest.mark.anyio

KINDS = ("memory", "sqlite")
Make = Callable[[str], Store]


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


async def teach(store: Store, made: Examples, count: int) -> list[Decision]:
    decisions = [made.decision() for _ in range(count)]
    await store.remember(decisions)
    for decision in decisions:
        await store.record("auto", [made.outcome(decision)])
        await store.absorb("auto", [made.feedback(decision, made.rng.random())])
    return decisions


async def exported(store: Store, *routers: str) -> bytes:
    file = io.BytesIO()
    await export_state(store, routers or ["auto"], file.write)
    return file.getvalue()


async def imported(store: Store, data: bytes) -> None:
    await import_state(store, io.BytesIO(data).read)


def frames_of(data: bytes) -> list[Any]:
    """The values in a file, read without our reader: it is plain msgpack, with checksums."""
    return [msgpack.unpackb(frame[4:]) for frame in msgpack.Unpacker(io.BytesIO(data))]


def boundaries_of(data: bytes) -> list[int]:
    unpacker = msgpack.Unpacker(io.BytesIO(data))
    return [unpacker.tell() for _ in unpacker]


def file_of(*values: Any) -> bytes:
    file = io.BytesIO()
    writer = FrameWriter(file.write)
    for value in values:
        writer.write(value)
    writer.end()
    return file.getvalue()


async def assert_equal(one: Store, other: Store, router: str = "auto") -> None:
    assert await other.claimed(router) == await one.claimed(router)
    assert await other.head(router) == await one.head(router)
    assert await other.checkpoints(router) == await one.checkpoints(router)
    assert await evidence_of(other, router) == await evidence_of(one, router)
    assert await records_of(other, router) == await records_of(one, router)
    assert await other.announced(router) == await one.announced(router)


async def assert_unusable(store: Store, *routers: str) -> None:
    for router in routers:
        assert not await has_state(store, router)
        with pytest.raises(StoreUnusable, match="cut short"):
            await store.claim(router, "features-1")


async def folded(store: Store) -> bytes:
    """What a log teaches, as a checkpoint's bytes."""
    groups = FeatureGroups(featurizer().groups)
    kept = await store.checkpoints("auto")
    state = RouterState.empty(groups)
    log = await store.evidence("auto", 0, 100_000)
    if log[0].position > 1:
        state = checkpoint.load(kept[0].checkpoint, groups)
    state.fold(log)
    return checkpoint.save(state, featurizer().fingerprint).payload


class Busy:
    """A store in which something happens before each of some calls."""

    def __init__(self, store: Store, happens: dict[str, Callable[[], Any]]) -> None:
        self.store = store
        self.happens = happens

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.store, name)
        if name not in self.happens:
            return method

        async def call(*args: Any, **kwargs: Any) -> Any:
            await self.happens[name]()
            return await method(*args, **kwargs)

        return call


@pytest.mark.parametrize("trimmed", [False, True])
async def test_a_router_moves_to_the_bit_and_back_again(
    stores: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch, trimmed: bool
):
    """From memory to SQLite to memory: same log, same fold, same records, same decisions."""
    monkeypatch.setattr(follower, "CHECKPOINT_EVERY", 40)
    monkeypatch.setattr(transfer, "PAGE", 17)
    first, second, third = [await stores(kind) for kind in ("memory", "sqlite", "memory")]
    async with running(engine_on(first, clock)) as engine:
        for seed in range(3):
            await grow(engine, first, 25, seed=seed)
            await engine.arms("auto")
            clock.advance(TTL_S / 4)
        decisions = [await decided(engine, f"prompt {n}") for n in range(3)]
        said = [score(engine, decision, 0.3, comment="gut") for decision in decisions[:2]]
        assert await engine.learn(said) == [Learned.LEARNED] * 2
        replayed = [await engine.replay(decision.id) for decision in decisions]
    await first.open()  # the engine closed it
    if trimmed:
        clock.advance(0.6 * TTL_S)
        await first.expire()
    assert ((await first.evidence("auto", 0, 1))[0].position > 1) == trimmed
    assert len(await first.checkpoints("auto")) > 1
    there = await exported(first)
    await imported(second, there)
    await assert_equal(first, second)
    back = await exported(second)
    await imported(third, back)
    await assert_equal(first, third)
    assert there == back
    assert await folded(first) == await folded(second) == await folded(third)
    async with running(engine_on(second, clock, seed=8)) as engine:
        assert await engine.learn(said) == [Learned.UNCHANGED] * 2
        again = [await engine.replay(decision.id) for decision in decisions]
        await engine.learn([score(engine, decisions[2], 0.5)])
        assert (await engine.arms("auto"))[0] == 153
    assert again == replayed
    assert [choice.candidates for choice in again] == [d.candidates for d in decisions]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_log_that_was_trimmed_to_its_end_keeps_its_head(
    stores: Any, made: Examples, clock: Clock, kind: str
):
    source, target = await stores("memory"), await stores(kind)
    await teach(source, made, 3)
    await source.save_checkpoint("auto", Checkpoint(6, "features-1", b"six"))
    clock.advance(TTL_S + 1)
    await source.expire()
    assert await source.evidence("auto", 0, 10) == []
    await imported(target, await exported(source))
    await assert_equal(source, target)
    await teach(target, made, 1)
    assert [entry.position for entry in await target.evidence("auto", 0, 10)] == [7, 8]


async def test_expired_decisions_stay_behind(stores: Any, made: Examples, clock: Clock):
    source, target = await stores("memory"), await stores("memory")
    await teach(source, made, 3)
    clock.advance(TTL_S + 1)
    [young] = await teach(source, made, 1)
    [done] = await export_state(source, ["auto"], io.BytesIO().write)
    assert (done.decisions, done.entries, done.head) == (1, 8, 8)
    await imported(target, await exported(source))
    clock.advance(-TTL_S)
    assert [record.decision.id async for record in target.decisions("auto")] == [young.id]


@pytest.mark.parametrize("kind", KINDS)
async def test_several_routers_share_a_file(stores: Any, taught: Store, kind: str):
    target, file = await stores(kind), io.BytesIO()
    written = await export_state(taught, ["auto", "support"], file.write)
    read = await import_state(target, io.BytesIO(file.getvalue()).read)
    assert written == read
    counts = [(one.router, one.decisions, one.entries, one.checkpoints) for one in read]
    assert counts == [("auto", 13, 24, 1), ("support", 1, 0, 0)]
    assert [one.fingerprint for one in read] == ["features-1", None]
    assert sum(one.bytes for one in read) < len(file.getvalue())
    for router in ("auto", "support"):
        await assert_equal(taught, target, router)


@pytest.mark.parametrize("kind", KINDS)
async def test_no_router_of_a_file_is_touched_if_one_is_in_use(
    stores: Any, taught: Store, made: Examples, kind: str
):
    target = await stores(kind)
    await target.remember([made.decision("support")])
    with pytest.raises(StoreUnusable, match="'support' already"):
        await imported(target, await exported(taught, "auto", "support"))
    await target.claim("auto", "features-2")
    assert not await has_state(target, "auto")


@pytest.mark.parametrize("kind", KINDS)
async def test_importing_twice_is_refused_and_changes_nothing(
    stores: Any, taught: Store, kind: str
):
    target, data = await stores(kind), await exported(taught)
    await imported(target, data)
    with pytest.raises(StoreUnusable, match="'auto' already"):
        await imported(target, data)
    await target.claim("auto", "features-1")
    await assert_equal(taught, target)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_file_that_is_cut_short_anywhere_leaves_nothing_usable(
    stores: Any, taught: Store, monkeypatch: pytest.MonkeyPatch, kind: str
):
    monkeypatch.setattr(transfer, "PAGE", 5)
    data = await exported(taught, "auto", "support")
    ends = boundaries_of(data)
    assert len(ends) == 16
    target = await stores(kind)
    for cut in [0, 3, *(end + by for end in ends[:-1] for by in (-1, 0, 7)), len(data) - 1]:
        with pytest.raises(StoreError, match=r"cut short|no file of") as caught:
            await imported(target, data[:cut])
        if cut >= ends[0]:
            assert f"at byte {cut}" in str(caught.value)
            assert "nothing of router auto, support" in str(caught.value)
            await assert_unusable(target, "auto", "support")
    await imported(target, data)
    for router in ("auto", "support"):
        await target.claim(router, "features-1")
    await assert_equal(taught, target)


async def test_a_byte_that_was_flipped_is_refused_wherever_it_is(
    stores: Any, taught: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(transfer, "PAGE", 7)
    data = await exported(taught, "auto", "support")
    around = {end + by for end in boundaries_of(data) for by in range(-6, 12)}
    places = sorted(around & set(range(len(data)))) + list(range(0, len(data), 97))
    target = await stores("memory")
    for place in places:
        damaged = bytearray(data)
        damaged[place] ^= 1 << random.Random(place).randrange(8)
        with pytest.raises(StoreError):
            await imported(target, bytes(damaged))
        for router in ("auto", "support"):
            assert not await has_state(target, router)
    await imported(target, data)
    await assert_equal(taught, target)


async def test_frames_that_are_missing_or_out_of_order_are_refused(stores: Any, taught: Store):
    data = await exported(taught)
    ends = [0, *boundaries_of(data)]
    pieces = [data[begin:end] for begin, end in pairwise(ends)]
    assert [frame[0] for frame in frames_of(data)[1:]] == [
        "router", "checkpoint", "entries", "records", "done", "end"
    ]  # fmt: skip
    target = await stores("memory")
    for wrong in (
        [*pieces[:3], *pieces[4:]],
        [*pieces[:2], pieces[3], pieces[2], *pieces[4:]],
        [pieces[0], *pieces[2:]],
        [*pieces[:4], pieces[3], *pieces[4:]],
        [*pieces[:5], pieces[6]],
        [*pieces, b"\0"],
        [*pieces[:-1], pieces[1]],
    ):
        with pytest.raises(StoreError, match="damaged"):
            await imported(target, b"".join(wrong))
        await assert_unusable(target, "auto")


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"SQLite format 3\0" * 10,
        b"\xc6\xff\xff\xff\xff" + b"\0" * 100,
        file_of({"format": "another", "version": 1, "routers": ["auto"]}),
        file_of({"version": 1}),
        file_of(["router", "auto", None]),
    ],
)
async def test_what_is_no_export_is_refused_and_touches_nothing(stores: Any, wrong: bytes):
    target = await stores("memory")
    with pytest.raises(StoreError, match="no file of `banditroute export`"):
        await imported(target, wrong)
    await target.claim("auto", "features-1")


async def test_a_file_of_a_newer_version_is_refused_and_touches_nothing(stores: Any):
    newer = file_of({"format": "banditroute-state", "version": 3, "routers": ["auto"]}, "new")
    target = await stores("memory")
    with pytest.raises(StoreError, match=r"version 3, this one reads 2.*upgrade"):
        await imported(target, newer)
    await target.claim("auto", "features-1")


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


async def test_the_file_is_plain_msgpack_in_pages(
    stores: Any, taught: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(transfer, "PAGE", 10)
    values = frames_of(await exported(taught))
    assert values[0] == {"format": "banditroute-state", "version": 2, "routers": ["auto"]}
    assert values[1] == ["router", "auto", "features-1"]
    assert [len(value[1]) for value in values[1:] if value[0] == "entries"] == [10, 10, 4]
    assert [len(value[1]) for value in values[1:] if value[0] == "records"] == [10, 3]
    assert values[-2] == ["done", 24, 13, 24, 1]


async def test_a_checkpoint_that_no_reader_would_take_is_not_written(
    taught: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(frames, "MOST_FRAME_BYTES", 30)
    with pytest.raises(StoreError, match="too large"):
        await exported(taught)


async def assert_consistent(store: Store) -> None:
    """What is known of each decision is what the log says of it, and the log is whole."""
    log = await store.evidence("auto", 0, 100_000)
    assert [entry.position for entry in log] == list(range(1, await store.head("auto") + 1))
    ended = {entry.decision_id for entry in log if isinstance(entry, OutcomeEvidence)}
    read = {entry.decision_id: entry.new for entry in log if isinstance(entry, QualityEvidence)}
    records = [record async for record in store.decisions("auto")]
    assert {r.decision.id for r in records if r.outcome} == ended
    assert {r.decision.id: reading(r.marks) for r in records if r.marks} == read
    assert read


async def test_news_and_its_ids_are_in_a_file(
    stores: Any, taught: Store, made: Examples, clock: Clock
):
    early, late = made.arm_change(), made.source_change()
    await taught.announce("auto", early)
    await taught.save_checkpoint("auto", Checkpoint(25, "features-1", b"all"))
    clock.advance(TTL_S + 1)
    await taught.expire()

    async def announce() -> None:
        await taught.announce("auto", late)

    file = io.BytesIO()
    await export_state(Busy(taught, {"checkpoints": announce}), ["auto"], file.write)
    target = await stores("sqlite")
    await imported(target, file.getvalue())
    await assert_equal(taught, target)
    assert await target.announced("auto") == [early.id, late.id]


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


async def test_has_state_is_what_an_export_would_hold(stores: Any, made: Examples):
    for kind in KINDS:
        store = await stores(kind)
        await store.claim("auto", "features-1")
        assert not await has_state(store, "auto")
        await store.remember([made.decision()])
        assert await has_state(store, "auto")
        await store.save_checkpoint("support", Checkpoint(0, "features-1", b"prior"))
        assert await has_state(store, "support")


def test_frames_are_read_as_they_were_written():
    file = io.BytesIO()
    writer = FrameWriter(file.write)
    for value in ("one", [2], {"three": 3}):
        writer.write(value)
    writer.end()
    data = file.getvalue()
    reader = FrameReader(io.BytesIO(data).read)
    assert [reader.read() for _ in range(3)] == ["one", [2], {"three": 3}]
    reader.end()
    assert writer.count == reader.count == len(data)


@pytest.mark.parametrize(
    "head", [b"\xc6\0\0\0\4", b"\xc6\0\0\0\0", b"\xc6\xff\xff\xff\xff", b"\xc5\0\0\0\5"]
)
def test_a_frame_of_a_length_that_none_has_is_not_read(head: bytes):
    file = io.BytesIO(head + bytes(9))
    with pytest.raises(StoreError, match=r"damaged .before byte 5"):
        FrameReader(file.read).read()
    assert file.tell() == 5
