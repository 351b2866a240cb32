"""A server that is away, hangs or restarts: an error of ours in time, and recovery without
anybody's help.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from chaos import ChaosProxy
from faulty import (
    CHECKPOINT,
    any_server,
    assert_as_it_was,
    assert_whole,
    assert_works,
    eventually,
    redis_store,
    refuses_to_write,
)
from patience import PATIENCE_S
from redis_fleets import Cluster
from redis_servers import AOF_ALWAYS, RedisServer, running
from store_examples import Clock, Examples, opened

from banditroute.errors import StoreUnavailable, UnknownDecision
from banditroute.stores import RedisStore
from banditroute.stores.redis.address import parse_address
from banditroute.stores.redis.link import MOST_CONNECTIONS, connect
from banditroute.stores.redis.scripts import COMMIT
from banditroute.values import Decision, Learned

pytestmark = pytest.mark.anyio

CLOSE_ALL = ("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


@pytest.fixture
async def store(proxy: ChaosProxy, clock: Clock) -> AsyncIterator[RedisStore]:
    async with opened(redis_store(proxy.url, clock)) as store:
        yield store


@pytest.fixture
async def decision(store: RedisStore, made: Examples) -> Decision:
    """A decision with one word on it."""
    decision = made.decision()
    await store.remember([decision])
    assert await store.absorb("auto", [made.feedback(decision, 0.25)]) == [Learned.LEARNED]
    return decision


async def restarted(server: RedisServer) -> None:
    """Kill it and start it, while whoever is connected goes on."""
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)


async def test_a_server_that_persists_everything_comes_back_with_everything(
    tmp_path: Path, binary: Path, clock: Clock, made: Examples
):
    with running(tmp_path, binary=binary, options=AOF_ALWAYS) as server:
        async with opened(redis_store(server.url, clock)) as store:
            decision = made.decision()
            await store.remember([decision])
            await store.absorb("auto", [made.feedback(decision, 0.25)])
            await restarted(server)
            await assert_as_it_was(store, decision)
            await assert_works(store, made, decision)


async def test_a_server_that_comes_back_with_nothing_is_a_new_one(
    store: RedisStore, server: RedisServer, made: Examples, decision: Decision
):
    await restarted(server)
    assert await store.head("auto") == 0
    with pytest.raises(UnknownDecision):
        await store.absorb("auto", [made.feedback(decision, 0.75)])
    await store.remember([decision])
    assert await store.absorb("auto", [made.feedback(decision, 0.75)]) == [Learned.LEARNED]
    assert await store.head("auto") == 1


async def test_a_router_of_a_wiped_server_is_looked_after_as_ever(
    store: RedisStore, server: RedisServer, made: Examples, decision: Decision, clock: Clock
):
    server.ask("FLUSHALL")
    await store.remember([decision])
    assert await store.expire() == 0
    clock.advance(2e9)
    async with opened(redis_store(server.url, clock)) as another:
        assert await another.expire() == 1


@any_server
@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("how", ["paused", "black hole"])
async def test_every_call_ends_in_time_on_a_server_that_does_not_answer(
    store: RedisStore,
    server: RedisServer,
    proxy: ChaosProxy,
    made: Examples,
    decision: Decision,
    how: str,
):
    server.pause() if how == "paused" else proxy.blackhole()

    async def all_decisions() -> None:
        async for _ in store.decisions("auto"):
            pass

    calls = {
        "claim": store.claim("auto", "features-1"),
        "remember": store.remember([made.decision()]),
        "record": store.record("auto", [made.outcome(decision)]),
        "absorb": store.absorb("auto", [made.feedback(decision, 0.25)]),
        "evidence": store.evidence("auto", 0, 10),
        "wait": store.wait("auto", 1, 600.0),
        "head": store.head("auto"),
        "load": store.load_checkpoint("auto"),
        "save": store.save_checkpoint("auto", CHECKPOINT),
        "find": store.find("auto", decision.id),
        "decisions": all_decisions(),
        "expire": store.expire(),
        "server": store.server("auto"),
        "prove": store.prove("auto", []),
        "known": store.known("auto", [decision.id]),
    }
    async with asyncio.timeout(PATIENCE_S):
        results = await asyncio.gather(*calls.values(), return_exceptions=True)
    wrong = {
        name: result
        for name, result in zip(calls, results, strict=True)
        if not isinstance(result, StoreUnavailable)
    }
    assert wrong == {}
    server.resume() if how == "paused" else proxy.heal()
    # What had arrived before the pause may be carried out after it, and then changes nothing.
    await store.absorb("auto", [made.feedback(decision, 0.75)])
    await store.record("auto", [made.outcome(decision)])
    assert await store.head("auto") == 3
    await assert_whole(store)


@any_server
@pytest.mark.usefixtures("hurried")
async def test_more_calls_than_have_a_place_end_in_time_too(
    store: RedisStore, server: RedisServer, decision: Decision
):
    server.pause()
    async with asyncio.timeout(PATIENCE_S):
        results = await asyncio.gather(
            *(store.head("auto") for _ in range(200)), return_exceptions=True
        )
    assert {type(result) for result in results} == {StoreUnavailable}
    server.resume()
    assert await store.head("auto") == 1


async def test_a_refused_connection_is_unavailable_and_the_next_one_works(
    store: RedisStore, proxy: ChaosProxy, made: Examples, decision: Decision
):
    proxy.cut()
    await refuses_to_write(store, made, decision, "no connection")
    proxy.heal()
    await assert_as_it_was(store, decision)
    await assert_works(store, made, decision)


@pytest.mark.parametrize("how", ["closed", "reset"])
async def test_connections_that_ended_meanwhile_cost_no_call(
    store: RedisStore,
    server: RedisServer,
    proxy: ChaosProxy,
    made: Examples,
    decision: Decision,
    how: str,
):
    idle = store._link._client.connection_pool._available_connections
    for _ in range(3):  # as a server or a network does with those that are idle for long
        await asyncio.gather(*(store.head("auto") for _ in range(50)))
        assert len(idle) == MOST_CONNECTIONS
        if how == "closed":
            await asyncio.to_thread(server.ask, *CLOSE_ALL)
            await eventually(lambda: all(one._reader.at_eof() for one in idle))
        else:
            await asyncio.to_thread(proxy.reset_connections)
            await eventually(lambda: all(one._reader.exception() for one in idle))
        assert await asyncio.gather(*(store.head("auto") for _ in range(50))) == [1] * 50
    await assert_works(store, made, decision)


async def test_connections_to_a_cluster_that_ended_meanwhile_cost_no_call(
    redis_cluster: Cluster, clock: Clock, made: Examples
):
    async with opened(redis_store(redis_cluster.url, clock)) as store:
        await store.remember([decision := made.decision()])
        assert await store.absorb("auto", [made.feedback(decision)]) == [Learned.LEARNED]
        node = store._link._client.get_node_from_key("br1:{auto}:log")
        for _ in range(3):
            await asyncio.gather(*(store.head("auto") for _ in range(50)))
            assert len(node._free) == MOST_CONNECTIONS
            for server in redis_cluster.servers:
                await asyncio.to_thread(server.ask, *CLOSE_ALL)
            await eventually(lambda: all(one._reader.at_eof() for one in node._free))
            assert await asyncio.gather(*(store.head("auto") for _ in range(50))) == [1] * 50


async def test_after_one_connection_failed_no_other_is_trusted(
    store: RedisStore, proxy: ChaosProxy, decision: Decision
):
    """They may lead to a host that is gone, of which nobody hears before something is sent."""
    await asyncio.gather(*(store.head("auto") for _ in range(50)))
    proxy.drop_replies(1)
    with pytest.raises(StoreUnavailable):
        await store.head("auto")
    before = proxy.connections
    assert await asyncio.gather(*(store.head("auto") for _ in range(50))) == [1] * 50
    assert proxy.connections - before == MOST_CONNECTIONS


async def test_a_primary_that_became_a_replica_costs_one_call_in_all(
    tmp_path: Path, binary: Path, server: RedisServer, proxy: ChaosProxy
):
    link = connect(parse_address(proxy.url))

    async def writes() -> list[object]:
        return await asyncio.gather(*(link.command("SET", "br1:key", 1) for _ in range(50)))

    with running(tmp_path / "heir", binary=binary) as heir:
        await writes()
        await asyncio.to_thread(server.ask, "REPLICAOF", *heir.address)
        proxy.target(*heir.address)  # what is open stays where it is
        with pytest.raises(StoreUnavailable, match="read-only replica"):
            await link.command("SET", "br1:key", 1)
        assert await writes() == [True] * 50
        await link.close()


async def test_a_store_opens_while_its_server_is_away(
    proxy: ChaosProxy, clock: Clock, made: Examples
):
    proxy.cut()
    async with opened(redis_store(proxy.url, clock)) as store:
        with pytest.raises(StoreUnavailable):
            await store.claim("auto", "features-1")
        proxy.heal()
        await store.claim("auto", "features-1")
        await store.remember([made.decision()])


@any_server
@pytest.mark.usefixtures("hurried")
async def test_a_commit_sent_to_a_hanging_server_is_not_sent_a_second_time(
    store: RedisStore, proxy: ChaosProxy, made: Examples, decision: Decision
):
    proxy.delay(60.0)
    before = proxy.bytes_up
    with pytest.raises(StoreUnavailable, match="no answer in time"):
        await store.absorb("auto", [made.feedback(decision, 0.75)])
    assert proxy.bytes_up - before < 2 * len(COMMIT.sha) + 400
    proxy.delay(0)
    assert await store.head("auto") == 1
