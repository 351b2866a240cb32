"""The commands and their exit codes.

0: done. 1: something failed on the way. 2: what was asked for, or the configuration, must
change first; stderr says how.
"""

from __future__ import annotations

from collections.abc import Sequence

import typer

from banditroute import __version__
from banditroute.cli import check, demo, inspect, keys, serve, transfer
from banditroute.cli.console import complain
from banditroute.errors import (
    BanditrouteError,
    ConfigError,
    DataError,
    StoreError,
    StoreUnavailable,
)

OK, FAILED, UNUSABLE = 0, 1, 2

cli = typer.Typer(
    name="banditroute",
    help="An online adaptive LLM router: one OpenAI-compatible endpoint, a bandit behind it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
cli.command("serve")(serve.serve)
cli.command("demo")(demo.demo)
cli.command("inspect")(inspect.inspect)
cli.command("check")(check.check)
cli.command("export")(transfer.export)
cli.command("import")(transfer.import_)
cli.add_typer(keys.keys, name="keys")


@cli.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    if version:
        typer.echo(f"banditroute {__version__}")
        raise typer.Exit


def run(arguments: Sequence[str]) -> int:
    """Run the command line; returns the exit code."""
    try:
        cli(list(arguments), prog_name="banditroute")
    except SystemExit as stop:  # how typer ends: 0, or 2 for arguments it could not take
        return stop.code if isinstance(stop.code, int) else FAILED
    except StoreUnavailable as error:
        complain(str(error))
        return FAILED
    except (ConfigError, DataError, StoreError) as error:
        complain(str(error))
        return UNUSABLE
    except BanditrouteError as error:
        complain(str(error))
        return FAILED
    return OK
