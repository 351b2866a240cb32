"""Caps at work: a flood teaches its share and no more, and honest words as ever."""

import asyncio
import logging
from collections import Counter
from dataclasses import replace

import pytest
from doubles import (
    FlakyStore,
    asking,
    decided,
    engine_on,
    memory,
    retraction,
    router,
    running,
    score,
)

from banditroute.core.allowances import WINDOW, Principal
from banditroute.core.feedback import apply
from banditroute.engine import follower as follower_module
from banditroute.engine import grants as grants_module
from banditroute.errors import InvalidRequest, StoreUnavailable, UnknownDecision
from banditroute.stores.base import Pending
from banditroute.values import Feedback, FeedbackKind, Learned

pytestmark = pytest.mark.anyio

SHARE = 0.01
BURST = SHARE * WINDOW  # evidence weight
FLOOD = Principal("key:flood", SHARE)
EXACT = 0.2 / (0.2 + 0.05**2)  # evidence weight of an exact score
AT_ONCE = 10  # whole exact scores of a full bucket


@pytest.fixture
async def engine(store, clock):
    async with running(engine_on(store, clock, router("a"))) as engine:
        yield engine


@pytest.fixture
async def by_source(store, clock):
    """An engine that caps every source."""
    async with running(engine_on(store, clock, router("a", source_share=SHARE))) as engine:
        yield engine


async def words(engine, count, value=0.0, name="auto", **changes):
    """One word on each of so many new decisions."""
    made = [await decided(engine, name=name) for _ in range(count)]
    return [score(engine, decision, value, **changes) for decision in made]


async def known(engine, name="auto", arm=0):
    _, reports = await engine.arms(name)
    return reports[arm]


async def grants_of(engine, changes):
    """What each word was granted: its whole weight, None, or nothing."""
    records = [await engine.receipt(change.decision_id) for change in changes]
    return [r.marks[c.source].granted for r, c in zip(records, changes, strict=True)]


@pytest.mark.parametrize("each", [1, 40], ids=["one by one", "in one list"])
async def test_a_flood_teaches_what_its_bucket_holds_and_the_rest_is_kept(engine, each):
    flood = await words(engine, 40)
    for at in range(0, len(flood), each):
        statuses = await engine.learn(flood[at : at + each], FLOOD)
        assert statuses == [Learned.LEARNED] * each
    assert (await known(engine)).feedback_n == AT_ONCE
    assert await grants_of(engine, flood) == [EXACT] * AT_ONCE + [0.0] * 30
    assert engine.capped == 30


async def test_many_words_at_once_get_no_more_than_one_after_another(engine):
    flood = await words(engine, 40)
    await asyncio.gather(*(engine.learn([word], FLOOD) for word in flood))
    assert (await known(engine)).feedback_n == AT_ONCE
    assert engine._grants._granted == engine._grants._owed == {}, "nothing is on its way"


async def test_a_flood_moves_an_arm_by_its_share_and_honest_words_as_without_it(clock):
    """Three floods stand between 300 honest scores of 0.8; the mean is theirs within the share."""
    qualities = {}
    for floods in (0, 3):
        store = memory(clock)
        async with running(engine_on(store, clock, router("a"))) as engine:
            honest = await words(engine, 300, 0.8)
            for at in range(0, 300, 100):
                if floods:
                    await engine.learn(await words(engine, 300), FLOOD)
                assert await engine.learn(honest[at : at + 100]) == [Learned.LEARNED] * 100
            qualities[floods] = await known(engine)
            assert await grants_of(engine, honest) == [None] * 300
    clean, flooded = qualities[0], qualities[3]
    lies = flooded.feedback_n - clean.feedback_n
    assert AT_ONCE <= lies * EXACT <= SHARE * (WINDOW + flooded.feedback_n * EXACT)
    assert flooded.quality == pytest.approx(0.8 * 300 / (300 + lies))


async def test_what_others_teach_an_arm_fills_the_bucket_again(engine):
    await engine.learn(await words(engine, 20), FLOOD)
    await engine.learn(await words(engine, 200))
    await engine.level("auto")
    more = await words(engine, 5)
    await engine.learn(more, FLOOD)
    assert await grants_of(engine, more) == [EXACT, EXACT, 0.0, 0.0, 0.0]


async def test_a_bucket_is_of_one_arm(clock):
    specs = router("a"), router("b", name="other")
    async with running(engine_on(memory(clock), clock, *specs)) as engine:
        mixed = [*await words(engine, 15), *await words(engine, 5, name="other")]
        await engine.learn(mixed, FLOOD)
        assert (await known(engine)).feedback_n == AT_ONCE
        assert (await known(engine, "other")).feedback_n == 5


