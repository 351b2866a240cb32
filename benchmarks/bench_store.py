"""Feedbacks per second and bytes per decision of each store.

``python benchmarks/bench_store.py [--seconds 2] [--dir FOLDER]``. Every feedback is the first
of its decision, posted by one of C clients that each wait for the answer before the next post;
SQLite's answer waits for the disk, so the folder should lie on the disk to be measured.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from banditroute.core.identity import Mint
from banditroute.stores import Store, open_store
from banditroute.values import Candidate, Decision, Feedback, Outcome

ARMS, D = 10, 90
CONCURRENCY = (1, 16, 64, 256)
DAY_S = 86_400.0
SEED = 7


class Workload:
    """Decisions over ``ARMS`` arms with ``D`` features, and one feedback for each."""

    def __init__(self, seed: int, *, fingerprint: str = "bench", dimension: int = D) -> None:
        self.fingerprint, self.dimension = fingerprint, dimension
        self.mint = Mint(lambda: int(time.time() * 1000), random.Random(seed).randbytes)
        self.rng = np.random.default_rng(seed)

    def decisions(self, count: int) -> list[Decision]:
        """So many decisions, each with an id of its own."""
        return [self.decision() for _ in range(count)]

    def decision(self) -> Decision:
        """A decision whose numbers are all different, so that nothing packs well by luck."""
        numbers = self.rng.random((ARMS, 10))
        return Decision(
            id=self.mint.decision_id("auto"),
            router="auto",
            arm_id="arm-0",
            propensity=0.1,
            candidates=tuple(Candidate(f"arm-{k}", *row.tolist()) for k, row in enumerate(numbers)),
            excluded={},
            x=self.rng.normal(size=self.dimension).astype(np.float32).astype(np.float64),
            fingerprint=self.fingerprint,
            position=0,
            policy="thompson",
            floor=0.005,
            seed=SEED,
            answer_value_usd=0.05,
            patience_s=120.0,
            made_at_s=time.time(),
            input_tokens=500,
        )

    def feedback(self, decision: Decision) -> Feedback:
        """A first word on a decision."""
        return Feedback(self.mint.feedback_id(), decision.id, float(self.rng.random()))

    def outcome(self, decision: Decision) -> Outcome:
        """What the call did."""
        tokens = int(self.rng.integers(1, 1000))
        return Outcome(decision.id, 500, tokens, cost_usd=float(self.rng.random()), latency_s=1.5)


async def remember(store: Store, workload: Workload, count: int) -> list[Decision]:
    decisions = workload.decisions(count)
    for start in range(0, count, 500):
        await store.remember(decisions[start : start + 500])
    return decisions


async def absorbed_per_s(
    store: Store, workload: Workload, decisions: list[Decision], clients: int, seconds: float
) -> float:
    waiting: Iterator[Feedback] = iter([workload.feedback(decision) for decision in decisions])
    done = 0
    began = time.perf_counter()

    async def client() -> None:
        nonlocal done
        for feedback in waiting:
            await store.absorb("auto", [feedback])
            done += 1
            if time.perf_counter() - began > seconds:
                return

    await asyncio.gather(*(client() for _ in range(clients)))
    return done / (time.perf_counter() - began)


def size_of(path: Path) -> int:
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))


async def measure(name: str, url: str, seconds: float) -> None:
    for clients in CONCURRENCY:
        store = open_store(url.format(clients), decision_ttl_s=DAY_S, clock=time.time)
        await store.open()
        workload = Workload(SEED)
        decisions = await remember(store, workload, int(20_000 * seconds))
        rate = await absorbed_per_s(store, workload, decisions, clients, seconds)
        await store.close()
        print(f"{name:8} {clients:4} clients {rate:10,.0f} feedbacks/s", flush=True)


async def measure_size(path: Path, count: int = 5_000) -> None:
    store = open_store(f"sqlite:///{path}", decision_ttl_s=DAY_S, clock=time.time)
    workload = Workload(SEED)
    await store.open()
    decisions = await remember(store, workload, count)
    await store.close()  # the write-ahead log is folded into the file
    bare = size_of(path)
    await store.open()
    await store.absorb("auto", [workload.feedback(decision) for decision in decisions])
    await store.close()
    learned = size_of(path)
    print(f"{bare / count:,.0f} bytes on disk per decision ({ARMS} arms, d = {D}), ", end="")
    print(f"{(learned - bare) / count:,.0f} more with its feedback in the log")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--dir", default=None, help="where to make the files (default: temporary)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir) as folder:
        asyncio.run(measure("memory", "memory://", options.seconds))
        asyncio.run(measure("sqlite", f"sqlite:///{folder}/bench-{{}}.db", options.seconds))
        asyncio.run(measure_size(Path(folder, "size.db")))


if __name__ == "__main__":
    main()
