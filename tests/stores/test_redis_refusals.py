"""A server that answers and refuses: an error of ours that says why, nothing half-done, and
recovery without anybody's help once it takes what it is given.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis
from chaos import ChaosProxy
from faulty import (
    assert_as_it_was,
    assert_whole,
    assert_works,
    eventually,
    redis_store,
    refuses_to_write,
)
from redis_servers import RedisServer, free_port, running, wait_until
from store_examples import Clock, Examples, opened

from banditroute.errors import StoreError, StoreUnavailable, StoreUnusable
from banditroute.stores import RedisStore
from banditroute.stores.redis.keys import Keys
from banditroute.values import Decision, Learned

pytestmark = pytest.mark.anyio

BIG = "x" * 5_000


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


async def test_a_primary_that_became_a_replica_is_read_and_not_written(
    store: RedisStore, server: RedisServer, made: Examples, decision: Decision
):
    server.ask("REPLICAOF", "127.0.0.1", free_port())
    await refuses_to_write(store, made, decision, "read-only replica")
    await assert_as_it_was(store, decision)
    server.ask("REPLICAOF", "NO", "ONE")
    await assert_works(store, made, decision)


async def test_full_memory_takes_nothing_and_still_gives_up_what_has_expired(
    store: RedisStore, server: RedisServer, made: Examples, decision: Decision, clock: Clock
):
    server.ask("CONFIG", "SET", "maxmemory", 1)
    await refuses_to_write(store, made, decision, "out of memory")
    await assert_as_it_was(store, decision)
    server.ask("CONFIG", "SET", "maxmemory", 0)
    await assert_works(store, made, decision)
    server.ask("CONFIG", "SET", "maxmemory", 1)
    clock.advance(2e9)
    assert await store.expire() == 2
    assert await store.evidence("auto", 0, 10) != []
    assert (await store.evidence("auto", 0, 10))[0].position == 2  # after the checkpoint


async def test_memory_that_fills_up_keeps_what_was_learned_and_not_half_of_anything(
    store: RedisStore, server: RedisServer, made: Examples
):
    decisions = [made.decision() for _ in range(300)]
    await store.remember(decisions)
    limit = server.info("memory")["used_memory"] + 400_000
    server.ask("CONFIG", "SET", "maxmemory", limit)
    learned = []

    async def fill() -> None:
        for decision in decisions:
            outcome, said = made.outcome(decision), made.feedback(decision, comment=BIG)
            await store.record("auto", [outcome])
            await store.absorb("auto", [said])
            learned.append(decision.id)

    with pytest.raises(StoreUnavailable, match="out of memory"):
        await fill()
    await assert_whole(store)
    log = await store.evidence("auto", 0, 1_000)
    assert {entry.decision_id for entry in log} >= set(learned) != set()
    server.ask("CONFIG", "SET", "maxmemory", 0)
    await fill()
    assert await store.head("auto") == 600
    await assert_whole(store)


async def test_a_server_that_cannot_save_takes_nothing_until_it_can(
    tmp_path: Path, binary: Path, clock: Clock, made: Examples
):
    options = {"save": "3600 1000000"}
    with running(tmp_path, binary=binary, options=options) as server:
        async with opened(redis_store(server.url, clock)) as store:
            decision = made.decision()
            await store.remember([decision])
            await store.absorb("auto", [made.feedback(decision, 0.25)])
            in_the_way = tmp_path / "dump.rdb"
            in_the_way.mkdir()
            save(server, "err")
            await refuses_to_write(store, made, decision, "MISCONF")
            await assert_as_it_was(store, decision)
            in_the_way.rmdir()
            save(server, "ok")
            await assert_works(store, made, decision)


def save(server: RedisServer, status: str) -> None:
    server.ask("BGSAVE")
    wait_until(
        lambda: server.info("persistence")["rdb_last_bgsave_status"] == status, f"a save: {status}"
    )


async def test_a_server_that_is_busy_with_somebodys_script_does_it_later(
    store: RedisStore, server: RedisServer, made: Examples, decision: Decision
):
    server.ask("CONFIG", "SET", "busy-reply-threshold", 1)
    endless = asyncio.create_task(asyncio.to_thread(until_killed, server))
    try:
        await eventually(lambda: is_busy(server))
        with pytest.raises(StoreUnavailable, match="BUSY"):
            await store.absorb("auto", [made.feedback(decision, 0.75)])
    finally:
        server.ask("SCRIPT", "KILL")
        await endless
    await assert_as_it_was(store, decision)
    await assert_works(store, made, decision)


def until_killed(server: RedisServer) -> None:
    with server.client(timeout_s=60.0) as client, suppress(redis.ResponseError):
        client.execute_command("EVAL", "while true do end", 0)


def is_busy(server: RedisServer) -> bool:
    try:
        return not server.ask("PING")
    except redis.ResponseError as error:
        return "BUSY" in str(error)


@pytest.mark.parametrize("login", ["", ":wrong-secret@", "somebody:wrong-secret@"])
async def test_a_wrong_password_is_said_at_once_and_not_repeated(
    tmp_path: Path, binary: Path, clock: Clock, login: str
):
    options = {"requirepass": "right-secret"}
    with running(tmp_path, binary=binary, options=options) as server:
        url = f"redis://{login}127.0.0.1:{server.port}/0"
        store = redis_store(url, clock)
        with pytest.raises(StoreUnusable, match="user or password") as caught:
            await store.open()
        assert "secret" not in str(caught.value)
        right = f"redis://:right-secret@127.0.0.1:{server.port}/0"
        async with opened(redis_store(right, clock)) as store:
            assert await store.head("auto") == 0


async def test_a_database_that_is_not_there_is_said_at_once(server: RedisServer, clock: Clock):
    store = redis_store(server.url.replace("/0", "/99"), clock)
    with pytest.raises(StoreUnusable, match="database"):
        await store.open()


@pytest.mark.parametrize("name", ["log", "meta", "ids", "decision"])
async def test_a_key_that_somebody_else_took_is_an_error_and_nothing_is_half_done(
    store: RedisStore, server: RedisServer, made: Examples, name: str
):
    decision, keys = made.decision(), Keys("auto")
    key = keys.decision(decision.id) if name == "decision" else getattr(keys, name)
    if name in ("log", "meta"):
        await store.remember([decision])
        server.ask("DEL", key)
    server.ask("SET", key, "somebody else's")
    if name == "log":  # decisions have nothing to do with it
        await store.remember([decision])
    else:
        with pytest.raises(StoreError, match="WRONGTYPE"):
            await store.remember([made.decision(), decision])
    if name != "ids":
        with pytest.raises(StoreError, match="WRONGTYPE"):
            await store.absorb("auto", [made.feedback(decision)])
        with pytest.raises(StoreError, match="WRONGTYPE"):
            await store.record("auto", [made.outcome(decision)])
    assert server.ask("GET", key) == b"somebody else's"
    server.ask("DEL", key)
    assert await store.head("auto") == 0
    left = server.ask("KEYS", "br1:{auto}:decision:*")
    assert len(left) == (name in ("log", "meta"))
    await store.remember([decision])
    assert await store.absorb("auto", [made.feedback(decision)]) == [Learned.LEARNED]
    await assert_whole(store)
