"""How long a decision takes, beside the one matrix-vector product it cannot do without.

    python benchmarks/bench_decide.py

Then how much memory a router takes. All sides of a line are timed in turn in one process, so
that the ratios hold on a noisy machine.
"""

from __future__ import annotations

import os
import time
import tracemalloc
from collections.abc import Callable
from itertools import product

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from banditroute.core.beliefs import Knowledge, Objective
from banditroute.core.choice import Choice, Rules, choose, eligible
from banditroute.core.context import Featurizer, TaskSpec
from banditroute.core.fold import RouterState
from banditroute.core.policies import LinUCB, Policy, Thompson
from banditroute.core.posterior import FeatureGroups
from banditroute.core.roster import Roster
from banditroute.values import (
    Arm,
    Context,
    OutcomeEvidence,
    QualityEvidence,
    Reading,
    Request,
    Wishes,
)

REPEATS = 1000
DECISION_ID = "019b0000-0000-7000-8000-000000000000"
NOW_S = 1_800_000_000.0
PROMPT = "Refactor this Python class so that it can be tested without a database. " * 28
REQUEST = Request({"messages": [{"role": "user", "content": PROMPT}]}, Wishes(task="task-1"))
OBJECTIVE = Objective(answer_value_usd=0.05, patience_s=120.0)
POLICIES: tuple[Policy, ...] = (Thompson(), LinUCB())


def plain_featurizer() -> Featurizer:
    """What a router without declared tasks sees, in 80 numbers."""
    return Featurizer(task_slots=22)


def featurizer(tasks: int) -> Featurizer:
    """All groups of features, with some declared tasks that have examples."""
    examples = [(f"example number {t} of a task",) for t in range(tasks)]
    return Featurizer(tasks=[TaskSpec(f"task-{t}", shown) for t, shown in enumerate(examples)])


def roster_of(arms: int) -> Roster:
    """Arms of ever higher price."""
    return Roster(tuple(Arm(f"arm-{k}", "p", "m", 0.1 * (k + 1), 0.4) for k in range(arms)))


def taught(roster: Roster, features: Featurizer) -> RouterState:
    """A router that called its arms thirty times each on average, the first far more often."""
    rng = np.random.default_rng(0)
    state = RouterState.empty(FeatureGroups(features.groups))
    for call in range(30 * len(roster)):
        place = call if call < len(roster) else int(len(roster) * rng.random() ** 3)
        x = np.append(1.0, rng.normal(size=features.dimension - 1) / 5.0)
        reading = Reading(float(rng.random()), 1.0)
        said = QualityEvidence(2 * call + 1, f"d-{call}", roster.ids[place], x, None, reading)
        state.fold([said, outcome_after(said, rng)])
    return state


def outcome_after(said: QualityEvidence, rng: np.random.Generator) -> OutcomeEvidence:
    """What the call might have done that something was said of."""
    return OutcomeEvidence(
        said.position + 1,
        said.decision_id,
        said.arm_id,
        said.x,
        at_s=NOW_S,
        output_tokens=float(rng.integers(10, 900)),
        cost_usd=float(rng.uniform(1e-4, 1e-2)),
        latency_s=float(rng.uniform(0.5, 3.0)),
        ttft_s=None,
        error=None,
    )


def p50_us(*works: Callable[[], object]) -> list[float]:
    """Medians of pieces of work in microseconds, run in turn."""
    times = np.empty((REPEATS, len(works)))
    for repeat in range(REPEATS):
        for column, work in enumerate(works):
            began = time.perf_counter_ns()
            work()
            times[repeat, column] = time.perf_counter_ns() - began
    return [float(median) for median in np.median(times, axis=0) / 1e3]


def line(roster: Roster, knowledge: Knowledge, policy: Policy, features: Featurizer) -> list[float]:
    """A decision, one with its context, and the product alone; p50 in microseconds."""
    seen, rules = features.context(REQUEST), Rules(policy, 0.005, 0)
    squares = np.zeros(knowledge.spreads.shape[1])

    def decide(context: Context) -> Choice:
        beliefs = knowledge.beliefs(roster, context, OBJECTIVE, NOW_S + 60.0)
        return choose(
            eligible(beliefs, {}), roster, rules, knowledge.usage.recent_spend_usd(), DECISION_ID
        )

    alone, least = p50_us(lambda: decide(seen), lambda: knowledge.spreads @ squares)
    (whole,) = p50_us(lambda: decide(features.context(REQUEST)))
    return [alone, whole, least]


def memory_mb(arms: int, features: Featurizer) -> tuple[float, float]:
    """MB of a router's state, and with the two copies that exist while one replaces another."""
    roster = roster_of(arms)
    tracemalloc.start()
    state = taught(roster, features)
    folded = tracemalloc.get_traced_memory()[0]
    published = [state.knowledge() for _ in range(2)]
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(published) == 2
    return folded / 1e6, held / 1e6


def main() -> None:
    """Print the table, and the memory."""
    print(f"medians of {REPEATS}, in µs")
    titles = ("decision", "+ context", "product", "ratio")
    print(f"{'d':>5} {'arms':>5} {'policy':10}", *(f"{title:>10}" for title in titles))
    for features, arms in product((plain_featurizer(), featurizer(tasks=5)), (4, 10, 50, 200)):
        d, roster = features.dimension, roster_of(arms)
        knowledge = taught(roster, features).knowledge()
        for policy in POLICIES:
            alone, whole, least = line(roster, knowledge, policy, features)
            name, ratio = policy.spec.partition(":")[0], alone / least
            times = f"{alone:10.0f} {whole:10.0f} {least:10.1f} {ratio:10.1f}"
            print(f"{d:5} {arms:5} {name:10} {times}")
    wide = featurizer(tasks=7)
    folded, held = memory_mb(50, wide)
    print(f"50 arms, d = {wide.dimension}: a state of {folded:.1f} MB, {held:.1f} MB in all")


if __name__ == "__main__":
    main()
