"""A small linear problem, asks and replays to test the rivals with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from banditroute.core.posterior import FeatureGroups
from banditroute.core.roster import Roster
from banditroute.simulation import Ask, Cell, Player, Problem
from banditroute.values import Arm, Context, Vector

DIMENSION = 4


def roster(arms: int) -> Roster:
    """Each arm ten times as dear as the one before."""
    return Roster(
        tuple(Arm(f"arm-{k}", "p", f"m-{k}", 0.1 * 10.0**k, 10.0**k) for k in range(arms))
    )


def linear_problem(
    rng: np.random.Generator, prompts: int = 600, arms: int = 3, noise: float = 0.1
) -> Problem:
    """Quality is linear in x, differently for every arm, so context pays."""
    x = np.concatenate([np.ones((prompts, 1)), rng.normal(size=(prompts, DIMENSION - 1))], axis=1)
    theta = np.concatenate(
        [np.full((arms, 1), 0.5), rng.normal(0.0, 0.15, size=(arms, DIMENSION - 1))], axis=1
    )
    quality = np.clip(x @ theta.T + rng.normal(0.0, noise, size=(prompts, arms)), 0.0, 1.0)
    unknown = np.full((prompts, arms), np.nan)
    return Problem(
        name="linear",
        groups=FeatureGroups(("bias", *["shape"] * (DIMENSION - 1))),
        contexts=tuple(Context(row, 100) for row in x),
        tasks=(None,) * prompts,
        roster=roster(arms),
        quality=quality,
        cost_usd=np.tile(1e-4 * 10.0 ** np.arange(arms), (prompts, 1)),
        output_tokens=unknown,
        latency_s=unknown,
    )


def ask_of(
    problem: Problem,
    at: int,
    value_usd: float = float("inf"),
    barred: Sequence[str] = (),
) -> Ask:
    """Prompt ``at`` of the problem, asked as request ``at``."""
    return Ask(
        at=at,
        at_s=float(at),
        prompt=at,
        decision_id=f"decision-{at}",
        context=problem.contexts[at],
        roster=problem.roster,
        answer_value_usd=value_usd,
        barred=frozenset(barred),
    )


def taught(
    player: Player,
    problem: Problem,
    rows: Sequence[int],
    value_usd: float = float("inf"),
) -> Iterator[tuple[Ask, Vector]]:
    """Every ask with the player's probabilities for it, after which arm ``rows[at]`` is used."""
    for at, row in enumerate(rows):
        ask = ask_of(problem, at, value_usd)
        yield ask, player.probabilities(ask)
        quality, cost = float(problem.quality[at, row]), float(problem.cost_usd[at, row])
        player.called(ask, row, 0.5, Cell(quality, cost, None, None))
        player.told(ask, row, 0.5, quality)


def all_on(row: int, arms: int) -> Vector:
    """The distribution that is certain of one arm."""
    return np.eye(arms)[row]
