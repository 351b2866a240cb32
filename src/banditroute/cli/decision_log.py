"""What ``banditroute export`` does for a decision log: from the store into a file or a pipe."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape

from banditroute.cli.console import note, out, table
from banditroute.cli.progress import counting
from banditroute.cli.stored import names, opened
from banditroute.cli.transfer import PIPE, writing
from banditroute.config import Settings
from banditroute.errors import BanditrouteError
from banditroute.evaluation.exporting import Exported, Span, export_rows
from banditroute.evaluation.rows import Contents
from banditroute.evaluation.writing import Draft, Form, Lines, open_draft
from banditroute.values import DecisionId

SHOW_EVERY = 100


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be exported, and where to."""

    settings: Settings
    routers: Sequence[str] | None
    target: Path
    form: Form
    contents: Contents
    span: Span
    resume: bool
    force: bool

    @property
    def is_stream(self) -> bool:
        """Whether what is written cannot be looked at again: a pipe, a terminal, a device."""
        return self.target == PIPE or (self.target.exists() and not self.target.is_file())


@dataclass(frozen=True, slots=True)
class Delivered:
    """What was written this time, and how many bytes there are. ``after``: what was there."""

    routers: list[Exported]
    bytes: int
    after: DecisionId | None = None


def export_log(order: Order, *, as_json: bool) -> None:
    """Write a decision log, and say what is in it."""
    if order.is_stream and (order.resume or order.form is Form.PARQUET):
        what = "--resume" if order.resume else "Parquet"
        raise typer.BadParameter(
            f"--out {order.target}: {what} needs a file that can be read again"
        )
    delivered = asyncio.run(_deliver(order))
    if as_json:
        said = json.dumps({**asdict(delivered), "format": order.form.value}, indent=2)
        typer.echo(said, err=order.target == PIPE)
    else:
        _show(delivered, order)


async def _deliver(order: Order) -> Delivered:
    async with opened(order.settings) as store:
        routers = await names(store, order.settings, order.routers, "export")
        with _lines(order) as lines, _counter() as advance:
            done = await export_rows(store, routers, lines, order.span, advance)
            size = lines.finish()
    return Delivered(done, size, lines.last or None)


@contextmanager
def _lines(order: Order) -> Iterator[Lines]:
    """Where rows go to: a stream, or a file that can be gone on with."""
    if order.is_stream:
        with writing(order.target, force=order.force) as file:
            yield Lines(file.write, order.contents)
        return
    target = order.target.resolve()
    if target.is_dir() or not target.parent.is_dir():
        raise typer.BadParameter(f"{target} is a folder, or is to be in one that does not exist")
    try:
        with _draft(target, order) as draft:
            yield draft
    except OSError as error:
        raise BanditrouteError(f"{target} cannot be written: {error.strerror}") from error


@contextmanager
def _draft(target: Path, order: Order) -> Iterator[Draft]:
    how = {"resume": order.resume, "force": order.force}
    with open_draft(target, order.form, order.contents, **how) as draft:
        try:
            yield draft
        except BaseException:
            if draft.has_begun:
                note(f"{draft.path} keeps what was exported so far: go on with --resume")
            raise


@contextmanager
def _counter() -> Iterator[Callable[[], None]]:
    """A bar that counts the calls of what it gives."""
    count = 0
    with counting("export decisions") as show:

        def advance() -> None:
            nonlocal count
            count += 1
            if count % SHOW_EVERY == 0:
                show(count, None)

        yield advance


def _show(delivered: Delivered, order: Order) -> None:
    """Print the summary, on stderr where stdout is the file."""
    rows = table(
        "router",
        *("decisions", "outcomes", "judged"),
        title=escape(f"exported to {order.target}, {delivered.bytes:,} bytes"),
    )
    for one in delivered.routers:
        counts = (one.decisions, one.outcomes, one.judged)
        rows.add_row(one.router, *(f"{count:,}" for count in counts))
    is_aside = order.target == PIPE
    (Console(stderr=True, highlight=False) if is_aside else out()).print(rows)
    if delivered.after is not None:
        note(f"these came after decision {delivered.after}, which was in the file already")
