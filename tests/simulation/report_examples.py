"""Studies to report on: made-up curves of policies that learn, with known means."""

from collections.abc import Mapping, Sequence

import numpy as np

from banditroute.simulation.results import Chapter, Curves, Means, Results, Run

ARMS = ("small/haiku", "middle/sonnet", "large/opus", "free/tiny")
QUALITY = np.array([0.62, 0.74, 0.81, 0.45])
COST_USD = np.array([2e-4, 9e-4, 6e-3, 0.0])
VALUE_USD = 0.05


def chapter(
    scenario: str = "plain",
    policies: Sequence[str] = ("banditroute", "context-free", "random"),
    *,
    seeds: int = 3,
    parts: int = 40,
    requests: int = 2_000,
    marks: Sequence[tuple[int, str]] = (),
    budget_usd: float | None = None,
    answer_value_usd: float = VALUE_USD,
    cost_usd: np.ndarray = COST_USD,
    arms: Sequence[str] = ARMS,
) -> Chapter:
    """Every policy prefers good arms more and more, the first the fastest; marks set them back."""
    ends = np.linspace(0, requests, parts + 1).astype(np.int64)[1:]
    utility = QUALITY - cost_usd / answer_value_usd
    return Chapter(
        scenario=scenario,
        about=f"What happens in {scenario}.",
        marks=tuple(marks),
        arms=tuple(arms),
        arm_quality=QUALITY,
        arm_cost_usd=cost_usd,
        answer_value_usd=answer_value_usd,
        budget_usd=budget_usd,
        requests=requests,
        ends=ends,
        baselines=_baselines(utility, cost_usd),
        runs=tuple(
            _run(policy, 1.0 + place, seed, ends, [at for at, _ in marks], utility, cost_usd)
            for place, policy in enumerate(policies)
            for seed in range(seeds)
        ),
    )


def study(*chapters: Chapter, title: str = "Does it learn?", notes: Sequence[str] = ()) -> Results:
    return Results("example", title, "made-up data, 4 arms", tuple(chapters), tuple(notes))


def _baselines(utility: np.ndarray, cost_usd: np.ndarray) -> Mapping[str, Means]:
    best = int(utility.argmax())
    return {
        "best_fixed": Means(float(QUALITY[best]), float(cost_usd[best]), float(utility[best])),
        "random": Means(float(QUALITY.mean()), float(cost_usd.mean()), float(utility.mean())),
        "oracle": Means(0.93, 1.1e-3, 0.908),
    }


def _run(
    policy: str,
    slowness: float,
    seed: int,
    ends: np.ndarray,
    changes: Sequence[int],
    utility: np.ndarray,
    cost_usd: np.ndarray,
) -> Run:
    rng = np.random.default_rng([seed, int(10 * slowness)])
    since = np.min([ends, *(np.where(ends > at, ends - at, ends) for at in changes)], axis=0)
    weight = np.exp(np.outer(since / (60.0 * slowness), utility - utility.max()))
    shares = weight / weight.sum(axis=1, keepdims=True)
    quality = shares @ QUALITY + rng.normal(0.0, 0.02, len(ends))
    cost = shares @ cost_usd * rng.uniform(0.9, 1.1, len(ends))
    # With no cost, utility is quality: utility − QUALITY is what a share of each arm costs.
    earned = quality + (shares @ (utility - QUALITY))
    curves = Curves(earned, quality, cost, np.full(len(ends), utility.max()), shares)
    half = len(ends) // 2
    return Run(
        policy=policy,
        seed=seed,
        means=Means(float(quality.mean()), float(cost.mean()), float(earned.mean())),
        quality_first_500=float(quality[:10].mean()),
        quality_last_half=float(quality[half:].mean()),
        regret=float((utility.max() - earned).mean()),
        failed=2 * seed if changes else 0,
        curves=curves,
    )
