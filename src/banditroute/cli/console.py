"""What all commands share: options, settings, terminals, tables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console

from banditroute.config import Settings, StoreSettings, default_text, load, parse
from banditroute.errors import ConfigError

DEFAULT_CONFIG = Path("config.toml")

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
    """The terminal that results go to."""
    return Console(highlight=False)


def note(text: str) -> None:
    """Say something by the way, on stderr."""
    Console(stderr=True, highlight=False).print(text, style="dim", markup=False)


def complain(text: str) -> None:
    """Say what is wrong, on stderr, as plain text."""
    typer.echo(f"banditroute: {text}", err=True)
