"""What every store must do. A store joins by subclassing with a ``make_store`` fixture.

``make_store()`` gives a fresh, unopened store with a time to live of ``TTL_S`` on ``clock``;
for a store that several processes share, calling it again gives another client of the same data.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from math import sqrt

import pytest
from store_examples import Clock, Examples, evidence_of, opened, plain

from banditroute.core.feedback import MOST_SOURCES
from banditroute.errors import (
    FeatureMismatch,
    InvalidRequest,
    OutcomeConflict,
    StoreError,
    StoreUnavailable,
    UnknownDecision,
)
from banditroute.stores.base import Store
from banditroute.values import (
    Announcement,
    ArmStatus,
    Charge,
    Checkpoint,
    Learned,
    OutcomeEvidence,
    QualityEvidence,
)

MakeStore = Callable[[], Store]
LEARNED, AMENDED, UNCHANGED, RETRACTED = (
    Learned.LEARNED,
    Learned.AMENDED,
    Learned.UNCHANGED,
    Learned.RETRACTED,
)


class Opened:
    """A fresh, open store for each test."""

    @pytest.fixture
    async def store(self, make_store: MakeStore) -> AsyncIterator[Store]:
        async with opened(make_store()) as store:
            yield store


class StoreContract(Opened):
    """One client."""

    async def test_a_decision_is_found_as_it_was_made(self, store: Store, made: Examples):
        decision = made.decision(arms=3, parent_id="earlier", session_id="s")
        await store.remember([decision])
        record = await store.find("auto", decision.id)
        assert plain(record.decision) == plain(decision)
        assert (record.outcome, record.marks) == (None, {})

    async def test_what_is_kept_is_not_what_a_caller_still_holds(
        self, store: Store, made: Examples
    ):
        decision = made.decision()
        await store.remember([decision])
        before = plain(decision)
        decision.x[:] = 9.0
        decision.excluded["later"] = "edit"
        found = (await store.find("auto", decision.id)).decision
        assert found.x.tobytes() == before["x"]
        assert found.excluded == {"dear": "budget"}

    async def test_a_decision_is_never_changed_after_it_is_made(self, store: Store, made: Examples):
        decision = made.decision()
        await store.remember([decision])
        await store.absorb("auto", [made.feedback(decision, 0.5)])
        await store.remember([replace(decision, arm_id="arm-1")])
        record = await store.find("auto", decision.id)
        assert record.decision.arm_id == "arm-0"
        assert record.marks["user"].score == 0.5

    async def test_an_id_without_a_time_is_refused_and_so_is_its_whole_batch(
        self, store: Store, made: Examples
    ):
        good = made.decision()
        with pytest.raises(InvalidRequest):
            await store.remember([good, made.decision(id="d-1")])
        assert await store.find("auto", good.id) is None

    async def test_x_that_float32_cannot_hold_is_refused(self, store: Store, made: Examples):
        with pytest.raises(StoreError, match="float32"):
            await store.remember([replace(made.decision(), x=made.decision().x + 1e-12)])

    async def test_nothing_is_found_of_what_was_never_made(self, store: Store, made: Examples):
        decision = made.decision()
        await store.remember([decision])
        assert await store.find("auto", made.decision().id) is None
        assert await store.find("auto", "nonsense") is None
        assert await store.find("other", decision.id) is None

    async def test_feedback_is_learned_once_and_logged_once(self, store: Store, made: Examples):
        decision = made.decision()
        await store.remember([decision])
        said = made.feedback(decision, 0.75)
        assert await store.absorb("auto", [said]) == [LEARNED]
        assert await store.absorb("auto", [said]) == [UNCHANGED]
        assert await store.absorb("auto", [made.feedback(decision, 0.75)]) == [UNCHANGED]
        [entry] = await store.evidence("auto", 0, 10)
        assert isinstance(entry, QualityEvidence)
        assert (entry.position, entry.decision_id, entry.arm_id) == (1, decision.id, "arm-0")
        assert entry.x.tobytes() == decision.x.tobytes()
        assert entry.old is None
        assert entry.new.quality == 0.75
        assert await store.head("auto") == 1

    async def test_a_changed_score_logs_the_old_reading_and_the_new(
        self, store: Store, made: Examples
    ):
        decision = made.decision()
        await store.remember([decision])
        changes = [made.feedback(decision, 0.25), made.feedback(decision, 0.5)]
        assert await store.absorb("auto", changes) == [LEARNED, AMENDED]
        first, second = await store.evidence("auto", 0, 10)
        assert second.old == first.new
        assert second.new.quality == 0.5

    async def test_a_retraction_takes_the_reading_back(self, store: Store, made: Examples):
        decision = made.decision()
        await store.remember([decision])
        await store.absorb("auto", [made.feedback(decision)])
        assert await store.absorb("auto", [made.retraction(decision)]) == [RETRACTED]
        assert await store.absorb("auto", [made.retraction(decision)]) == [UNCHANGED]
        entry = (await store.evidence("auto", 1, 10))[0]
        assert entry.new is None
        assert await store.head("auto") == 2

    async def test_what_a_first_word_was_granted_holds_for_all_its_source_says(
        self, store: Store, made: Examples
    ):
        decision = made.decision()
        await store.remember([decision])
        charges = (Charge("key:team", 8.0), Charge("source:user", 4.0))
        granted = {"granted": 0.4, "charges": charges}
        first = made.feedback(decision, 0.5, **granted)
        assert await store.absorb("auto", [first]) == [LEARNED]
        later = [
            made.feedback(decision, 0.5),
            made.feedback(decision, 0.75, granted=0.9, charges=charges),
            made.retraction(decision),
            made.feedback(decision, 0.5, granted=0.0),
        ]
        statuses = [UNCHANGED, AMENDED, RETRACTED, LEARNED]
        assert await store.absorb("auto", later) == statuses
        entries = await store.evidence("auto", 0, 10)
        read = [None if entry.new is None else entry.new.weight for entry in entries]
        assert read == [0.4, 0.4, None, 0.4]
        assert [entry.charges for entry in entries] == [charges, (), (), ()]
        assert entries[2].old == entries[1].new
        assert entries[3].new == entries[0].new
        assert (await store.find("auto", decision.id)).marks["user"].granted == 0.4

    async def test_a_word_that_is_granted_nothing_is_kept_and_not_logged(
        self, store: Store, made: Examples
    ):
        decision = made.decision()
        await store.remember([decision])
        assert await store.absorb("auto", [made.feedback(decision, granted=0.0)]) == [LEARNED]
        assert await store.absorb("auto", [made.feedback(decision)]) == [UNCHANGED]
        assert await store.absorb("auto", [made.feedback(decision, 0.5)]) == [AMENDED]
        assert await store.absorb("auto", [made.retraction(decision)]) == [RETRACTED]
        assert await store.head("auto") == 0

    async def test_an_older_word_that_arrives_later_changes_nothing(
        self, store: Store, made: Examples
    ):
        decision = made.decision()
        await store.remember([decision])
        early, late, latest = (made.feedback(decision, score) for score in (0.1, 0.9, 0.9))
        assert await store.absorb("auto", [late]) == [LEARNED]
        assert await store.absorb("auto", [early]) == [UNCHANGED]
        assert await store.absorb("auto", [latest]) == [UNCHANGED]
        record = await store.find("auto", decision.id)
        assert (record.marks["user"].score, record.marks["user"].id) == (0.9, latest.id)
        assert await store.head("auto") == 1

    async def test_a_word_older_than_its_retraction_stays_out(self, store: Store, made: Examples):
        decision = made.decision()
        await store.remember([decision])
        early, taken_back = made.feedback(decision), made.retraction(decision)
        assert await store.absorb("auto", [taken_back]) == [UNCHANGED]
        assert await store.absorb("auto", [early]) == [UNCHANGED]
        assert await store.head("auto") == 0

    async def test_a_new_comment_is_kept_without_being_evidence(self, store: Store, made: Examples):
        decision = made.decision()
        await store.remember([decision])
        await store.absorb("auto", [made.feedback(decision)])
        said = made.feedback(decision, comment="gut", metadata={"a": {"b": [1, None, 0.5]}})
        assert await store.absorb("auto", [said]) == [UNCHANGED]
        mark = (await store.find("auto", decision.id)).marks["user"]
        assert (mark.comment, mark.metadata) == ("gut", {"a": {"b": [1, None, 0.5]}})
        assert await store.head("auto") == 1

    async def test_a_batch_with_an_unknown_decision_is_refused_whole(
        self, store: Store, made: Examples
    ):
        decision, missing = made.decision(), made.decision()
        await store.remember([decision])
        with pytest.raises(UnknownDecision, match=missing.id) as caught:
            await store.absorb("auto", [made.feedback(decision), made.feedback(missing)])
        assert (caught.value.param, caught.value.expired) == ("1", False)
        assert await store.head("auto") == 0
        assert (await store.find("auto", decision.id)).marks == {}

    @pytest.mark.parametrize(
        "wrong", [{"score": float("nan")}, {"score": 1.1}, {"weight": 0.0}, {"weight": 2.0}]
    )
    async def test_a_number_that_cannot_be_learned_is_refused_with_its_batch(
        self, store: Store, made: Examples, wrong: dict[str, float]
    ):
        decision = made.decision()
        await store.remember([decision])
        bad = replace(made.feedback(decision), **wrong)
        with pytest.raises(InvalidRequest) as caught:
            await store.absorb("auto", [made.feedback(decision), bad])
        assert caught.value.param == "1"
        assert await store.head("auto") == 0

    async def test_metadata_that_cannot_be_packed_is_refused_with_its_batch(
        self, store: Store, made: Examples
    ):
        decision = made.decision()
        await store.remember([decision])
        bad = made.feedback(decision, source="other", metadata={"a": object()})
        with pytest.raises(InvalidRequest, match="object"):
            await store.absorb("auto", [made.feedback(decision), bad])
        assert await store.head("auto") == 0
        assert (await store.find("auto", decision.id)).marks == {}

    async def test_a_decision_hears_a_bounded_number_of_sources(self, store: Store, made: Examples):
        decision = made.decision()
        await store.remember([decision])
        crowd = [made.feedback(decision, source=f"user-{n}") for n in range(MOST_SOURCES)]
        assert await store.absorb("auto", crowd) == [LEARNED] * MOST_SOURCES
        with pytest.raises(InvalidRequest, match="sources"):
            await store.absorb("auto", [made.feedback(decision, source="one more")])
        assert await store.absorb("auto", [made.feedback(decision, 0.0, source="user-0")]) == [
            AMENDED
        ]

    async def test_an_outcome_is_recorded_once(self, store: Store, made: Examples, clock: Clock):
        decision = made.decision()
        await store.remember([decision])
        outcome = made.outcome(decision, error="timeout", ttft_s=0.5)
        clock.advance(5)
        assert await store.record("auto", [outcome, outcome]) == [LEARNED, UNCHANGED]
        assert await store.record("auto", [outcome]) == [UNCHANGED]
        [entry] = await store.evidence("auto", 0, 10)
        assert isinstance(entry, OutcomeEvidence)
        assert (entry.position, entry.at_s) == (1, clock())
        assert (entry.output_tokens, entry.cost_usd) == (100, 0.00128)
        assert (entry.latency_s, entry.ttft_s, entry.error) == (2.5, 0.5, "timeout")
        assert (await store.find("auto", decision.id)).outcome == outcome

    async def test_another_outcome_of_the_same_decision_is_refused_with_its_batch(
        self, store: Store, made: Examples
    ):
        first, second = made.decision(), made.decision()
        await store.remember([first, second])
        await store.record("auto", [made.outcome(first)])
        with pytest.raises(OutcomeConflict) as caught:
            await store.record("auto", [made.outcome(second), made.outcome(first, cost_usd=1.0)])
        assert caught.value.param == "1"
        assert await store.head("auto") == 1
        assert (await store.find("auto", second.id)).outcome is None

    async def test_an_outcome_that_is_no_number_is_refused(self, store: Store, made: Examples):
        decision = made.decision()
        await store.remember([decision])
        with pytest.raises(InvalidRequest, match="cost_usd"):
            await store.record("auto", [made.outcome(decision, cost_usd=float("inf"))])
        assert await store.head("auto") == 0

    async def test_an_outcome_of_an_unknown_decision_is_refused(self, store: Store, made: Examples):
        with pytest.raises(UnknownDecision) as caught:
            await store.record("auto", [made.outcome(made.decision())])
        assert caught.value.param == "0"

    async def test_outcomes_and_feedback_share_one_order(self, store: Store, made: Examples):
        decisions = [made.decision() for _ in range(3)]
        await store.remember(decisions)
        for decision in decisions:
            await store.record("auto", [made.outcome(decision)])
            await store.absorb("auto", [made.feedback(decision)])
        log = await store.evidence("auto", 0, 100)
        assert [entry.position for entry in log] == [1, 2, 3, 4, 5, 6]
        assert [type(entry) for entry in log] == [OutcomeEvidence, QualityEvidence] * 3

    async def test_what_is_logged_says_how_the_decision_was_made(
        self, store: Store, made: Examples
    ):
        drawn = made.decision(noise=0.15, payers=("key:team",))
        named = made.decision(explored=False, propensity=1.0, candidates=())
        await store.remember([drawn, named])
        await store.absorb("auto", [made.feedback(drawn), made.feedback(named)])
        await store.record("auto", [made.outcome(drawn), made.outcome(named)])
        one, other, cost, _ = await store.evidence("auto", 0, 10)
        assert (one.propensity, one.expected, one.spread) == (0.5, 0.5, sqrt(0.15 + 0.1**2))
        assert (other.propensity, other.expected, other.spread) == (None, 0.5, 1.0)
        assert cost.payers == ("key:team",)

    async def test_news_is_announced_once_per_id_before_any_decision(
        self, store: Store, made: Examples
    ):
        told = [made.arm_change(), made.source_change(), made.prior()]
        assert [await store.announce("auto", news) for news in told] == [LEARNED] * 3
        again = [replace(news, at_s=0.0) for news in told]
        assert [await store.announce("auto", news) for news in again] == [UNCHANGED] * 3
        log = await evidence_of(store)
        assert log == [plain(Announcement(n, news)) for n, news in enumerate(told, 1)]
        assert await store.head("auto") == 3
        assert await store.announced("auto") == sorted(news.id for news in told)

    async def test_the_same_id_is_news_to_another_router(self, store: Store, made: Examples):
        news = made.arm_change(status=ArmStatus.REMOVED, arm=None, basis="digest")
        assert await store.announce("auto", news) == LEARNED
        assert await store.announce("support", news) == LEARNED
        assert await store.head("auto") == await store.head("support") == 1
        assert await store.announced("nobody") == []

    async def test_news_takes_its_place_among_the_evidence(self, store: Store, made: Examples):
        decision = made.decision()
        await store.remember([decision])
        await store.absorb("auto", [made.feedback(decision)])
        await store.announce("auto", made.source_change())
        await store.record("auto", [made.outcome(decision)])
        log = await store.evidence("auto", 0, 10)
        assert [entry.position for entry in log] == [1, 2, 3]
        assert [type(entry) for entry in log] == [QualityEvidence, Announcement, OutcomeEvidence]

    async def test_waiting_ends_with_news(self, store: Store, made: Examples):
        waiting = asyncio.create_task(store.wait("auto", 0, 60.0))
        assert not await store.wait("auto", 0, 0.0)
        await store.announce("auto", made.arm_change())
        assert await waiting

    async def test_news_that_cannot_be_packed_is_refused_and_not_remembered(
        self, store: Store, made: Examples
    ):
        news = made.arm_change()
        odd = replace(news, arm=replace(news.arm, settings={"now": object()}))
        with pytest.raises(InvalidRequest):
            await store.announce("auto", odd)
        assert await store.head("auto") == 0
        assert await store.announce("auto", news) == LEARNED

    async def test_news_is_evidence_to_a_claim(self, store: Store, made: Examples):
        await store.claim("auto", "features-1")
        await store.announce("auto", made.arm_change())
        with pytest.raises(FeatureMismatch):
            await store.claim("auto", "features-2")

    async def test_evidence_comes_in_slices(self, store: Store, made: Examples):
        decision = made.decision()
        await store.remember([decision])
        await store.absorb("auto", [made.feedback(decision, k / 10) for k in range(10)])
        positions = [entry.position for entry in await store.evidence("auto", 3, 4)]
        assert positions == [4, 5, 6, 7]
        assert await store.evidence("auto", 10, 4) == []

    async def test_routers_do_not_see_each_other(self, store: Store, made: Examples):
        ours, theirs = made.decision("auto"), made.decision("support")
        await store.remember([ours, theirs])
        await store.absorb("support", [made.feedback(theirs)])
        assert (await store.head("auto"), await store.head("support")) == (0, 1)
        assert await store.evidence("auto", 0, 10) == []
        with pytest.raises(UnknownDecision):
            await store.absorb("auto", [made.feedback(theirs)])

    async def test_an_unknown_router_is_an_empty_one(self, store: Store):
        assert await store.head("nobody") == 0
        assert await store.evidence("nobody", 0, 10) == []
        assert await store.load_checkpoint("nobody") is None
        assert [record async for record in store.decisions("nobody")] == []
        assert await store.absorb("nobody", []) == []
        assert await store.record("nobody", []) == []
        assert await store.expire() == 0

    async def test_decisions_come_in_order_of_id_with_all_that_is_known(
        self, store: Store, made: Examples
    ):
        decisions = [made.decision() for _ in range(5)]
        await store.remember(decisions[::-1])
        await store.remember([made.decision("support")])
        await store.record("auto", [made.outcome(decisions[2])])
        await store.absorb("auto", [made.feedback(decisions[2])])
        records = [record async for record in store.decisions("auto", decisions[0].id)]
        assert [r.decision.id for r in records] == [d.id for d in decisions[1:]]
        assert records[1].outcome == made.outcome(decisions[2])
        assert set(records[1].marks) == {"user"}

    async def test_waiting_ends_with_the_next_entry(self, store: Store, made: Examples):
        decision = made.decision()
        await store.remember([decision])
        waiting = asyncio.create_task(store.wait("auto", 0, 60.0))
        assert not await store.wait("auto", 0, 0.0)
        await store.absorb("auto", [made.feedback(decision)])
        assert await waiting
        assert await store.wait("auto", 0, 0.0)
        assert not await store.wait("auto", 1, 0.001)

    async def test_the_first_claim_is_kept_once_there_is_evidence(
        self, store: Store, made: Examples
    ):
        await store.claim("auto", "features-0")
        await store.claim("auto", "features-1")
        decision = made.decision()
        await store.remember([decision])
        await store.absorb("auto", [made.feedback(decision)])
        await store.claim("auto", "features-1")
        with pytest.raises(FeatureMismatch, match=r"another \[store\] url"):
            await store.claim("auto", "features-2")
        await store.claim("support", "features-2")

    async def test_a_router_without_evidence_forgets_what_other_features_decided(
        self, store: Store, made: Examples
    ):
        await store.claim("auto", "features-1")
        decision = made.decision()
        await store.remember([decision])
        await store.save_checkpoint("auto", Checkpoint(0, "features-1", b"prior"))
        await store.claim("auto", "features-2")
        assert await store.find("auto", decision.id) is None
        assert await store.load_checkpoint("auto") is None

    async def test_a_decision_of_other_features_is_not_kept(self, store: Store, made: Examples):
        await store.claim("auto", "features-2")
        with pytest.raises(FeatureMismatch):
            await store.remember([made.decision()])

    async def test_what_was_remembered_before_the_first_claim_stays(
        self, store: Store, made: Examples
    ):
        decision = made.decision()
        await store.remember([decision])
        await store.claim("auto", "features-1")
        assert await store.find("auto", decision.id) is not None
        await store.absorb("auto", [made.feedback(decision)])

    async def test_a_closed_store_says_so(self, store: Store, made: Examples):
        await store.open()
        await store.close()
        await store.close()
        with pytest.raises(StoreUnavailable, match="not open"):
            await store.head("auto")
        with pytest.raises(StoreUnavailable, match="not open"):
            await store.remember([made.decision()])
        await store.open()
        assert await store.head("auto") == 0
