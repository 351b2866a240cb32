"""Decisions and outcomes on their way to the store: in order, once, and never without a bound."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from doubles import FlakyStore, asking, engine_on, memory, outcome, router, until

from banditroute.engine import backlog as backlog_module
from banditroute.engine.backlog import BATCH, Backlog
from banditroute.values import Outcome

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(backlog_module, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(backlog_module, "LONGEST_PAUSE_S", 0.002)


@pytest.fixture
async def store(clock):
    store = FlakyStore(memory(clock))
    await store.open()
    return store


@pytest.fixture
def make(clock, store):
    """Makes decisions of a router, not yet written."""
    engine = engine_on(store, clock, router(), router(name="other"))
    return lambda name="auto": engine.decide(name, asking())


@asynccontextmanager
async def working(backlog):
    task = asyncio.create_task(backlog.run())
    try:
        yield backlog
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def fill(backlog, decisions):
    for decision in decisions:
        backlog.add(decision.router, decision)
        backlog.add(decision.router, outcome(decision))


async def logged(store, name="auto"):
    """The ids of the decisions whose outcomes are in the log, in order."""
    return [entry.decision_id for entry in await store.evidence(name, 0, 10_000)]


async def test_what_is_added_is_written_in_order(store, make):
    decisions = [make() for _ in range(BATCH)]
    backlog = Backlog(store)
    fill(backlog, decisions)
    assert len(backlog) == 2 * BATCH
    async with working(backlog):
        await until(lambda: not len(backlog))
    assert await logged(store) == [d.id for d in decisions]


async def test_an_outcome_never_overtakes_its_decision(store, make):
    """Also when the store takes the decisions of a batch and then refuses the outcomes."""
    decisions = [make() for _ in range(3)]
    backlog = Backlog(store)
    fill(backlog, decisions)
    store.broken = {"remember"}
    assert not await backlog.flush()
    assert store.calls["record"] == 0
    store.broken = {"record"}
    assert not await backlog.flush()
    store.broken = set()
    assert await backlog.flush()
    assert await logged(store) == [d.id for d in decisions]
    assert backlog.dropped == 0


async def test_each_router_gets_its_own_outcomes(store, make):
    mine, others = [make() for _ in range(3)], [make("other") for _ in range(3)]
    backlog = Backlog(store)
    fill(backlog, [d for pair in zip(mine, others, strict=True) for d in pair])
    assert await backlog.flush()
    assert await logged(store) == [d.id for d in mine]
    assert await logged(store, "other") == [d.id for d in others]


async def test_beyond_the_bound_entries_are_dropped_and_counted(store, make):
    decisions = [make() for _ in range(5)]
    backlog = Backlog(store, limit=3)
    for decision in decisions:
        backlog.add("auto", decision)
    assert (len(backlog), backlog.dropped) == (3, 2)
    in_line = [not await backlog.settled([d.id], timeout_s=0.0) for d in decisions]
    assert in_line == [True] * 3 + [False] * 2
    assert await backlog.flush()
    found = [await store.find("auto", d.id) is not None for d in decisions]
    assert found == [True] * 3 + [False] * 2


async def test_an_outage_loses_nothing_and_doubles_nothing(store, make):
    decisions = [make() for _ in range(300)]
    backlog = Backlog(store)
    async with working(backlog):
        fill(backlog, decisions[:100])
        await until(lambda: not len(backlog))
        store.down = True
        fill(backlog, decisions[100:200])
        await until(lambda: backlog.stuck)
        tries = store.calls["remember"]
        await until(lambda: store.calls["remember"] > tries + 3)
        fill(backlog, decisions[200:])
        store.down = False
        await until(lambda: not len(backlog))
    assert not backlog.stuck
    assert backlog.dropped == 0
    assert await logged(store) == [d.id for d in decisions]


async def test_a_write_whose_reply_was_lost_is_written_once(store, make):
    decisions = [make() for _ in range(20)]
    backlog = Backlog(store)
    fill(backlog, decisions)
    store.loses_replies = {"remember", "record"}
    for _ in range(4):
        assert not await backlog.flush()
    store.loses_replies = set()
    assert await backlog.flush()
    assert await logged(store) == [d.id for d in decisions]


async def test_one_odd_outcome_is_dropped_and_the_others_of_its_batch_are_kept(store, make):
    decisions = [make() for _ in range(5)]
    backlog = Backlog(store)
    fill(backlog, decisions[:2])
    backlog.add("auto", Outcome("00000000-0000-7000-8000-000000000000", latency_s=1.0))
    backlog.add("auto", outcome(decisions[0], latency_s=99.0))  # contradicts the first
    fill(backlog, decisions[2:])
    assert await backlog.flush()
    assert len(backlog) == 0
    assert await logged(store) == [d.id for d in decisions]
    assert backlog.dropped == 2


async def test_an_odd_outcome_is_counted_once_even_if_the_store_goes_away_right_after(store, make):
    odd = [make("auto"), make("other")]
    backlog = Backlog(store)
    for decision in odd:  # decided but never remembered: their outcomes are odd
        backlog.add(decision.router, outcome(decision))
    real = store.store.record

    async def record(name, outcomes):
        if name == "other" and store.calls["record"] < 8:
            store.broken = {"record"}
        return await real(name, outcomes)

    store.store.record = record
    while not await backlog.flush():
        store.broken = set()
    assert backlog.dropped == 2


async def test_settled_waits_until_a_decision_is_written(store, make):
    decision = make()
    backlog = Backlog(store)
    backlog.add("auto", decision)
    assert not await backlog.settled([decision.id], timeout_s=0.0)
    waiting = asyncio.create_task(backlog.settled([decision.id], timeout_s=30.0))
    await asyncio.sleep(0)
    await backlog.flush()
    assert await waiting
    assert await store.find("auto", decision.id)


@pytest.mark.parametrize(("whole", "batches"), [(True, 2), (False, 1)])
async def test_settled_waits_for_the_outcome_too_only_if_the_whole_is_asked_for(
    store, make, monkeypatch, whole, batches
):
    monkeypatch.setattr(backlog_module, "BATCH", 1)
    decision = make()
    backlog = Backlog(store)
    fill(backlog, [decision])
    waiting = asyncio.create_task(backlog.settled([decision.id], timeout_s=30.0, whole=whole))
    await asyncio.sleep(0)
    flushed = 0
    while not waiting.done():
        await backlog.flush()
        flushed += 1
        await asyncio.sleep(0.001)
    assert await waiting
    assert flushed == batches


async def test_several_decisions_are_settled_when_the_last_is_written(store, make):
    decisions = [make() for _ in range(3)]
    backlog = Backlog(store)
    fill(backlog, decisions[:2])
    ids = [d.id for d in decisions]
    assert not await backlog.settled(ids, timeout_s=0.0)
    await backlog.flush()
    assert await backlog.settled(ids, timeout_s=0.0)


async def test_nothing_in_line_is_settled_at_once(store, make):
    assert await Backlog(store).settled([make().id], timeout_s=0.0)


async def test_draining_writes_everything(store, make):
    decisions = [make() for _ in range(BATCH)]
    backlog = Backlog(store)
    fill(backlog, decisions)
    await backlog.drain(timeout_s=30.0)
    assert (len(backlog), backlog.dropped) == (0, 0)
    assert await logged(store) == [d.id for d in decisions]


async def test_draining_into_a_store_that_refuses_drops_and_counts_what_is_left(store, make):
    decision = make()
    backlog = Backlog(store)
    fill(backlog, [decision])
    store.down = True
    await backlog.drain(timeout_s=30.0)
    assert (len(backlog), backlog.dropped) == (0, 2)
    assert await backlog.settled([decision.id], timeout_s=0.0)


async def test_draining_ends_in_time_though_the_store_is_silent(store, make, monkeypatch):
    backlog = Backlog(store)
    fill(backlog, [make()])

    async def silent(decisions):
        await asyncio.Event().wait()

    monkeypatch.setattr(store.store, "remember", silent)
    await backlog.drain(timeout_s=0.01)
    assert (len(backlog), backlog.dropped) == (0, 2)
