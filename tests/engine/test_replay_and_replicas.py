"""A decision can be made again from the log, and engines on one log are of one mind."""

import asyncio
import random
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from doubles import (
    TTL_S,
    arm,
    asking,
    decided,
    engine_on,
    featurizer,
    grow,
    memory,
    outcome,
    router,
    running,
    score,
)

from banditroute.core import checkpoint
from banditroute.core.choice import probabilities_of
from banditroute.core.fold import RouterState
from banditroute.core.policies import EpsilonGreedy, Fixed, Greedy, LinUCB, Uniform
from banditroute.core.posterior import FeatureGroups
from banditroute.engine import follower as follower_module
from banditroute.errors import StoreError
from banditroute.stores import SQLiteStore

pytestmark = pytest.mark.anyio


async def assert_same(engine, decision):
    again = await engine.replay(decision.id)
    assert again.arm_id == decision.arm_id
    assert again.propensity == decision.propensity
    assert again.candidates == decision.candidates


async def test_a_decision_is_made_again_exactly_after_hundreds_of_events_and_a_restart(
    store, clock, monkeypatch
):
    monkeypatch.setattr(follower_module, "CHECKPOINT_EVERY", 60)
    spec = router("a", "b", "c")
    made = []
    async with running(engine_on(store, clock, spec)) as engine:
        for round_ in range(4):
            await grow(engine, store, 15, seed=round_)
            await engine.arms("auto")  # level, so that the next decision is made of it all
            made += [await decided(engine, f"prompt {round_}")]
            clock.advance(17.0)  # what an arm's error rate is trusted with fades
        made += [await _decided(engine, asking(exclude=frozenset("a"), explore=False))]
        await grow(engine, store, 100, seed=99)
        await engine.arms("auto")
        for decision in made:
            await assert_same(engine, decision)
    async with running(engine_on(store, clock, spec, seed=8)) as restarted:
        assert (await store.load_checkpoint("auto")).position == 320
        for decision in made:
            await assert_same(restarted, decision)
    assert len({d.position for d in made}) == 4


async def _decided(engine, request):
    decision = engine.decide("auto", request)
    engine.remember(decision)
    await engine.settled(decision)
    return decision


async def test_a_decision_is_made_again_where_hardly_anything_was_judged_then(store, clock):
    """The share of answers that get feedback is known of old positions too."""
    spec = router("a", "b", "c")
    async with running(engine_on(store, clock, spec)) as engine:
        await grow(engine, store, 10)
        await _unjudged(engine, store, 60)
        assert (await engine.level("auto")).judged_share < 0.3
        decision = await decided(engine)
        await grow(engine, store, 100)
        assert (await engine.level("auto")).judged_share > 0.6
        await assert_same(engine, decision)
    async with running(engine_on(store, clock, spec, seed=8)) as restarted:
        await assert_same(restarted, decision)


async def _unjudged(engine, store, count):
    """Answers that nobody speaks of."""
    decisions = [engine.decide("auto", asking(f"Question {n}")) for n in range(count)]
    await store.remember(decisions)
    await store.record("auto", [outcome(decision) for decision in decisions])


POLICIES = [LinUCB(1.5), EpsilonGreedy(0.2), Greedy(), Uniform(), Fixed("b")]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.spec)
async def test_a_decision_of_every_policy_is_made_again(clock, policy):
    async with running(engine_on(memory(clock), clock, router(policy=policy))) as engine:
        await grow(engine, engine.store, 15)
        await engine.arms("auto")
        decisions = [await decided(engine, f"prompt {n}") for n in range(5)]
        for decision in decisions:
            await assert_same(engine, decision)


async def test_a_named_arms_decision_is_made_again_too(store, clock):
    async with running(engine_on(store, clock)) as engine:
        decision = engine.decide_for_arm("b", asking())
        engine.remember(decision)
        await assert_same(engine, decision)


async def test_prices_changed_since_do_not_change_what_is_made_again(store, clock):
    async with running(engine_on(store, clock, router("a", "b"))) as engine:
        await grow(engine, store, 10)
        await engine.arms("auto")
        decision = await decided(engine)
    spec = router(arm("a", output_usd_per_mtok=900.0), arm("b", input_usd_per_mtok=7.0), "new")
    async with running(engine_on(store, clock, spec, seed=8)) as engine:
        await assert_same(engine, decision)


async def test_what_the_log_no_longer_reaches_cannot_be_made_again(store, clock):
    async with running(engine_on(store, clock)) as engine:
        await grow(engine, store, 5)
        await engine.arms("auto")
    clock.advance(TTL_S + 1.0)
    async with running(engine_on(store, clock, seed=8)) as engine:
        await store.expire()  # the log begins at the checkpoint now
        old = replace(engine.decide("auto", asking()), position=3)
        engine.remember(old)
        with pytest.raises(StoreError, match="no longer reaches back to position 3"):
            await engine.replay(old.id)


async def test_two_engines_on_one_file_come_to_the_same_bytes(tmp_path, clock):
    """Whatever each decided, recorded and learned, and in whatever batches each read it."""

    def opened():
        return SQLiteStore(tmp_path / "log.db", decision_ttl_s=TTL_S, clock=clock, poll_s=0.002)

    async with AsyncExitStack() as stack:
        engines = [
            await stack.enter_async_context(running(engine_on(opened(), clock, seed=seed)))
            for seed in (1, 2)
        ]
        made = await asyncio.gather(*(_live(engine, seed) for seed, engine in enumerate(engines)))
        # feedback on what the other one decided
        for engine, others in zip(engines, reversed(made), strict=True):
            await engine.learn([score(engine, d, 0.25, source="other") for d in others[:10]])
        reports = [await engine.arms("auto") for engine in engines]
        states = [engine._followers["auto"]._state for engine in engines]
        payloads = [checkpoint.save(s, featurizer().fingerprint).payload for s in states]
        entries = await engines[0].store.evidence("auto", 0, 10_000)
        chosen = [engine.decide("auto", asking()) for engine in engines]
    assert reports[0] == reports[1]
    assert payloads[0] == payloads[1]
    assert probabilities_of(chosen[0]).tobytes() == probabilities_of(chosen[1]).tobytes()
    assert sum(report.requests_n for report in reports[0][1]) == 60
    refolded = RouterState.empty(FeatureGroups(featurizer().groups))
    refolded.fold(entries)
    assert checkpoint.save(refolded, featurizer().fingerprint).payload == payloads[0]


async def _live(engine, seed):
    rng = random.Random(seed)
    made = []
    for _ in range(30):
        decision = await decided(engine, f"{'code ' * rng.randint(0, 9)}{rng.random()}")
        engine.record(decision, outcome(decision, latency_s=rng.random()))
        await engine.learn([score(engine, decision, rng.random())])
        made.append(decision)
    return made


async def test_stopping_saves_what_was_learned(store, clock):
    async with running(engine_on(store, clock)) as engine:
        await grow(engine, store, 3)
        await engine.arms("auto")
    await store.open()
    assert (await store.load_checkpoint("auto")).position == 6
    await store.close()
