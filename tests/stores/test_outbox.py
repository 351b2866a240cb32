"""What was promised while the shared store was away is kept: once, in order, or counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from chaos import ChaosProxy
from faulty import (
    any_server,
    assert_whole,
    eventually,
    given_over,
    outbox_store,
    redis_store,
    rows_of,
    scores,
)
from patience import PATIENCE_S
from redis_servers import RedisServer
from store_examples import TTL_S, Clock, Examples, opened

from banditroute.core.feedback import MOST_SOURCES
from banditroute.errors import InvalidRequest, StoreUnavailable, UnknownDecision
from banditroute.stores import OutboxStore
from banditroute.stores.base import Pending
from banditroute.stores.outbox import lane
from banditroute.stores.outbox import store as outbox
from banditroute.values import Decision, Learned

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("hasty_outbox"), any_server]


@pytest.fixture
async def store(proxy: ChaosProxy, clock: Clock, tmp_path: Path) -> AsyncIterator[OutboxStore]:
    async with opened(outbox_store(proxy.url, clock, tmp_path / "ours")) as store:
        yield store


@pytest.fixture
async def other(server: RedisServer, clock: Clock, tmp_path: Path) -> AsyncIterator[OutboxStore]:
    """Another replica, whose network is well."""
    async with opened(outbox_store(server.url, clock, tmp_path / "theirs")) as store:
        yield store


@pytest.fixture
async def decision(store: OutboxStore, made: Examples) -> Decision:
    decision = made.decision()
    await store.remember([decision])
    return decision


async def test_what_is_accepted_while_away_is_applied_once_and_in_order_when_it_is_back(
    store: OutboxStore, proxy: ChaosProxy, made: Examples, decision: Decision
):
    proxy.cut()
    late = made.decision()
    await store.remember([late])
    words = [made.feedback(one, k / 4) for one in (decision, late) for k in range(5)]
    for word in words:
        assert await store.absorb("auto", [word]) == [Learned.ACCEPTED]
    assert await store.record("auto", [made.outcome(late)]) == [Learned.ACCEPTED]
    assert await store.absorb("auto", [made.retraction(late)] * 2) == [Learned.ACCEPTED] * 2
    assert store.pending() == Pending(waiting=13)
    with pytest.raises(StoreUnavailable):  # reading asks the remote store
        await store.find("auto", late.id)
    proxy.heal()
    await given_over(store)
    log = await store.evidence("auto", 0, 100)
    said = [(word.decision_id, word.score) for word in words]
    told = [(entry.decision_id, entry.new.quality) for entry in log[:10]]
    assert told == said
    assert [entry.decision_id for entry in log[10:]] == [late.id] * 2
    assert await scores(store) == {decision.id: 1.0, late.id: None}
    await assert_whole(store)
    assert store.pending() == Pending()
    for word in words:
        assert await store.absorb("auto", [word]) == [Learned.UNCHANGED]


async def test_an_outcome_counts_from_when_it_was_known_and_not_from_when_it_was_told(
    store: OutboxStore, proxy: ChaosProxy, made: Examples, decision: Decision, clock: Clock
):
    proxy.cut()
    known_s = clock()
    await store.record("auto", [made.outcome(decision)])
    clock.advance(5_000.0)
    proxy.heal()
    await given_over(store)
    assert [entry.at_s for entry in await store.evidence("auto", 0, 10)] == [known_s]


async def test_news_is_refused_while_the_store_is_away_and_not_promised(
    store: OutboxStore, proxy: ChaosProxy, made: Examples
):
    news = made.arm_change()
    proxy.cut()
    with pytest.raises(StoreUnavailable):
        await store.announce("auto", news)
    assert store.pending().waiting == 0
    proxy.heal()
    assert await eventually(lambda: store.announce("auto", news)) == Learned.LEARNED
    assert await store.announce("auto", news) == Learned.UNCHANGED


async def test_replies_that_are_lost_make_nothing_double(
    store: OutboxStore, proxy: ChaosProxy, made: Examples
):
    decisions = [made.decision() for _ in range(100)]
    statuses: list[Learned] = []
    for at, decision in enumerate(decisions):
        if at % 5 == 0:
            await given_over(store)
            proxy.drop_replies(1 + at % 3, to=b"EVALSHA")
        await store.remember([decision])
        statuses += await store.absorb("auto", [made.feedback(decision, 0.25)])
        statuses += await store.record("auto", [made.outcome(decision)])
    await given_over(store)
    assert proxy.replies_dropped > 20
    assert set(statuses) <= {Learned.LEARNED, Learned.ACCEPTED, Learned.UNCHANGED}
    assert await store.head("auto") == 200
    await assert_whole(store)


async def test_a_slow_store_is_answered_for_and_caught_up_with(
    store: OutboxStore,
    proxy: ChaosProxy,
    made: Examples,
    decision: Decision,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(outbox, "ANSWER_S", 0.01)
    proxy.delay(0.1)
    assert await store.absorb("auto", [made.feedback(decision)]) == [Learned.ACCEPTED]
    assert store.pending().waiting == 1
    await given_over(store)
    assert await store.head("auto") == 1


async def test_a_store_that_hangs_is_answered_for_as_well(
    store: OutboxStore,
    server: RedisServer,
    made: Examples,
    decision: Decision,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(outbox, "ANSWER_S", 0.05)
    server.pause()
    async with asyncio.timeout(PATIENCE_S):
        for score in (0.25, 0.75):
            said = made.feedback(decision, score)
            assert await store.absorb("auto", [said]) == [Learned.ACCEPTED]
    server.resume()
    await given_over(store)
    assert await scores(store) == {decision.id: 0.75}
    await assert_whole(store)


@pytest.mark.parametrize("away", ["while away", "while there"])
async def test_a_decision_that_only_another_replica_has_yet_is_waited_for(
    store: OutboxStore, other: OutboxStore, proxy: ChaosProxy, made: Examples, away: str
):
    proxy.cut()
    decision = made.decision()
    await store.remember([decision])
    if away == "while there":
        assert await other.absorb("auto", [made.feedback(decision, 0.25)]) == [Learned.ACCEPTED]
        assert await other.record("auto", [made.outcome(decision)]) == [Learned.ACCEPTED]
        assert other.pending() == Pending(waiting=2, parked=2)
    else:
        await store.absorb("auto", [made.feedback(decision, 0.25)])
        await store.record("auto", [made.outcome(decision)])
    await asyncio.sleep(0.2)  # it looks again and again meanwhile
    assert other.pending().dropped == 0
    proxy.heal()
    await given_over(store, other)
    assert await scores(other) == {decision.id: 0.25}
    assert await store.head("auto") == 2
    await assert_whole(store)
    assert other.pending() == store.pending() == Pending()


async def test_a_list_is_learned_as_far_as_its_decisions_turn_up(
    store: OutboxStore, other: OutboxStore, proxy: ChaosProxy, made: Examples
):
    known, waited_for, never = (made.decision() for _ in range(3))
    await other.remember([known])
    proxy.cut()
    await store.remember([waited_for])
    said = [made.feedback(one, 0.5) for one in (known, waited_for, never)]
    assert await other.absorb("auto", said) == [Learned.ACCEPTED] * 3
    await eventually(lambda: _has(other, known))
    proxy.heal()
    await eventually(lambda: _has(other, waited_for))
    assert other.pending() == Pending(waiting=1, parked=1)


async def _has(store: OutboxStore, decision: Decision) -> bool:
    return decision.id in await scores(store)


async def test_an_unknown_decision_that_is_old_enough_is_refused_and_leaves_nothing(
    store: OutboxStore, proxy: ChaosProxy, made: Examples, clock: Clock, tmp_path: Path
):
    missing = made.decision()
    clock.advance(61.0)
    known = made.decision()
    await store.remember([known])
    await given_over(store)
    for said in ([missing], [known, missing]):
        with pytest.raises(UnknownDecision, match=missing.id) as caught:
            await store.absorb("auto", [made.feedback(one) for one in said])
        assert caught.value.param == str(len(said) - 1)
    with pytest.raises(UnknownDecision):
        await store.record("auto", [made.outcome(missing)])
    assert store.pending() == Pending()
    assert await rows_of(store) == 1
    await store.close()
    async with opened(outbox_store(proxy.url, clock, tmp_path / "ours")) as again:
        await again.remember([missing])  # it turns up after all
        await given_over(again)
        assert again.pending() == Pending()
        assert await again.head("auto") == 0


async def test_a_young_decision_that_never_turns_up_is_counted_once_its_time_is_up(
    store: OutboxStore, made: Examples, clock: Clock
):
    missing = made.decision()
    assert await store.absorb("auto", [made.feedback(missing)]) == [Learned.ACCEPTED]
    await eventually(lambda: store.pending() == Pending(waiting=1, parked=1))
    clock.advance(TTL_S - 1.0)
    await store.expire()
    assert await rows_of(store) == 1
    clock.advance(2.0)

    async def purged() -> bool:
        await store.expire()
        return not await rows_of(store)

    await eventually(purged)
    await eventually(lambda: store.pending() == Pending(dropped=1))


@pytest.mark.parametrize("away", [False, True], ids=["there", "away"])
async def test_a_batch_with_one_bad_item_is_refused_whole_and_leaves_nothing(
    store: OutboxStore, proxy: ChaosProxy, made: Examples, clock: Clock, away: bool
):
    old = made.decision()
    clock.advance(TTL_S + 1.0)
    decision = made.decision()
    await store.remember([decision])
    await given_over(store)
    if away:
        proxy.cut()
    good, kept = made.feedback(decision), await rows_of(store)
    for bad in (
        replace(good, score=float("nan")),
        replace(good, weight=2.0),
        replace(good, metadata={"a": object()}),
        made.feedback(old),
    ):
        with pytest.raises(InvalidRequest):
            await store.absorb("auto", [good, bad])
    with pytest.raises(InvalidRequest):
        await store.remember([made.decision(), made.decision(id="d-1")])
    assert await rows_of(store) == kept
    proxy.heal()
    await given_over(store)

    async def nothing_was_learned() -> bool:
        return await store.evidence("auto", 0, 10) == []

    assert await eventually(nothing_was_learned)
    assert store.pending().dropped == 0


@pytest.mark.parametrize("parked", [False, True], ids=["in line", "parked"])
async def test_what_the_store_refuses_only_later_is_counted(
    store: OutboxStore,
    proxy: ChaosProxy,
    server: RedisServer,
    clock: Clock,
    made: Examples,
    parked: bool,
    monkeypatch: pytest.MonkeyPatch,
):
    decision = made.decision()
    crowd = [made.feedback(decision, source=f"user-{n}") for n in range(MOST_SOURCES)]
    if parked:
        monkeypatch.setattr(lane, "PARKED_S", PATIENCE_S)
    else:
        proxy.cut()
    said = made.feedback(decision, 0.25, source="one too many")
    assert await store.absorb("auto", [said]) == [Learned.ACCEPTED]
    async with opened(redis_store(server.url, clock)) as direct:
        await direct.remember([decision])
        await direct.absorb("auto", crowd)
    monkeypatch.setattr(lane, "PARKED_S", 0.0)
    proxy.heal()
    await eventually(lambda: store.pending() == Pending(dropped=1))
    async with opened(redis_store(server.url, clock)) as direct:
        assert len((await direct.find("auto", decision.id)).marks) == MOST_SOURCES
    assert await store.absorb("auto", [crowd[0]]) == [Learned.UNCHANGED]


async def test_an_older_word_that_comes_over_later_does_not_override_a_newer_one(
    store: OutboxStore, other: OutboxStore, proxy: ChaosProxy, made: Examples, decision: Decision
):
    proxy.cut()
    older = [made.feedback(decision, 0.25), made.retraction(decision, source="judge")]
    for word in older:
        assert await store.absorb("auto", [word]) == [Learned.ACCEPTED]
    newer = [made.feedback(decision, 0.75), made.feedback(decision, 0.5, source="judge")]
    for word in newer:
        assert await other.absorb("auto", [word]) == [Learned.LEARNED]
    proxy.heal()
    await given_over(store)
    record = await store.find("auto", decision.id)
    assert {name: mark.id for name, mark in record.marks.items()} == {
        "user": newer[0].id,
        "judge": newer[1].id,
    }
    assert await store.head("auto") == 2
    assert store.pending() == Pending()


async def test_more_than_is_kept_in_memory_comes_over_from_the_disk(
    store: OutboxStore, proxy: ChaosProxy, made: Examples, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lane, "MOST_FRESH", 7)
    monkeypatch.setattr(lane, "PAGE", 5)
    decisions = [made.decision() for _ in range(40)]
    proxy.cut()
    await asyncio.gather(*(store.remember([decision]) for decision in decisions))
    half = [made.feedback(decision, 0.25) for decision in decisions]
    await asyncio.gather(*(store.absorb("auto", [said]) for said in half))
    assert store.pending().waiting == 80
    assert len(store._opened().own.lane("auto")._fresh) <= 7
    proxy.heal()
    whole = [made.feedback(decision, 0.75) for decision in decisions]
    await asyncio.gather(*(store.absorb("auto", [said]) for said in whole))  # on top of it
    await given_over(store)
    assert await store.head("auto") == 80
    assert set((await scores(store)).values()) == {0.75}
    await assert_whole(store)
    assert store.pending() == Pending()


async def test_decisions_of_many_routers_are_waited_for_together(
    store: OutboxStore, made: Examples
):
    routers = [f"router-{n}" for n in range(5)]
    for _ in range(3):
        async with asyncio.timeout(PATIENCE_S):  # each alone may take as long as that
            await store.remember([made.decision(router) for router in routers])
