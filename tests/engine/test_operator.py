"""What an operator changes at run time: at once here, soon elsewhere, after a restart too."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from doubles import (
    TTL_S,
    FlakyStore,
    ScriptedProvider,
    arm,
    asking,
    decided,
    engine_on,
    memory,
    router,
    running,
    score,
    until,
)

from banditroute.core.roster import Roster
from banditroute.dispatch import Dispatcher
from banditroute.engine import Operator
from banditroute.engine import operator as operator_module
from banditroute.errors import (
    NoEligibleArm,
    SourceQuarantined,
    StoreUnavailable,
    UnknownModel,
)
from banditroute.stores import SQLiteStore
from banditroute.values import ArmStatus, Learned, SourceChange

pytestmark = pytest.mark.anyio

PAUSED, ACTIVE = ArmStatus.PAUSED, ArmStatus.ACTIVE
NEW = arm("new", output_usd_per_mtok=0.5)


def ids(engine):
    return engine.in_force("auto").roster.ids


def prices(decision):
    return {c.arm_id: c.output_usd_per_mtok for c in decision.candidates}


async def test_a_new_price_counts_in_the_very_next_decision(store, clock):
    async with running(engine_on(store, clock)) as engine:
        operator = Operator(engine)
        assert prices(engine.decide("auto", asking())) == {"a": 4.0, "b": 4.0, "c": 4.0}
        changed = await operator.adjust("auto", "a", None, {"output_usd_per_mtok": 8.0}, "1")
        assert changed is Learned.LEARNED
        made = engine.decide("auto", asking())
        assert prices(made) == {"a": 8.0, "b": 4.0, "c": 4.0}
        assert made.position == 1
        again = await operator.adjust("auto", "a", ACTIVE, {"output_usd_per_mtok": 8.0}, "2")
        assert again is Learned.UNCHANGED
        assert await store.head("auto") == 1


async def test_the_arms_in_force_are_worked_out_only_when_they_change(store, clock):
    async with running(engine_on(store, clock)) as engine:
        await Operator(engine).adjust("auto", "a", PAUSED, {}, "1")
        before = engine.in_force("auto")
        await engine.learn([score(engine, await decided(engine), 1.0)])
        await Operator(engine).quarantine("bot", None, "2")
        assert engine.followers["auto"].knowledge.position == 3
        assert engine.in_force("auto") is before


async def test_a_decision_says_what_was_expected_of_its_reading(store, clock):
    async with running(engine_on(store, clock)) as engine:
        made = await decided(engine)
        assert made.noise == engine.followers["auto"].knowledge.hyper.noise
        await engine.learn([score(engine, made, 1.0)])
        [entry] = await store.evidence("auto", 0, 10)
        [chosen] = [c for c in made.candidates if c.arm_id == made.arm_id]
        assert (entry.propensity, entry.expected) == (made.propensity, chosen.quality)
        assert entry.spread == (made.noise + chosen.quality_sd**2) ** 0.5


async def test_an_added_arm_is_chosen_and_can_be_asked_for_by_name(store, clock):
    async with running(engine_on(store, clock, router("a"))) as engine:
        operator = Operator(engine)
        with pytest.raises(UnknownModel):
            engine.decide_for_arm("new", asking())
        assert await operator.define("auto", NEW, "1") is Learned.LEARNED
        assert await operator.define("auto", NEW, "2") is Learned.UNCHANGED
        assert engine.decide_for_arm("new", asking()).arm_id == "new"
        drawn = {engine.decide("auto", asking()).arm_id for _ in range(200)}
        assert drawn == {"a", "new"}
        assert [report.id for report in (await engine.arms("auto"))[1]] == ["a", "new"]


async def test_a_paused_arm_is_shown_as_such_and_never_drawn(store, clock):
    async with running(engine_on(store, clock)) as engine:
        operator = Operator(engine)
        await operator.adjust("auto", "a", PAUSED, {}, "1")
        made = [engine.decide("auto", asking()) for _ in range(100)]
        assert {decision.excluded["a"] for decision in made} == {"paused"}
        assert "a" not in {decision.arm_id for decision in made}
        with pytest.raises(NoEligibleArm, match="a: paused by an operator"):
            engine.decide_for_arm("a", asking())
        await operator.adjust("auto", "b", PAUSED, {}, "b1")
        await operator.adjust("auto", "b", ACTIVE, {}, "b2")
        assert (await operator.arms("auto"))[1][1].change.arm is None  # still the configured one
        await operator.define("auto", arm("a", output_usd_per_mtok=1.0), "2")
        _, [first, *_] = await operator.arms("auto")
        assert (first.status, first.arm.output_usd_per_mtok) == (PAUSED, 1.0)
        await operator.adjust("auto", "a", ACTIVE, {}, "3")
        assert prices(engine.decide("auto", asking()))["a"] == 1.0


async def test_the_last_arm_can_be_paused_or_removed_and_requests_are_told(store, clock):
    async with running(engine_on(store, clock, router("a"))) as engine:
        operator = Operator(engine)
        await operator.adjust("auto", "a", PAUSED, {}, "1")
        with pytest.raises(NoEligibleArm, match="paused") as caught:
            engine.decide("auto", asking())
        assert caught.value.reasons == {"a": "paused"}
        await operator.remove("auto", "a", "2")
        with pytest.raises(NoEligibleArm, match="no arm left"):
            engine.decide("auto", asking())
        assert (await engine.arms("auto"))[1] == []


async def test_an_arm_is_removed_once_and_comes_back_with_what_it_taught(store, clock):
    async with running(engine_on(store, clock)) as engine:
        operator = Operator(engine)
        made = await decided(engine)
        await engine.learn([score(engine, made, 1.0)])
        assert await operator.remove("auto", made.arm_id, "1") is Learned.LEARNED
        assert await operator.remove("auto", made.arm_id, "2") is Learned.UNCHANGED
        assert made.arm_id not in ids(engine)
        with pytest.raises(UnknownModel):
            await operator.remove("auto", "nobody", "3")
        with pytest.raises(UnknownModel):
            await operator.adjust("auto", made.arm_id, PAUSED, {}, "4")
        await operator.define("auto", arm(made.arm_id), "5")
        [report] = [r for r in (await engine.arms("auto"))[1] if r.id == made.arm_id]
        assert report.feedback_n == 1


async def test_the_same_id_counts_once(store, clock):
    async with running(engine_on(store, clock)) as engine:
        operator = Operator(engine)
        assert await operator.adjust("auto", "a", PAUSED, {}, "1") is Learned.LEARNED
        assert await operator.adjust("auto", "a", ACTIVE, {}, "2") is Learned.LEARNED
        assert await operator.adjust("auto", "a", PAUSED, {}, "1") is Learned.UNCHANGED
        assert engine.in_force("auto").paused == {}


async def test_nothing_is_changed_while_the_store_is_away(clock):
    store = FlakyStore(memory(clock))
    async with running(engine_on(store, clock)) as engine:
        operator = Operator(engine)
        store.down = True
        for asked in (
            operator.adjust("auto", "a", PAUSED, {}, "1"),
            operator.define("auto", NEW, "2"),
            operator.remove("auto", "a", "3"),
            operator.quarantine("bot", None, "4"),
            operator.lift("bot", "5"),
            operator.arms("auto"),
        ):
            with pytest.raises(StoreUnavailable):
                await asked
        store.down = False
        assert await store.head("auto") == 0
        assert ids(engine) == ("a", "b", "c")


async def test_every_replica_follows(shared, clock):
    async with AsyncExitStack() as stack:
        ours, theirs = [
            await stack.enter_async_context(running(engine_on(shared(), clock, seed=seed)))
            for seed in (1, 2)
        ]
        operator = Operator(ours)
        await operator.define("auto", NEW, "1")
        await operator.adjust("auto", "a", PAUSED, {"input_usd_per_mtok": 7.0}, "2")
        await operator.remove("auto", "b", "3")
        await operator.quarantine("bot", None, "4")
        await until(lambda: ids(theirs) == ("a", "c", "new"))
        await until(lambda: "bot" in theirs.followers["auto"].knowledge.quarantined)
        assert theirs.in_force("auto") == ours.in_force("auto")
        made = theirs.decide("auto", asking())
        assert made.excluded == {"a": "paused"}
        theirs.remember(made)
        assert await theirs.settled(made)
        with pytest.raises(SourceQuarantined):
            await theirs.learn([score(theirs, made, 1.0, source="bot")])
        assert await Operator(theirs).lift("bot", "5") is Learned.LEARNED
        await until(lambda: "bot" not in ours.followers["auto"].knowledge.quarantined)
        assert await Operator(theirs).lift("bot", "6") is Learned.UNCHANGED


async def test_changes_outlive_a_restart_until_the_configuration_says_something_else(
    tmp_path, clock
):
    def on(*arms):
        store = SQLiteStore(tmp_path / "log.db", decision_ttl_s=TTL_S, clock=clock)
        return engine_on(store, clock, router(*arms))

    async with running(on("a", "b")) as engine:
        operator = Operator(engine)
        await operator.adjust("auto", "a", None, {"output_usd_per_mtok": 8.0}, "1")
        await operator.remove("auto", "b", "2")
        await operator.define("auto", NEW, "3")
    async with running(on("a", "b")) as engine:
        assert ids(engine) == ("a", "new")
        assert engine.in_force("auto").roster.by_id["a"].output_usd_per_mtok == 8.0
    edited = arm("a", output_usd_per_mtok=2.0)
    async with running(on(edited, arm("b", model="another"), "new")) as engine:
        assert engine.in_force("auto").roster.arms == (
            edited,
            arm("b", model="another"),
            arm("new"),
        )


async def test_a_call_is_finished_by_an_arm_that_was_removed_meanwhile(clock):
    gate = asyncio.Event()
    provider = ScriptedProvider({"a": [gate]})
    async with running(engine_on(memory(clock), clock, router("a"))) as engine:
        dispatcher = Dispatcher(engine, {"scripted": provider}, lambda: 0.0)
        asked = asyncio.create_task(dispatcher.complete("auto", asking()))
        await until(lambda: provider.calls)
        await Operator(engine).remove("auto", "a", "1")
        gate.set()
        answer = await asked
        assert answer.decision.arm_id == "a"
        assert answer.cost_usd == 1000 * 1e-6 + 500 * 4e-6
        record = await engine.receipt(answer.decision.id)
        assert record.outcome.error is None


async def test_an_arm_whose_provider_is_not_here_is_left_out(clock):
    async with running(engine_on(memory(clock), clock, router("a"))) as engine:
        dispatcher = Dispatcher(engine, {"scripted": ScriptedProvider()}, lambda: 0.0)
        await Operator(engine).define("auto", arm("far", provider="elsewhere"), "1")
        made = await dispatcher.route("auto", asking())
        assert made.excluded == {"far": "no_provider"}


def filed(*arms):
    return Roster(tuple(arm(a) if isinstance(a, str) else a for a in arms))


async def test_a_file_that_was_read_again_is_followed_arm_by_arm(store, clock):
    async with running(engine_on(store, clock, router("a", "b", "c"))) as engine:
        operator = Operator(engine)
        await operator.adjust("auto", "c", PAUSED, {"input_usd_per_mtok": 3.0}, "1")
        await operator.define("auto", arm("extra"), "2")
        dear, first = arm("a", output_usd_per_mtok=9.0), filed("a", "b", "c")
        second = filed(dear, "c", NEW, arm("far", provider="elsewhere"))
        adopted = await operator.adopt("auto", first, second, {"scripted"}, "3")
        assert (adopted.changed, adopted.skipped) == (["a", "new", "b"], ["far"])
        assert ids(engine) == ("a", "c", "extra", "new")
        in_force = engine.in_force("auto")
        assert in_force.roster.by_id["a"] == dear
        assert in_force.roster.by_id["c"].input_usd_per_mtok == 3.0  # by hand, and not by the file
        head = await store.head("auto")
        again = await operator.adopt("auto", second, second, {"scripted"}, "4")
        assert (again.changed, await store.head("auto")) == ([], head)
        third = filed("a", "b", arm("c", input_usd_per_mtok=5.0))
        back = await operator.adopt("auto", second, third, {"scripted"}, "5")
        assert back.changed == ["a", "b", "c", "new"]
        assert ids(engine) == ("a", "b", "c", "extra")
        assert engine.in_force("auto").roster.by_id["c"].input_usd_per_mtok == 5.0
        assert engine.in_force("auto").paused == {"c": "paused"}


async def test_a_file_taken_back_on_another_replica_is_taken_back(shared, clock):
    """Each replica knows what it read itself; what a file brought is known from the log."""
    async with AsyncExitStack() as stack:
        ours, theirs = [
            await stack.enter_async_context(
                running(engine_on(shared(), clock, router("a", "b"), seed=seed))
            )
            for seed in (1, 2)
        ]
        before, after = filed("a", "b"), filed("a", NEW)
        assert (await Operator(ours).adopt("auto", before, after, {"scripted"}, "1")).changed
        adopted = await Operator(theirs).adopt("auto", before, before, {"scripted"}, "2")
        assert sorted(adopted.changed) == ["b", "new"]
        assert ids(theirs) == ("a", "b")


async def test_a_quarantine_takes_back_every_word_of_a_source_and_no_other(
    store, clock, monkeypatch
):
    monkeypatch.setattr(operator_module, "PAGE", 2)
    async with running(engine_on(store, clock, router(), router("x", name="support"))) as engine:
        made = [await decided(engine) for _ in range(5)]
        other = await decided(engine, name="support")
        await engine.learn([score(engine, d, 0.9) for d in made[:3]])
        await engine.learn([score(engine, d, 0.0, source="bot") for d in [*made, other]])
        operator = Operator(engine)
        assert await operator.quarantine("bot", None, "1") == 6
        assert await operator.quarantine("bot", None, "1") == 0
        _, reports = await engine.arms("auto")
        assert sum(report.feedback_n for report in reports) == 3
        for decision in made:
            record = await engine.receipt(decision.id)
            assert record.marks["bot"].score is None
        kept = [(await engine.receipt(d.id)).marks["user"].score for d in made[:3]]
        assert kept == [0.9] * 3
        with pytest.raises(SourceQuarantined, match="'bot'") as caught:
            await engine.learn(
                [score(engine, made[0], 1.0), score(engine, made[0], 1, source="bot")]
            )
        assert caught.value.param == "1"
        assert await operator.lift("bot", "2") is Learned.LEARNED
        said = await engine.learn([score(engine, made[0], 0.5, source="bot")])
        assert said == [Learned.LEARNED]


async def test_a_quarantine_goes_back_to_a_time(store, clock):
    async with running(engine_on(store, clock)) as engine:
        old, new = await decided(engine), await decided(engine)
        await engine.learn([score(engine, old, 0.2, source="bot")])
        clock.advance(100.0)
        since_s = clock()
        await engine.learn([score(engine, new, 0.2, source="bot")])
        assert await Operator(engine).quarantine("bot", since_s, "1") == 1
        assert (await engine.receipt(old.id)).marks["bot"].score == 0.2
        assert (await engine.receipt(new.id)).marks["bot"].score is None


async def test_a_word_from_a_replica_whose_clock_is_ahead_is_taken_back_too(store, clock):
    async with running(engine_on(store, clock)) as engine:
        made = await decided(engine)
        clock.advance(3600.0)
        early = score(engine, made, 0.2, source="bot")
        ahead = replace(early, id=engine.mint.feedback_id())
        clock.advance(-3600.0)
        fresh = engine_on(store, clock, seed=4)
        engine.mint = fresh.mint
        await engine.learn([ahead])
        assert await Operator(engine).quarantine("bot", None, "1") == 1
        assert (await engine.receipt(made.id)).marks["bot"].score is None


async def test_what_another_replica_takes_in_during_the_walk_is_taken_back_too(store, clock):
    async with running(engine_on(store, clock)) as engine:
        made = await decided(engine)
        walk = store.decisions

        async def decisions(name, after=""):
            async for record in walk(name, after):
                yield record
            await store.absorb("auto", [score(engine, made, 0.1, source="bot")])  # unaware

        engine.store.decisions = decisions
        assert await Operator(engine).quarantine("bot", None, "1") == 1
        assert (await engine.receipt(made.id)).marks["bot"].score is None


async def test_a_decision_that_expires_during_the_walk_stops_nothing(store, clock):
    async with running(engine_on(store, clock)) as engine:
        old = await decided(engine)
        clock.advance(TTL_S / 2)
        made = await decided(engine)
        await engine.learn([score(engine, d, 0.1, source="bot") for d in (old, made)])
        walk = store.decisions

        async def decisions(name, after=""):
            async for record in walk(name, after):
                yield record
            clock.advance(TTL_S / 2 + 1)

        engine.store.decisions = decisions
        assert await Operator(engine).quarantine("bot", None, "1") == 1
        assert (await engine.receipt(made.id)).marks["bot"].score is None


async def test_the_news_says_when_and_what(store, clock):
    async with running(engine_on(store, clock)) as engine:
        await Operator(engine).quarantine("bot", None, "once:7")
        [entry] = await store.evidence("auto", 0, 10)
        assert entry.news == SourceChange("once:7", "bot", clock(), quarantined=True)
