"""``banditroute import``, and the state files that ``export`` makes for it: whole routers."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.console import Console
from rich.markup import escape

from banditroute.bootstrap import build_engine
from banditroute.cli.console import (
    DEFAULT_CONFIG,
    ConfigOption,
    StoreOption,
    note,
    out,
    settings_from,
    table,
)
from banditroute.cli.priors import import_priors
from banditroute.cli.progress import moving
from banditroute.cli.stored import expect_lasting, names, opened
from banditroute.config import Settings
from banditroute.errors import BanditrouteError
from banditroute.stores.transfer import Transferred, export_state, import_state

PIPE = Path("-")

JsonOption = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]


def export_states(
    settings: Settings,
    target: Path,
    routers: Sequence[str] | None,
    *,
    force: bool,
    as_json: bool,
) -> None:
    """Write whole routers to a file, for `banditroute import` into another store."""
    with writing(target, force=force) as file, moving("export", None) as advance:

        def write(data: bytes) -> None:
            file.write(data)
            advance(len(data))

        done = asyncio.run(_export(settings, routers, write))
    _show(done, f"exported to {target}", as_json=as_json, aside=target == PIPE)


def import_(
    source: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="What export wrote; - is stdin.")
    ] = None,
    prior: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Judged answers to start arms with; none: forget them."),
    ] = None,
    router: Annotated[
        str | None, typer.Option(help="With --prior: the router, if several.")
    ] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option(help="With --prior: only this arm; can be given several times."),
    ] = None,
    store: StoreOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Read whole routers from a file of `banditroute export` into another store.

    They go on from where they were, as if nothing had happened: same log positions, same
    learned numbers, and feedback that was posted before counts no second time. All routers of
    the file or none: the store must have nothing of theirs, and until the import has ended
    they cannot be used there; run it again if it was cut short. Routers keep their names, as
    every decision's id carries a digest of its router's.

    With --prior, a router that may be running starts its arms with what is known of them: FILE
    has one judged answer a line, {"prompt" or "messages", "arm", "score"} and if known "task",
    "tags", "weight"; or it is a data folder as for `banditroute demo`. Each arm's answers count
    as at most 200 feedbacks, instead of those given before. Nothing of a file with a mistake
    is used; run it again if it was cut short.
    """
    if (source is None) == (prior is None):
        raise typer.BadParameter("give either a FILE of `banditroute export`, or --prior FILE")
    if prior is None and (router is not None or arm):
        raise typer.BadParameter("--router and --arm go with --prior; a FILE is imported whole")
    settings = settings_from(config, store=store)
    expect_lasting(settings)
    if prior is not None:
        import_priors(settings, prior, router, arm or [], as_json=as_json)
    elif source is not None:
        _import_file(settings, source, as_json=as_json)


def _import_file(settings: Settings, source: Path, *, as_json: bool) -> None:
    with _reading(source) as (file, size), moving("import", size) as advance:

        def read(count: int) -> bytes:
            data = file.read(count)
            advance(len(data))
            return data

        done = asyncio.run(_import(settings, read))
    _show(done, f"imported from {source}", as_json=as_json)
    configured = build_engine(settings).featurizer.fingerprint
    for one in done:
        if one.fingerprint not in (None, configured):
            note(
                f"router {one.router} was learned from other context features than this "
                "configuration's: give it the [features] and [[tasks]] of the old one"
            )


async def _export(
    settings: Settings, asked: Sequence[str] | None, write: Callable[[bytes], object]
) -> list[Transferred]:
    async with opened(settings) as store:
        return await export_state(store, await names(store, settings, asked, "export"), write)


async def _import(settings: Settings, read: Callable[[int], bytes]) -> list[Transferred]:
    async with opened(settings) as store:
        return await import_state(store, read)


@contextmanager
def writing(path: Path, *, force: bool) -> Iterator[BinaryIO]:
    """What to write to: stdout, a device, or a file that takes its name once it is whole."""
    if path == PIPE:
        if sys.stdout.isatty():
            raise typer.BadParameter("--out -: this is a terminal; redirect it to a file")
        opened: AbstractContextManager[BinaryIO] = _stdout()
    elif path.is_dir() or not path.parent.is_dir():
        raise typer.BadParameter(f"{path} is a folder, or is to be in one that does not exist")
    elif path.is_file() and not force:
        raise typer.BadParameter(f"{path} exists; name another file, or replace it with --force")
    elif path.is_file() or not path.exists():
        opened = _replacing(path.resolve())
    else:
        opened = path.open("wb")
    try:
        with opened as file:
            yield file
    except OSError as error:
        raise BanditrouteError(f"{path} cannot be written: {error.strerror}") from error


@contextmanager
def _stdout() -> Iterator[BinaryIO]:
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _reading(path: Path) -> Iterator[tuple[BinaryIO, int | None]]:
    """A file, and how many bytes it has where that is known."""
    if path == PIPE:
        yield sys.stdin.buffer, None
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}") from None
    with file:
        yield file, path.stat().st_size


def _show(done: list[Transferred], title: str, *, as_json: bool, aside: bool = False) -> None:
    """Print the summary, on stderr where stdout is the file."""
    if as_json:
        typer.echo(json.dumps({"routers": [asdict(one) for one in done]}, indent=2), err=aside)
        return
    columns = ("decisions", "entries", "checkpoints", "head", "bytes")
    rows = table("router", *columns, title=escape(title))
    for one in done:
        numbers = asdict(one)
        rows.add_row(one.router, *(f"{numbers[column]:,}" for column in columns))
    (Console(stderr=True, highlight=False) if aside else out()).print(rows)
