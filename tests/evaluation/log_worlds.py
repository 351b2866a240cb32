"""Logs in which everything happens that can happen to a router."""

from __future__ import annotations

import random
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

from doubles import arm, asking, engine_on, featurizer, outcome, retraction, router, score

from banditroute.core.pacing import Budget
from banditroute.core.posterior import FeatureGroups
from banditroute.engine import Engine, Operator
from banditroute.engine.follower import Features
from banditroute.stores.packing import pack_decision
from banditroute.values import ArmStatus, Decision, FeedbackKind, Request, Wishes

FEATURES = Features(FeatureGroups(featurizer().groups), featurizer().fingerprint)
TEXTS = ("Write code for me", "How many apples?", "Hi", "Übersetze das: “été”\n")
BUDGET = Budget(usd_per_day=0.2)
ARMS = (arm("a"), arm("b", output_usd_per_mtok=9.0), arm("c", input_usd_per_mtok=0.1))


def world(store: Any, clock: Any, seed: int = 3) -> Engine:
    """An engine with a budget that soon has a price."""
    return engine_on(store, clock, router(*ARMS, budgets=(BUDGET,)), seed=seed)


async def live(engine: Engine, clock: Any, rounds: int, seed: int = 1) -> list[Decision]:
    """Answers, words, second thoughts, other prices, a named arm, a fallback; all decisions."""
    rng = random.Random(seed)
    made: list[Decision] = []
    for n in range(rounds):
        decision = engine.decide("auto", _request(rng))
        made += await _kept(engine, decision)
        clock.advance(rng.uniform(1.0, 400.0))
        if n % 7 == 3:  # the call failed, another arm answered
            await engine.report(outcome(decision, error="timeout", output_tokens=None))
            decision = engine.decide("auto", asking(), out={decision.arm_id: "failed"},
                                     parent=decision)  # fmt: skip
            made += await _kept(engine, decision)
        await engine.report(outcome(decision, cost_usd=rng.uniform(1e-4, 3e-3)))
        await engine.learn([score(engine, decision, rng.random(), comment="secret words",
                                  metadata={"who": "secret person"})])  # fmt: skip
        if n % 3 == 1:
            await _think_again(engine, rng.choice(made), rng)
        if n % 10 == 5:
            await _change(engine, n)
            made += await _kept(engine, engine.decide_for_arm("b", asking()))
        await engine.level("auto")
    return made


async def _kept(engine: Engine, decision: Decision) -> list[Decision]:
    engine.remember(decision)
    assert await engine.settled(decision)
    return [decision]


def _request(rng: random.Random) -> Request:
    wishes = Wishes(task="maths", tags=("t",), session_id="secret session",
                    explore=rng.random() > 0.1)  # fmt: skip
    text = rng.choice(TEXTS) * rng.randint(1, 5)
    return Request(asking(text).body, wishes, payers=("key:secret key",))


async def _think_again(engine: Engine, decision: Decision, rng: random.Random) -> None:
    """Another source speaks, the first one amends what it said or takes it back."""
    await engine.learn([
        score(engine, decision, rng.random(), source="judge", kind=FeedbackKind.SCORE),
        score(engine, decision, rng.choice([0.0, 1.0]), kind=FeedbackKind.THUMBS),
    ])  # fmt: skip
    if rng.random() < 0.3:
        await engine.learn([retraction(engine, decision)])


async def _change(engine: Engine, n: int) -> None:
    price = {"output_usd_per_mtok": 2.0 + n / 10}
    await Operator(engine).adjust("auto", "c", ArmStatus.ACTIVE, price, f"news-{n}")


def tamper(path: Path, decision: Decision, **changes: Any) -> Decision:
    """Write into a SQLite file what was never decided."""
    tampered = replace(decision, **changes)
    with sqlite3.connect(path) as db:
        body = pack_decision(tampered)
        changed = db.execute("UPDATE decisions SET body = ? WHERE id = ?", (body, decision.id))
        assert changed.rowcount == 1
    db.close()
    return tampered


def with_probability(decision: Decision, arm_id: str, probability: float) -> tuple[Any, ...]:
    """The candidates, one of them with another probability."""
    return tuple(
        one._replace(probability=probability) if one.arm_id == arm_id else one
        for one in decision.candidates
    )
