"""A process that promises what it reads: ``decision_id feedback_id score`` per line.

Usage: promising_process.py URL FOLDER NOW_S. Says which file of the folder it has, then
``decision_id status`` for each line, and then waits to be killed.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from banditroute.stores import OutboxStore, RedisStore
from banditroute.stores.redis import connect, parse_address
from banditroute.values import Feedback

TTL_S = 800_000.0


async def main(url: str, folder: Path, now_s: float) -> None:
    remote = RedisStore(
        lambda: connect(parse_address(url)), decision_ttl_s=TTL_S, clock=lambda: now_s
    )
    store = OutboxStore(remote, folder, decision_ttl_s=TTL_S, clock=lambda: now_s)
    await store.open()
    print(store._opened().own.file.path.name, flush=True)
    lines = iter(sys.stdin.read().splitlines())

    async def work() -> None:
        for line in lines:  # shared by the workers, so that several wait for each commit
            decision_id, feedback_id, score = line.split()
            said = Feedback(feedback_id, decision_id, float(score))
            [status] = await store.absorb("auto", [said])
            print(decision_id, status, flush=True)

    await asyncio.gather(*(work() for _ in range(4)))
    print("done", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])))
