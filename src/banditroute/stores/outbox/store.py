"""A remote store with an outbox in front of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from banditroute.core.feedback import apply
from banditroute.core.identity import made_at_ms
from banditroute.errors import HistoryLost, InvalidRequest, StoreError, StoreUnavailable
from banditroute.stores.base import ArmEstimate, FeedbackChange, Pending, Recorder, SavedCheckpoint
from banditroute.stores.outbox.box import Box, claim, orphans
from banditroute.stores.outbox.file import Draft, Kind, OutboxFile, Row
from banditroute.stores.plan import unknown_decision
from banditroute.stores.remote import Remote
from banditroute.stores.retention import Retention, is_expired
from banditroute.stores.tasks import end
from banditroute.values import (
    Checkpoint,
    Decision,
    DecisionId,
    DecisionRecord,
    Evidence,
    Learned,
    News,
    Outcome,
)

logger = logging.getLogger(__name__)

ANSWER_S = 1.0
"""How long a feedback or an outcome waits for the remote store before it is only accepted."""

KNOWN_S = 0.4
"""How long a decision waits for the remote store: feedback on another replica looks there."""

EARLY_S = 60.0
"""So long a decision may still be on its way from the replica that made it."""

ADOPT_EVERY_S = 30.0


@dataclass(slots=True)
class _Session:
    """What an open store holds: this process's box, and those it took over."""

    own: Box
    adopted: list[Box] = field(default_factory=list)
    adopting: asyncio.Task[None] | None = None

    @property
    def boxes(self) -> list[Box]:
        return [self.own, *self.adopted]


