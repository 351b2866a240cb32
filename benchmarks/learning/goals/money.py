"""G2, G4, G6, G10: budgets, sparse feedback under a budget, price changes, poisoned feedback."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from lab import PARETO_POOL, Lab, Table, mean_error, problem, router, shown, shuffled

from banditroute.core.pacing import Budget
from banditroute.simulation import Problem, Scenario, play
from banditroute.simulation.studies.changes import Against, Repriced
from banditroute.values import Tuning

# arXiv 2604.00136: quality of ParetoBandit at dollars a request, on its own test split.
PUBLISHED = {
    2.9e-5: 0.793,
    8.3e-5: 0.813,
    2.3e-4: 0.859,
    6.6e-4: 0.898,
    1.9e-3: 0.917,
    5.3e-3: 0.924,
    1.5e-2: 0.929,
}
SPARSE = {3e-4: 0.875, 6.6e-4: 0.890, 1.9e-3: 0.918}
SPARSE_RATE = 0.02
POISON_RATE = 0.1
BOUND_SD = 1.5
CUT = 0.1


@dataclass(frozen=True, slots=True)
class Job:
    """One shuffle at one budget."""

    lab: Lab
    budget_usd: float
    seed: int
    course: Scenario = field(default_factory=Scenario)
    winsorise_sd: float | None = None


def pool(lab: Lab) -> Problem:
    """The three arms of the published budgets."""
    return problem(lab.data, "paretobandit_val", arms=PARETO_POOL)


def run(job: Job) -> tuple[np.ndarray, np.ndarray]:
    """Quality and dollars, request by request."""
    posed = pool(job.lab)
    budget = Budget(usd_per_request=job.budget_usd)
    player = router(posed, job.seed, budget)
    player.state.quality.tune(Tuning("", 0.0, winsorise_sd=job.winsorise_sd))
    trace = play(player, posed, shuffled(posed, job.seed), job.seed, job.course)
    return trace.quality, trace.cost_usd


def static_mix(posed: Problem, budget_usd: float) -> float:
    """The best quality that a fixed mix of two arms has at a budget, in hindsight."""
    cost, quality = posed.cost_usd.mean(axis=0), posed.quality.mean(axis=0)
    affordable = quality[cost <= budget_usd]
    best = float(affordable.max()) if affordable.size else float(quality[cost.argmin()])
    for cheap in np.flatnonzero(cost <= budget_usd):
        for dear in np.flatnonzero(cost > budget_usd):
            share = (budget_usd - cost[cheap]) / (cost[dear] - cost[cheap])
            best = max(best, float(quality[cheap] + share * (quality[dear] - quality[cheap])))
    return best


def g2(lab: Lab) -> Table:
    """Quality at seven budgets."""
    posed, rows = pool(lab), []
    cheapest = min(PUBLISHED)
    for budget_usd, published in PUBLISHED.items():
        runs = lab.map(run, [Job(lab, budget_usd, seed) for seed in lab.seeds])
        quality = [float(q.mean()) for q, _ in runs]
        cost = np.array([float(c.mean()) / budget_usd for _, c in runs])
        mix = static_mix(posed, budget_usd)
        goal = max(published + 0.002, mix - 0.001)
        kept = budget_usd == cheapest or (cost.mean() <= 1.0 and cost.max() <= 1.01)
        met = "met" if mean_error(quality)[0] >= goal and kept else "not met"
        spent = f"{cost.mean():.3f} / {cost.max():.3f}"
        rows.append(
            (f"{budget_usd:.1e}", f"{published:.3f}", f"{mix:.4f}", shown(quality), spent, met)
        )
    columns = ("$/request", "published", "static mix", "banditroute", "cost/B mean / worst", "")
    return Table("G2: seven budgets", columns, tuple(rows))


def g4(lab: Lab) -> Table:
    """2% feedback against the published numbers at 100%."""
    rows = []
    course = Scenario(feedback_rate=SPARSE_RATE)
    for budget_usd, published in SPARSE.items():
        runs = lab.map(run, [Job(lab, budget_usd, seed, course) for seed in lab.seeds])
        quality = [float(q.mean()) for q, _ in runs]
        met = "met" if mean_error(quality)[0] >= published else "not met"
        cost = float(np.mean([c.mean() for _, c in runs])) / budget_usd
        rows.append((f"{budget_usd:.1e}", f"{published:.3f}", shown(quality), f"{cost:.3f}", met))
    columns = ("$/request", "published at 100%", "banditroute at 2%", "cost/B", "")
    return Table("G4: sparse feedback", columns, tuple(rows))


def g6(lab: Lab) -> Table:
    """The dearest arm's price falls to a tenth after a third, and comes back after another."""
    rows, dearest = [], len(PARETO_POOL) - 1
    third = len(pool(lab)) // 3
    changes = {third: Repriced(dearest, CUT), 2 * third: Repriced(dearest, 1.0 / CUT)}
    for budget_usd in (6.6e-4, 9e-4, 1.2e-3):
        course = Scenario(changes=changes)
        runs = lab.map(run, [Job(lab, budget_usd, seed, course) for seed in lab.seeds])
        phases = [slice(0, third), slice(third, 2 * third), slice(2 * third, None)]
        shares = [[float(c[phase].mean()) / budget_usd for _, c in runs] for phase in phases]
        quality = [f"{np.mean([q[phase].mean() for q, _ in runs]):.4f}" for phase in phases]
        spent = [f"{np.mean(share):.3f}" for share in shares]
        inside = all(0.95 <= float(np.mean(share)) <= 1.05 for share in shares)
        cells = [f"{share} ({q})" for share, q in zip(spent, quality, strict=True)]
        rows.append((f"{budget_usd:.1e}", *cells, "met" if inside else "not met"))
    columns = ("$/request", "before: cost/B (quality)", "at a tenth", "back", "all 0.95–1.05")
    return Table("G6: a price falls and rises", columns, tuple(rows))


def g10(lab: Lab) -> Table:
    """A tenth of the feedback says that good arms are bad, and the cheapest is good."""
    rows = []
    lies = Scenario(poison_rate=POISON_RATE, poison=Against(frozenset({1, 2})))
    for budget_usd in PUBLISHED:
        clean = _qualities(lab, budget_usd, Scenario(), None)
        losses = [clean - _qualities(lab, budget_usd, lies, bound) for bound in (None, BOUND_SD)]
        met = "met" if mean_error(losses[1])[0] <= 0.01 else "not met"
        rows.append((f"{budget_usd:.1e}", shown(clean), *map(shown, losses), met))
    columns = ("$/request", "clean", "loss", f"loss with winsorise = {BOUND_SD}", "≤ 0.010")
    return Table("G10: poisoned feedback", columns, tuple(rows))


def _qualities(
    lab: Lab, budget_usd: float, course: Scenario, winsorise_sd: float | None
) -> np.ndarray:
    jobs = [Job(lab, budget_usd, seed, course, winsorise_sd) for seed in lab.seeds]
    return np.array([float(quality.mean()) for quality, _ in lab.map(run, jobs)])
