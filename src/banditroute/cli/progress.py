"""Bars on stderr for long work, while that is a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


@contextmanager
def moving(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar of bytes; call what it gives with the size of each piece."""
    with _bar(title, DownloadColumn(), TransferSpeedColumn()) as progress:
        task = progress.add_task(title, total=total)
        yield lambda count: progress.advance(task, count)


@contextmanager
def counting(title: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar of things; call what it gives with how many are done, and of how many if known."""
    with _bar(title, MofNCompleteColumn(), TimeRemainingColumn()) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _bar(title: str, *columns: ProgressColumn) -> Progress:
    console = Console(stderr=True)
    return Progress(
        title,
        BarColumn(),
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
