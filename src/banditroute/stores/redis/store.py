"""The store that many replicas share: everything in Redis or Valkey.

What a writing method has written is as durable as the server's persistence makes it; see
``docs/replicas.md``. Reading, planning and writing are three steps: a script writes only what
is still as it was read, else all three are done again.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from banditroute.core.identity import made_at_ms
from banditroute.errors import StoreUnavailable
from banditroute.stores.base import ArmEstimate, FeedbackChange, Pending, Recorder, SavedCheckpoint
from banditroute.stores.packing import pack_decision, pack_evidence, unpack_evidence
from banditroute.stores.plan import check_claim, check_decision, check_settled, news_ids
from banditroute.stores.redis import transfer, upkeep
from banditroute.stores.redis.history import History, prove
from banditroute.stores.redis.keys import ROUTERS, Keys
from banditroute.stores.redis.link import Link
from banditroute.stores.redis.scripts import ANNOUNCE, BORN, CLAIM, REMEMBER
from banditroute.stores.redis.writer import Writer, read
from banditroute.stores.remote import Mark
from banditroute.stores.retention import Retention
from banditroute.values import (
    Announcement,
    Checkpoint,
    Decision,
    DecisionId,
    DecisionRecord,
    Evidence,
    Learned,
    News,
    Outcome,
)

PAGE = 500
"""How many decisions one command writes or reads."""

NONCE_BYTES = 8
LATE_S = 3600.0
"""How much longer than their time to live decisions are kept: clocks differ."""


@dataclass(slots=True)
class _Session:
    """What an open store holds."""

    link: Link
    writers: dict[str, Writer] = field(default_factory=dict)
    histories: dict[str, History] = field(default_factory=dict)
    listed: set[str] = field(default_factory=set)


class RedisStore:
    """The :class:`~banditroute.stores.base.Store` of any number of replicas."""

    def __init__(
        self,
        connect: Callable[[], Link],
        *,
        decision_ttl_s: float,
        clock: Callable[[], float],
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """``connect`` makes the link, which is closed with the store; ``clock`` gives seconds
        since the epoch, ``entropy(n)`` n random bytes. Raises ValueError for a ttl not above 0.
        """
        self._connect = connect
        self._retention = Retention(decision_ttl_s)
        self._clock = clock
        self._entropy = entropy
        self._session: _Session | None = None

    async def open(self) -> None:
        """Be ready. A server that does not answer yet is no error here; one that refuses is."""
        if self._session is not None:
            return
        link = self._connect()
        try:
            await link.check()
        except BaseException:
            await link.close()
            raise
        self._session = _Session(link)

    async def close(self) -> None:
        """Finish what was asked for, and let go of every connection."""
        session, self._session = self._session, None
        if session is None:
            return
        for writer in session.writers.values():
            await writer.close()
        await session.link.close()

    async def claim(self, router: str, fingerprint: str) -> None:
        """Bind a router's log to context features; see ``Store.claim``."""
        link, keys = self._link, Keys(router)
        await self._list(router)
        replaced = ""
        while True:
            happened, *more = await link.run(CLAIM, [keys.meta], [fingerprint, replaced])
            if happened == b"claimed":
                return
            check_settled(router, arriving=happened == b"arriving")
            replaced = more[0].decode()
            if happened == b"mismatch":
                check_claim(router, replaced, fingerprint)
            await transfer.wipe(link, keys)  # what earlier features decided taught nothing

    async def remember(self, decisions: Sequence[Decision]) -> None:
        """Keep decisions; all or none of each router's."""
        claimed = {name: await self.claimed(name) for name in {d.router for d in decisions}}
        for decision in decisions:
            check_decision(decision, claimed[decision.router])
        packed = [(decision, pack_decision(decision)) for decision in decisions]
        kinds = sorted(packed, key=_kind)
        for (router, fingerprint), group in groupby(kinds, key=_kind):
            await self._list(router)
            bodies = [(decision.id, body) for decision, body in group]
            for start in range(0, len(bodies), PAGE):
                await self._remember(router, fingerprint, bodies[start : start + PAGE])

    async def record(
        self, router: str, outcomes: Sequence[Outcome], at_s: float | None = None
    ) -> list[Learned]:
        """Append outcomes, all or none. ``at_s`` says when they were known, if not just now."""
        known_s = self._clock() if at_s is None else at_s
        ids = [outcome.decision_id for outcome in outcomes]
        return await self._writer(router).run(ids, lambda plan: plan.record(outcomes, known_s))

    async def absorb(self, router: str, changes: Sequence[FeedbackChange]) -> list[Learned]:
        """Apply feedbacks and retractions, all or none."""
        ids = [change.decision_id for change in changes]
        return await self._writer(router).run(ids, lambda plan: plan.absorb(changes))

    async def announce(self, router: str, news: News) -> Learned:
        """Append news, once per id."""
        entry = pack_evidence(Announcement(0, news))  # its position is given there
        keys = Keys(router)
        await self._list(router)
        happened = await self._link.run(
            ANNOUNCE,
            [keys.meta, keys.log, keys.news],
            [self._entropy(NONCE_BYTES), news.id, entry],
        )
        check_settled(router, arriving=happened == b"arriving")
        return Learned.LEARNED if happened == b"written" else Learned.UNCHANGED

    async def evidence(self, router: str, after: int, limit: int) -> list[Evidence]:
        """Entries after a position; they begin at the base once the log was trimmed.

        Raises HistoryLost if the server has lost what was read before.
        """
        found = await self._history(router).entries(after, limit)
        return [replace(unpack_evidence(entry), position=position) for position, entry in found]

    async def wait(self, router: str, after: int, timeout_s: float) -> bool:
        """Wait for an entry after ``after``, and look now and then whether it can still come.

        Raises HistoryLost if the server has lost what was read before.
        """
        link, log, history = self._link, Keys(router).log, self._history(router)
        deadline = link.now() + timeout_s
        while not await link.grows(log, after, deadline - link.now()):
            await history.verify(after)
            if link.now() >= deadline:
                return False
        return True

    async def head(self, router: str) -> int:
        """The position of the last entry."""
        return int(await self._link.command("HGET", Keys(router).meta, "head") or 0)

    async def load_checkpoint(self, router: str, at: int | None = None) -> Checkpoint | None:
        """The newest checkpoint up to ``at``."""
        return await upkeep.load_checkpoint(self._link, Keys(router), self._history(router), at)

    async def save_checkpoint(
        self, router: str, checkpoint: Checkpoint, estimates: Sequence[ArmEstimate] = ()
    ) -> None:
        """Keep a checkpoint unless a newer one is kept, and show ``estimates`` beside it.

        Raises CheckpointInvalid if it is ahead of the log, HistoryLost if it was folded from
        entries that the server has lost.
        """
        link, keys, now_s = self._link, Keys(router), self._clock()
        history = self._history(router)
        if await upkeep.save_checkpoint(
            link, keys, history, checkpoint, at_s=now_s, retention=self._retention
        ):
            await upkeep.show(link, keys, estimates, now_s)

    async def find(self, router: str, decision_id: DecisionId) -> DecisionRecord | None:
        """A living decision with its outcome and marks."""
        kept = await read(self._link, Keys(router), [decision_id])
        if decision_id not in kept or decision_id < self._oldest():
            return None
        return kept[decision_id].record()

    async def decisions(self, router: str, after: DecisionId = "") -> AsyncIterator[DecisionRecord]:
        """Living decisions in order of id, read in pages: no view of one moment."""
        keys = Keys(router)
        while True:
            start = f"({after}" if after >= self._oldest() else f"[{self._oldest()}"
            page = ("LIMIT", 0, PAGE)
            found = await self._link.command("ZRANGEBYLEX", keys.ids, start, "+", *page)
            if not found:
                return
            ids = [id_.decode() for id_ in found]
            kept = await read(self._link, keys, ids)
            for id_ in ids:
                if id_ in kept:  # else it has just expired
                    yield kept[id_].record()
            after = ids[-1]

    async def expire(self) -> int:
        """Delete decisions past their time to live, and trim the logs, in pieces."""
        session, oldest = self._opened(), self._oldest()
        before_s = self._retention.oldest_s(self._clock())
        listed = await upkeep.routers(session.link)
        if lost := session.listed.difference(listed):  # with a server's last writes, or all of them
            await session.link.command("SADD", ROUTERS, *lost)
        deleted = 0
        for router in [*listed, *lost]:
            deleted += await upkeep.drop_expired(session.link, Keys(router), oldest)
            await upkeep.trim(session.link, Keys(router), before_s)
        return deleted

    def recorder(self) -> Recorder:
        """The store itself."""
        return self

    def pending(self) -> Pending:
        """Nothing: what was promised is there."""
        return Pending()

    async def claimed(self, router: str) -> str | None:
        """The fingerprint that a router's log is claimed for."""
        found = await self._link.command("HGET", Keys(router).meta, "fingerprint")
        return None if found is None else found.decode()

    async def checkpoints(self, router: str) -> list[SavedCheckpoint]:
        """Every checkpoint kept, in order of position."""
        return await upkeep.checkpoints(self._link, Keys(router), self._history(router))

    async def announced(self, router: str) -> list[str]:
        """The ids of all news ever announced, in order."""
        found = await self._link.command("SMEMBERS", Keys(router).news)
        return sorted(id_.decode() for id_ in found)

    async def begin_import(self, router: str) -> None:
        """Make room for an imported router; see ``Store.begin_import``."""
        await self._list(router)
        await transfer.begin(self._link, Keys(router))

    async def put(
        self,
        router: str,
        *,
        records: Sequence[DecisionRecord] = (),
        entries: Sequence[Evidence] = (),
        checkpoints: Sequence[SavedCheckpoint] = (),
        announced: Sequence[str] = (),
    ) -> None:
        """Write parts of an imported state as they are."""
        link, keys = self._link, Keys(router)
        nonce = self._entropy(NONCE_BYTES)
        left_ms = [self._left_ms(record.decision.id) for record in records]
        await transfer.put_records(link, keys, records, left_ms)
        await transfer.put_news(link, keys, [*announced, *news_ids(entries)])
        await transfer.put_entries(link, keys, entries, nonce)
        for saved in checkpoints:
            await transfer.put_checkpoint(link, keys, saved)

    async def finish_import(self, router: str, fingerprint: str | None, head: int) -> None:
        """Let the imported router be used."""
        nonce = self._entropy(NONCE_BYTES)
        await transfer.finish(self._link, Keys(router), fingerprint, head, nonce)

    async def known(self, router: str, ids: Collection[DecisionId]) -> set[DecisionId]:
        """Which of some decisions are there and alive."""
        oldest = self._oldest()
        return {id_ for id_ in await read(self._link, Keys(router), list(ids)) if id_ >= oldest}

    def mark(self, router: str) -> Mark | None:
        """The newest append to a router's log that this store made."""
        return self._writer(router).mark

    async def prove(self, router: str, marks: Sequence[Mark]) -> tuple[bool, Mark | None]:
        """Whether a router's log still has all those appends, and its newest one."""
        return await prove(self._link, Keys(router), marks)

    async def server(self, router: str) -> str:
        """Which server has a router, in a word that changes with a failover, a restart or a
        wipe: an empty log has no end by which it could be told from another one.
        """
        meta = Keys(router).meta
        born = await self._link.run(BORN, [meta], [self._entropy(NONCE_BYTES)])
        return f"{await self._link.server(meta)} {born.hex()}"

    async def _remember(
        self, router: str, fingerprint: str, bodies: list[tuple[DecisionId, bytes]]
    ) -> None:
        keys = Keys(router)
        names = [keys.decision(id_) for id_, _ in bodies]
        args = [part for id_, body in bodies for part in (id_, body, self._left_ms(id_))]
        happened, *more = await self._link.run(
            REMEMBER, [keys.meta, keys.ids, *names], [fingerprint, *args]
        )
        check_settled(router, arriving=happened == b"arriving")
        if happened == b"claimed":
            check_claim(router, more[0].decode(), fingerprint)

    def _left_ms(self, decision_id: DecisionId) -> int:
        """How long a decision is kept from now on, in milliseconds."""
        age_s = self._clock() - made_at_ms(decision_id) / 1000
        return max(round((self._retention.ttl_s + LATE_S - age_s) * 1000), 1)

    async def _list(self, router: str) -> None:
        """Make a router known to whoever looks for all of them."""
        session = self._opened()
        if router not in session.listed:
            await session.link.command("SADD", ROUTERS, router)
            session.listed.add(router)

    def _writer(self, router: str) -> Writer:
        session = self._opened()
        if router not in session.writers:
            session.writers[router] = Writer(
                session.link, router, self._oldest, lambda: self._entropy(NONCE_BYTES)
            )
        return session.writers[router]

    def _history(self, router: str) -> History:
        session = self._opened()
        return session.histories.setdefault(router, History(session.link, router))

    @property
    def _link(self) -> Link:
        return self._opened().link

    def _opened(self) -> _Session:
        if self._session is None:
            raise StoreUnavailable("the store is not open")
        return self._session

    def _oldest(self) -> DecisionId:
        return self._retention.oldest(self._clock())


def _kind(packed: tuple[Decision, bytes]) -> tuple[str, str]:
    return packed[0].router, packed[0].fingerprint
