"""Routers to be moved through a file, and what is looked at afterwards."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from doubles import featurizer
from store_examples import Examples, evidence_of, records_of

from banditroute.core import checkpoint
from banditroute.core.feedback import reading
from banditroute.core.fold import RouterState
from banditroute.core.posterior import FeatureGroups
from banditroute.errors import StoreUnusable
from banditroute.stores.base import Store
from banditroute.stores.frames import FrameWriter
from banditroute.stores.transfer import export_state, has_state, import_state
from banditroute.values import (
    Decision,
    OutcomeEvidence,
    QualityEvidence,
)

KINDS = ("memory", "sqlite")
Make = Callable[[str], Store]


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
