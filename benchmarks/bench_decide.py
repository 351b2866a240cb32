"""How long a decision takes, beside the one matrix-vector product it cannot do without.

    python benchmarks/bench_decide.py

Both sides are timed in turn in one process, so that the ratio holds on a noisy machine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from banditroute.core.beliefs import Knowledge, Objective
from banditroute.core.choice import Rules, choose
from banditroute.core.context import Featurizer, TaskSpec
from banditroute.core.fold import RouterState
from banditroute.core.policies import LinUCB, Policy, Thompson
from banditroute.core.posterior import FeatureGroups
from banditroute.core.roster import Roster
from banditroute.values import Arm, Context, QualityEvidence, Reading, Request, Wishes

REPEATS = 1000
DECISION_ID = "019b0000-0000-7000-8000-000000000000"
PROMPT = "Refactor this Python class so that it can be tested without a database. " * 28


def taught(arms: int, featurizer: Featurizer) -> tuple[Roster, Knowledge]:
    """A router that has seen each of its arms thirty times."""
    rng = np.random.default_rng(0)
    roster = Roster(tuple(Arm(f"arm-{k}", "p", "m", 0.1 * (k + 1), 0.4) for k in range(arms)))
    state = RouterState.empty(FeatureGroups(featurizer.groups))
    for position in range(1, 30 * arms + 1):
        x = np.append(1.0, rng.normal(size=featurizer.dimension - 1) / 5.0)
        arm_id = roster.ids[position % arms]
        reading = Reading(float(rng.random()), 1.0)
        state.fold([QualityEvidence(position, DECISION_ID, arm_id, x, None, reading)])
    return roster, state.knowledge()


def p50_us(work: Callable[[], object], floor: Callable[[], object]) -> tuple[float, float]:
    """Medians of two pieces of work in microseconds, run in turn."""
    times = np.empty((REPEATS, 2))
    for repeat in range(REPEATS):
        for column, piece in enumerate((work, floor)):
            began = time.perf_counter_ns()
            piece()
            times[repeat, column] = time.perf_counter_ns() - began
    medians = np.median(times, axis=0) / 1e3
    return float(medians[0]), float(medians[1])


def main() -> None:
    """Print the table."""
    tasks = [TaskSpec(f"task-{t}", (f"example number {t} of a task",)) for t in range(5)]
    featurizer = Featurizer(tasks=tasks)
    request = Request({"messages": [{"role": "user", "content": PROMPT}]}, Wishes(task="task-1"))
    objective = Objective(0.05, 120.0)
    print(f"d = {featurizer.dimension}; medians of {REPEATS}, in µs")
    print(
        f"{'arms':>5} {'policy':10} {'decision':>10} {'matvec':>8} {'ratio':>6} {'+ context':>10}"
    )
    for arms in (4, 10, 50, 200):
        roster, knowledge = taught(arms, featurizer)
        context = featurizer.context(request)
        stacked = knowledge.covariances.reshape(-1, featurizer.dimension)
        policies: tuple[Policy, ...] = (Thompson(), LinUCB())
        for policy in policies:

            def decide(
                seen: Context = context,
                policy: Policy = policy,
                roster: Roster = roster,
                knowledge: Knowledge = knowledge,
            ) -> object:
                beliefs = knowledge.beliefs(roster, seen, objective, 0.0)
                return choose(beliefs, roster, Rules(policy, 0.005, 0), None, DECISION_ID)

            def floor(stacked: np.ndarray = stacked, x: np.ndarray = context.x) -> object:
                return stacked @ x

            whole, _ = p50_us(lambda decide=decide: decide(featurizer.context(request)), floor)
            alone, least = p50_us(decide, floor)
            name = policy.spec.partition(":")[0]
            print(
                f"{arms:5} {name:10} {alone:10.0f} {least:8.1f} {alone / least:6.1f} {whole:10.0f}"
            )


if __name__ == "__main__":
    main()
