"""Replies that get lost, scripts that are forgotten, and two replicas that want the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import count

import pytest
from chaos import ChaosProxy
from faulty import assert_whole, counting, redis_store
from redis_servers import RedisServer
from store_examples import Clock, Examples, opened

from banditroute.errors import StoreError, StoreUnavailable
from banditroute.stores import RedisStore
from banditroute.stores.base import ArmEstimate
from banditroute.stores.redis.keys import Keys
from banditroute.stores.redis.link import Link
from banditroute.stores.redis.scripts import COMMIT, READ, REMEMBER, SAVE, Script
from banditroute.values import Checkpoint, Decision, Learned

pytestmark = pytest.mark.anyio

KNOWN = ArmEstimate("arm-0", 1, 0.5, None, None, None)


@pytest.fixture
async def store(
    server: RedisServer, proxy: ChaosProxy, clock: Clock, made: Examples
) -> AsyncIterator[RedisStore]:
    """A store behind the proxy, on a server that knows every script already."""
    async with opened(redis_store(proxy.url, clock)) as store:
        await everything_once(store, made, "elsewhere")
        yield store


@pytest.fixture
async def decision(store: RedisStore, made: Examples) -> Decision:
    decision = made.decision()
    await store.remember([decision])
    return decision


async def everything_once(store: RedisStore, made: Examples, router: str) -> None:
    decision = made.decision(router)
    await store.remember([decision])
    assert await store.record(router, [made.outcome(decision)]) == [Learned.LEARNED]
    assert await store.absorb(router, [made.feedback(decision)]) == [Learned.LEARNED]
    log = await store.evidence(router, 0, 100)
    await store.save_checkpoint(router, Checkpoint(len(log), "features-1", b"it"), [KNOWN])
    assert await store.load_checkpoint(router) == Checkpoint(len(log), "features-1", b"it")
    assert await store.evidence(router, len(log), 100) == []
    assert (await store.find(router, decision.id)).outcome == made.outcome(decision)
    await store.expire()


def lose(proxy: ChaosProxy, script: Script, times: int = 1) -> None:
    proxy.drop_replies(times, to=script.sha.encode())


async def test_words_whose_reply_is_lost_are_learned_once_and_answered_as_ever(
    store: RedisStore, proxy: ChaosProxy, made: Examples, decision: Decision
):
    said = made.feedback(decision, 0.25)
    for lost, (change, status) in enumerate(
        [
            (said, Learned.LEARNED),
            (said, Learned.UNCHANGED),
            (made.feedback(decision, 0.75), Learned.AMENDED),
            (made.retraction(decision), Learned.RETRACTED),
        ]
    ):
        lose(proxy, COMMIT)
        assert await store.absorb("auto", [change]) == [status]
        # Nothing was written for the one that changed nothing, so nothing was there to lose.
        assert proxy.replies_dropped == lost + (lost == 0)
    assert await store.head("auto") == 3
    await assert_whole(store)


async def test_an_outcome_whose_reply_is_lost_is_recorded_once(
    store: RedisStore, proxy: ChaosProxy, made: Examples, decision: Decision
):
    lose(proxy, COMMIT)
    assert await store.record("auto", [made.outcome(decision)]) == [Learned.LEARNED]
    assert proxy.replies_dropped == 1
    assert await store.head("auto") == 1
    await assert_whole(store)


@pytest.mark.parametrize("what", ["feedback", "outcome"])
async def test_when_the_second_reply_is_lost_too_doing_it_again_changes_nothing(
    store: RedisStore, proxy: ChaosProxy, made: Examples, decision: Decision, what: str
):
    item = getattr(made, what)(decision)
    write = store.absorb if what == "feedback" else store.record
    lose(proxy, COMMIT, times=2)
    with pytest.raises(StoreUnavailable, match="no connection"):
        await write("auto", [item])
    assert proxy.replies_dropped == 2
    assert await write("auto", [item]) == [Learned.UNCHANGED]
    assert await store.head("auto") == 1
    await assert_whole(store)


async def test_a_reply_lost_while_another_replica_amends_breaks_no_chain(
    store: RedisStore,
    proxy: ChaosProxy,
    server: RedisServer,
    clock: Clock,
    made: Examples,
    decision: Decision,
    monkeypatch: pytest.MonkeyPatch,
):
    run, ours, theirs = Link.run, made.feedback(decision, 0.25), made.feedback(decision, 0.75)
    async with opened(redis_store(server.url, clock)) as other:

        async def interrupted(link: Link, script: Script, *rest: object) -> object:
            try:
                return await run(link, script, *rest)
            except StoreUnavailable:
                monkeypatch.setattr(Link, "run", run)
                assert await other.absorb("auto", [theirs]) == [Learned.AMENDED]
                raise

        monkeypatch.setattr(Link, "run", interrupted)
        lose(proxy, COMMIT)
        # Ours was learned, and is not the last word any more.
        assert await store.absorb("auto", [ours]) == [Learned.UNCHANGED]
    assert [entry.new.quality for entry in await store.evidence("auto", 0, 10)] == [0.25, 0.75]
    await assert_whole(store)


async def test_a_lost_reading_leaves_everything_as_it_was(
    store: RedisStore, proxy: ChaosProxy, made: Examples, decision: Decision
):
    lose(proxy, READ)
    with pytest.raises(StoreUnavailable):
        await store.absorb("auto", [made.feedback(decision)])
    assert await store.head("auto") == 0
    assert (await store.find("auto", decision.id)).marks == {}


async def test_decisions_whose_reply_is_lost_are_kept_once(
    store: RedisStore, proxy: ChaosProxy, made: Examples
):
    decisions = [made.decision() for _ in range(3)]
    lose(proxy, REMEMBER)
    with pytest.raises(StoreUnavailable):
        await store.remember(decisions)
    for _ in range(2):
        kept = [record.decision.id async for record in store.decisions("auto")]
        assert kept == [decision.id for decision in decisions]
        await store.remember(decisions)


async def test_a_checkpoint_whose_reply_is_lost_is_kept_once(
    store: RedisStore, proxy: ChaosProxy, made: Examples, decision: Decision
):
    await store.absorb("auto", [made.feedback(decision)])
    checkpoint = Checkpoint(1, "features-1", b"it")
    lose(proxy, SAVE)
    with pytest.raises(StoreUnavailable):
        await store.save_checkpoint("auto", checkpoint)
    for _ in range(2):
        [saved] = await store.checkpoints("auto")
        assert saved.checkpoint == checkpoint
        await store.save_checkpoint("auto", checkpoint)


CALLS = {
    "absorb": (COMMIT.sha, {"evalsha": 3, "xadd": 1}),
    "record": (COMMIT.sha, {"evalsha": 3, "xadd": 1}),
    "remember": (REMEMBER.sha, {"evalsha": 1, "hsetnx": 1}),
    "save_checkpoint": (SAVE.sha, {"evalsha": 1}),
    "find": (READ.sha, {"evalsha": 1}),
    "evidence": ("XRANGE", {"xrange": 1}),
    "head": ("HGET", {"hget": 1}),
    "load_checkpoint": ("HGETALL", {"hgetall": 1}),
    "wait": ("XREAD", {"xread": 1}),
    "claim": ("EVALSHA", {"evalsha": 1}),
    "expire": ("SMEMBERS", {"smembers": 1}),
}


@pytest.mark.parametrize(("name", "lost", "expected"), [(n, *c) for n, c in CALLS.items()])
async def test_nothing_is_sent_again_but_a_commit_that_finds_out_whether_it_is_done(
    store: RedisStore,
    proxy: ChaosProxy,
    server: RedisServer,
    made: Examples,
    decision: Decision,
    name: str,
    lost: str,
    expected: dict[str, int],
):
    await store.claim("auto", "features-1")
    arguments = {
        "absorb": ("auto", [made.feedback(decision)]),
        "record": ("auto", [made.outcome(decision)]),
        "remember": ([made.decision()],),
        "save_checkpoint": ("auto", Checkpoint(0, "features-1", b"it")),
        "find": ("auto", decision.id),
        "evidence": ("auto", 0, 10),
        "wait": ("auto", 0, 0.1),
        "claim": ("auto", "features-1"),
        "expire": (),
    }.get(name, ("auto",))
    with counting(server) as done:
        proxy.drop_replies(1, to=lost.encode())
        with suppress(StoreUnavailable):
            await getattr(store, name)(*arguments)
    assert proxy.replies_dropped == 1
    assert {command: done[command] for command in expected} == expected


async def test_forgotten_scripts_are_sent_again(
    store: RedisStore, server: RedisServer, made: Examples
):
    for router in ("auto", "support"):
        server.ask("SCRIPT", "FLUSH")
        await everything_once(store, made, router)
        await assert_whole(store, router)


async def test_forgotten_in_the_middle_of_a_crowd_they_cost_nobody_anything(
    store: RedisStore, server: RedisServer, made: Examples
):
    decisions = [made.decision() for _ in range(200)]
    await store.remember(decisions)
    left = count()

    async def tell(decision: Decision) -> list[Learned]:
        if next(left) % 20 == 0:
            await asyncio.to_thread(server.ask, "SCRIPT", "FLUSH")
        return await store.absorb("auto", [made.feedback(decision)])

    assert await asyncio.gather(*map(tell, decisions)) == [[Learned.LEARNED]] * 200
    await assert_whole(store)


async def test_two_replicas_that_get_in_each_others_way_leave_an_unbroken_chain(
    server: RedisServer, clock: Clock, made: Examples, monkeypatch: pytest.MonkeyPatch
):
    run, conflicts = Link.run, count()

    async def counted(link: Link, script: Script, *rest: object) -> object:
        answer = await run(link, script, *rest)
        if script is COMMIT and answer[0] == b"changed":
            next(conflicts)
        return answer

    monkeypatch.setattr(Link, "run", counted)
    decision = made.decision()
    words = [made.feedback(decision, (k % 5) / 4) for k in range(60)]
    with ChaosProxy(server.address) as ours, ChaosProxy(server.address) as theirs:
        stores = [redis_store(proxy.url, clock) for proxy in (ours, theirs)]
        async with opened(stores[0]), opened(stores[1]):
            await stores[0].remember([decision])
            for proxy in (ours, theirs):
                proxy.delay(0.005)  # between a reading and its commit the other one comes

            async def say(store: RedisStore, said: list) -> None:
                for word in said:
                    await store.absorb("auto", [word])

            await asyncio.gather(say(stores[0], words[::2]), say(stores[1], words[1::2]))
            last = (await stores[1].find("auto", decision.id)).marks["user"]
            await assert_whole(stores[0])
    assert next(conflicts) > 0
    assert (last.id, last.score) == (words[-1].id, words[-1].score)


@pytest.mark.parametrize("field", ["body", "outcome", "marks"])
async def test_a_damaged_decision_is_refused_and_the_others_learn_on(
    store: RedisStore, server: RedisServer, made: Examples, field: str
):
    bad, good = made.decision(), made.decision()
    await store.remember([bad, good])
    server.ask("HSET", Keys("auto").decision(bad.id), field, b"\0")
    results = await asyncio.gather(
        *(store.absorb("auto", [made.feedback(one)]) for one in (bad, good)),
        return_exceptions=True,
    )
    assert isinstance(results[0], StoreError)
    assert not isinstance(results[0], StoreUnavailable)
    assert results[1] == [Learned.LEARNED]
    assert await store.head("auto") == 1
