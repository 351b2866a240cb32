"""Where ``banditroute evaluate`` has its log from: a store, or a file of an export."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from banditroute.cli.console import expect_store, settings_from
from banditroute.cli.stored import expect_lasting, names, opened
from banditroute.cli.times import moment_s
from banditroute.config import Settings
from banditroute.core.identity import lowest_id
from banditroute.evaluation import Log, read_rows
from banditroute.values import DecisionRecord


@dataclass(frozen=True, slots=True)
class Source:
    """What the options say of the log to read."""

    config: Path
    store: str | None
    file: Path | None
    router: str | None
    since: str | None
    until: str | None

    def span(self) -> tuple[float, float]:
        """From when, and before when, decisions count. Raises typer.BadParameter."""
        now_s = time.time()
        begin = 0.0 if self.since is None else moment_s("--since", self.since, now_s)
        end = float("inf") if self.until is None else moment_s("--until", self.until, now_s)
        if end <= begin:
            raise typer.BadParameter("--until is not after --since: nothing lies between them")
        return begin, end


def read_log(source: Source) -> Log:
    """One router's log. Raises typer.BadParameter where it is not clear which."""
    if source.file is not None and source.store is not None:
        raise typer.BadParameter("give either --store or --log, not both")
    if source.file is not None:
        return _from_file(source.file, source)
    settings = settings_from(source.config, store=source.store)
    expect_lasting(settings)
    expect_store(settings.store.url)
    return asyncio.run(_from_store(settings, source))


def _from_file(path: Path, source: Source) -> Log:
    begin, end = source.span()
    seen: set[str] = set()

    def wanted() -> Iterator[Any]:
        for row in read_rows(path):
            seen.add(row["router"])
            if source.router in {None, row["router"]} and begin <= row["made_at_s"] < end:
                yield row

    log = Log.of_rows(wanted())
    _check_router(source.router, sorted(seen), str(path))
    return log


async def _from_store(settings: Settings, source: Source) -> Log:
    begin, end = source.span()
    async with opened(settings) as store:
        asked = None if source.router is None else [source.router]
        found = await names(store, settings, asked, "evaluate")
        _check_router(source.router, found, "the store")

        async def wanted() -> AsyncIterator[DecisionRecord]:
            after = lowest_id(int(begin * 1000)) if begin else ""
            async for record in store.decisions(found[0], after):
                if begin <= record.decision.made_at_s < end:
                    yield record

        return await Log.of_records(wanted())


def _check_router(asked: str | None, there: list[str], where: str) -> None:
    if asked is None and len(there) > 1:
        raise typer.BadParameter(
            f"{where} has the logs of several routers; name one of {', '.join(there)} with --router"
        )
    if asked is not None and asked not in there:
        has = f"it has {', '.join(there)}" if there else "it has no decisions"
        raise typer.BadParameter(f"--router: {where} has nothing of {asked}; {has}")
