"""What is kept where, for how long, and what operators may read of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from faulty import any_server, assert_whole, redis_store
from redis.crc import key_slot
from redis_fleets import Cluster
from redis_servers import AOF_ALWAYS, RedisServer, running
from store_examples import TTL_S, Clock, Examples, opened

from banditroute.errors import StoreUnavailable, StoreUnusable, UnknownDecision
from banditroute.stores import RedisStore
from banditroute.stores.base import ArmEstimate
from banditroute.stores.redis.keys import ROUTERS, Keys
from banditroute.values import Checkpoint, Learned

pytestmark = pytest.mark.anyio

FULL = ArmEstimate("gpt-small", 3, 0.75, 0.001, 1.5, 0.7175)
EMPTY = ArmEstimate("brand/new:arm", 0, None, None, None, None)


@pytest.fixture
async def store(redis_server: RedisServer, clock: Clock) -> AsyncIterator[RedisStore]:
    async with opened(redis_store(redis_server.url, clock)) as store:
        yield store


async def use(store: RedisStore, made: Examples, router: str) -> None:
    """Leave every kind of key that there is."""
    await store.claim(router, "features-1")
    decision = made.decision(router)
    await store.remember([decision])
    assert await store.record(router, [made.outcome(decision)]) == [Learned.LEARNED]
    assert await store.absorb(router, [made.feedback(decision)]) == [Learned.LEARNED]
    await store.save_checkpoint(router, Checkpoint(2, "features-1", b"it"), [FULL, EMPTY])
    assert await store.announce(router, made.source_change()) == Learned.LEARNED
    await assert_whole(store, router)


def keys_of(servers: Iterable[RedisServer]) -> dict[bytes, RedisServer]:
    """Every key, and who has it."""
    return {key: server for server in servers for key in server.ask("KEYS", "*")}


async def test_every_key_carries_the_schema_and_the_router_but_the_list_of_routers(
    store: RedisStore, redis_server: RedisServer, made: Examples
):
    for router in ("auto", "team.support_2-b"):
        await use(store, made, router)
    found = keys_of([redis_server])
    names = {router: Keys(router) for router in ("auto", "team.support_2-b")}
    for router, keys in names.items():
        ours = {key.decode() for key in found if key.startswith(b"br1:{%s}:" % router.encode())}
        kinds = {key.removeprefix(f"br1:{{{router}}}:").partition(":")[0] for key in ours}
        assert kinds == {"meta", "log", "ids", "saved", "checkpoint", "decision", "arm", "news"}
        assert {keys.meta, keys.log, keys.arm("brand/new:arm"), keys.checkpoint(2)} < ours
        for key in ours:
            del found[key.encode()]
    assert set(found) == {ROUTERS.encode()} == {b"br1:routers"}
    assert set(redis_server.ask("SMEMBERS", ROUTERS)) == {b"auto", b"team.support_2-b"}


async def test_all_keys_of_a_router_are_in_one_slot_and_routers_are_spread(
    redis_cluster: Cluster, clock: Clock, made: Examples
):
    routers = [f"router-{number}" for number in range(9)]
    async with opened(redis_store(redis_cluster.url, clock)) as store:
        for router in routers:
            await use(store, made, router)
        found = keys_of(redis_cluster.servers)
        owners = {}
        for router in routers:
            ours = [key for key in found if b"{%s}" % router.encode() in key]
            assert len(ours) == 9
            assert len({key_slot(key) for key in ours}) == 1
            [owners[router]] = {found[key].port for key in ours}
        assert set(owners.values()) == {server.port for server in redis_cluster.servers}
        clock.advance(2e9)
        assert await store.expire() == 9


async def test_estimates_are_shown_beside_a_checkpoint(
    store: RedisStore, redis_server: RedisServer, made: Examples, clock: Clock
):
    clock.advance(86_400.0)
    await use(store, made, "auto")

    def shown(arm_id: str) -> dict[bytes, bytes]:
        return redis_server.ask("HGETALL", f"br1:{{auto}}:arm:{arm_id}")

    known = {
        b"n": b"3",
        b"quality": b"0.75",
        b"cost_usd": b"0.001",
        b"latency_s": b"1.5",
        b"reward": b"0.7175",
        b"updated": b"2027-01-16T08:00:00+00:00",
    }
    assert shown("gpt-small") == known
    assert shown("brand/new:arm") == {b"n": b"0", b"updated": b"2027-01-16T08:00:00+00:00"}
    clock.advance(60.0)
    older = Checkpoint(1, "features-1", b"older")  # is not kept, and so neither is this
    await store.save_checkpoint("auto", older, [replace(FULL, n=2)])
    assert shown("gpt-small") == known


async def test_what_is_no_longer_known_of_an_arm_is_no_longer_shown(
    store: RedisStore, redis_server: RedisServer, made: Examples
):
    await use(store, made, "auto")
    decision = made.decision()
    await store.remember([decision])
    await store.absorb("auto", [made.feedback(decision)])
    taken_back = replace(FULL, n=0, quality=None, reward=None)
    await store.save_checkpoint("auto", Checkpoint(3, "features-1", b"it"), [taken_back])
    shown = redis_server.ask("HKEYS", "br1:{auto}:arm:gpt-small")
    assert set(shown) == {b"n", b"cost_usd", b"latency_s", b"updated"}


SLACK_S = 3_600.0


def left_s(server: RedisServer, decision_id: str) -> float:
    """How long the server keeps a decision from now on."""
    return server.ask("PTTL", Keys("auto").decision(decision_id)) / 1000


@pytest.mark.parametrize("age_s", [0.0, 1_000.0, TTL_S])
async def test_the_server_keeps_a_decision_for_its_time_to_live_and_an_hour(
    store: RedisStore, redis_server: RedisServer, made: Examples, clock: Clock, age_s: float
):
    decision = made.decision()
    clock.advance(age_s)
    await store.remember([decision])
    due_s = TTL_S + SLACK_S - age_s
    assert due_s - 120.0 < left_s(redis_server, decision.id) <= due_s


async def test_nothing_that_is_said_of_a_decision_changes_how_long_it_is_kept(
    store: RedisStore, redis_server: RedisServer, made: Examples
):
    decision = made.decision()
    await store.remember([decision])
    redis_server.ask("PEXPIRE", Keys("auto").decision(decision.id), 500_000)
    await store.absorb("auto", [made.feedback(decision)])
    await store.record("auto", [made.outcome(decision)])
    await store.absorb("auto", [made.feedback(decision, 0.5), made.retraction(decision)])
    await store.remember([decision])
    assert 100.0 < left_s(redis_server, decision.id) <= 500.0


async def test_a_decision_that_the_server_let_go_is_unknown_and_leaves_no_trace(
    store: RedisStore, redis_server: RedisServer, made: Examples, clock: Clock
):
    gone, kept = made.decision(), made.decision()
    await store.remember([gone, kept])
    await store.absorb("auto", [made.feedback(gone), made.feedback(kept)])
    redis_server.ask("PEXPIRE", Keys("auto").decision(gone.id), 0)
    assert await store.find("auto", gone.id) is None
    assert [record.decision.id async for record in store.decisions("auto")] == [kept.id]
    assert await store.known("auto", [gone.id, kept.id]) == {kept.id}
    with pytest.raises(UnknownDecision):
        await store.absorb("auto", [made.feedback(kept, 0.5), made.feedback(gone, 0.5)])
    assert await store.head("auto") == 2
    clock.advance(2e9)
    await store.expire()
    assert redis_server.ask("EXISTS", Keys("auto").ids) == 0


async def test_a_decision_that_goes_between_reading_and_writing_is_unknown(
    store: RedisStore, redis_server: RedisServer, made: Examples, monkeypatch: pytest.MonkeyPatch
):
    decision = made.decision()
    await store.remember([decision])
    writer = store._writer("auto")
    read = writer.read

    async def late(ids: Iterable[str]) -> object:
        found = await read(ids)
        redis_server.ask("DEL", Keys("auto").decision(decision.id))
        return found

    monkeypatch.setattr(writer, "read", late)
    with pytest.raises(UnknownDecision):
        await store.absorb("auto", [made.feedback(decision)])
    assert await store.head("auto") == 0


@any_server
async def test_a_cluster_that_is_away_is_unavailable_and_comes_back_by_itself(
    tmp_path: Path, binary: Path, clock: Clock, made: Examples
):
    with Cluster(tmp_path, binary=binary, options=AOF_ALWAYS) as cluster:
        async with opened(redis_store(cluster.url, clock)) as store:
            decision = made.decision()
            await store.remember([decision])
            for server in cluster.servers:
                server.kill()
            for call in (store.head, store.server, store.load_checkpoint):
                with pytest.raises(StoreUnavailable):
                    await call("auto")
            async with opened(redis_store(cluster.url, clock)) as another:
                for server in cluster.servers:
                    server.start()
                cluster.wait_until_whole()
                for one in (another, store):
                    assert await one.absorb("auto", [made.feedback(decision)])
            await assert_whole(store)


@pytest.mark.parametrize(("kind", "why"), [("cluster", "no cluster"), ("", "node of a cluster")])
async def test_a_url_of_the_wrong_kind_is_said_at_once(
    redis_server: RedisServer, redis_cluster: Cluster, clock: Clock, kind: str, why: str
):
    away = redis_cluster.owner("br1:routers:check")
    node = next(server for server in redis_cluster.servers if server is not away)
    url = redis_server.url.replace("://", "+cluster://") if kind else node.url
    with pytest.raises(StoreUnusable, match=why):
        await redis_store(url, clock).open()


async def test_a_cluster_too_says_at_once_that_a_password_is_wrong(
    tmp_path: Path, binary: Path, clock: Clock
):
    options = {"cluster-enabled": "yes", "requirepass": "right-secret"}
    with running(tmp_path, binary=binary, options=options) as server:
        url = f"redis+cluster://:wrong-secret@127.0.0.1:{server.port}"
        with pytest.raises(StoreUnusable, match="user or password") as caught:
            await redis_store(url, clock).open()
        assert "secret" not in str(caught.value)
