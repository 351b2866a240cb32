"""While the store is away the router decides on, says so, and forgets nothing when it is back."""

import asyncio
import random
from contextlib import suppress

import pytest
from doubles import (
    FlakyStore,
    asking,
    decided,
    engine_on,
    memory,
    outcome,
    retraction,
    router,
    running,
    score,
    until,
)
from patience import PATIENCE_S

from banditroute.core.context import Featurizer
from banditroute.core.identity import Mint
from banditroute.engine import Engine
from banditroute.engine import backlog as backlog_module
from banditroute.engine import engine as engine_module
from banditroute.engine import follower as follower_module
from banditroute.errors import FeatureMismatch, StoreUnavailable, StoreUnusable
from banditroute.values import Learned

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(follower_module, "WAIT_S", 0.01)
    monkeypatch.setattr(follower_module, "PAUSE_S", 0.001)
    monkeypatch.setattr(backlog_module, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(backlog_module, "LONGEST_PAUSE_S", 0.002)


@pytest.fixture
def flaky(store):
    return FlakyStore(store)


@pytest.fixture
async def engine(flaky, clock):
    async with running(engine_on(flaky, clock, router("a", "b"))) as engine:
        yield engine
        flaky.down, flaky.broken = False, set()


def without_text(store, clock):
    """An engine that sees requests by other features."""
    mint = Mint(lambda: int(clock() * 1000), random.Random(9).randbytes)
    return Engine([router()], Featurizer(text="none"), store, mint, clock)


async def test_an_outage_is_served_through_and_nothing_of_it_is_lost(engine, flaky):
    before = await decided(engine)
    flaky.down = True
    await until(lambda: engine.degraded)
    made = []
    for _ in range(30):
        decision = engine.decide("auto", asking())
        assert decision.degraded
        engine.remember(decision)
        engine.record(decision, outcome(decision))
        made.append(decision)
    with pytest.raises(StoreUnavailable):
        await engine.learn([score(engine, before, 1.0)])
    with pytest.raises(StoreUnavailable):
        await engine.learn([retraction(engine, before)])
    with pytest.raises(StoreUnavailable):
        await engine.report(outcome(before))
    with pytest.raises(StoreUnavailable):
        await engine.receipt(before.id)
    with pytest.raises(StoreUnavailable):
        await engine.arms("auto")
    flaky.down = False
    await until(lambda: not engine.degraded)
    assert not engine.decide("auto", asking()).degraded
    statuses = await engine.learn([score(engine, d, 0.5) for d in [before, *made]])
    assert statuses == [Learned.LEARNED] * 31
    _, reports = await engine.arms("auto")
    assert sum(report.requests_n for report in reports) == 30
    assert sum(report.feedback_n for report in reports) == 31
    assert engine.dropped == 0


async def test_feedback_whose_reply_was_lost_counts_once_when_it_is_sent_again(engine, flaky):
    decision = await decided(engine)
    flaky.loses_replies = {"absorb"}
    with pytest.raises(StoreUnavailable):
        await engine.learn([score(engine, decision, 1.0)])
    flaky.loses_replies = set()
    assert await engine.learn([score(engine, decision, 1.0)]) == [Learned.UNCHANGED]
    _, reports = await engine.arms("auto")
    assert sum(report.feedback_n for report in reports) == 1


async def test_while_the_store_refuses_no_answer_waits_for_it(engine, flaky, monkeypatch):
    monkeypatch.setattr(engine_module, "SETTLE_S", 10 * PATIENCE_S)
    flaky.down = True
    engine.remember(engine.decide("auto", asking()))
    await until(lambda: engine._backlog.stuck)
    decision = engine.decide("auto", asking())
    engine.remember(decision)
    async with asyncio.timeout(PATIENCE_S):
        assert not await engine.settled(decision)


async def test_feedback_on_a_decision_still_in_line_is_not_called_unknown(
    engine, flaky, monkeypatch
):
    """The client is told to come back, for the decision will be there."""
    for name in ("SETTLE_S", "LEVEL_S"):
        monkeypatch.setattr(engine_module, name, 0.01)
    flaky.broken = {"remember"}
    decision = engine.decide("auto", asking())
    engine.remember(decision)
    for attempt in (
        engine.learn([score(engine, decision, 1.0)]),
        engine.report(outcome(decision)),
        engine.receipt(decision.id),
    ):
        with pytest.raises(StoreUnavailable, match="still on its way"):
            await attempt
    flaky.broken = set()
    await until(lambda: not len(engine._backlog))
    assert await engine.learn([score(engine, decision, 1.0)]) == [Learned.LEARNED]


async def test_feedback_waits_longer_than_an_answer_for_a_slow_store(store, clock, monkeypatch):
    monkeypatch.setattr(engine_module, "SETTLE_S", 0.01)
    engine, writes, remember = engine_on(store, clock), asyncio.Event(), store.remember

    async def remember_slowly(decisions):
        await writes.wait()
        return await remember(decisions)

    monkeypatch.setattr(store, "remember", remember_slowly)
    async with running(engine):
        decision = engine.decide("auto", asking())
        engine.remember(decision)
        assert not await engine.settled(decision)
        told = asyncio.create_task(engine.learn([score(engine, decision, 1.0)]))
        await asyncio.sleep(0.05)
        assert not told.done()
        writes.set()
        assert await told == [Learned.LEARNED]


async def test_a_list_waits_once_for_all_that_is_in_line(engine, flaky, monkeypatch):
    for name in ("SETTLE_S", "LEVEL_S"):
        monkeypatch.setattr(engine_module, name, PATIENCE_S / 100)
    flaky.broken = {"remember"}
    decisions = [engine.decide("auto", asking()) for _ in range(200)]
    for decision in decisions:
        engine.remember(decision)
    async with asyncio.timeout(PATIENCE_S):  # one after the other would take twice that
        with pytest.raises(StoreUnavailable):
            await engine.learn([score(engine, d, 1.0) for d in decisions])


async def test_a_store_away_at_the_start_is_served_without_and_joined_later(store, clock):
    flaky = FlakyStore(store)
    engine = engine_on(store, clock, router("a", "b", default_arm="b"))
    async with running(engine):  # something to find in the log later
        await engine.learn([score(engine, await decided(engine), 1.0)])
    late = engine_on(flaky, clock, router("a", "b", default_arm="b"), seed=4)
    flaky.down = True
    async with running(late):
        assert late.degraded
        made = [late.decide("auto", asking()) for _ in range(5)]
        assert {(d.arm_id, d.degraded) for d in made} == {("b", True)}
        for decision in made:
            late.remember(decision)
        flaky.down = False
        await until(lambda: not late.degraded)
        await late.learn([score(late, d, 0.5) for d in made])
        _, reports = await late.arms("auto")
        assert sum(report.feedback_n for report in reports) == 6


async def test_features_that_do_not_match_stop_the_start(store, clock):
    engine = engine_on(store, clock)
    async with running(engine):
        await engine.learn([score(engine, await decided(engine), 1.0)])
    other = without_text(store, clock)
    with pytest.raises(FeatureMismatch, match="restore the earlier"):
        await other.start()
    await other.stop()


async def test_features_found_not_to_match_only_later_are_logged_for_the_operator(
    store, clock, caplog
):
    engine = engine_on(store, clock)
    async with running(engine):
        await engine.learn([score(engine, await decided(engine), 1.0)])
    flaky = FlakyStore(store)
    flaky.down = True
    async with running(without_text(flaky, clock)) as other:
        flaky.down = False
        await until(lambda: "restore the earlier" in caplog.text)
        assert other.degraded


async def test_a_store_that_can_never_work_stops_the_start(flaky, clock, monkeypatch):
    async def refuse():
        raise StoreUnusable("no such folder")

    monkeypatch.setattr(flaky, "open", refuse)
    with pytest.raises(StoreUnusable):
        await engine_on(flaky, clock).start()


async def test_starting_twice_changes_nothing(engine):
    tasks = list(engine._tasks)
    await engine.start()
    assert engine._tasks == tasks


async def test_a_task_that_dies_is_logged_and_shown_as_degraded(engine, monkeypatch, caplog):
    def broken(self, entries):
        raise ArithmeticError("scripted")

    decision = await decided(engine)
    monkeypatch.setattr("banditroute.core.fold.RouterState.fold", broken)
    await engine.learn([score(engine, decision, 1.0)])
    await until(lambda: "ArithmeticError: scripted" in caplog.text)
    assert engine.decide("auto", asking()).degraded


async def test_expiring_goes_on_after_an_outage(store, clock, monkeypatch):
    monkeypatch.setattr(engine_module, "EXPIRE_EVERY_S", 0.001)
    flaky = FlakyStore(store)
    flaky.broken = {"expire"}
    async with running(engine_on(flaky, clock)) as engine:
        await until(lambda: flaky.calls["expire"] > 1)
        flaky.broken = set()
        await decided(engine)
        clock.advance(1e9)
        await until(lambda: flaky.calls["expire"] > 4)
        assert not [record async for record in store.decisions("auto")]


async def test_a_store_that_is_away_at_the_end_does_not_stop_the_end(flaky, clock):
    engine = engine_on(flaky, clock)
    await engine.start()
    await engine.learn([score(engine, await decided(engine), 1.0)])
    engine.remember(engine.decide("auto", asking()))
    flaky.down = True
    await engine.stop()
    assert engine.dropped == 1
    assert not engine._tasks


async def test_an_engine_forgets_nothing_that_was_in_line_when_it_stops(store, clock):
    engine = engine_on(store, clock)
    await engine.start()
    made = [engine.decide("auto", asking()) for _ in range(300)]
    for decision in made:
        engine.remember(decision)
        engine.record(decision, outcome(decision))
    await engine.stop()
    await store.open()
    assert len(await store.evidence("auto", 0, 1000)) == 300
    await store.close()


async def test_stopping_ends_though_a_cancellation_is_lost(clock, monkeypatch):
    store = memory(clock)
    real, heard = store.wait, asyncio.Event()

    async def deaf(*args):
        monkeypatch.setattr(store, "wait", real)
        heard.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return True

    monkeypatch.setattr(store, "wait", deaf)
    engine = engine_on(store, clock)
    await engine.start()
    await heard.wait()
    async with asyncio.timeout(PATIENCE_S):
        await engine.stop()


async def test_memory_is_a_store_like_any_other(clock):
    """An engine may be started again on the store that it left."""
    store = memory(clock)
    engine = engine_on(store, clock)
    async with running(engine):
        decision = await decided(engine)
    async with running(engine):
        assert await engine.learn([score(engine, decision, 1.0)]) == [Learned.LEARNED]
