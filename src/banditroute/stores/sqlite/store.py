"""The embedded store: one SQLite file, shared by any number of processes on one machine.

What a writing method has written survives kill -9 and power loss: the file keeps a write-ahead
log that is on the disk before the method returns. One thread writes (see
:mod:`~banditroute.stores.sqlite.group_commit`), another reads, and the event loop waits for
neither.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from banditroute.errors import StoreUnavailable
from banditroute.stores.base import ArmEstimate, FeedbackChange, Pending, Recorder, SavedCheckpoint
from banditroute.stores.retention import Retention
from banditroute.stores.sqlite import ledger, transfer, upkeep
from banditroute.stores.sqlite.group_commit import GroupCommit, unavailable
from banditroute.stores.sqlite.schema import connect
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

T = TypeVar("T")

CHUNK = 500
"""How many rows one transaction deletes, or one read exports: others get their turn between."""


@dataclass(frozen=True, slots=True)
class _Session:
    """What an open store holds: a writing and a reading thread, each with its connection."""

    writer: GroupCommit
    reader: ThreadPoolExecutor
    reading: sqlite3.Connection


class SQLiteStore:
    """The :class:`~banditroute.stores.base.Store` in a file. Open it in the loop that uses it."""

    def __init__(
        self,
        path: str | Path,
        *,
        decision_ttl_s: float,
        clock: Callable[[], float],
        busy_timeout_s: float = 5.0,
        poll_s: float = 0.05,
    ) -> None:
        """``clock`` gives seconds since the epoch.

        ``busy_timeout_s`` is how long to wait for another process's lock; ``poll_s`` how soon
        ``wait`` sees what another process wrote. Raises ValueError for a ttl not above 0.
        """
        self._path = Path(path).absolute()
        self._retention = Retention(decision_ttl_s)
        self._clock = clock
        self._busy_timeout_s = busy_timeout_s
        self._poll_s = poll_s
        self._session: _Session | None = None
        self._heads: dict[str, int] = {}
        self._grown = asyncio.Event()

    async def open(self) -> None:
        """Open the file, made if there is none, and start the two threads."""
        if self._session is not None:
            return
        loop = asyncio.get_running_loop()
        reader = ThreadPoolExecutor(1, thread_name_prefix="banditroute-store-reader")
        try:
            writing, reading = await loop.run_in_executor(reader, self._connect)
        except BaseException:
            reader.shutdown(wait=False)
            raise
        self._session = _Session(GroupCommit(writing, loop), reader, reading)

    async def close(self) -> None:
        """Finish what was asked for, close the file and end the threads."""
        session, self._session = self._session, None
        if session is None:
            return
        self._heads.clear()
        self._wake()
        try:
            await session.writer.close()
        finally:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(session.reader, session.reading.close)
            session.reader.shutdown()

    async def claim(self, router: str, fingerprint: str) -> None:
        """Bind a router's log to context features; see ``Store.claim``."""
        await self._write(lambda db: ledger.claim(db, router, fingerprint))

    async def remember(self, decisions: Sequence[Decision]) -> None:
        """Keep decisions, all or none."""
        await self._write(lambda db: ledger.remember(db, decisions))

    async def record(self, router: str, outcomes: Sequence[Outcome]) -> list[Learned]:
        """Append outcomes, all or none."""
        now_s = self._clock()
        oldest = self._retention.oldest(now_s)
        statuses, head = await self._write(
            lambda db: ledger.record(db, router, outcomes, oldest, now_s)
        )
        self._saw(router, head)
        return statuses

    async def absorb(self, router: str, changes: Sequence[FeedbackChange]) -> list[Learned]:
        """Apply feedbacks and retractions, all or none."""
        oldest = self._oldest()
        statuses, head = await self._write(lambda db: ledger.absorb(db, router, changes, oldest))
        self._saw(router, head)
        return statuses

    async def announce(self, router: str, news: News) -> Learned:
        """Append news, once per id."""
        status, head = await self._write(lambda db: ledger.announce(db, router, news))
        self._saw(router, head)
        return status

    async def evidence(self, router: str, after: int, limit: int) -> list[Evidence]:
        """Entries after a position; they begin at the base once the log was trimmed."""
        return await self._read(lambda db: ledger.evidence(db, router, after, limit))

    async def wait(self, router: str, after: int, timeout_s: float) -> bool:
        """Wait for an entry after ``after``: woken by this store's writes, else by polling."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while self._heads.get(router, 0) <= after:
            grown = self._grown  # taken before the look, so that no growth slips in between
            if await self.head(router) > after:
                break
            left_s = deadline - loop.time()
            if left_s <= 0:
                return False
            with suppress(TimeoutError):  # not wait_for: on Python 3.11 it can lose a cancellation
                async with asyncio.timeout(min(self._poll_s, left_s)):
                    await grown.wait()
        return True

    async def head(self, router: str) -> int:
        """The position of the last entry."""
        head = await self._read(lambda db: ledger.head(db, router))
        self._saw(router, head)
        return head

    async def load_checkpoint(self, router: str, at: int | None = None) -> Checkpoint | None:
        """The newest checkpoint up to ``at``."""
        return await self._read(lambda db: upkeep.load_checkpoint(db, router, at))

    async def save_checkpoint(
        self, router: str, checkpoint: Checkpoint, estimates: Sequence[ArmEstimate] = ()
    ) -> None:
        """Keep a checkpoint unless a newer one is kept. Raises CheckpointInvalid if it is ahead."""
        del estimates  # `banditroute inspect` shows them from the log itself
        now_s = self._clock()
        await self._write(
            lambda db: upkeep.save_checkpoint(db, router, checkpoint, now_s, self._retention)
        )

    async def find(self, router: str, decision_id: DecisionId) -> DecisionRecord | None:
        """A living decision with its outcome and marks."""
        oldest = self._oldest()
        return await self._read(lambda db: ledger.find(db, router, decision_id, oldest))

    async def decisions(self, router: str, after: DecisionId = "") -> AsyncIterator[DecisionRecord]:
        """Living decisions in order of id, read in chunks: no view of one moment."""
        while records := await self._page(router, after):
            for record in records:
                yield record
            after = records[-1].decision.id

    async def expire(self) -> int:
        """Delete decisions past their time to live, and trim the logs, in chunks."""
        oldest, before_s = self._oldest(), self._retention.oldest_s(self._clock())
        deleted = 0
        while chunk := await self._write(lambda db: upkeep.delete_decisions(db, oldest, CHUNK)):
            deleted += chunk
        while await self._write(lambda db: upkeep.trim(db, before_s, CHUNK)):
            pass
        return deleted

    def recorder(self) -> Recorder:
        """The store itself."""
        return self

    def pending(self) -> Pending:
        """Nothing: what was promised is there."""
        return Pending()

    async def claimed(self, router: str) -> str | None:
        """The fingerprint that a router's log is claimed for."""
        return await self._read(lambda db: ledger.claimed(db, router))

    async def checkpoints(self, router: str) -> list[SavedCheckpoint]:
        """Every checkpoint kept, in order of position."""
        return await self._read(lambda db: upkeep.checkpoints(db, router))

    async def announced(self, router: str) -> list[str]:
        """The ids of all news ever announced, in order."""
        return await self._read(lambda db: ledger.announced(db, router))

    async def begin_import(self, router: str) -> None:
        """Make room for an imported state, in chunks; see ``Store.begin_import``."""
        await self._write(lambda db: transfer.begin_import(db, router))
        while await self._write(lambda db: transfer.discard(db, router, CHUNK)):
            pass

    async def put(
        self,
        router: str,
        *,
        records: Sequence[DecisionRecord] = (),
        entries: Sequence[Evidence] = (),
        checkpoints: Sequence[SavedCheckpoint] = (),
        announced: Sequence[str] = (),
    ) -> None:
        """Write parts of an imported state where nobody sees them yet."""
        parts = (records, entries, checkpoints)
        await self._write(lambda db: transfer.put(db, router, *parts, announced=announced))

    async def finish_import(self, router: str, fingerprint: str | None, head: int) -> None:
        """Let what was put be the router's state, in one step."""
        await self._write(lambda db: transfer.finish_import(db, router, fingerprint, head))
        self._saw(router, head)

    def _connect(self) -> tuple[sqlite3.Connection, sqlite3.Connection]:
        writing = connect(self._path, self._busy_timeout_s)
        try:
            reading = connect(self._path, self._busy_timeout_s)
        except BaseException:
            writing.close()
            raise
        reading.execute("PRAGMA query_only = ON")
        return writing, reading

    async def _page(self, router: str, after: DecisionId) -> list[DecisionRecord]:
        oldest = self._oldest()
        return await self._read(lambda db: ledger.page(db, router, after, oldest, CHUNK))

    async def _write(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        return await self._opened().writer.run(operation)

    async def _read(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        session = self._opened()
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(session.reader, operation, session.reading)
        except sqlite3.Error as error:
            raise unavailable(error) from error

    def _opened(self) -> _Session:
        if self._session is None:
            raise StoreUnavailable("the store is not open")
        return self._session

    def _oldest(self) -> DecisionId:
        return self._retention.oldest(self._clock())

    def _saw(self, router: str, head: int) -> None:
        if head > self._heads.get(router, 0):
            self._heads[router] = head
            self._wake()

    def _wake(self) -> None:
        """Wake whoever waits now; who waits from here on waits for the next time."""
        self._grown.set()
        self._grown = asyncio.Event()
