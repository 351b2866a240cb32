"""Several processes on one file, and processes that are killed."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from store_examples import NOW_S, TTL_S, Clock, Examples, opened

from banditroute.stores import SQLiteStore
from banditroute.stores.base import Store

pytestmark = pytest.mark.anyio

CHILD = Path(__file__).parent / "absorbing_process.py"


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Store:
    return SQLiteStore(tmp_path / "store.db", decision_ttl_s=TTL_S, clock=clock)


async def lines_to_absorb(store: Store, made: Examples, count: int) -> str:
    decisions = [made.decision() for _ in range(count)]
    async with opened(store):
        await store.remember(decisions)
    return "".join(f"{d.id} {made.mint.feedback_id()} 0.5\n" for d in decisions)


def start(path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(CHILD), str(path), str(NOW_S)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


async def logged(store: Store) -> Counter[str]:
    """How often each decision stands in the log, whose positions have no gap."""
    async with opened(store):
        log = await store.evidence("auto", 0, 100_000)
        assert [entry.position for entry in log] == list(range(1, await store.head("auto") + 1))
    return Counter(entry.decision_id for entry in log)


async def test_processes_that_post_the_same_learn_it_once(
    store: Store, made: Examples, tmp_path: Path
):
    lines = await lines_to_absorb(store, made, 100)
    processes = [start(tmp_path / "store.db") for _ in range(3)]
    for process in processes:
        process.stdin.write(lines)
        process.stdin.close()
    said = [line.split() for process in processes for line in process.stdout]
    for process in processes:
        process.stdout.close()
        assert process.wait() == 0
    assert Counter(status for _, status in said) == {"learned": 100, "unchanged": 200}
    found = await logged(store)
    assert len(found) == 100
    assert set(found.values()) == {1}


async def test_what_was_acknowledged_before_kill_9_is_in_the_log_once(
    store: Store, made: Examples, tmp_path: Path
):
    lines = await lines_to_absorb(store, made, 3_000)
    acknowledged = set()
    for patience in (1, 40, 333):
        with start(tmp_path / "store.db") as process:
            process.stdin.write(lines)  # from the first line on, as a client would that lost count
            process.stdin.close()
            fresh = (line for line in process.stdout if line.endswith(" learned\n"))
            acknowledged |= {next(fresh).split()[0] for _ in range(patience)}
            process.kill()
            # What it said before it died counts as well, but for a line cut short.
            rest = [line for line in process.stdout if line.endswith(" learned\n")]
            acknowledged |= {line.split()[0] for line in rest}
        assert process.returncode == -9
        found = await logged(store)
        assert acknowledged <= set(found)
        assert set(found.values()) == {1}
    assert len(acknowledged) < 3_000  # it was killed in the middle
