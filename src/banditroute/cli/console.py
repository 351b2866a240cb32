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
from banditroute.errors import ConfigError

DEFAULT_CONFIG = Path("config.toml")

PIPE_WIDTH = 120

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="The configuration file.", show_default=True)
]
StoreOption = Annotated[
    str | None, typer.Option("--store", help="Use this store instead of the configured one.")
]


def settings_from(config: Path, *, store: str | None = None) -> Settings:
    """The settings of a file; where the default one is absent, the shipped example's.

    Raises ConfigError with every problem that the file has.
    """
    if config == DEFAULT_CONFIG and not config.exists():
        note("no config.toml here: using the shipped example (simulated arms, no key)")
        settings = parse(default_text(), os.environ, "the shipped config.toml")
    else:
        settings = load(config, os.environ)
    if store is None:
        return settings
    try:
        table = StoreSettings(url=store, decision_ttl=settings.store.decision_ttl_s)
    except ValidationError as error:
        problem = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError([problem], "--store") from None
    return settings.model_copy(update={"store": table})


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
    Console(stderr=True, highlight=False).print(text, style="dim", markup=False)


def complain(text: str) -> None:
    """Say what is wrong, on stderr, as plain text."""
    typer.echo(f"banditroute: {text}", err=True)
