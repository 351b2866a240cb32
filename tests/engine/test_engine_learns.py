"""Feedback and outcomes: learned once, as if only the last word had come, in all or in nothing."""

import asyncio

import numpy as np
import pytest
from doubles import (
    TTL_S,
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

from banditroute.core import checkpoint
from banditroute.core.feedback import MOST_SOURCES
from banditroute.core.posterior import FeatureGroups
from banditroute.errors import InvalidRequest, OutcomeConflict, UnknownDecision
from banditroute.values import Learned, Outcome

pytestmark = pytest.mark.anyio


@pytest.fixture
async def engine(store, clock):
    async with running(engine_on(store, clock, router("a", "b"))) as engine:
        yield engine


@pytest.fixture
async def two(clock):
    """An engine of two routers."""
    specs = router("a", "b"), router("c", name="other")
    async with running(engine_on(memory(clock), clock, *specs)) as engine:
        yield engine


async def numbers(engine, name="auto"):
    """What is learned of quality: every arm's count, mean and deviation."""
    _, reports = await engine.arms(name)
    return {r.id: (r.feedback_n, r.quality, r.quality_sd) for r in reports}


async def sums(store, engine, clock):
    """The regression sums at the end of an engine's log, by arm; the engine is stopped."""
    await engine.stop()
    await store.open()
    saved = await store.load_checkpoint("auto")
    state = checkpoint.load(saved, FeatureGroups(engine.featurizer.groups))
    quality = state.quality.sums
    return {
        arm_id: (quality.n[row], quality.gram[row], quality.moment[row], quality.square[row])
        for arm_id, row in state.rows.items()
    }


async def test_feedback_changes_what_is_believed_at_the_next_decision(engine):
    decision = await decided(engine)
    engine.record(decision, outcome(decision, latency_s=3.0))
    before = engine.decide("auto", asking(candidates=frozenset({decision.arm_id})))
    assert await engine.learn([score(engine, decision, 1.0)]) == [Learned.LEARNED]
    position, _ = await engine.arms("auto")
    after = engine.decide("auto", asking(candidates=frozenset({decision.arm_id})))
    assert (before.position, after.position, position) == (0, 2, 2)
    assert after.candidates[0].quality > before.candidates[0].quality
    assert after.candidates[0].quality_sd < before.candidates[0].quality_sd
    assert after.candidates[0].latency_s > before.candidates[0].latency_s


async def test_an_arms_numbers_are_the_means_of_what_was_reported(engine):
    request = asking(candidates=frozenset({"a"}))
    for cost, quality in [(0.002, 1.0), (0.004, 0.5)]:
        decision = engine.decide("auto", request)
        engine.remember(decision)
        await engine.report(outcome(decision, cost_usd=cost))
        await engine.learn([score(engine, decision, quality)])
    failed = engine.decide("auto", request)
    engine.remember(failed)
    engine.record(failed, Outcome(failed.id, error="timeout", latency_s=60.0))
    await engine.receipt(failed.id)
    _, (a, b) = await engine.arms("auto")
    assert (a.id, a.feedback_n, a.requests_n, a.share) == ("a", 2, 3, 1.0)
    assert (a.quality, a.cost_usd) == pytest.approx((0.75, 0.003))
    assert 0.5 < a.latency_s < 3.0, "the failed call's time is no latency of an answer"
    assert 0.0 < a.error_rate < 1.0
    assert (b.feedback_n, b.requests_n, b.quality, b.quality_sd) == (0, 0, None, None)
    assert (b.cost_usd, b.latency_s, b.share) == (None, None, 0.0)


async def test_the_same_feedback_twice_changes_nothing(engine):
    decision = await decided(engine)
    word = score(engine, decision, 0.75)
    assert await engine.learn([word]) == [Learned.LEARNED]
    before = await engine.arms("auto")
    assert await engine.learn([word]) == [Learned.UNCHANGED]
    assert await engine.learn([score(engine, decision, 0.75)]) == [Learned.UNCHANGED]
    assert await engine.arms("auto") == before


async def test_two_sources_are_one_reading(engine):
    decision = await decided(engine)
    await engine.learn([score(engine, decision, 1.0), score(engine, decision, 0.0, source="ann")])
    found = await numbers(engine)
    assert found[decision.arm_id][:2] == (1, pytest.approx(0.5))


async def test_amended_feedback_ends_as_if_only_the_last_word_had_come(store, clock, tmp_path):
    """In the numbers, and in the sums to 1e-9."""
    words = [(0, 0.1), (1, 0.9), (2, 0.4), (0, 0.8), (1, 0.2), (0, 0.3), (2, 0.6)]
    last = dict(words)
    amended_engine = engine_on(store, clock, router("a", "b"))
    single_store = memory(clock)
    single_engine = engine_on(single_store, clock, router("a", "b"))  # same seed: same decisions
    seen = []
    for engine, said in ((amended_engine, words), (single_engine, list(last.items()))):
        await engine.start()
        decisions = [await decided(engine, text) for text in ("Write code", "How many?", "Hi")]
        seen.append([(d.id, d.arm_id) for d in decisions])
        for place, value in said:
            await engine.learn([score(engine, decisions[place], value)])
    assert seen[0] == seen[1]
    amended, single = await numbers(amended_engine), await numbers(single_engine)
    for arm_id, (count, *rest) in amended.items():
        assert count == single[arm_id][0]
        assert rest == pytest.approx(single[arm_id][1:], abs=1e-9)
    amended_sums = await sums(store, amended_engine, clock)
    single_sums = await sums(single_store, single_engine, clock)
    assert amended_sums.keys() == single_sums.keys()
    for arm_id, found in amended_sums.items():
        for one, other in zip(found, single_sums[arm_id], strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-9)
    await store.close()


async def test_an_older_word_that_comes_later_changes_nothing(engine):
    decision = await decided(engine)
    older, newer = score(engine, decision, 0.0), score(engine, decision, 1.0)
    assert await engine.learn([newer]) == [Learned.LEARNED]
    assert await engine.learn([older]) == [Learned.UNCHANGED]
    assert (await numbers(engine))[decision.arm_id][1] == 1.0


async def test_a_retracted_feedback_was_never_heard(engine):
    decision = await decided(engine)
    before = await numbers(engine)
    await engine.learn([score(engine, decision, 0.9)])
    assert await engine.learn([retraction(engine, decision)]) == [Learned.RETRACTED]
    assert await numbers(engine) == before
    assert await engine.learn([retraction(engine, decision)]) == [Learned.UNCHANGED]


async def test_an_outcome_is_recorded_once(engine):
    decision = await decided(engine)
    assert await engine.report(outcome(decision)) == Learned.LEARNED
    assert await engine.report(outcome(decision)) == Learned.UNCHANGED
    with pytest.raises(OutcomeConflict):
        await engine.report(outcome(decision, latency_s=9.0))


async def test_a_receipt_holds_the_decision_its_outcome_and_its_feedback(engine):
    decision = await decided(engine)
    engine.record(decision, outcome(decision))
    await engine.learn([score(engine, decision, 0.5, comment="so so")])
    record = await engine.receipt(decision.id)
    assert record.decision.id == decision.id
    assert record.outcome == outcome(decision)
    assert record.marks["user"].comment == "so so"


UNKNOWN = "00000000-0000-7000-8000-000000000000"


async def test_an_id_of_no_router_here_is_unknown(engine):
    for attempt in (
        engine.learn([score(engine, UNKNOWN, 1.0)]),
        engine.receipt(UNKNOWN),
        engine.replay(UNKNOWN),
    ):
        with pytest.raises(UnknownDecision, match="no router here"):
            await attempt


async def test_a_decision_that_was_never_remembered_is_unknown(engine):
    decision = engine.decide("auto", asking())
    for attempt in (
        engine.learn([score(engine, decision, 1.0)]),
        engine.report(outcome(decision)),
        engine.receipt(decision.id),
    ):
        with pytest.raises(UnknownDecision) as caught:
            await attempt
        assert not caught.value.expired


async def test_an_expired_decision_is_told_from_a_wrong_id(engine, clock):
    decision = await decided(engine)
    clock.advance(TTL_S + 1.0)
    with pytest.raises(UnknownDecision) as caught:
        await engine.learn([score(engine, decision, 1.0)])
    assert (caught.value.expired, caught.value.code) == (True, "decision_expired")
    with pytest.raises(UnknownDecision):
        await engine.receipt(decision.id)


async def test_expired_decisions_are_deleted_in_passing(store, clock, caplog):
    caplog.set_level("INFO")
    engine = engine_on(store, clock, router("a", "b"))
    async with running(engine):
        await decided(engine)
    clock.advance(TTL_S + 1.0)
    async with running(engine):
        fresh = await decided(engine)
        await until(lambda: "deleted expired decisions" in caplog.messages)
        kept = [record.decision.id async for record in store.decisions("auto")]
        deleted = await store.expire()
    assert kept == [fresh.id]
    assert deleted == 0


async def test_a_batch_with_one_unknown_id_teaches_nothing(engine):
    decision = await decided(engine)
    gone = engine.decide("auto", asking())
    with pytest.raises(UnknownDecision) as caught:
        await engine.learn([score(engine, decision, 1.0), score(engine, gone, 1.0)])
    assert caught.value.param == "1"
    assert (await numbers(engine))[decision.arm_id][0] == 0


async def test_a_batch_may_speak_of_several_routers(two):
    here, there = await decided(two), await decided(two, name="other")
    changes = [score(two, d, 0.5) for d in (there, here, there)]
    assert await two.learn(changes) == [Learned.LEARNED, Learned.LEARNED, Learned.UNCHANGED]
    assert (await numbers(two))[here.arm_id][0] == 1
    assert (await numbers(two, "other"))["c"][0] == 1


@pytest.mark.parametrize("names", [("auto", "other"), ("other", "auto")])
async def test_a_batch_over_two_routers_with_one_unknown_id_teaches_neither(two, names):
    known = await decided(two, name=names[0])
    gone = two.decide(names[1], asking())
    with pytest.raises(UnknownDecision) as caught:
        await two.learn([score(two, known, 1.0), score(two, known, 0.5), score(two, gone, 1.0)])
    assert caught.value.param == "2"
    for name in names:
        assert all(count == 0 for count, *_ in (await numbers(two, name)).values())


@pytest.mark.parametrize("full", ["auto", "other"])
async def test_a_batch_over_two_routers_is_refused_whole_when_too_many_speak(two, full):
    decisions = {name: await decided(two, name=name) for name in ("auto", "other")}
    crowd = [score(two, decisions[full], 0.5, source=f"s{n}") for n in range(MOST_SOURCES)]
    await two.learn(crowd)
    before = await numbers(two), await numbers(two, "other")
    changes = [score(two, decision, 1.0) for decision in decisions.values()]
    with pytest.raises(InvalidRequest, match="sources") as caught:
        await two.learn(changes)
    assert caught.value.param == str(list(decisions).index(full))
    assert (await numbers(two), await numbers(two, "other")) == before


async def test_items_of_one_batch_count_towards_the_same_bound(two):
    here, there = await decided(two), await decided(two, name="other")
    last = MOST_SOURCES - 1
    await two.learn([score(two, there, 0.5, source=f"s{n}") for n in range(last)])
    changes = [score(two, here, 1.0), *(score(two, there, 1.0, source=s) for s in ("x", "y"))]
    with pytest.raises(InvalidRequest, match="sources") as caught:
        await two.learn(changes)
    assert caught.value.param == "2"
    assert (await numbers(two))[here.arm_id][0] == 0


async def test_an_item_refused_late_is_named_by_its_place_in_the_whole_batch(two, monkeypatch):
    """A decision may expire between the look and the write."""
    here, there = await decided(two), await decided(two, name="other")
    absorb = two.store.absorb

    async def late(router, changes):
        if router == "other":
            raise UnknownDecision("gone", param="1")
        return await absorb(router, changes)

    monkeypatch.setattr(two.store, "absorb", late)
    with pytest.raises(UnknownDecision) as caught:
        await two.learn([score(two, d, 1.0) for d in (there, here, here, there)])
    assert caught.value.param == "3"


async def test_nothing_to_learn_is_fine(engine):
    assert await engine.learn([]) == []


async def test_concurrent_feedback_is_counted_exactly(engine):
    decisions = [await decided(engine) for _ in range(40)]
    words = [[score(engine, d, 0.5)] for d in decisions for _ in range(3)]
    statuses = await asyncio.gather(*(engine.learn(word) for word in words))
    assert sorted(s for (s,) in statuses) == ["learned"] * 40 + ["unchanged"] * 80
    assert sum(count for count, *_ in (await numbers(engine)).values()) == 40
