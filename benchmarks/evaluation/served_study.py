"""Policies judged by logs that a served router made over HTTP, against what they are worth."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lab import Lab, Table, mean_error
from served import Served, served_log

from banditroute.core.policies import EpsilonGreedy, Fixed, Greedy, LinUCB, Uniform
from banditroute.datasets import Dataset
from banditroute.evaluation import Instead, Log, Row, evaluate, row_of
from banditroute.stores import open_store

REQUESTS = 5_000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Found:
    """What one log says of one policy's quality, and whether that is true."""

    policy: str
    refused: bool
    error: float = float("nan")
    width: float = float("nan")
    covered: bool = False
    always: bool = False


def served(lab: Lab, runs: int) -> list[Table]:
    """Coverage of doubly robust estimates on ``runs`` logs, in one table."""
    found = [one for seed in range(runs) for one in judged(lab.data, seed)]
    rows = [_row([one for one in found if one.policy == policy]) for policy in _names(found)]
    columns = ("policy", "logs", "refused", "mean error", "RMSE", "mean width", "covered", "always")
    title = f"Quality by DR on logs of {REQUESTS:,} requests, served over HTTP to a Thompson router"
    return [Table(title, columns, tuple(rows))]


def judged(folder: Path, seed: int) -> list[Found]:
    """Serve a log, and judge every policy by it."""
    with served_log(folder, REQUESTS, seed) as made:
        return judge(made)


def judge(made: Served) -> list[Found]:
    """What a log says of the targets, beside what every answer would have been worth."""
    rows = asyncio.run(_rows(made.store))
    log = Log.of_rows(rows)
    if len(log) != len(rows):
        raise SystemExit(f"{len(rows) - len(log)} of {len(rows)} decisions do not count: {log}")
    column = {name: at for at, name in enumerate(made.data.arms)}
    prompts = [made.prompts[row["id"]] for row in rows]
    quality = made.data.quality[prompts][:, [column[arm] for arm in log.arms]]
    targets = _targets(made.data)
    judgements = evaluate(log, targets).targets
    found = []
    for target, judgement in zip(targets, judgements, strict=True):
        if "quality" in judgement.refusals:
            found.append(Found(target.name, refused=True))
            continue
        measured = judgement.measures["quality"]
        truth = float((target.probabilities(log) * quality).sum(axis=1).mean())
        value, always = measured.values["dr"], measured.always
        found.append(
            Found(
                target.name,
                refused=False,
                error=value.estimate - truth,
                width=value.high - value.low,
                covered=value.low <= truth <= value.high,
                always=always is not None and always.low <= truth <= always.high,
            )
        )
    return found


def _targets(data: Dataset) -> list[Instead]:
    """Five other policies, and the one in force without the best arm.

    The best and the second arm are those of the data: the log does not know which they are.
    """
    second, best = np.argsort(data.quality.mean(axis=0), kind="stable")[-2:]
    policies = (
        Greedy(),
        LinUCB(),
        EpsilonGreedy(0.1),
        Uniform(),
        Fixed(data.arms[best]),
        Fixed(data.arms[second]),
    )
    without = Instead(without=frozenset([data.arms[best]]))
    return [*(Instead(policy) for policy in policies), without]


async def _rows(url: str) -> list[Row]:
    store = open_store(url, decision_ttl_s=1e9, clock=time.time)
    await store.open()
    try:
        return [row_of(record) async for record in store.decisions("auto")]
    finally:
        await store.close()


def _names(found: list[Found]) -> list[str]:
    return list(dict.fromkeys(one.policy for one in found))


def _row(found: list[Found]) -> tuple[str, ...]:
    said = [one for one in found if not one.refused]
    mean, error = mean_error([one.error for one in said]) if said else (np.nan, np.nan)
    root = float(np.sqrt(np.mean([one.error**2 for one in said]))) if said else np.nan
    return (
        found[0].policy,
        str(len(found)),
        str(len(found) - len(said)),
        f"{mean:+.4f} ± {error:.4f}",
        f"{root:.4f}",
        f"{np.mean([one.width for one in said]):.3f}" if said else "–",
        f"{sum(one.covered for one in said)} of {len(said)}",
        f"{sum(one.always for one in said)} of {len(said)}",
    )
