"""``banditroute evaluate``: what other policies would have earned, from a router's own log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from banditroute.cli.console import DEFAULT_CONFIG, ConfigOption, StoreOption
from banditroute.cli.evaluation_log import Source, read_log
from banditroute.cli.evaluation_tables import show
from banditroute.cli.progress import counting
from banditroute.cli.times import TIME_HELP
from banditroute.errors import BanditrouteError
from banditroute.evaluation import (
    BEST_FIXED,
    Evaluation,
    Instead,
    Overhead,
    Ways,
    Weights,
    evaluation_view,
)
from banditroute.evaluation import evaluate as evaluate_log
from banditroute.plugins import load_policy

ALL_REFUSED = 1


def evaluate(
    store: StoreOption = None,
    log: Annotated[
        Path | None,
        typer.Option("--log", metavar="FILE", help="A decision log that export wrote, instead."),
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    router: Annotated[str | None, typer.Option(help="Which router's log, if several.")] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPEC",
            help="What to judge: thompson, linucb:2, greedy, epsilon-greedy:.1, uniform, "
            "fixed:ARM, or your own file.py:Class; can be given several times.",
        ),
    ] = None,
    answer_value_usd: Annotated[
        float | None,
        typer.Option(help="Choose, and count, as if a perfect answer were worth this."),
    ] = None,
    patience_s: Annotated[
        float | None,
        typer.Option(help="Choose, and count, as if so many seconds cancelled it."),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="ARM", help="Without this arm; can be given several times."),
    ] = None,
    floor: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="With this exploration floor.")
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(metavar="ARM", help=f"What routing saved against this arm; or {BEST_FIXED}."),
    ] = None,
    router_usd: Annotated[
        float,
        typer.Option(
            "--router-usd-per-request", min=0.0, help="What the router costs, off the savings."
        ),
    ] = 0.0,
    judge_usd: Annotated[
        float,
        typer.Option(
            "--judge-usd-per-answer", min=0.0, help="What judging one answer costs, off too."
        ),
    ] = 0.0,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"Only decisions made since. {TIME_HELP}")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"Only decisions made before. {TIME_HELP}")
    ] = None,
    by: Annotated[str, typer.Option(help="Also for every group by task, tag, or task,tag.")] = "",
    estimator: Annotated[
        str, typer.Option(help="Which one to show: dr, ips, clipped-ips, snips, dm, switch-dr.")
    ] = "dr",
    level: Annotated[float, typer.Option(help="How sure intervals and verdicts are.")] = 0.95,
    model: Annotated[
        str, typer.Option(help="Who predicts rewards: the router as logged, or ridge regression.")
    ] = "logged",
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write everything, by every estimator, to this file as JSON."),
    ] = None,
) -> None:
    """Say what another policy would have earned, from the log of the one that chose.

    Each decision is asked again of every --policy, with what the router predicted of each arm
    then; --answer-value-usd, --patience-s, --without and --floor change what it asks for, and
    without a --policy they change the one in force. Choices are judged given what the router had
    learned: how another policy would have learned, `banditroute simulate` says.

    Only answers that somebody judged can count. Where the log cannot say anything of a policy,
    it is refused with the reason. "promote" means surely better in utility, however often this
    is looked at; utility = quality − cost / answer value − waiting / patience.

    Exit codes: 1 where everything that was asked is refused, 2 where the question must change.
    """
    _check_file(json_file)
    weights = Weights(
        _positive("--answer-value-usd", answer_value_usd), _positive("--patience-s", patience_s)
    )
    groups = tuple(name.strip() for name in by.split(",") if name.strip())
    ways = Ways(weights, model, estimator, level, groups)
    targets = _targets(policy or (), Instead(None, weights, frozenset(without or ()), floor))
    rounds = read_log(Source(config, store, log, router, since, until))
    with counting("evaluate policies") as advance:
        advance(0, len(targets))
        found = evaluate_log(
            rounds,
            targets,
            baseline=baseline,
            overhead=Overhead(router_usd, judge_usd),
            ways=ways,
            progress=lambda done: advance(done, len(targets)),
        )
    show(found)
    _write(json_file, found)
    if found.all_refused:
        raise typer.Exit(ALL_REFUSED)


def _targets(specs: Sequence[str], changed: Instead) -> list[Instead]:
    """Every policy that was named, changed alike; without one, the policy in force if changed."""
    if specs:
        return [replace(changed, policy=load_policy(spec)) for spec in specs]
    return [] if changed == Instead() else [changed]


def _positive(option: str, value: float | None) -> float | None:
    if value is not None and not 0.0 < value < float("inf"):
        raise typer.BadParameter(f"{option}: give a number above 0")
    return value


def _check_file(path: Path | None) -> None:
    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        raise typer.BadParameter(f"--json {path}: is a folder, or in one that does not exist")


def _write(path: Path | None, found: Evaluation) -> None:
    if path is None:
        return
    try:
        path.write_text(json.dumps(evaluation_view(found), indent=2) + "\n")
    except OSError as error:
        raise BanditrouteError(f"{path} cannot be written: {error.strerror}") from error
