"""A process that absorbs what it reads: ``decision_id feedback_id score`` per line.

Usage: absorbing_process.py FILE NOW_S. Says ``decision_id status`` once a feedback is learned.
"""

from __future__ import annotations

import asyncio
import sys

from banditroute.stores import SQLiteStore
from banditroute.values import Feedback


async def absorb(store: SQLiteStore, line: str) -> None:
    decision_id, feedback_id, score = line.split()
    feedback = Feedback(feedback_id, decision_id, float(score))
    [status] = await store.absorb("auto", [feedback])
    print(decision_id, status, flush=True)


async def main(path: str, now_s: float) -> None:
    store = SQLiteStore(path, decision_ttl_s=1e6, clock=lambda: now_s, busy_timeout_s=60.0)
    await store.open()
    lines = iter(sys.stdin.read().splitlines())

    async def work() -> None:
        for line in lines:  # shared by the workers, so that several wait for each commit
            await absorb(store, line)

    await asyncio.gather(*(work() for _ in range(4)))
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
