"""Decisions, outcomes and feedback to put into stores."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields
from typing import Any

import numpy as np

from banditroute.core.identity import Mint
from banditroute.stores.base import Store
from banditroute.values import (
    Arm,
    ArmChange,
    ArmStatus,
    Candidate,
    Decision,
    Feedback,
    Outcome,
    Prior,
    Retraction,
    SourceChange,
)

NOW_S = 1_800_000_000.0
TTL_S = 800_000.0

ARM = Arm("arm-9", "openai", "new", 1.0, 4.0, 0.5, 8192, frozenset({"tools", "json"}),
          labels=frozenset({"eu"}), settings={"temperature": 0.5})  # fmt: skip


class Clock:
    """Seconds since the epoch; stands still until told to move."""

    def __init__(self, now_s: float = NOW_S) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        self.now_s += seconds


class Examples:
    """Makes values with fresh, increasing ids."""

    def __init__(self, clock: Clock, seed: int = 7) -> None:
        self.clock = clock
        self.mint = Mint(lambda: int(clock() * 1000), random.Random(seed).randbytes)
        self.rng = np.random.default_rng(seed)

    def decision(self, router: str = "auto", arms: int = 2, d: int = 3, **changes: Any) -> Decision:
        x = self.rng.normal(size=d).astype(np.float32).astype(np.float64)
        candidates = tuple(
            Candidate(f"arm-{k}", 1 / arms, 0.5, 0.1, 0.05, 0.002, 1.5, 0.01, 0.4, 2.0, 8.0)
            for k in range(arms)
        )
        values: dict[str, Any] = {
            "id": self.mint.decision_id(router),
            "router": router,
            "arm_id": "arm-0",
            "propensity": 1 / arms,
            "candidates": candidates,
            "excluded": {"dear": "budget"},
            "x": x,
            "fingerprint": "features-1",
            "position": 0,
            "policy": "thompson",
            "floor": 0.005,
            "seed": 2**64 - 1,
            "answer_value_usd": 0.05,
            "patience_s": 120.0,
            "made_at_s": self.clock(),
            "input_tokens": 250,
            "task": "maths",
            "tags": ("a", "ü"),
        }
        return Decision(**{**values, **changes})

    def feedback(self, decision: Decision | str, score: float = 1.0, **changes: Any) -> Feedback:
        id_ = decision if isinstance(decision, str) else decision.id
        return Feedback(
            **{"id": self.mint.feedback_id(), "decision_id": id_, "score": score, **changes}
        )

    def retraction(self, decision: Decision, **changes: Any) -> Retraction:
        return Retraction(**{"id": self.mint.feedback_id(), "decision_id": decision.id, **changes})

    def outcome(self, decision: Decision | str, **changes: Any) -> Outcome:
        id_ = decision if isinstance(decision, str) else decision.id
        return Outcome(
            **{
                "decision_id": id_,
                "input_tokens": 240,
                "output_tokens": 100,
                "cost_usd": 0.00128,
                "latency_s": 2.5,
                **changes,
            }
        )

    def arm_change(self, **changes: Any) -> ArmChange:
        return ArmChange(
            **{**self._place(), "status": ArmStatus.ACTIVE, "arm": ARM, "basis": "", **changes}
        )

    def source_change(self, **changes: Any) -> SourceChange:
        id_ = self.mint.feedback_id()
        return SourceChange(
            **{"id": id_, "source": "bot", "at_s": self.clock(), "quarantined": True, **changes}
        )

    def prior(self, d: int = 3, **changes: Any) -> Prior:
        x = self.rng.normal(size=(5, d))
        sums = {"n": 5.0, "gram": x.T @ x, "moment": x.sum(axis=0), "square": 2.5}
        return Prior(**{**self._place(), **sums, **changes})

    def _place(self) -> dict[str, Any]:
        return {"id": self.mint.feedback_id(), "arm_id": "arm-9", "at_s": self.clock()}


@asynccontextmanager
async def opened(store: Store) -> AsyncIterator[Store]:
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def plain(value: Any) -> dict[str, Any]:
    """A value's fields with arrays as bytes, so that == also tells 0.0 from -0.0 in them."""
    named = {f.name: getattr(value, f.name) for f in fields(value)}
    if "news" in named:
        named["news"] = plain(named["news"])
    return {name: v.tobytes() if isinstance(v, np.ndarray) else v for name, v in named.items()}


async def evidence_of(store: Store, router: str = "auto") -> list[dict[str, Any]]:
    """A whole log, in a form that == compares to the bit."""
    return [plain(entry) for entry in await store.evidence(router, 0, 100_000)]


async def records_of(store: Store, router: str = "auto") -> list[tuple[Any, ...]]:
    """All that is known of every decision, in a form that == compares to the bit."""
    return [
        (plain(record.decision), record.outcome, list(record.marks.items()))
        async for record in store.decisions(router)
    ]
