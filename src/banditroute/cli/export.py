"""``banditroute export``: a router's decisions as rows, or whole routers as a state file."""

from __future__ import annotations

import time
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from banditroute.cli.console import (
    DEFAULT_CONFIG,
    ConfigOption,
    StoreOption,
    expect_store,
    settings_from,
)
from banditroute.cli.decision_log import Order, export_log
from banditroute.cli.stored import expect_lasting
from banditroute.cli.times import TIME_HELP, moment_s
from banditroute.cli.transfer import JsonOption, export_states
from banditroute.core.identity import lowest_id, parse_decision_id
from banditroute.errors import InvalidRequest
from banditroute.evaluation.exporting import Span
from banditroute.evaluation.reading import JSONL, PACKED, PARQUET
from banditroute.evaluation.rows import Contents
from banditroute.evaluation.writing import Form


class Format(StrEnum):
    """What an export is written as."""

    STATE = "state"
    JSONL = "jsonl"
    PARQUET = "parquet"


def export(
    target: Annotated[Path, typer.Option("--out", help="The file to write; - is stdout.")],
    store: StoreOption = None,
    router: Annotated[
        list[str] | None, typer.Option(help="Only this router; can be given several times.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    form: Annotated[
        Format | None, typer.Option("--format", help="What to write, whatever the file's name.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an earlier export to FILE ended.")
    ] = False,
    after: Annotated[
        str | None, typer.Option(metavar="ID", help="Only decisions after this one.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"Only decisions made since. {TIME_HELP}")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"Only decisions made before. {TIME_HELP}")
    ] = None,
    prompts: Annotated[
        bool,
        typer.Option("--prompts", help="With the prompts, where the configuration keeps them."),
    ] = False,
    private: Annotated[
        bool, typer.Option("--private", help="With sessions, payers, comments and metadata.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write what a router did to a file. What is written follows from the file's name.

    FILE.jsonl, FILE.jsonl.gz, FILE.parquet: one row a decision, with the probability of every
    arm, the outcome and the feedback, for `banditroute evaluate` and other tools; docs/log.md
    explains the columns. An export that was cut short leaves FILE.partial, and --resume goes on
    with it. Given again once a JSON file is whole, --resume adds what came since.

    Any other name: whole routers, for `banditroute import` into another store: their log,
    checkpoints and decisions with their feedback. Routers may go on running: the file then holds
    what they had learned at one moment of the export. Stop them first when they are to move,
    so that nothing comes after.

    Decisions past their time to live are left out.
    """
    settings = settings_from(config, store=store)
    expect_lasting(settings)
    expect_store(settings.store.url)
    written = form or _named(target)
    if written is Format.STATE:
        given = {"--resume": resume, "--after": after, "--since": since, "--until": until}
        _refuse(given | {"--prompts": prompts, "--private": private})
        export_states(settings, target, router, force=force, as_json=as_json)
        return
    order = Order(
        settings,
        router,
        target,
        Form(written.value),
        Contents(prompts, private),
        _span(after, since, until),
        resume,
        force,
    )
    export_log(order, as_json=as_json)


def _named(target: Path) -> Format:
    if target.name.endswith((JSONL, PACKED)):
        return Format.JSONL
    return Format.PARQUET if target.name.endswith(PARQUET) else Format.STATE


def _refuse(given: Mapping[str, object]) -> None:
    """Refuse options of a decision log for a state file."""
    options = ", ".join(option for option, value in given.items() if value)
    if options:
        raise typer.BadParameter(
            f"{options}: for a decision log only; name the file FILE{JSONL}, FILE{PACKED} or "
            f"FILE{PARQUET}, or say --format"
        )


def _span(after: str | None, since: str | None, until: str | None) -> Span:
    """The ids that the options leave; times are those in the ids."""
    now_s = time.time()
    first = "" if since is None else lowest_id(int(moment_s("--since", since, now_s) * 1000))
    last = None if until is None else lowest_id(int(moment_s("--until", until, now_s) * 1000))
    if last is not None and last <= first:
        raise typer.BadParameter("--until is not after --since: nothing lies between them")
    try:
        begun = "" if after is None else parse_decision_id(after)
    except InvalidRequest as error:
        raise typer.BadParameter(f"--after: {error}") from None
    return Span(max(begun, first), last)