class OutboxStore:
    """A remote store whose writes are on this machine's disk before they are promised.

    A writing method returns what the remote store said, or ``ACCEPTED`` if that is away or
    slow: the promise is kept as soon as it is back. Reading asks the remote store.
    """

    def __init__(
        self,
        remote: Remote,
        folder: Path,
        *,
        decision_ttl_s: float,
        clock: Callable[[], float],
        early_s: float = EARLY_S,
    ) -> None:
        """``clock`` gives seconds since the epoch; feedback on a decision younger than
        ``early_s`` is accepted even if the remote store lacks the decision. Raises ValueError
        for a ttl not above 0.
        """
        self._remote = remote
        self._folder = folder.absolute()
        self._retention = Retention(decision_ttl_s)
        self._clock = clock
        self._early_s = early_s
        self._session: _Session | None = None

    async def open(self) -> None:
        """Take a file of the folder, go on with what is in it, and with what others left.

        Raises StoreUnusable if no file can be had or the remote store refuses us.
        """
        if self._session is not None:
            return
        await self._remote.open()
        try:
            own = self._box(await claim(self._folder))
        except BaseException:
            await self._remote.close()
            raise
        self._session = _Session(own)
        await own.start()
        self._session.adopting = asyncio.create_task(self._adopt(self._session))

    async def close(self) -> None:
        """Bring over what can be brought over soon; the rest waits on the disk."""
        session, self._session = self._session, None
        if session is None:
            return
        await end([session.adopting] if session.adopting else [])
        try:
            await asyncio.gather(*(box.stop() for box in session.boxes))
        finally:
            await self._remote.close()

    async def claim(self, router: str, fingerprint: str) -> None:
        """Bind a router's log to context features; see ``Store.claim``."""
        await self._remote.claim(router, fingerprint)

    async def remember(self, decisions: Sequence[Decision]) -> None:
        """Keep decisions, all or none."""
        rows = await self.promise(decisions)
        last = {row.router: row for row in rows}  # of each router
        await asyncio.gather(*(self._answer(row, KNOWN_S) for row in last.values()))

    async def record(
        self, router: str, outcomes: Sequence[Outcome], at_s: float | None = None
    ) -> list[Learned]:
        """Append outcomes, all or none."""
        del at_s  # the row says when
        rows = await self.promise_outcomes(router, outcomes)
        return [status for row in rows for status in await self._answer(row, ANSWER_S)]

    async def absorb(self, router: str, changes: Sequence[FeedbackChange]) -> list[Learned]:
        """Apply feedbacks and retractions, all or none.

        If the remote store is away none is refused for an unknown decision: it waits then until
        its decision turns up or has expired.
        """
        if not changes:
            return []
        self._check(changes)
        [row] = await self._keep([Draft(router, Kind.CHANGES, tuple(changes))])
        return await self._answer(row, ANSWER_S)

    async def announce(self, router: str, news: News) -> Learned:
        """Append news to the remote log, once per id. Nothing is promised while that is away."""
        return await self._remote.announce(router, news)

    async def promise(self, decisions: Sequence[Decision]) -> list[Row]:
        """Keep decisions here, all or none; they are brought over by themselves."""
        for decision in decisions:
            made_at_ms(decision.id)  # an id without a time could never expire
        return await self._keep([Draft(d.router, Kind.DECISION, d) for d in decisions])

    async def promise_outcomes(self, router: str, outcomes: Sequence[Outcome]) -> list[Row]:
        """Keep outcomes here, all or none; they are brought over by themselves."""
        drafts = [Draft(router, Kind.OUTCOMES, tuple(outcomes))] if outcomes else []
        return await self._keep(drafts)

    async def evidence(self, router: str, after: int, limit: int) -> list[Evidence]:
        """Entries after a position; see ``Store.evidence``."""
        try:
            return await self._remote.evidence(router, after, limit)
        except HistoryLost:
            self._suspect(router)
            raise

    async def wait(self, router: str, after: int, timeout_s: float) -> bool:
        """Wait for an entry after ``after``."""
        try:
            return await self._remote.wait(router, after, timeout_s)
        except HistoryLost:
            self._suspect(router)
            raise

    async def head(self, router: str) -> int:
        """The position of the last entry."""
        return await self._remote.head(router)

    async def load_checkpoint(self, router: str, at: int | None = None) -> Checkpoint | None:
        """The newest checkpoint up to ``at``."""
        return await self._remote.load_checkpoint(router, at)

    async def save_checkpoint(
        self, router: str, checkpoint: Checkpoint, estimates: Sequence[ArmEstimate] = ()
    ) -> None:
        """Keep a checkpoint; see ``Store.save_checkpoint``."""
        await self._remote.save_checkpoint(router, checkpoint, estimates)

    async def find(self, router: str, decision_id: DecisionId) -> DecisionRecord | None:
        """A living decision with its outcome and marks, as the remote store knows it."""
        return await self._remote.find(router, decision_id)

    def decisions(self, router: str, after: DecisionId = "") -> AsyncIterator[DecisionRecord]:
        """Living decisions in order of id."""
        return self._remote.decisions(router, after)

    async def expire(self) -> int:
        """Delete what is past its time, here and there."""
        oldest = self._retention.oldest(self._clock())
        for box in self._opened().boxes:
            await box.purge(oldest)
        return await self._remote.expire()

    def recorder(self) -> Recorder:
        """The store, without waiting for the remote one."""
        return _Recorder(self)

    def pending(self) -> Pending:
        """What the remote store does not have yet."""
        each = [box.pending() for box in self._session.boxes] if self._session else []
        return Pending(
            sum(one.waiting for one in each),
            sum(one.parked for one in each),
            sum(one.dropped for one in each),
        )

    async def claimed(self, router: str) -> str | None:
        """The fingerprint that a router's log is claimed for."""
        return await self._remote.claimed(router)

    async def checkpoints(self, router: str) -> list[SavedCheckpoint]:
        """Every checkpoint kept, in order of position."""
        return await self._remote.checkpoints(router)

    async def announced(self, router: str) -> list[str]:
        """The ids of all news ever announced, in order."""
        return await self._remote.announced(router)

    async def begin_import(self, router: str) -> None:
        """Make room for an imported router."""
        await self._remote.begin_import(router)

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
        await self._remote.put(
            router,
            records=records,
            entries=entries,
            checkpoints=checkpoints,
            announced=announced,
        )

    async def finish_import(self, router: str, fingerprint: str | None, head: int) -> None:
        """Let the imported router be used."""
        await self._remote.finish_import(router, fingerprint, head)

    def _box(self, file: OutboxFile) -> Box:
        return Box(file, self._remote, clock=self._clock, early_s=self._early_s)

    async def _keep(self, drafts: Sequence[Draft]) -> list[Row]:
        """Write rows down and put them in line, even if whoever asked leaves meanwhile."""
        return await asyncio.shield(asyncio.create_task(self._put_in_line(drafts)))

    async def _put_in_line(self, drafts: Sequence[Draft]) -> list[Row]:
        own = self._opened().own
        rows = await own.file.append(drafts, self._clock())
        for row in rows:  # before anybody else is told of later rows
            own.lane(row.router).add(row)
        return rows

    async def _answer(self, row: Row, timeout_s: float) -> list[Learned]:
        answer = await self._opened().own.lane(row.router).answer(row, timeout_s)
        return [Learned.ACCEPTED] * row.size if answer is None else answer

    def _check(self, changes: Sequence[FeedbackChange]) -> None:
        """Refuse now what could only be refused later, when nobody listens any more."""
        oldest = self._retention.oldest(self._clock())
        for at, change in enumerate(changes):
            try:
                apply({}, change)
                if is_expired(change.decision_id, oldest):
                    raise unknown_decision(change.decision_id, oldest)
            except InvalidRequest as error:
                error.param = str(at)
                raise

    def _suspect(self, router: str) -> None:
        for box in self._opened().boxes:
            box.suspect(router)

    async def _adopt(self, session: _Session) -> None:
        """Take over files whose processes are gone, for as long as the task lives."""
        while True:
            mine = {box.file.path for box in session.boxes}
            try:
                async for file in orphans(self._folder, mine):
                    box = self._box(file)
                    session.adopted.append(box)
                    await box.start()
                    logger.info("took over an outbox", extra={"path": str(file.path)})
            except StoreError as error:
                logger.warning("cannot look after other outboxes", exc_info=error)
            await asyncio.sleep(ADOPT_EVERY_S)

    def _opened(self) -> _Session:
        if self._session is None:
            raise StoreUnavailable("the store is not open")
        return self._session


class _Recorder:
    """Writes down what is to be brought over, and does not wait until it is."""

    def __init__(self, store: OutboxStore) -> None:
        self._store = store

    async def remember(self, decisions: Sequence[Decision]) -> None:
        """Keep decisions, all or none."""
        await self._store.promise(decisions)

    async def record(self, router: str, outcomes: Sequence[Outcome]) -> list[Learned]:
        """Keep outcomes, all or none."""
        await self._store.promise_outcomes(router, outcomes)
        return [Learned.ACCEPTED] * len(outcomes)
