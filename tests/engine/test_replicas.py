"""Engines that share one Redis: what one learns all know, and none waits for it to decide."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from doubles import (
    TTL_S,
    FlakyStore,
    asking,
    decided,
    engine_on,
    grow,
    outcome,
    router,
    running,
    score,
    soon,
    until,
)
from redis_clients import fake_links

from banditroute.engine import follower as follower_module
from banditroute.stores import OutboxStore, RedisStore

pytestmark = pytest.mark.anyio


@pytest.fixture
def links():
    """Makes links that all lead to one fake server."""
    return fake_links()


@pytest.fixture
def remote(links, clock):
    """Makes clients of one shared store, each of which can be taken away."""
    return lambda: FlakyStore(RedisStore(links, decision_ttl_s=TTL_S, clock=clock))


@pytest.fixture
def shared(remote, clock, tmp_path):
    """Makes stores with an outbox in front of a client of the shared one."""

    def make(client=None):
        return OutboxStore(client or remote(), tmp_path, decision_ttl_s=TTL_S, clock=clock)

    return make


def taught(engine):
    """How many feedbacks an engine decides from."""
    return int(engine._followers["auto"].knowledge.taught.sum())


async def test_what_one_replica_is_told_another_decides_from(shared, clock):
    async with AsyncExitStack() as stack:
        ours, theirs = [
            await stack.enter_async_context(running(engine_on(shared(), clock, seed=seed)))
            for seed in (1, 2)
        ]
        decision = await decided(ours)
        await until(lambda: ours.store.pending().waiting == 0)
        await theirs.learn([score(theirs, decision, 0.75)])
        await until(lambda: taught(ours) == taught(theirs) == 1)
        assert await ours.digest("auto") == await theirs.digest("auto")


async def test_replicas_that_live_at_the_same_time_come_to_the_same_bytes(shared, clock):
    async def live(engine, others):
        for number in range(15):
            decision = await decided(engine, f"prompt {number}")
            others.append(decision)
            engine.record(decision, outcome(decision, latency_s=number / 10))
            said = [score(engine, one, number / 16, source=f"s{number}") for one in others[-3:]]
            await engine.learn(said)

    made = []
    async with AsyncExitStack() as stack:
        engines = [
            await stack.enter_async_context(running(engine_on(shared(), clock, seed=seed)))
            for seed in range(3)
        ]
        await asyncio.gather(*(live(engine, made) for engine in engines))
        await until(lambda: all(e.store.pending().waiting == 0 for e in engines))
        head = await engines[0].store.head("auto")
        await until(lambda: all(e._followers["auto"].knowledge.position == head for e in engines))
        assert len({await engine.digest("auto") for engine in engines}) == 1
        assert sum(r.requests_n for r in (await engines[0].arms("auto"))[1]) == 45


async def test_a_new_replica_begins_at_the_checkpoint_and_reads_only_what_follows(
    remote, clock, monkeypatch
):
    monkeypatch.setattr(follower_module, "CHECKPOINT_EVERY", 40)
    store = remote()
    async with running(engine_on(store, clock)) as ours:
        await grow(ours, store, 20)
        await ours.arms("auto")
        await until(lambda: store.calls["save_checkpoint"])
        await grow(ours, store, 5, seed=6)
        read = []
        late = remote()
        evidence = late.store.evidence

        async def watched(name, after, limit):
            entries = await evidence(name, after, limit)
            read.extend(entry.position for entry in entries)
            return entries

        late.store.evidence = watched
        async with running(engine_on(late, clock, seed=9)) as theirs:
            await ours.arms("auto")
            assert await theirs.digest("auto") == await ours.digest("auto")
    assert read == list(range(41, 51))


async def test_a_replica_that_was_away_catches_up(shared, remote, clock):
    client = remote()
    async with (
        running(engine_on(shared(), clock, seed=1)) as ours,
        running(engine_on(shared(client), clock, seed=2)) as theirs,
    ):
        client.down = True
        await until(lambda: theirs.degraded)
        decision = await decided(ours)
        await ours.learn([score(ours, decision, 0.5)])
        mine = theirs.decide("auto", asking())
        assert mine.degraded
        theirs.remember(mine)
        await theirs.settled(mine)
        assert [str(s) for s in await soon(theirs.learn([score(theirs, mine, 1.0)]))] == [
            "accepted"
        ]
        client.down = False
        await until(lambda: taught(ours) == taught(theirs) == 2)
        await until(lambda: not theirs.degraded)
        assert await ours.digest("auto") == await theirs.digest("auto")


async def test_deciding_asks_nobody(shared, remote, clock):
    client = remote()
    async with running(engine_on(shared(client), clock, router("a", "b"))) as engine:
        client.down = True
        before = client.calls.copy()
        made = [engine.decide("auto", asking(f"prompt {n}")) for n in range(20)]
        assert client.calls == before
        assert len({decision.id for decision in made}) == 20


async def test_a_wiped_store_does_not_make_replicas_forget_while_it_is_given_back(
    shared, links, clock
):
    async with running(engine_on(shared(), clock)) as engine:
        for number in range(8):
            decision = await decided(engine, f"prompt {number}")
            await engine.learn([score(engine, decision, number / 8)])
        await until(lambda: taught(engine) == 8)
        seen, publish = [], engine._followers["auto"]._publish

        def watched(knowledge):
            publish(knowledge)
            seen.append(taught(engine))

        engine._followers["auto"]._publish = watched
        link = links()
        await link.command("FLUSHALL")
        await link.close()
        await until(lambda: seen)  # it found out, and read the log again
        await until(lambda: not engine.degraded)
        assert min(seen) == 8, "at no time it decided from less"
        assert {r.feedback_n for r in (await engine.arms("auto"))[1]} != {0}
