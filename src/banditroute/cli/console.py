"""What all commands share: options, settings, terminals, tables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from banditroute.config import Settings, StoreSettings, default_text, load, parse
from banditroute.errors import ConfigError, StoreUnusable

DEFAULT_CONFIG = Path("config.toml")

PIPE_WIDTH = 120

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="The configuration file.", show_default=True)
]
StoreOption = Annotated[
    str | None, typer.Option("--store", help="Use this store instead of the configured one.")
]


def settings_from(
    config: Path, *, store: str | None = None, workers: int | None = None
) -> Settings:
    """The settings of a file; where the default one is absent, the shipped example's.

    What is given besides counts instead of what the file says. Raises ConfigError with every
    problem that the file has, and for workers without a store that they could share.
    """
    if config == DEFAULT_CONFIG and not config.exists():
        note("no config.toml here: using the shipped example (simulated arms, no key)")
        settings = parse(default_text(), os.environ, "the shipped config.toml")
    else:
        settings = load(config, os.environ)
    if store is not None:
        settings = settings.model_copy(update={"store": _store_table(settings, store)})
    if workers is not None:
        server = settings.server.model_copy(update={"workers": workers})
        settings = settings.model_copy(update={"server": server})
    if settings.server.workers > 1 and settings.store.url == "memory://":
        problem = (
            f"workers = {settings.server.workers}: with memory:// each process would learn alone; "
            "use a store that they can share, such as sqlite:///banditroute.db, or one worker"
        )
        raise ConfigError([problem], "[server]")
    return settings


def _store_table(settings: Settings, url: str) -> StoreSettings:
    try:
        kept = settings.store
        return StoreSettings(url=url, decision_ttl=kept.decision_ttl_s, outbox=kept.outbox)
    except ValidationError as error:
        problem = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError([problem], "--store") from None


def expect_store(url: str) -> None:
    """Looking must not make an empty database where the name is wrong."""
    path = Path(url.removeprefix("sqlite:///"))
    if url.startswith("sqlite:///") and not path.exists():
        raise StoreUnusable(f"{path}: no such database; name the router's with --store or --config")


def out() -> Console:
    """The terminal that results go to; a file or a pipe is wide enough for any table."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


def table(name: str, *columns: str, title: str | None = None) -> Table:
    """A table of numbers by name: only a long name wraps, the numbers stand to the right."""
    made = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    made.add_column(name, overflow="fold")
    for column in columns:
        made.add_column(column, justify="right", no_wrap=True)
    return made


def note(text: str) -> None:
    """Say something by the way, on stderr."""
    Console(stderr=True, highlight=False).print(text, style="dim", markup=False, soft_wrap=True)


def complain(text: str) -> None:
    """Say what is wrong, on stderr, as plain text."""
    typer.echo(f"banditroute: {text}", err=True)
