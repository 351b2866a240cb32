"""``banditroute import --prior``: start arms with what is known of them from elsewhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import typer
from rich.markup import escape

from banditroute.bootstrap import build_engine
from banditroute.cli.console import note, out, table
from banditroute.cli.probes import Probe, Probes, read_probes
from banditroute.config import Settings
from banditroute.core.priors import prior_of
from banditroute.core.quality import MOST_PRIOR_N
from banditroute.engine import Engine
from banditroute.values import Prior

NONE = "none"


@dataclass(frozen=True, slots=True)
class Told:
    """What an arm is told, and the mean of what is known of it before and after.

    ``readings`` is how many feedbacks it counts as. Means of nothing are None.
    """

    arm: str
    lines: int
    score: float | None
    readings: float
    before: float | None
    after: float | None


def import_priors(
    settings: Settings, source: str, router: str | None, asked: Sequence[str], *, as_json: bool
) -> None:
    """Give arms of one router a prior from a probe file or a data folder, or take theirs back."""
    name = _router(settings, router)
    if source == NONE and not asked:
        raise typer.BadParameter("--prior none: name the arms that lose their prior with --arm")
    if source != NONE and not Path(source).exists():
        raise typer.BadParameter(f"--prior {source}: there is no such file or folder")
    told, skipped = asyncio.run(_tell(build_engine(settings), name, source, asked))
    if as_json:
        priors = [asdict(one) for one in told]
        typer.echo(json.dumps({"router": name, "priors": priors, "skipped": skipped}, indent=2))
        return
    _show(f"priors of router {name}, {_origin(source)}", told)
    if skipped:
        note(f"left out: the answers of {', '.join(skipped)}")


def _router(settings: Settings, asked: str | None) -> str:
    names = [router.name for router in settings.routers]
    if asked is None and len(names) == 1:
        return names[0]
    if asked not in names:
        raise typer.BadParameter(f"--router: name one of {', '.join(names)}")
    return asked


async def _tell(
    engine: Engine, router: str, source: str, asked: Sequence[str]
) -> tuple[list[Told], list[str]]:
    """Read and check everything, then log one prior an arm."""
    await engine.start()
    try:
        before = await _means(engine, router)
        _check_arms(asked, list(before))
        found = await _probes(engine, router, source, asked)
        priors = [_prior(engine, arm, found.by_arm[arm]) for arm in before if arm in found.by_arm]
        for prior in priors:
            await engine.announce(router, prior)
        after = await _means(engine, router)
    finally:
        await engine.stop()
    told = [
        _told(prior, len(found.by_arm[prior.arm_id]), before[prior.arm_id], after[prior.arm_id])
        for prior in priors
    ]
    return told, found.skipped


async def _means(engine: Engine, router: str) -> dict[str, float | None]:
    """What is known of each arm's quality, on average over its requests; None for nothing."""
    _, reports = await engine.arms(router)
    return {report.id: report.quality for report in reports}


def _check_arms(asked: Sequence[str], arms: Sequence[str]) -> None:
    unknown = [arm_id for arm_id in asked if arm_id not in arms]
    if unknown:
        raise typer.BadParameter(
            f"--arm: the router has no {', '.join(unknown)}; name some of {', '.join(arms)}"
        )


async def _probes(engine: Engine, router: str, source: str, asked: Sequence[str]) -> Probes:
    if source == NONE:
        return Probes({arm_id: [] for arm_id in asked})
    roster = engine.in_force(router).roster
    return await asyncio.to_thread(read_probes, Path(source), engine.featurizer, roster, asked)


def _prior(engine: Engine, arm_id: str, probes: Sequence[Probe]) -> Prior:
    """The prior that the answers of an arm amount to; of none, what takes one back."""
    return prior_of(
        np.array([probe.x for probe in probes]).reshape(-1, engine.featurizer.dimension),
        np.array([probe.score for probe in probes]),
        np.array([probe.weight for probe in probes]),
        id_=engine.mint.feedback_id(),
        arm_id=arm_id,
        at_s=engine.clock(),
    )


def _told(prior: Prior, lines: int, before: float | None, after: float | None) -> Told:
    score = float(prior.moment[0]) / prior.n if prior.n else None
    return Told(prior.arm_id, lines, score, min(prior.n, MOST_PRIOR_N), before, after)


def _origin(source: str) -> str:
    return "taken back" if source == NONE else f"from {source}"


def _show(title: str, told: Sequence[Told]) -> None:
    columns = ("lines", "mean score", "as readings", "mean before", "mean after")
    rows = table("arm", *columns, title=escape(title))
    for one in told:
        means = [_number(value) for value in (one.before, one.after)]
        counts = (f"{one.lines:,}", _number(one.score), f"{one.readings:,.4g}")
        rows.add_row(one.arm, *counts, *means)
    out().print(rows)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
