"""One thread writes; everything that waits goes into one transaction.

An fsync costs milliseconds, so writers share it: while one transaction is being committed the
next operations gather, and all of them are the next transaction. Each runs in a savepoint of
its own: one that raises is undone alone. Results are handed over only after the COMMIT; if
the transaction fails, nothing of it is written and every operation gets StoreUnavailable.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from banditroute.errors import StoreUnavailable

T = TypeVar("T")

MOST_PER_TRANSACTION = 256
MOST_WAITING = 8192

# What SQLite raises for the operation at hand, and not for the state of disk, lock or file.
_OF_THE_OPERATION = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
)


@dataclass(slots=True)
class _Job:
    """An operation, who waits for it, and what became of it."""

    operation: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None

    def settle(self) -> None:
        if self.future.done():  # whoever asked has gone; what was written stays
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class GroupCommit:
    """The only writer of one connection, for one event loop. It closes the connection."""

    def __init__(self, db: sqlite3.Connection, loop: asyncio.AbstractEventLoop) -> None:
        """``db`` is in autocommit mode (``isolation_level`` None) and usable from any thread."""
        self._db = db
        self._loop = loop
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._waiting = 0
        self._ended = loop.create_future()
        self._thread = Thread(target=self._work, name="banditroute-store", daemon=True)
        self._thread.start()

    async def run(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """What ``operation`` returned, once that is durable.

        Raises what it raised, or StoreUnavailable; then it wrote nothing.
        """
        if self._waiting >= MOST_WAITING:
            raise StoreUnavailable(f"{self._waiting} writes are waiting for the store already")
        job = _Job(operation, self._loop.create_future())
        self._waiting += 1
        self._queue.put(job)
        result: T = await job.future
        return result

    async def close(self) -> None:
        """Finish everything that was asked for, close the connection and end the thread."""
        self._queue.put(None)
        await asyncio.shield(self._ended)
        self._thread.join()

    def _work(self) -> None:
        last = False
        while not last:
            batch = self._next_batch()
            last = None in batch
            jobs = [job for job in batch if job is not None]
            self._commit(jobs)
            self._tell(self._settle, jobs)
        self._db.close()
        self._tell(self._ended.set_result, None)

    def _next_batch(self) -> list[_Job | None]:
        batch = [self._queue.get()]
        while len(batch) < MOST_PER_TRANSACTION and not self._queue.empty():
            batch.append(self._queue.get())
        return batch

    def _commit(self, jobs: list[_Job]) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for job in jobs:
                self._attempt(job)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            for job in jobs:
                job.error = unavailable(error)

    def _attempt(self, job: _Job) -> None:
        self._db.execute("SAVEPOINT operation")
        try:
            job.result = job.operation(self._db)
        except (
            Exception
        ) as error:  # the edge of the thread: what one caller caused is handed to him
            if isinstance(error, sqlite3.Error) and not isinstance(error, _OF_THE_OPERATION):
                raise
            job.error = error
            self._db.execute("ROLLBACK TO operation")
        self._db.execute("RELEASE operation")

    def _roll_back(self) -> None:
        # SQLite has rolled back by itself after some errors, and then there is nothing to undo.
        with suppress(sqlite3.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def _settle(self, jobs: list[_Job]) -> None:
        self._waiting -= len(jobs)
        for job in jobs:
            job.settle()

    def _tell(self, listener: Callable[[Any], object], news: Any) -> None:
        with suppress(RuntimeError):  # the loop has been closed: nobody is left to be told
            self._loop.call_soon_threadsafe(listener, news)


def unavailable(error: sqlite3.Error) -> StoreUnavailable:
    """A failure of SQLite as callers know it; its own words say what is wrong."""
    return StoreUnavailable(f"the store did not work: {error}")
