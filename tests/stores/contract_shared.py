"""What every store does that several clients share. Joined as :mod:`contract` is."""

from __future__ import annotations

import asyncio

from contract import LEARNED, UNCHANGED, MakeStore
from store_examples import Examples, opened

from banditroute.values import Checkpoint, Feedback, Retraction


class SharedStoreContract:
    """Several clients of one store."""

    async def test_what_one_client_wrote_another_reads(self, make_store: MakeStore, made: Examples):
        decision = made.decision()
        async with opened(make_store()) as ours, opened(make_store()) as theirs:
            await ours.remember([decision])
            assert await theirs.absorb("auto", [made.feedback(decision)]) == [LEARNED]
            assert await ours.head("auto") == 1
            assert (await ours.find("auto", decision.id)).marks["user"].score == 1.0

    async def test_waiting_ends_with_another_clients_entry(
        self, make_store: MakeStore, made: Examples
    ):
        decision = made.decision()
        async with opened(make_store()) as ours, opened(make_store()) as theirs:
            await ours.remember([decision])
            waiting = asyncio.create_task(ours.wait("auto", 0, 60.0))
            await theirs.absorb("auto", [made.feedback(decision)])
            assert await waiting

    async def test_what_was_written_is_there_after_reopening(
        self, make_store: MakeStore, made: Examples
    ):
        decision = made.decision()
        async with opened(make_store()) as store:
            await store.remember([decision])
            await store.absorb("auto", [made.feedback(decision)])
            await store.save_checkpoint("auto", Checkpoint(1, "features-1", b"state"))
        async with opened(make_store()) as store:
            assert await store.head("auto") == 1
            assert await store.load_checkpoint("auto") == Checkpoint(1, "features-1", b"state")

    async def test_every_feedback_posted_twice_on_two_clients_is_learned_once(
        self, make_store: MakeStore, made: Examples
    ):
        decisions = [made.decision() for _ in range(200)]
        said = [made.feedback(decision) for decision in decisions]
        async with opened(make_store()) as ours, opened(make_store()) as theirs:
            await ours.remember(decisions)
            posts = [
                client.absorb("auto", [feedback])
                for feedback in said
                for client in (ours, theirs)
                for _ in range(2)
            ]
            statuses = [status for [status] in await asyncio.gather(*posts)]
            log = await theirs.evidence("auto", 0, 1000)
        assert statuses.count(LEARNED) == 200
        assert statuses.count(UNCHANGED) == 600
        assert [entry.position for entry in log] == list(range(1, 201))
        assert {entry.decision_id for entry in log} == {decision.id for decision in decisions}

    async def test_news_announced_on_two_clients_at_once_is_logged_once(
        self, make_store: MakeStore, made: Examples
    ):
        told = [made.arm_change() for _ in range(40)]
        async with opened(make_store()) as ours, opened(make_store()) as theirs:
            statuses = await asyncio.gather(
                *(client.announce("auto", news) for news in told for client in (ours, theirs))
            )
            log = await theirs.evidence("auto", 0, 1000)
        assert statuses.count(LEARNED) == statuses.count(UNCHANGED) == 40
        assert [entry.position for entry in log] == list(range(1, 41))
        assert {entry.news.id for entry in log} == {news.id for news in told}

    async def test_amendments_from_two_clients_leave_an_unbroken_chain(
        self, make_store: MakeStore, made: Examples
    ):
        decision = made.decision()
        said: list[Feedback | Retraction] = [
            made.retraction(decision) if k % 7 == 3 else made.feedback(decision, (k % 5) / 4)
            for k in range(120)
        ]
        async with opened(make_store()) as ours, opened(make_store()) as theirs:
            await ours.remember([decision])
            await asyncio.gather(
                *(client.absorb("auto", [one]) for one in said for client in (ours, theirs))
            )
            log = await ours.evidence("auto", 0, 1000)
        readings = [None, *(entry.new for entry in log)]
        assert [entry.old for entry in log] == readings[:-1]
        assert readings[-1].quality == said[-1].score
