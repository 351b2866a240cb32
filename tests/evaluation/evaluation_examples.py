"""Logs with a known truth, made by real engines and by plain draws."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from doubles import Clock, arm, engine_on, memory, outcome, router, score

from banditroute.core.policies import Policy
from banditroute.evaluation import Log, row_of
from banditroute.values import Arm, Decision, Outcome, Request, Wishes

PRICES = {"cheap": 0.5, "middle": 3.0, "dear": 12.0}
GOOD = {  # how often an answer is right, by what is asked
    "code": {"cheap": 0.3, "middle": 0.6, "dear": 0.9},
    "chat": {"cheap": 0.8, "middle": 0.6, "dear": 0.8},
}
TOKENS, WAITED_S = 500, 2.0
CHANCES, TRUTH, DOLLARS = (0.2, 0.3, 0.5), (0.7, 0.5, 0.2), (0.001, 0.002, 0.004)


def cost(arm_id: str) -> float:
    return PRICES[arm_id] * (TOKENS + 20) / 1e6


@cache
def rows(
    count: int = 400, policy: Policy | None = None, judged: float = 1.0, source: str = "user"
) -> tuple[dict[str, Any], ...]:
    """The rows of a log of decisions that a learning engine made at a high floor."""
    return tuple(asyncio.run(_rows(count, policy, judged, source)))


async def _rows(
    count: int, policy: Policy | None, judged: float, source: str
) -> list[dict[str, Any]]:
    rng, clock = random.Random(1), Clock()
    store = memory(clock)
    engine = engine_on(store, clock, router(*_arms(), policy=policy, floor=0.3))
    await engine.start()
    try:
        for _ in range(count):
            clock.advance(1.0)
            task = rng.choice(["code", "chat"])
            body = {"messages": [{"role": "user", "content": f"Please {task} {rng.random()}"}]}
            made = engine.decide("auto", Request(body, Wishes(task=task, tags=("all", task))))
            await store.remember([made])
            await store.record("auto", [came(made)])
            if rng.random() < judged:
                right = float(rng.random() < GOOD[task][made.arm_id])
                await store.absorb("auto", [score(engine, made, right, source=source)])
            await engine.level("auto")
        return [dict(row_of(record)) async for record in store.decisions("auto")]
    finally:
        await engine.stop()


def _arms() -> list[Arm]:
    return [
        arm(name, input_usd_per_mtok=price, output_usd_per_mtok=price)
        for name, price in PRICES.items()
    ]


def came(made: Decision) -> Outcome:
    dollars = cost(made.arm_id)
    return outcome(made, output_tokens=TOKENS, cost_usd=dollars, latency_s=WAITED_S)


def truth(log: Log) -> np.ndarray:
    """(T, K) how often each arm would have been right in each round of an engine's log."""
    return np.array([[GOOD[str(task)][arm_id] for arm_id in log.arms] for task in log.tasks])


def drawn(
    rounds: int,
    chances: Sequence[float] = CHANCES,
    good: Sequence[float] = TRUTH,
    *,
    seed: int = 7,
    **more: Any,
) -> Log:
    """A log of arms a, b and c, drawn with fixed chances and right as often as said."""
    rng = np.random.default_rng(seed)
    took = rng.choice(3, size=rounds, p=chances)
    right = (rng.random(rounds) < np.array(good)[took]).astype(float)
    given: dict[str, Any] = {
        "quality": right,
        "probabilities": np.tile(chances, (rounds, 1)),
        "cost_usd": np.array(DOLLARS)[took],
        "predictions": {
            "quality": np.tile(good, (rounds, 1)),
            "cost_usd": np.tile(DOLLARS, (rounds, 1)),
        },
    }
    return Log.of_arrays("abc", took, **{**given, **more})
