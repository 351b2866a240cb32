"""``banditroute export`` and ``import``: whole routers, from one store to another."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

from banditroute.bootstrap import build_engine
from banditroute.cli.console import (
    DEFAULT_CONFIG,
    ConfigOption,
    StoreOption,
    expect_store,
    note,
    out,
    settings_from,
    table,
)
from banditroute.cli.priors import import_priors
from banditroute.config import Settings
from banditroute.errors import BanditrouteError, StoreUnusable
from banditroute.stores import Store, open_store
from banditroute.stores.transfer import Transferred, export_state, has_state, import_state

PIPE = Path("-")

JsonOption = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]


def export(
    target: Annotated[Path, typer.Option("--out", help="The file to write; - is stdout.")],
    store: StoreOption = None,
    router: Annotated[
        list[str] | None, typer.Option(help="Only this router; can be given several times.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write whole routers to a file: their log, checkpoints and decisions with their feedback.

    For `banditroute import` into another store. Routers may go on running: the file then holds
    what they had learned at one moment of the export. Stop them first when they are to move,
    so that nothing comes after. Decisions past their time to live are left out.
    """
    settings = settings_from(config, store=store)
    _check_lasting(settings)
    expect_store(settings.store.url)
    with _writing(target, force=force) as file, _progress("export", None) as advance:

        def write(data: bytes) -> None:
            file.write(data)
            advance(len(data))

        done = asyncio.run(_export(settings, router, write))
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
    _check_lasting(settings)
    if prior is not None:
        import_priors(settings, prior, router, arm or [], as_json=as_json)
    elif source is not None:
        _import_file(settings, source, as_json=as_json)


def _import_file(settings: Settings, source: Path, *, as_json: bool) -> None:
    with _reading(source) as (file, size), _progress("import", size) as advance:

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
    async with _opened(settings) as store:
        return await export_state(store, await _names(store, settings, asked), write)


async def _import(settings: Settings, read: Callable[[int], bytes]) -> list[Transferred]:
    async with _opened(settings) as store:
        return await import_state(store, read)


async def _names(store: Store, settings: Settings, asked: Sequence[str] | None) -> list[str]:
    """The routers to export: those asked for, or the configured ones that have anything."""
    names = dict.fromkeys(asked or [router.name for router in settings.routers])
    found = [name for name in names if await has_state(store, name)]
    missing = [name for name in names if name not in found]
    if missing and (asked or not found):
        raise StoreUnusable(
            f"nothing to export of router {', '.join(missing)} in this store: name another store "
            "with --store, or its routers with --router"
        )
    for name in missing:
        note(f"router {name} has nothing in this store; it is left out")
    return found


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Store]:
    store = open_store(
        settings.store.url, decision_ttl_s=settings.store.decision_ttl_s, clock=time.time
    )
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def _check_lasting(settings: Settings) -> None:
    if settings.store.url == "memory://":
        raise StoreUnusable("memory:// ends with the command: name a lasting store with --store")


@contextmanager
def _writing(path: Path, *, force: bool) -> Iterator[BinaryIO]:
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


@contextmanager
def _progress(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar of bytes on stderr, while that is a terminal; call what it gives with each piece."""
    console = Console(stderr=True)
    columns = (title, BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(title, total=total)
        yield lambda count: progress.advance(task, count)


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
