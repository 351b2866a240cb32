"""What the embedded store does when its file, its disk or another process is in the way."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from patience import PATIENCE_S
from store_examples import TTL_S, Clock, Examples, opened

from banditroute.errors import StoreError, StoreUnavailable, StoreUnusable
from banditroute.stores import SQLiteStore
from banditroute.stores.sqlite.schema import STORE, connect
from banditroute.values import Learned

pytestmark = pytest.mark.anyio

NOBODY = 65534
LOCKING = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def make_store(clock: Clock) -> Callable[[Path], SQLiteStore]:
    return lambda path: SQLiteStore(path, decision_ttl_s=TTL_S, clock=clock, busy_timeout_s=0.05)


@pytest.fixture
async def store(
    make_store: Callable[[Path], SQLiteStore], path: Path
) -> AsyncIterator[SQLiteStore]:
    async with opened(make_store(path)) as store:
        yield store


@contextmanager
def locked_by_another_process(path: Path) -> Iterator[None]:
    command = [sys.executable, "-c", LOCKING, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "locked\n"
        yield
        holder.stdin.close()


def behind_its_back(path: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(sql, values)


async def refused(store: SQLiteStore, match: str) -> None:
    with pytest.raises(StoreUnusable, match=match) as caught:
        await store.open()
    assert str(store._path) in str(caught.value) or str(store._path.parent) in str(caught.value)


async def test_a_missing_folder_is_named(make_store, tmp_path):
    await refused(make_store(tmp_path / "no" / "store.db"), "does not exist: create it")
    assert not (tmp_path / "no").exists()


async def test_a_folder_is_no_file(make_store, tmp_path):
    await refused(make_store(tmp_path), "is a folder")


async def test_a_file_that_is_no_database_is_refused_and_left_alone(make_store, path):
    garbage = b"precious, but no database" * 100
    path.write_bytes(garbage)
    await refused(make_store(path), "no SQLite database")
    assert path.read_bytes() == garbage


async def test_another_programs_database_is_refused(make_store, path):
    behind_its_back(path, "CREATE TABLE recipes (name TEXT)")
    await refused(make_store(path), "another program's")


async def test_a_newer_schema_is_refused(make_store, path):
    async with opened(make_store(path)):
        pass
    behind_its_back(path, "PRAGMA user_version = 3")
    await refused(make_store(path), "newer banditroute .*: upgrade")


async def test_an_older_schema_is_refused(make_store, path):
    async with opened(make_store(path)):
        pass
    behind_its_back(path, "PRAGMA user_version = 1")
    await refused(make_store(path), "older banditroute .*: name another file")


async def test_an_empty_file_becomes_a_store(make_store, path):
    path.touch()
    async with opened(make_store(path)) as store:
        assert await store.head("auto") == 0


async def test_a_damaged_database_is_refused(make_store, path):
    async with opened(make_store(path)):
        pass
    data = bytearray(path.read_bytes())
    data[100:200] = b"\xff" * 100  # the root page of the table of tables
    path.write_bytes(data)
    await refused(make_store(path), "damaged: restore it")


@pytest.fixture
def readonly_folder() -> Iterator[Path]:
    """A folder that this user may not write to; root, who may everywhere, becomes nobody."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        root = os.geteuid() == 0
        if root:
            os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o755)


async def test_a_folder_without_permission_is_refused(make_store, readonly_folder):
    await refused(make_store(readonly_folder / "store.db"), "writable for this user")


async def test_what_cannot_keep_a_write_ahead_log_is_refused():
    with pytest.raises(StoreUnusable, match="local disk"):
        connect(Path(":memory:"), 0.1)


async def test_a_new_file_may_be_opened_by_many_at_once(path, clock):
    stores = [SQLiteStore(path, decision_ttl_s=TTL_S, clock=clock) for _ in range(8)]
    await asyncio.gather(*(store.open() for store in stores))
    await asyncio.gather(*(store.close() for store in stores))