async def test_the_smaller_of_two_grants_holds_and_both_are_charged(by_source):
    wide = Principal("key:wide", 0.5)
    first = await words(by_source, 15, source="ann")
    await by_source.learn(first, wide)
    assert await grants_of(by_source, first) == [EXACT] * AT_ONCE + [0.0] * 5
    second = await words(by_source, 2, source="bob")
    await by_source.learn(second, Principal("key:wide", 0.005))
    assert await grants_of(by_source, second) == [EXACT] * 2
    found = (await by_source.level("auto")).allowances.arms["a"]
    assert found.full_at == {
        "source:ann": pytest.approx(AT_ONCE * EXACT / SHARE),
        "source:bob": pytest.approx(AT_ONCE * EXACT + 2 * EXACT / SHARE, abs=2.0),
        "key:wide": pytest.approx(AT_ONCE * EXACT / 0.5 + 2 * EXACT / 0.005, abs=2.0),
    }


async def test_every_source_has_a_share_of_its_own(by_source):
    for source in ("user:ann", "user:bob"):
        await by_source.learn(await words(by_source, 15, source=source))
    assert (await known(by_source)).feedback_n == 2 * AT_ONCE


async def test_what_is_said_again_or_amended_or_taken_back_costs_nothing_more(engine):
    said = await words(engine, AT_ONCE, 0.5)
    await engine.learn(said, FLOOD)
    await engine.level("auto")
    again = [score(engine, word.decision_id, 0.5) for word in said]
    assert await engine.learn(again, FLOOD) == [Learned.UNCHANGED] * AT_ONCE
    amended = [score(engine, word.decision_id, 0.25) for word in said]
    assert await engine.learn(amended, FLOOD) == [Learned.AMENDED] * AT_ONCE
    assert ((await known(engine)).quality, engine.capped) == (pytest.approx(0.25), 0)
    records = [(await engine.receipt(word.decision_id)).decision for word in said]
    taken = [retraction(engine, decision) for decision in records]
    assert await engine.learn(taken, FLOOD) == [Learned.RETRACTED] * AT_ONCE
    assert (await known(engine)).feedback_n == 0
    spoken = [score(engine, word.decision_id, 0.75) for word in said]
    assert await engine.learn(spoken, FLOOD) == [Learned.LEARNED] * AT_ONCE
    assert await grants_of(engine, said) == [EXACT] * AT_ONCE


async def test_a_light_word_that_grows_weighs_what_was_paid_for(engine):
    light = await words(engine, 40, weight=0.01)
    await engine.learn(light, FLOOD)
    await engine.learn([score(engine, word.decision_id, 0.0) for word in light], FLOOD)
    known = await engine.level("auto")
    assert known.evidence_n[0] == pytest.approx(40 * 0.01 * EXACT)


async def test_the_weight_of_a_word_decides_what_it_costs(engine):
    thumbs = await words(engine, 40, kind=FeedbackKind.THUMBS)
    await engine.learn(thumbs, FLOOD)
    assert (await known(engine)).feedback_n == int(BURST / (0.2 / (0.2 + 0.45**2)))


async def test_what_is_refused_was_never_granted(engine):
    good, gone = await words(engine, AT_ONCE), score(engine, engine.decide("auto", asking()), 0.0)
    for _ in range(3):
        with pytest.raises(UnknownDecision):
            await engine.learn([*good, gone], FLOOD)
    assert await engine.learn(good, FLOOD) == [Learned.LEARNED] * AT_ONCE
    assert await grants_of(engine, good) == [EXACT] * AT_ONCE
    assert engine.capped == 0


@pytest.mark.parametrize("weight", [float("nan"), 2.0, 0.0])
async def test_a_weight_out_of_range_is_refused_and_spoils_nothing(engine, weight):
    [bad] = await words(engine, 1, weight=weight)
    with pytest.raises(InvalidRequest):
        await engine.learn([bad], FLOOD)
    good = await words(engine, AT_ONCE)
    await engine.learn(good, FLOOD)
    assert await grants_of(engine, good) == [EXACT] * AT_ONCE


async def test_another_replica_and_a_restart_know_what_is_owed(store, clock):
    async with running(engine_on(store, clock, router("a"))) as engine:
        await engine.learn(await words(engine, 6), FLOOD)
    async with running(engine_on(store, clock, router("a"), seed=4)) as engine:
        more = await words(engine, 10)
        await engine.learn(more, FLOOD)
        assert await grants_of(engine, more) == [EXACT] * 4 + [0.0] * 6


async def test_without_a_cap_the_store_is_asked_for_nothing_more(clock):
    store = FlakyStore(memory(clock))
    async with running(engine_on(store, clock, router("a"))) as engine:
        said = await words(engine, 3)
        assert await engine.learn(said) == [Learned.LEARNED] * 3
        assert store.calls["find"] == 0
        assert await grants_of(engine, said) == [None] * 3
        assert engine.followers["auto"].knowledge.allowances.arms == {}


