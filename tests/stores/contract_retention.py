"""How long every store keeps what. Joined as :mod:`contract` is."""

from __future__ import annotations

import pytest
from contract import Opened
from store_examples import TTL_S, Clock, Examples

from banditroute.errors import CheckpointInvalid, FeatureMismatch, UnknownDecision
from banditroute.stores.base import Store
from banditroute.values import Checkpoint


class RetentionContract(Opened):
    """Checkpoints, expiry and trimming."""

    async def fill(self, store: Store, made: Examples, entries: int) -> None:
        decision = made.decision()
        await store.remember([decision])
        await store.absorb("auto", [made.feedback(decision, (k % 2) / 2) for k in range(entries)])

    async def save(self, store: Store, position: int) -> None:
        await store.save_checkpoint("auto", Checkpoint(position, "features-1", b"%d" % position))

    async def kept(self, store: Store, head: int) -> list[int]:
        """The positions of all checkpoints kept."""
        found = [await store.load_checkpoint("auto", at) for at in range(head + 1)]
        return sorted({checkpoint.position for checkpoint in found if checkpoint is not None})

    async def test_the_newest_checkpoint_up_to_a_position_is_loaded(
        self, store: Store, made: Examples, clock: Clock
    ):
        await self.fill(store, made, 9)
        for position in (2, 5, 9):
            await self.save(store, position)
            clock.advance(TTL_S / 4)
        assert await store.load_checkpoint("auto") == Checkpoint(9, "features-1", b"9")
        assert (await store.load_checkpoint("auto", 8)).position == 5
        assert (await store.load_checkpoint("auto", 5)).position == 5
        assert await store.load_checkpoint("auto", 1) is None

    async def test_a_checkpoint_that_is_not_newer_is_left_out(self, store: Store, made: Examples):
        await self.fill(store, made, 9)
        await self.save(store, 5)
        await store.save_checkpoint("auto", Checkpoint(5, "features-1", b"another"))
        await store.save_checkpoint("auto", Checkpoint(3, "features-1", b"older"))
        assert await self.kept(store, 9) == [5]
        assert (await store.load_checkpoint("auto")).payload == b"5"

    async def test_a_checkpoint_ahead_of_the_log_is_refused(self, store: Store, made: Examples):
        await self.fill(store, made, 3)
        with pytest.raises(CheckpointInvalid, match="ends at 3"):
            await self.save(store, 4)

    async def test_checkpoints_are_thinned_between_the_first_and_the_last(
        self, store: Store, made: Examples, clock: Clock
    ):
        await self.fill(store, made, 33)
        for position in range(1, 34):  # 16 to an eighth of the time to live
            await self.save(store, position)
            clock.advance(TTL_S / 8 / 16)
        assert await self.kept(store, 33) == [1, 17, 33]

    async def test_a_decision_is_unknown_once_its_time_is_up(
        self, store: Store, made: Examples, clock: Clock
    ):
        decision = made.decision()
        await store.remember([decision])
        clock.advance(TTL_S)
        assert await store.find("auto", decision.id) is not None
        clock.advance(0.01)
        fresh = made.decision()
        await store.remember([fresh])
        assert await store.find("auto", decision.id) is None
        assert [r.decision.id async for r in store.decisions("auto")] == [fresh.id]
        for _ in range(2):  # the second time its row is gone
            with pytest.raises(UnknownDecision, match="time to live") as caught:
                await store.absorb("auto", [made.feedback(decision)])
            assert caught.value.expired
            with pytest.raises(UnknownDecision, match="time to live"):
                await store.record("auto", [made.outcome(decision)])
            await store.expire()
        assert await store.head("auto") == 0

    async def test_expiry_deletes_what_is_past_its_time_and_nothing_else(
        self, store: Store, made: Examples, clock: Clock
    ):
        await store.remember([made.decision(r) for r in ("auto", "support") for _ in range(700)])
        clock.advance(TTL_S / 2)
        young = made.decision()
        await store.remember([young])
        clock.advance(TTL_S / 2 + 1)
        assert await store.expire() == 1400
        assert await store.expire() == 0
        clock.advance(-TTL_S)
        assert [r.decision.id async for r in store.decisions("auto")] == [young.id]

    async def test_the_log_is_never_trimmed_without_an_old_checkpoint(
        self, store: Store, made: Examples, clock: Clock
    ):
        await self.fill(store, made, 9)
        clock.advance(3 * TTL_S)
        await store.expire()
        await self.save(store, 5)
        clock.advance(TTL_S)
        await store.expire()
        assert len(await store.evidence("auto", 0, 100)) == 9

    async def test_the_log_is_trimmed_up_to_the_newest_old_checkpoint(
        self, store: Store, made: Examples, clock: Clock
    ):
        await self.fill(store, made, 1500)
        for position in (300, 1200, 1400):
            await self.save(store, position)
            clock.advance(TTL_S / 2)
        await store.expire()
        assert await self.kept(store, 1500) == [300, 1200, 1400]
        clock.advance(1)
        await store.expire()
        assert await self.kept(store, 1500) == [1200, 1400]
        tail = await store.evidence("auto", 0, 2000)
        assert [entry.position for entry in tail] == list(range(1201, 1501))
        assert [e.position for e in await store.evidence("auto", 1300, 2)] == [1301, 1302]
        assert await store.head("auto") == 1500

    async def test_positions_go_on_after_the_whole_log_is_trimmed(
        self, store: Store, made: Examples, clock: Clock
    ):
        await self.fill(store, made, 4)
        await self.save(store, 4)
        clock.advance(TTL_S + 1)
        await store.expire()
        await store.expire()
        assert await store.evidence("auto", 0, 10) == []
        assert await store.head("auto") == 4
        with pytest.raises(FeatureMismatch):
            await self.claimed_otherwise(store)
        await self.fill(store, made, 2)
        assert [entry.position for entry in await store.evidence("auto", 0, 10)] == [5, 6]

    async def claimed_otherwise(self, store: Store) -> None:
        await store.claim("auto", "features-1")
        await store.claim("auto", "features-2")