async def test_a_lock_held_while_opening_is_unavailable_and_not_unusable(make_store, path):
    with locked_by_another_process(path), pytest.raises(StoreUnavailable, match="locked"):
        await make_store(path).open()
    async with opened(make_store(path)):
        pass


async def test_a_lock_held_at_the_switch_to_wal_is_waited_for(path, clock, monkeypatch):
    """SQLite's own busy timeout does not cover this switch."""
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    naps = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        holder.execute("COMMIT") if len(naps) == 2 else None

    monkeypatch.setattr("banditroute.stores.sqlite.schema.sleep", nap)
    with closing(holder), closing(connect(path, 30.0)):
        assert len(naps) == 2


async def test_a_lock_held_at_the_switch_to_wal_for_too_long_is_unavailable(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            connect(path, 0.02)


async def test_a_full_disk_at_opening_is_unavailable_and_not_unusable(path):
    huge = "CREATE TABLE huge AS SELECT zeroblob(1000000)"
    with pytest.raises(StoreUnavailable, match="is full"):
        connect(path, 0.1, replace(STORE, tables=("PRAGMA max_page_count = 3", huge)))
    connect(path, 0.1).close()


async def test_a_lock_stops_writing_but_neither_reading_nor_later_writing(
    store: SQLiteStore, made: Examples, path: Path
):
    decision = made.decision()
    await store.remember([decision])
    said = made.feedback(decision)
    with locked_by_another_process(path):
        with pytest.raises(StoreUnavailable, match="locked"):
            await store.absorb("auto", [said])
        assert (await store.find("auto", decision.id)).marks == {}
    assert await store.absorb("auto", [said]) == [Learned.LEARNED]


async def test_a_full_disk_loses_nothing_that_was_acknowledged_and_keeps_nothing_else(
    store: SQLiteStore, made: Examples
):
    decisions = [made.decision() for _ in range(100)]
    await store.remember(decisions)
    pages = await store._write(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
    await store._write(lambda db: db.execute(f"PRAGMA max_page_count = {pages + 4}").fetchall())
    learned = []

    async def fill() -> None:
        for decision in decisions:
            await store.absorb("auto", [made.feedback(decision, comment="x" * 500)])
            learned.append(decision.id)

    with pytest.raises(StoreUnavailable, match="full"):
        await fill()
    posts = [store.absorb("auto", [made.feedback(d, comment="x" * 5000)]) for d in decisions[-9:]]
    results = await asyncio.gather(*posts, return_exceptions=True)
    assert all(isinstance(result, StoreUnavailable) for result in results)
    log = await store.evidence("auto", 0, 1000)
    assert [entry.decision_id for entry in log] == learned
    await store._write(lambda db: db.execute("PRAGMA max_page_count = 100000").fetchall())
    for decision in decisions:
        await store.absorb("auto", [made.feedback(decision)])
    assert await store.head("auto") == 100


async def test_a_damaged_entry_is_named_and_the_store_goes_on(
    store: SQLiteStore, made: Examples, path: Path
):
    decision = made.decision()
    await store.remember([decision])
    await store.absorb("auto", [made.feedback(decision, k / 4) for k in range(4)])
    behind_its_back(path, "UPDATE log SET entry = x'0202030405' WHERE position = 2")
    with pytest.raises(StoreError, match=r"row 2 of router 'auto' in log: .* damaged"):
        await store.evidence("auto", 0, 10)
    assert len(await store.evidence("auto", 2, 10)) == 2
    assert await store.absorb("auto", [made.feedback(decision)]) == [Learned.AMENDED]


@pytest.mark.parametrize("column", ["body", "outcome", "marks"])
async def test_a_damaged_decision_is_named_and_the_others_learn_on(
    store: SQLiteStore, made: Examples, path: Path, column: str
):
    bad, good = made.decision(), made.decision()
    await store.remember([bad, good])
    behind_its_back(path, f"UPDATE decisions SET {column} = x'00' WHERE id = ?", bad.id)
    results = await asyncio.gather(
        *(store.absorb("auto", [made.feedback(one)]) for one in (bad, good)),
        return_exceptions=True,
    )
    assert isinstance(results[0], StoreError)
    assert f"row {bad.id} of router 'auto' in decisions" in str(results[0])
    assert results[1] == [Learned.LEARNED]


async def test_a_failing_read_is_unavailable(store: SQLiteStore, path: Path):
    behind_its_back(path, "DROP TABLE log")
    with pytest.raises(StoreUnavailable, match="no such table: log"):
        await store.evidence("auto", 0, 10)


async def test_the_reading_connection_cannot_write(store: SQLiteStore):
    with pytest.raises(StoreUnavailable, match="readonly"):
        await store._read(lambda db: db.execute("DELETE FROM log"))


async def test_a_commit_is_synced_to_the_disk(store: SQLiteStore):
    def pragma(name: str) -> Callable[[sqlite3.Connection], object]:
        return lambda db: db.execute(f"PRAGMA {name}").fetchone()[0]

    assert await store._write(pragma("synchronous")) == 2  # FULL
    assert await store._write(pragma("journal_mode")) == "wal"


async def test_repeating_what_is_known_writes_nothing(
    store: SQLiteStore, made: Examples, path: Path
):
    decision = made.decision()
    await store.remember([decision])
    said = made.feedback(decision)
    await store.absorb("auto", [said])
    before = path.with_name("store.db-wal").read_bytes()
    await store.absorb("auto", [said])
    assert path.with_name("store.db-wal").read_bytes() == before


async def test_a_batch_without_items_writes_nothing_at_all(store: SQLiteStore):
    assert await store.absorb("nobody", []) == []
    assert await store.record("nobody", []) == []
    count = await store._read(lambda db: db.execute("SELECT count(*) FROM routers").fetchone()[0])
    assert count == 0


async def test_waiting_ends_with_an_own_entry_without_polling(path, clock, made):
    decision = made.decision()
    async with opened(SQLiteStore(path, decision_ttl_s=TTL_S, clock=clock, poll_s=3600.0)) as store:
        await store.remember([decision])
        for position, write in enumerate(
            [
                lambda: store.record("auto", [made.outcome(decision)]),
                lambda: store.absorb("auto", [made.feedback(decision)]),
            ]
        ):
            waiting = asyncio.create_task(store.wait("auto", position, 3600.0))
            await store.head("auto")  # by now it has looked once, and waits
            await write()
            async with asyncio.timeout(PATIENCE_S):
                assert await waiting


async def test_closing_leaves_no_thread_and_no_side_file(make_store, path, made):
    threads = set(threading.enumerate())
    store = make_store(path)
    async with opened(store):
        await store.remember([made.decision()])
        assert len(set(threading.enumerate()) - threads) == 2
    assert set(threading.enumerate()) == threads
    assert [file.name for file in path.parent.iterdir()] == ["store.db"]


async def test_a_failed_opening_leaves_no_thread(make_store, tmp_path):
    threads = set(threading.enumerate())
    with pytest.raises(StoreUnusable):
        await make_store(tmp_path).open()
    for thread in set(threading.enumerate()) - threads:
        thread.join(10)
    assert set(threading.enumerate()) == threads


def test_a_store_may_be_used_by_one_loop_after_another(make_store, path, made):
    store = make_store(path)

    async def use() -> int:
        async with opened(store):
            decision = made.decision()
            await store.remember([decision])
            await store.absorb("auto", [made.feedback(decision)])
            return await store.head("auto")

    assert [asyncio.run(use()), asyncio.run(use())] == [1, 2]


async def test_the_second_connection_failing_closes_the_first(make_store, path, monkeypatch):
    first = []

    def once(*arguments):
        if first:
            raise StoreUnavailable("locked")
        first.append(connect(*arguments))
        return first[0]

    monkeypatch.setattr("banditroute.stores.sqlite.store.connect", once)
    with pytest.raises(StoreUnavailable):
        await make_store(path).open()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        first[0].execute("SELECT 1")
