"""Every store against a dictionary, with the same random commands."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from redis_clients import fake_links
from store_examples import TTL_S, Clock, Examples

from banditroute.core.feedback import reading
from banditroute.core.identity import Mint
from banditroute.errors import OutcomeConflict, UnknownDecision
from banditroute.stores import MemoryStore, OutboxStore, RedisStore, SQLiteStore
from banditroute.stores.base import Store
from banditroute.values import (
    Announcement,
    Checkpoint,
    Feedback,
    Learned,
    Outcome,
    QualityEvidence,
    Retraction,
)

ROUTERS = ("auto", "support")
pick = st.integers(0, 10**6)


class StoreMachine(RuleBasedStateMachine):
    """Commands go to any client of the store, and to plain dictionaries; both must agree."""

    def make_clients(self) -> list[Store]:
        """One machine a store below says which clients; this one is never run by itself."""
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.clock = Clock()
        self.made = Examples(self.clock)
        # Words are said in any order of their ids.
        mint = Mint(lambda: 1, random.Random(1).randbytes)
        self.ids = [mint.feedback_id() for _ in range(40)]
        self.clients = self.make_clients()
        for client in self.clients:
            self.run(client.open())
        self.decisions = []
        self.words = {}  # (decision id, source) -> the latest Feedback or Retraction
        self.outcomes = {}
        self.heads = defaultdict(int)
        self.news = [self.made.arm_change() for _ in range(8)]
        self.announced = {router: set() for router in ROUTERS}
        self.trimmed = dict.fromkeys(ROUTERS, 0)
        self.saved = {router: [] for router in ROUTERS}  # (position, at_s)

    def run(self, awaitable):
        return self.runner.run(awaitable)

    def client(self, number: int) -> Store:
        return self.clients[number % len(self.clients)]

    def alive(self, decision) -> bool:
        return decision.made_at_s >= self.clock() - TTL_S

    def score(self, decision_id: str, source: str) -> float | None:
        return getattr(self.words.get((decision_id, source)), "score", None)

    @rule(which=pick, router=st.sampled_from(ROUTERS), count=st.integers(1, 3))
    def remember(self, which, router, count):
        decisions = [self.made.decision(router) for _ in range(count)]
        self.run(self.client(which).remember(decisions))
        self.decisions += decisions

    @rule(which=pick, what=st.lists(st.tuples(pick, pick, st.booleans(), pick), max_size=4))
    def absorb(self, which, what):
        batches = defaultdict(list)
        for place, number, positive, kind in what:
            if self.decisions:
                decision = self.decisions[place % len(self.decisions)]
                word = self.word(decision.id, number, float(positive), kind)
                batches[decision.router].append((decision, word))
        for router, batch in batches.items():
            self.absorb_batch(self.client(which), router, batch)

    def word(self, decision_id, number, score, kind):
        id_, source = self.ids[number % len(self.ids)], ("user", "judge")[kind % 2]
        if kind % 5 == 0:
            return Retraction(id_, decision_id, source)
        return Feedback(id_, decision_id, score, source)

    def absorb_batch(self, client, router, batch):
        asking = client.absorb(router, [word for _, word in batch])
        missing = [n for n, (decision, _) in enumerate(batch) if not self.alive(decision)]
        if missing:
            with pytest.raises(UnknownDecision) as caught:
                self.run(asking)
            assert (caught.value.param, caught.value.expired) == (str(missing[0]), True)
        else:
            expected = [self.expect(router, word) for _, word in batch]
            assert self.run(asking) == expected

    def expect(self, router, word) -> Learned:
        key = (word.decision_id, word.source)
        before = self.words.get(key)
        if before is not None and word.id <= before.id:
            return Learned.UNCHANGED
        old_score, old = self.score(*key), self.reading(word.decision_id)
        self.words[key] = word
        self.heads[router] += old != self.reading(word.decision_id)
        new_score = self.score(*key)
        if old_score == new_score:
            return Learned.UNCHANGED
        if new_score is None:
            return Learned.RETRACTED
        return Learned.LEARNED if old_score is None else Learned.AMENDED

    def reading(self, decision_id):
        return reading(
            {
                source: word
                for (id_, source), word in self.words.items()
                if id_ == decision_id and isinstance(word, Feedback)
            }
        )

    @rule(which=pick, place=pick, tokens=st.integers(0, 1))
    def record(self, which, place, tokens):
        if not self.decisions:
            return
        decision = self.decisions[place % len(self.decisions)]
        outcome = Outcome(decision.id, output_tokens=tokens)
        asking = self.client(which).record(decision.router, [outcome])
        if not self.alive(decision):
            with pytest.raises(UnknownDecision):
                self.run(asking)
        elif self.outcomes.get(decision.id, outcome) != outcome:
            with pytest.raises(OutcomeConflict):
                self.run(asking)
        else:
            fresh = decision.id not in self.outcomes
            assert self.run(asking) == [Learned.LEARNED if fresh else Learned.UNCHANGED]
            self.outcomes[decision.id] = outcome
            self.heads[decision.router] += fresh

    @rule(which=pick, router=st.sampled_from(ROUTERS), number=st.integers(0, 7))
    def announce(self, which, router, number):
        asking = self.client(which).announce(router, self.news[number])
        fresh = number not in self.announced[router]
        assert self.run(asking) == (Learned.LEARNED if fresh else Learned.UNCHANGED)
        self.announced[router].add(number)
        self.heads[router] += fresh

    @rule(fraction=st.sampled_from([0.01, 0.3, 0.6]))
    def time_passes(self, fraction):
        self.clock.advance(TTL_S * fraction)

    @rule(which=pick, router=st.sampled_from(ROUTERS))
    def save_checkpoint(self, which, router):
        head = self.heads[router]
        self.run(self.client(which).save_checkpoint(router, Checkpoint(head, "f", b"%d" % head)))
        if not self.saved[router] or head > self.saved[router][-1][0]:
            self.saved[router].append((head, self.clock()))

    @rule(which=pick)
    def expire(self, which):
        self.run(self.client(which).expire())
        for router in ROUTERS:
            newest = self.run(self.clients[0].load_checkpoint(router))
            if newest is not None and self.saved[router][-1][1] < self.clock() - TTL_S:
                self.trimmed[router] = newest.position

    @invariant()
    def decisions_agree(self):
        for decision in self.decisions:
            record = self.run(self.clients[-1].find(decision.router, decision.id))
            assert (record is not None) == self.alive(decision)
            if record is not None:
                assert record.outcome == self.outcomes.get(decision.id)
                assert reading(record.marks) == self.reading(decision.id)
        for router in ROUTERS:
            listed = self.run(self.listed(router))
            ours = [d.id for d in self.decisions if d.router == router and self.alive(d)]
            assert listed == ours

    @invariant()
    def logs_agree(self):
        for router in ROUTERS:
            head = self.heads[router]
            assert self.run(self.clients[-1].head(router)) == head
            log = self.run(self.clients[-1].evidence(router, 0, 10_000))
            positions = [entry.position for entry in log]
            assert positions == list(range(head - len(log) + 1, head + 1))
            assert head - len(log) >= self.trimmed[router]
            self.check_chain(log)
            told = [entry.news.id for entry in log if isinstance(entry, Announcement)]
            assert len(set(told)) == len(told)
            known = {self.news[number].id for number in self.announced[router]}
            assert set(told) <= known == set(self.run(self.clients[-1].announced(router)))

    def check_chain(self, log):
        """Each entry begins where the one before it of that decision ended; the last is true."""
        now = {}
        for entry in log:
            if isinstance(entry, QualityEvidence):
                assert now.get(entry.decision_id, entry.old) == entry.old
                now[entry.decision_id] = entry.new
        for decision_id, found in now.items():
            assert found == self.reading(decision_id)

    @invariant()
    def the_log_continues_its_checkpoints(self):
        for router in ROUTERS:
            checkpoint = self.run(self.clients[-1].load_checkpoint(router))
            assert (checkpoint is None) == (not self.saved[router])
            if checkpoint is not None:
                assert checkpoint.position == self.saved[router][-1][0]
                log = self.run(self.clients[-1].evidence(router, checkpoint.position, 10_000))
                assert len(log) == self.heads[router] - checkpoint.position

    async def listed(self, router):
        return [record.decision.id async for record in self.clients[0].decisions(router)]

    def teardown(self):
        if hasattr(self, "runner"):
            for client in self.clients:
                self.run(client.close())
            self.runner.close()


class MemoryMachine(StoreMachine):
    def make_clients(self):
        return [MemoryStore(decision_ttl_s=TTL_S, clock=self.clock)]


class SQLiteMachine(StoreMachine):
    def make_clients(self):
        self.folder = TemporaryDirectory()
        path = Path(self.folder.name, "store.db")
        return [SQLiteStore(path, decision_ttl_s=TTL_S, clock=self.clock) for _ in range(2)]

    def teardown(self):
        super().teardown()
        if hasattr(self, "folder"):
            self.folder.cleanup()


class RedisMachine(StoreMachine):
    def make_clients(self):
        links = fake_links()
        return [RedisStore(links, decision_ttl_s=TTL_S, clock=self.clock) for _ in range(2)]


class OutboxMachine(StoreMachine):
    """Every second client has an outbox, and what one promises the others see."""

    def make_clients(self):
        self.folder, links = TemporaryDirectory(), fake_links()
        remotes = [RedisStore(links, decision_ttl_s=TTL_S, clock=self.clock) for _ in range(3)]
        kept = {"decision_ttl_s": TTL_S, "clock": self.clock, "early_s": 0.0}
        folder = Path(self.folder.name)
        return [*(OutboxStore(remote, folder, **kept) for remote in remotes[:2]), remotes[2]]

    def teardown(self):
        super().teardown()
        if hasattr(self, "folder"):
            self.folder.cleanup()


_settings = settings(max_examples=25, stateful_step_count=20)
TestMemoryAgainstDictionaries = MemoryMachine.TestCase
TestMemoryAgainstDictionaries.settings = _settings
TestSQLiteAgainstDictionaries = SQLiteMachine.TestCase
TestSQLiteAgainstDictionaries.settings = _settings
TestRedisAgainstDictionaries = RedisMachine.TestCase
TestRedisAgainstDictionaries.settings = _settings
TestOutboxAgainstDictionaries = OutboxMachine.TestCase
TestOutboxAgainstDictionaries.settings = _settings
