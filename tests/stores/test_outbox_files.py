"""What was promised is on the disk: through restarts, kills, full disks and damage."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from chaos import ChaosProxy
from faulty import (
    any_server,
    assert_whole,
    eventually,
    given_over,
    noted,
    outbox_store,
    redis_store,
    rows_of,
    scores,
)
from redis_servers import RedisServer, running
from store_examples import NOW_S, TTL_S, Clock, Examples, opened

from banditroute.errors import StoreUnavailable, StoreUnusable
from banditroute.stores import OutboxStore
from banditroute.stores.base import Pending

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("hasty_outbox"), any_server]

CHILD = Path(__file__).parent / "promising_process.py"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "outbox"


@pytest.fixture
async def store(proxy: ChaosProxy, clock: Clock, folder: Path) -> AsyncIterator[OutboxStore]:
    async with opened(outbox_store(proxy.url, clock, folder)) as store:
        yield store


async def promised(store: OutboxStore, made: Examples, count: int) -> dict[str, float]:
    """Decisions with a word each; the words."""
    words = {}
    for number in range(count):
        decision = made.decision()
        await store.remember([decision])
        words[decision.id] = number / 64
        await store.absorb("auto", [made.feedback(decision, number / 64)])
    return words


async def test_what_was_promised_before_closing_is_kept_after_opening_again(
    store: OutboxStore, proxy: ChaosProxy, made: Examples, clock: Clock, folder: Path
):
    proxy.cut()
    words = await promised(store, made, 5)
    for _ in range(2):  # it is away at the end, and still at the next beginning, and at its end
        await store.close()
        store = outbox_store(proxy.url, clock, folder)
        await store.open()
        await eventually(lambda: store.pending() == Pending(waiting=10))  # noqa: B023 - it is awaited
    try:
        words |= await promised(store, made, 2)
        proxy.heal()
        await given_over(store)
        assert await scores(store) == words
        await assert_whole(store)
    finally:
        await store.close()


async def test_closing_brings_over_what_can_be_brought_over(
    store: OutboxStore, proxy: ChaosProxy, server: RedisServer, made: Examples, clock: Clock
):
    proxy.cut()
    words = await promised(store, made, 30)
    assert store.pending().waiting == 60
    proxy.heal()
    await store.close()
    async with opened(redis_store(server.url, clock)) as direct:
        assert await scores(direct) == words
        await assert_whole(direct)


@contextmanager
def promising(url: str, folder: Path, lines: str) -> Iterator[subprocess.Popen[str]]:
    """A process that is at it, and has a file of the folder."""
    command = [sys.executable, str(CHILD), url, str(folder), str(NOW_S)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            process.stdin.write(lines)
            process.stdin.close()
            assert process.stdout.readline() == "0.db\n"
            yield process
        finally:
            process.kill()


def acknowledged(process: subprocess.Popen[str], patience: int) -> Iterator[str]:
    """Kill a process after so many acknowledgements; what it acknowledged until it was dead."""
    for _ in range(patience):
        yield process.stdout.readline()
    process.kill()
    yield from process.stdout


@pytest.mark.parametrize(("away", "patience"), [(True, 1), (True, 300), (False, 60)])
async def test_what_was_acknowledged_before_kill_9_is_taken_over_by_a_living_process(
    server: RedisServer,
    proxy: ChaosProxy,
    made: Examples,
    clock: Clock,
    folder: Path,
    away: bool,
    patience: int,
):
    decisions = [made.decision() for _ in range(1_000)]
    async with opened(redis_store(server.url, clock)) as direct:
        await direct.remember(decisions)
    lines = "".join(f"{d.id} {made.mint.feedback_id()} 0.5\n" for d in decisions)
    if away:
        proxy.cut()
    with promising(proxy.url, folder, lines) as process:
        async with opened(outbox_store(server.url, clock, folder)) as store:
            assert store._opened().own.file.path.name == "1.db"  # the other is the living one's
            said = list(acknowledged(process, patience))
            ids = {line.split()[0] for line in said if line.endswith(("d\n", "accepted\n"))}
            assert patience <= len(ids) < 1_000  # in the middle
            await eventually(lambda: _taken_over(store))
            await eventually(lambda: _has_all(store, ids))
            await given_over(store)
            log = Counter(entry.decision_id for entry in await store.evidence("auto", 0, 10_000))
            assert set(log.values()) == {1}
            await assert_whole(store)


async def _has_all(store: OutboxStore, ids: set[str]) -> bool:
    return ids <= (await scores(store)).keys()


def _taken_over(store: OutboxStore) -> bool:
    [name] = [box.file.path.name for box in store._opened().adopted] or [""]
    return name == "0.db"


async def test_every_process_has_a_file_of_its_own_and_each_is_used_again(
    server: RedisServer, clock: Clock, folder: Path
):
    def names(*stores: OutboxStore) -> list[str]:
        return [store._opened().own.file.path.name for store in stores]

    first, second, third, fourth = (outbox_store(server.url, clock, folder) for _ in range(4))
    async with opened(first), opened(second):
        async with opened(third):
            assert names(first, second, third) == ["0.db", "1.db", "2.db"]
        async with opened(fourth):
            assert names(fourth) in (["2.db"], ["3.db"])  # "2.db" may be taken over already
            assert not {
                box.file.path for one in (first, second) for box in one._opened().adopted
            } & {fourth._opened().own.file.path}


async def test_a_damaged_file_keeps_nobody_from_taking_over_the_others(
    server: RedisServer, proxy: ChaosProxy, made: Examples, clock: Clock, folder: Path
):
    proxy.cut()
    ours, theirs, last = (outbox_store(proxy.url, clock, folder) for _ in range(3))
    async with opened(ours), opened(theirs), opened(last):
        words = await promised(last, made, 3)
    (folder / "1.db").write_bytes(b"no database" * 1_000)
    async with opened(outbox_store(server.url, clock, folder)) as store:
        await eventually(lambda: [box.file.path.name for box in store._opened().adopted])
        await eventually(lambda: _equal(store, words))


async def _equal(store: OutboxStore, words: dict[str, float]) -> bool:
    return await scores(store) == words


async def test_a_full_disk_promises_nothing_and_forgets_nothing(
    store: OutboxStore, proxy: ChaosProxy, made: Examples
):
    proxy.cut()
    file = store._opened().own.file
    pages = await file._run(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
    await file._run(lambda db: db.execute(f"PRAGMA max_page_count = {pages + 8}").fetchall())
    decisions, words = [made.decision() for _ in range(60)], {}

    async def fill() -> None:
        for number, decision in enumerate(decisions):
            await store.remember([decision])
            await store.absorb("auto", [made.feedback(decision, number / 64, comment="x" * 900)])
            words[decision.id] = number / 64

    with pytest.raises(StoreUnavailable, match="full"):
        await fill()
    assert 0 < len(words) < 60
    posts = [store.absorb("auto", [made.feedback(d, 1.0, comment="x" * 9_000)]) for d in decisions]
    results = await asyncio.gather(*posts, return_exceptions=True)
    assert all(isinstance(result, StoreUnavailable) for result in results)
    await file._run(lambda db: db.execute("PRAGMA max_page_count = 100000").fetchall())
    proxy.heal()
    await given_over(store)
    assert await scores(store) == words
    await fill()
    await given_over(store)
    assert await scores(store) == {d.id: number / 64 for number, d in enumerate(decisions)}
    await assert_whole(store)


async def test_rows_go_when_their_decisions_have_expired_and_not_before_they_came_over(
    store: OutboxStore, proxy: ChaosProxy, made: Examples, clock: Clock
):
    await promised(store, made, 3)
    await noted(store)
    clock.advance(TTL_S / 2)
    proxy.cut()
    await promised(store, made, 2)
    clock.advance(TTL_S / 2 + 1.0)

    async def purged() -> bool:
        with pytest.raises(StoreUnavailable):  # the remote store still is away
            await store.expire()
        return await rows_of(store) == 4

    assert await purged()  # of the first, and not of the others
    clock.advance(TTL_S / 2)
    assert await purged()  # these have expired as well, and are still on their way
    proxy.heal()
    await eventually(lambda: store.pending() == Pending(dropped=2))  # the words came too late
    await eventually(lambda: _has_no_rows(store))


async def _has_no_rows(store: OutboxStore) -> bool:
    await store.expire()
    return not await rows_of(store)


@pytest.mark.parametrize("body", [b"", b"\0", b"\x01\xff\xff", bytes(300)])
async def test_a_damaged_row_is_counted_and_does_not_stop_the_others(
    store: OutboxStore, proxy: ChaosProxy, made: Examples, clock: Clock, folder: Path, body: bytes
):
    proxy.cut()
    words = await promised(store, made, 4)
    await store.close()
    with closing(sqlite3.connect(folder / "0.db", isolation_level=None)) as db:
        damaged = db.execute("UPDATE rows SET body = ? WHERE seq IN (1, 4)", [body]).rowcount
    assert damaged == 2  # the first decision, and the second one's word
    proxy.heal()
    gone, silent = list(words)[:2]
    async with opened(outbox_store(proxy.url, clock, folder)) as again:
        # Nobody knows the first decision now: what is said of it waits, and then is dropped.
        await eventually(lambda: again.pending() == Pending(waiting=1, parked=1, dropped=2))
        assert await scores(again) == {
            id_: score for id_, score in words.items() if id_ not in (gone, silent)
        }
        await assert_whole(again)


def names_in(folder: Path) -> list[str]:
    return [file.name for file in folder.glob("*")]


async def test_closing_leaves_no_thread_and_no_side_file(
    server: RedisServer, made: Examples, clock: Clock, folder: Path
):
    threads = set(threading.enumerate())
    async with opened(outbox_store(server.url, clock, folder)) as store:
        await promised(store, made, 2)
        mine = {thread for thread in set(threading.enumerate()) - threads if "store" in thread.name}
        assert len(mine) == 1
    assert not mine & set(threading.enumerate())
    assert names_in(folder) == ["0.db"]


async def test_a_folder_that_cannot_be_made_is_said_at_once(
    server: RedisServer, clock: Clock, tmp_path: Path
):
    (tmp_path / "file").touch()
    store = outbox_store(server.url, clock, tmp_path / "file" / "outbox")
    with pytest.raises(StoreUnusable, match=r"\[store\] outbox"):
        await store.open()
    with pytest.raises(StoreUnavailable, match="not open"):
        await store.remember([])
    (tmp_path / "file").unlink()
    async with opened(store):  # nothing is left of the first try
        assert await store.head("auto") == 0


async def test_a_remote_store_that_refuses_us_is_said_at_once_and_takes_no_file(
    tmp_path: Path, binary: Path, clock: Clock, folder: Path
):
    with running(tmp_path / "locked", binary=binary, options={"requirepass": "right"}) as server:
        with pytest.raises(StoreUnusable, match="password"):
            await outbox_store(server.url, clock, folder).open()
        assert names_in(folder) == []
