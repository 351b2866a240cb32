"""How every store takes in what another one kept. Joined as :mod:`contract` is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from contract import AMENDED, LEARNED, UNCHANGED, MakeStore, Opened
from store_examples import TTL_S, Clock, Examples, evidence_of, opened, records_of

from banditroute.errors import FeatureMismatch, StoreUnusable
from banditroute.stores import MemoryStore
from banditroute.stores.base import SavedCheckpoint, Store
from banditroute.values import Checkpoint, Decision


async def put_all(source: Store, target: Store, router: str = "auto") -> None:
    """Everything that one store has of a router, into another."""
    records = [record async for record in source.decisions(router)]
    await target.put(router, checkpoints=await source.checkpoints(router))
    await target.put(router, entries=await source.evidence(router, 0, 10_000))
    await target.put(router, announced=await source.announced(router))
    await target.put(router, records=records)


async def move(source: Store, target: Store, router: str = "auto") -> None:
    await target.begin_import(router)
    await put_all(source, target, router)
    await target.finish_import(router, await source.claimed(router), await source.head(router))


class TransferContract(Opened):
    """A state that arrives from another store."""

    @pytest.fixture
    async def decisions(self, made: Examples) -> list[Decision]:
        return [made.decision(arms=3) for _ in range(4)]

    @pytest.fixture
    async def source(
        self, made: Examples, clock: Clock, decisions: list[Decision]
    ) -> AsyncIterator[Store]:
        """Six entries, two checkpoints, and a decision that nobody said anything of."""
        async with opened(MemoryStore(decision_ttl_s=TTL_S, clock=clock)) as store:
            await store.claim("auto", "features-1")
            await store.remember(decisions)
            await store.save_checkpoint("auto", Checkpoint(0, "features-1", b"0"))
            clock.advance(TTL_S / 4)
            for decision in decisions[:3]:
                await store.record("auto", [made.outcome(decision)])
                said = made.feedback(decision, comment="gut", metadata={"a": [1, None, 0.5]})
                await store.absorb("auto", [said])
            await store.save_checkpoint("auto", Checkpoint(5, "features-1", b"5"))
            await store.absorb("auto", [made.retraction(decisions[2], source="nobody")])
            yield store

    async def test_a_claim_can_be_asked_for(self, store: Store):
        assert await store.claimed("auto") is None
        await store.claim("auto", "features-0")
        await store.claim("auto", "features-1")
        assert await store.claimed("auto") == "features-1"
        assert await store.claimed("support") is None

    async def test_checkpoints_are_listed_in_order_with_the_time_of_each(
        self, store: Store, made: Examples, clock: Clock
    ):
        decision = made.decision()
        await store.remember([decision])
        await store.absorb("auto", [made.feedback(decision, k / 10) for k in range(10)])
        saved = []
        for position in (9, 10):
            checkpoint = Checkpoint(position, "features-1", b"%d" % position)
            await store.save_checkpoint("auto", checkpoint)
            saved.append(SavedCheckpoint(clock(), checkpoint))
            clock.advance(0.1)
        assert await store.checkpoints("auto") == saved
        assert await store.checkpoints("support") == []

    async def test_what_was_put_is_there_once_the_import_is_finished(
        self, store: Store, source: Store
    ):
        await move(source, store)
        assert await store.head("auto") == 6
        assert await evidence_of(store) == await evidence_of(source)
        assert await records_of(store) == await records_of(source)
        assert await store.checkpoints("auto") == await source.checkpoints("auto")
        assert (await store.load_checkpoint("auto")).payload == b"5"
        assert await store.claimed("auto") == "features-1"
        with pytest.raises(FeatureMismatch):
            await store.claim("auto", "features-2")

    async def test_news_arrives_with_its_ids_even_if_its_entry_was_trimmed(
        self, store: Store, source: Store, made: Examples, clock: Clock
    ):
        early, late = made.arm_change(), made.source_change()
        await source.announce("auto", early)
        await source.save_checkpoint("auto", Checkpoint(7, "features-1", b"7"))
        clock.advance(TTL_S + 1)
        await source.expire()
        await source.announce("auto", late)
        await move(source, store)
        assert await evidence_of(store) == await evidence_of(source)
        assert len(await store.evidence("auto", 0, 10)) == 1
        assert await store.announced("auto") == [early.id, late.id]
        for news in (early, late):
            assert await store.announce("auto", news) == UNCHANGED
        assert await store.announce("auto", made.prior()) == LEARNED
        assert await store.head("auto") == 9

    async def test_the_ids_of_news_come_with_its_entries(
        self, store: Store, source: Store, made: Examples
    ):
        news = made.arm_change()
        await source.announce("auto", news)
        await store.begin_import("auto")
        await store.put("auto", entries=await source.evidence("auto", 0, 10))
        await store.finish_import("auto", "features-1", 7)
        assert await store.announce("auto", news) == UNCHANGED

    async def test_an_imported_router_goes_on_as_if_nothing_had_happened(
        self, store: Store, source: Store, made: Examples, decisions: list[Decision]
    ):
        said = [made.feedback(decisions[0]), made.feedback(decisions[3])]
        await source.absorb("auto", said)
        await move(source, store)
        await store.claim("auto", "features-1")
        assert await store.absorb("auto", said) == [UNCHANGED, UNCHANGED]
        assert await store.record("auto", [made.outcome(decisions[0])]) == [UNCHANGED]
        assert await store.head("auto") == 7
        again = [
            made.feedback(decisions[0], 0.25),
            made.feedback(decisions[3], 0.5, source="judge"),
        ]
        assert await store.absorb("auto", again) == [AMENDED, LEARNED]
        log = await store.evidence("auto", 6, 10)
        assert [entry.position for entry in log] == [7, 8, 9]
        await store.save_checkpoint("auto", Checkpoint(9, "features-1", b"9"))
        assert [s.checkpoint.position for s in await store.checkpoints("auto")] == [0, 5, 9]

    async def test_positions_go_on_where_the_whole_log_was_trimmed(
        self, store: Store, source: Store, made: Examples, clock: Clock
    ):
        await source.save_checkpoint("auto", Checkpoint(6, "features-1", b"6"))
        clock.advance(TTL_S + 1)
        await source.expire()
        assert await source.evidence("auto", 0, 10) == []
        await move(source, store)
        assert await store.head("auto") == 6
        assert await store.evidence("auto", 0, 10) == []
        assert (await store.load_checkpoint("auto")).position == 6
        decision = made.decision()
        await store.remember([decision])
        await store.absorb("auto", [made.feedback(decision)])
        assert [entry.position for entry in await store.evidence("auto", 0, 10)] == [7]

    async def test_a_log_that_was_trimmed_begins_where_it_did(
        self, store: Store, source: Store, clock: Clock
    ):
        clock.advance(TTL_S + 1)
        await source.expire()
        await move(source, store)
        assert [entry.position for entry in await store.evidence("auto", 0, 10)] == [6]
        assert [entry.position for entry in await store.evidence("auto", 5, 10)] == [6]
        assert await store.head("auto") == 6

    async def test_putting_the_same_again_changes_nothing(self, store: Store, source: Store):
        await store.begin_import("auto")
        for _ in range(2):
            await put_all(source, store)
        await store.finish_import("auto", "features-1", 6)
        assert await evidence_of(store) == await evidence_of(source)
        assert await records_of(store) == await records_of(source)
        assert await store.checkpoints("auto") == await source.checkpoints("auto")

    async def test_a_record_that_is_put_later_replaces_the_earlier(
        self, store: Store, source: Store, decisions: list[Decision]
    ):
        one, two = [await source.find("auto", decision.id) for decision in decisions[:2]]
        await store.begin_import("auto")
        await store.put("auto", records=[one, replace(two, outcome=None, marks={})])
        await store.put("auto", records=[replace(one, outcome=None, marks={}), two])
        await store.finish_import("auto", "features-1", 0)
        first, second = [await store.find("auto", decision.id) for decision in decisions[:2]]
        assert (first.outcome, first.marks) == (None, {})
        assert (second.outcome, second.marks) == (two.outcome, two.marks)

    async def test_a_router_with_decisions_is_not_imported_over(self, store: Store, made: Examples):
        decision = made.decision()
        await store.remember([decision])
        await self.refused(store)
        assert await store.find("auto", decision.id) is not None

    async def test_a_router_with_a_log_is_not_imported_over(
        self, store: Store, made: Examples, clock: Clock
    ):
        decision = made.decision()
        await store.remember([decision])
        await store.absorb("auto", [made.feedback(decision)])
        clock.advance(TTL_S + 1)
        await store.expire()
        await self.refused(store)
        assert await store.head("auto") == 1

    async def test_a_router_with_a_checkpoint_is_not_imported_over(self, store: Store):
        await store.save_checkpoint("auto", Checkpoint(0, "features-1", b"prior"))
        await self.refused(store)
        assert (await store.load_checkpoint("auto")).payload == b"prior"

    async def refused(self, store: Store) -> None:
        with pytest.raises(StoreUnusable, match=r"'auto' already .* another store"):
            await store.begin_import("auto")
        await store.claim("auto", "features-1")  # and it is not marked

    async def test_an_imported_router_is_not_imported_over(self, store: Store, source: Store):
        await move(source, store)
        await self.refused(store)

    async def test_a_router_that_was_only_claimed_takes_the_claim_that_arrives(
        self, store: Store, source: Store
    ):
        await store.claim("auto", "features-9")
        await move(source, store)
        assert await store.claimed("auto") == "features-1"

    async def test_what_nobody_claimed_arrives_unclaimed(self, store: Store, made: Examples):
        await store.begin_import("auto")
        await store.finish_import("auto", None, 0)
        assert await store.claimed("auto") is None
        await store.claim("auto", "features-2")

    async def test_nobody_claims_or_decides_between_the_beginning_and_the_end(
        self, store: Store, source: Store, made: Examples
    ):
        await store.claim("auto", "features-1")
        await store.begin_import("auto")
        await put_all(source, store)
        decision = made.decision()
        with pytest.raises(StoreUnusable, match="run `banditroute import` again"):
            await store.claim("auto", "features-1")
        with pytest.raises(StoreUnusable, match="run `banditroute import` again"):
            await store.remember([decision])
        with pytest.raises(StoreUnusable, match="run `banditroute import` again"):
            await store.announce("auto", made.arm_change())
        await store.claim("support", "features-1")
        await store.finish_import("auto", "features-1", 6)
        await store.claim("auto", "features-1")
        assert await store.find("auto", decision.id) is None

    async def test_an_import_that_was_cut_short_is_remembered(self, store: Store, source: Store):
        await store.begin_import("auto")
        await put_all(source, store)
        await store.close()
        await store.open()
        with pytest.raises(StoreUnusable, match="cut short"):
            await store.claim("auto", "features-1")

    async def test_what_an_import_that_was_cut_short_left_is_thrown_away(
        self, store: Store, source: Store, made: Examples
    ):
        await source.announce("auto", made.arm_change())
        await store.begin_import("auto")
        await put_all(source, store)
        await store.begin_import("auto")
        await store.finish_import("auto", "features-1", 0)
        assert await store.announced("auto") == []
        assert await records_of(store) == []
        assert await store.evidence("auto", 0, 10) == []
        assert await store.checkpoints("auto") == []
        decision = made.decision()
        await store.remember([decision])
        await store.absorb("auto", [made.feedback(decision)])
        assert [entry.position for entry in await store.evidence("auto", 0, 10)] == [1]

    async def test_nothing_is_put_but_into_an_import(self, store: Store, source: Store):
        with pytest.raises(StoreUnusable, match="no import"):
            await put_all(source, store)
        with pytest.raises(StoreUnusable, match="no import"):
            await store.finish_import("auto", "features-1", 6)
        await move(source, store)
        with pytest.raises(StoreUnusable, match="no import"):
            await put_all(source, store)

    async def test_an_import_of_one_router_leaves_the_others_alone(
        self, store: Store, source: Store, made: Examples
    ):
        theirs = made.decision("support")
        await store.remember([theirs])
        await store.absorb("support", [made.feedback(theirs)])
        before = await evidence_of(store, "support")
        await store.begin_import("auto")
        await put_all(source, store)
        await move(source, store)
        assert await evidence_of(store, "support") == before
        assert (await store.find("support", theirs.id)).marks["user"].score == 1.0


class SharedTransferContract:
    """Several clients of one store, one of which imports."""

    async def test_an_import_that_one_client_began_keeps_every_client_out(
        self, make_store: MakeStore, made: Examples
    ):
        async with opened(make_store()) as ours, opened(make_store()) as theirs:
            await theirs.claim("auto", "features-1")
            await ours.begin_import("auto")
            with pytest.raises(StoreUnusable, match="import"):
                await theirs.claim("auto", "features-1")
            with pytest.raises(StoreUnusable, match="import"):
                await theirs.remember([made.decision()])
            await theirs.finish_import("auto", "features-1", 0)
            await ours.claim("auto", "features-1")