class Accepting(FlakyStore):
    """A store that is away, and whose disk takes every promise."""

    def __init__(self, store) -> None:
        super().__init__(store)
        self.promised: list[Feedback] = []

    def pending(self) -> Pending:
        return Pending(len(self.promised))

    async def absorb(self, name, changes):
        if not self.down:
            return await self.store.absorb(name, changes)
        for change in changes:
            apply({}, change)
        self.promised += changes
        return [Learned.ACCEPTED] * len(changes)


@pytest.fixture
def _impatient(monkeypatch):
    monkeypatch.setattr(follower_module, "WAIT_S", 0.01)
    monkeypatch.setattr(follower_module, "PAUSE_S", 0.001)


@pytest.mark.usefixtures("_impatient")
async def test_while_the_store_is_away_a_principal_has_one_more_bucketful_and_owes_it(clock):
    store = Accepting(memory(clock))
    async with running(engine_on(store, clock, router("a"))) as engine:
        flood = await words(engine, 70)
        await engine.learn(flood[:20], FLOOD)
        await engine.level("auto")
        store.down = True
        for word in flood[20:50]:
            assert await engine.learn([word, word], FLOOD) == [Learned.ACCEPTED] * 2
        assert Counter(word.granted for word in store.promised) == {EXACT: 20, 0.0: 40}
        store.down = False
        await store.absorb("auto", store.promised)
        await engine.level("auto")
        assert (await known(engine)).feedback_n == 2 * AT_ONCE
        await engine.learn(await words(engine, 900), None)
        await engine.learn(flood[50:], FLOOD)
        assert (await known(engine)).feedback_n == 2 * AT_ONCE + 900, "that is still owed"


@pytest.mark.usefixtures("_impatient")
async def test_what_never_comes_to_the_log_is_not_waited_for_for_ever(clock, monkeypatch):
    store = Accepting(memory(clock))
    async with running(engine_on(store, clock, router("a"))) as engine:
        flood = await words(engine, 30)
        store.down = True
        await engine.learn(flood[:15], FLOOD)
        clock.advance(grants_module.UNHEARD_S - 1.0)
        await engine.learn(flood[15:16], FLOOD)
        assert store.promised[-1].granted == 0.0
        clock.advance(1.0)
        await engine.learn(flood[16:17], FLOOD)
        assert store.promised[-1].granted == EXACT
        store.down = False


@pytest.mark.usefixtures("_impatient")
async def test_a_weight_that_is_no_number_spoils_nothing_that_is_on_its_way(clock):
    store = Accepting(memory(clock))
    async with running(engine_on(store, clock, router("a"))) as engine:
        flood = await words(engine, 12)
        store.down = True
        await engine.learn(flood[:1], FLOOD)
        with pytest.raises(InvalidRequest):
            await engine.learn([replace(flood[1], weight=float("nan"))], FLOOD)
        await engine.learn(flood[1:], FLOOD)
        store.down = False
    assert [word.granted for word in store.promised] == [EXACT] * AT_ONCE + [0.0] * 2


@pytest.mark.usefixtures("_impatient")
async def test_a_lost_reply_takes_nothing_from_the_bucket_twice(clock):
    store = FlakyStore(memory(clock))
    async with running(engine_on(store, clock, router("a"))) as engine:
        said = await words(engine, AT_ONCE)
        store.loses_replies = {"absorb"}
        with pytest.raises(StoreUnavailable):
            await engine.learn(said, FLOOD)
        store.loses_replies = set()
        assert await engine.learn(said, FLOOD) == [Learned.UNCHANGED] * AT_ONCE
        owed = (await engine.level("auto")).allowances.owed("a", FLOOD.name)
        assert owed == pytest.approx(AT_ONCE * EXACT / SHARE - AT_ONCE * EXACT)


async def test_a_warning_names_the_principal_once_a_minute(engine, clock, caplog):
    caplog.set_level(logging.WARNING, logger=grants_module.__name__)
    flood = await words(engine, 40, comment="private")
    await engine.learn(flood[:30], FLOOD)
    await engine.learn(flood[30:35], FLOOD)
    [warning] = caplog.records
    assert (warning.principal, warning.share) == (FLOOD.name, SHARE)
    assert "private" not in warning.getMessage()
    clock.advance(grants_module.WARN_EVERY_S)
    await engine.learn(flood[35:], FLOOD)
    assert len(caplog.records) == 2


async def test_warnings_of_ever_new_principals_have_an_end(by_source, caplog, monkeypatch):
    monkeypatch.setattr(grants_module, "MOST_WARNED", 2)
    for n in range(4):
        await by_source.learn(await words(by_source, 12, source=f"user:{n}"))
    assert [r.principal for r in caplog.records] == ["source:user:0", "source:user:1"]
