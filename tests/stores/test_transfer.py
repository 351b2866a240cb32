"""Whole routers through a file: exactly, or not at all."""

from __future__ import annotations

import io
import random
from itertools import pairwise
from typing import Any

import pytest
from doubles import decided, engine_on, grow, running, score
from store_examples import TTL_S, Clock, Examples
from transfer_examples import (
    KINDS,
    Busy,
    assert_equal,
    assert_unusable,
    boundaries_of,
    exported,
    file_of,
    folded,
    frames_of,
    imported,
    teach,
)

from banditroute.engine import follower
from banditroute.errors import StoreError, StoreUnusable
from banditroute.stores import frames, transfer
from banditroute.stores.base import Store
from banditroute.stores.frames import FrameReader, FrameWriter
from banditroute.stores.transfer import export_state, has_state, import_state
from banditroute.values import (
    Checkpoint,
    Learned,
)

pytestmark = pytest.mark.anyio


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
    newer = file_of({"format": "banditroute-state", "version": 4, "routers": ["auto"]}, "new")
    target = await stores("memory")
    with pytest.raises(StoreError, match=r"version 4, this one reads 3.*upgrade"):
        await imported(target, newer)
    await target.claim("auto", "features-1")


async def test_the_file_is_plain_msgpack_in_pages(
    stores: Any, taught: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(transfer, "PAGE", 10)
    values = frames_of(await exported(taught))
    assert values[0] == {"format": "banditroute-state", "version": 3, "routers": ["auto"]}
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
