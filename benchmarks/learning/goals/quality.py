"""G1, G3, G8 and the comparison with peers: how good the answers are that the router picks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
from lab import SETS, Lab, Table, mean_error, problem, router, shown, shuffled
from peers import peer

from banditroute.core.posterior import FeatureGroups
from banditroute.simulation import Player, Problem, Scenario, play
from banditroute.simulation.rivals import RIVALS

QUALITY_ALONE = float("inf")
DEAREST_COSTS = (0.05, 0.2)  # reward that the dearest arm's mean call costs, at the other two V
G1 = {
    "mmlu_pro": (0.730, 0.738),
    "llmrouter_ulab": (0.640, 0.650),
    "paretobandit_val": (0.936, None),
    "bfcl_tools": (0.890, None),
}
RATIO = 0.997
MOST_LOSS, MOST_BELOW = 0.001, 0.010


@dataclass(frozen=True, slots=True)
class Run:
    """One policy on one shuffle: mean reward of it all, the first 500, and the last half."""

    mean: float
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class Job:
    """What to run; ``value`` is the answer's worth in dollars."""

    root: Path
    data: str
    policy: str
    seed: int
    value: float = QUALITY_ALONE
    with_task: bool = True


def values_of(problem: Problem) -> list[float]:
    """Three worths of an answer: quality alone, and two at which the dearest arm's price hurts.

    A set without costs has the first alone.
    """
    if not problem.priced:
        return [QUALITY_ALONE]
    dearest = float(problem.cost_usd.mean(axis=0).max())
    return [QUALITY_ALONE, *(dearest / share for share in DEAREST_COSTS)]


def run(job: Job) -> Run:
    """Play one job."""
    posed = problem(job.root, job.data, with_task=job.with_task)
    course = Scenario(answer_value_usd=job.value)
    player, seen = player_of(job.policy, posed, job.seed, course)
    trace = play(player, seen, shuffled(posed, job.seed), job.seed, course)
    reward = trace.utility(job.value)
    half = len(reward) // 2
    return Run(float(reward.mean()), float(reward[:500].mean()), float(reward[half:].mean()))


def player_of(policy: str, posed: Problem, seed: int, course: Scenario) -> tuple[Player, Problem]:
    """A player by name, and the problem as it sees it."""
    if policy == "banditroute":
        return router(posed, seed), posed
    if policy == "banditroute without context":
        bare = without_context(posed)
        return router(bare, seed), bare
    if policy in RIVALS:
        return RIVALS[policy](posed, seed, course), posed
    return peer(policy)(posed, seed, course), posed


def without_context(posed: Problem) -> Problem:
    """The same problem for a policy that looks at nothing: only the bias is left."""
    contexts = tuple(replace(one, x=one.x[:1].copy()) for one in posed.contexts)
    return replace(posed, contexts=contexts, groups=FeatureGroups(posed.groups.names[:1]))


def g1(lab: Lab) -> Table:
    """Mean reward on every set, one configuration for all."""
    rows = []
    for data, (whole, last) in G1.items():
        runs = lab.map(run, [Job(lab.data, data, "banditroute", seed) for seed in lab.seeds])
        means, halves = [r.mean for r in runs], [r.last for r in runs]
        met = mean_error(means)[0] >= whole and (last is None or mean_error(halves)[0] >= last)
        goal = f"≥ {whole:.3f}" + (f" (last half ≥ {last:.3f})" if last else "")
        first = shown([r.first for r in runs], 3)
        rows.append((data, goal, shown(means), first, shown(halves), "met" if met else "not met"))
    columns = ("set", "goal", "whole stream", "first 500", "last half", "")
    return Table("G1: quality", columns, tuple(rows))


def g3(lab: Lab) -> Table:
    """Against ridge regression that sees every arm's answer to every prompt so far."""
    rows = []
    for data in SETS:
        for value in values_of(problem(lab.data, data)):
            ours, ceiling = (
                np.array([r.last for r in lab.map(run, _jobs(lab, data, name, value))])
                for name in ("banditroute", "ridge-full")
            )
            ratio = ours / ceiling
            met = "met" if mean_error(ratio)[0] >= RATIO else "not met"
            rows.append((data, worth(value), shown(ours), shown(ceiling), shown(ratio), met))
    columns = ("set", "V", "banditroute", "full information", "ratio", f"≥ {RATIO}")
    return Table("G3: last half against the full-information ceiling", columns, tuple(rows))


def g8(lab: Lab) -> Table:
    """With context against without, with the task and without it."""
    rows = []
    for data in SETS:
        for with_task in (True, False):
            make = partial(_jobs, lab, data, value=QUALITY_ALONE, with_task=with_task)
            ours, bare = (
                np.array([r.mean for r in lab.map(run, make(name))])
                for name in ("banditroute", "banditroute without context")
            )
            gain, below = mean_error(ours - bare)[0], float(ours.mean() - ours.min())
            met = "met" if gain >= -MOST_LOSS and below <= MOST_BELOW else "not met"
            told = "yes" if with_task else "no"
            rows.append((data, told, shown(ours), shown(ours - bare), f"{below:.4f}", met))
    columns = ("set", "task sent", "with context", "gain", "worst shuffle below mean", "")
    return Table("G8: the guard", columns, tuple(rows))


def compare(lab: Lab, policies: Sequence[str]) -> Table:
    """The router beside others on the same orders, features and feedback."""
    rows = []
    for data in SETS:
        for value in values_of(problem(lab.data, data)):
            ours = np.array(_ours(lab, data, value))
            rows.append((data, worth(value), "banditroute", shown(ours), ""))
            for policy in policies:
                theirs = [r.mean for r in lab.recall(run, _jobs(lab, data, policy, value))]
                gain = ours[: len(theirs)] - np.array(theirs)
                rows.append((data, worth(value), policy, shown(theirs), shown(gain)))
    columns = ("set", "V", "policy", "mean reward", "banditroute − policy")
    return Table("Peers, side by side", columns, tuple(rows))


@cache
def _ours(lab: Lab, data: str, value: float) -> list[float]:
    """The router's mean rewards, played once for all who are compared with it."""
    return [r.mean for r in lab.map(run, _jobs(lab, data, "banditroute", value))]


def worth(value: float) -> str:
    """The worth of an answer, in words."""
    return "∞" if value == QUALITY_ALONE else f"${value:.3g}"


def _jobs(lab: Lab, data: str, policy: str, value: float, *, with_task: bool = True) -> list[Job]:
    return [Job(lab.data, data, policy, seed, value, with_task) for seed in lab.seeds]
