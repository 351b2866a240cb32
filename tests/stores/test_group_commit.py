"""One thread writes, and everything that waits goes into one transaction."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from banditroute.errors import StoreUnavailable, UnknownDecision
from banditroute.stores.sqlite import group_commit
from banditroute.stores.sqlite.group_commit import GroupCommit

pytestmark = pytest.mark.anyio


class Bench:
    """A writer whose thread can be held, and what its connection was told."""

    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA foreign_keys = ON")
        self.db.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
        self.db.execute("CREATE TABLE child (n REFERENCES t (n) DEFERRABLE INITIALLY DEFERRED)")
        self.told: list[str] = []
        self.db.set_trace_callback(self.told.append)
        self.writer = GroupCommit(self.db, asyncio.get_running_loop())
        self.held = threading.Event()

    async def hold(self) -> asyncio.Task[bool]:
        """Keep the thread busy, in a transaction of its own, until ``held`` is set."""
        busy = threading.Event()

        def wait(_: sqlite3.Connection) -> bool:
            busy.set()
            return self.held.wait(60)

        holding = asyncio.create_task(self.writer.run(wait))
        await asyncio.sleep(0)
        assert busy.wait(60)
        return holding

    def insert(self, number: int) -> asyncio.Task[object]:
        return asyncio.create_task(
            self.writer.run(lambda db: db.execute("INSERT INTO t VALUES (?)", (number,)).rowcount)
        )

    async def rows(self) -> list[int]:
        rows = await self.writer.run(lambda db: db.execute("SELECT n FROM t").fetchall())
        return [number for (number,) in rows]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path / "bench.db")
    yield bench
    bench.held.set()
    await bench.writer.close()


async def together(bench: Bench, *tasks: asyncio.Task[object]) -> list[object]:
    """Let the tasks gather while the thread is held, then let it go on."""
    await asyncio.sleep(0)  # every task has put its operation into the queue
    bench.told.clear()
    bench.held.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_waits_is_one_transaction(bench):
    held = await bench.hold()
    tasks = [bench.insert(n) for n in range(50)]
    assert await together(bench, *tasks) == [1] * 50
    await held
    assert bench.told.count("BEGIN IMMEDIATE") == 1
    assert await bench.rows() == list(range(50))


async def test_a_failing_operation_is_undone_alone(bench):
    def half(db):
        db.execute("INSERT INTO t VALUES (7)")
        raise UnknownDecision("no such decision")

    held = await bench.hold()
    failing = asyncio.create_task(bench.writer.run(half))
    twice = asyncio.create_task(
        bench.writer.run(lambda db: db.executemany("INSERT INTO t VALUES (?)", [(8,), (1,), (1,)]))
    )
    results = await together(bench, bench.insert(1), failing, bench.insert(2), twice)
    await held
    assert results[0] == results[2] == 1
    assert isinstance(results[1], UnknownDecision)
    assert isinstance(results[3], sqlite3.IntegrityError)
    assert await bench.rows() == [1, 2]


async def test_a_failing_commit_fails_everybody_and_writes_nothing(bench):
    held = await bench.hold()
    orphan = asyncio.create_task(
        bench.writer.run(lambda db: db.execute("INSERT INTO child VALUES (99)"))
    )
    results = await together(bench, bench.insert(1), orphan, bench.insert(2))
    assert await held  # the transaction before it is not concerned
    assert all(isinstance(result, StoreUnavailable) for result in results)
    assert await bench.rows() == []
    await bench.insert(3)
    assert await bench.rows() == [3]


async def test_nobody_hears_of_success_before_the_commit(bench):
    task = bench.insert(1)
    task.add_done_callback(lambda _: bench.told.append("answered"))
    await task
    await asyncio.sleep(0)
    assert bench.told.index("COMMIT") < bench.told.index("answered")


async def test_a_caller_who_leaves_does_not_stop_the_others(bench):
    held = await bench.hold()
    leaving, staying = bench.insert(1), bench.insert(2)
    await asyncio.sleep(0)
    leaving.cancel()
    await together(bench, staying)
    await held
    assert leaving.cancelled()
    assert await bench.rows() == [1, 2]


async def test_the_queue_is_bounded(bench, monkeypatch):
    monkeypatch.setattr(group_commit, "MOST_WAITING", 2)
    held, waiting = await bench.hold(), bench.insert(1)
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="2 writes are waiting"):
        await bench.insert(2)
    bench.held.set()
    await asyncio.gather(held, waiting)
    await bench.insert(3)


async def test_a_transaction_is_bounded(bench, monkeypatch):
    monkeypatch.setattr(group_commit, "MOST_PER_TRANSACTION", 10)
    held = await bench.hold()
    await together(bench, *(bench.insert(n) for n in range(45)))
    await held
    assert bench.told.count("BEGIN IMMEDIATE") == 5
    assert len(await bench.rows()) == 45


async def test_closing_finishes_what_was_asked_for(tmp_path):
    bench = Bench(tmp_path / "bench.db")
    held = await bench.hold()
    tasks = [bench.insert(n) for n in range(300)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(bench.writer.close())
    bench.held.set()
    await closing
    assert await asyncio.gather(*tasks) == [1] * 300
    assert await held


def test_a_loop_that_is_gone_does_not_break_the_thread(tmp_path):
    async def leave() -> Bench:
        bench = Bench(tmp_path / "bench.db")
        await bench.hold()
        return bench

    bench = asyncio.run(leave())
    bench.held.set()
    bench.writer._queue.put(None)
    bench.writer._thread.join(60)
    assert not bench.writer._thread.is_alive()
