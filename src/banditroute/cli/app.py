"""The commands and their exit codes.

0: done. 1: something failed on the way. 2: what was asked for, or the configuration, must
change first; stderr says how.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module

import typer

from banditroute import __version__
from banditroute.cli.console import complain
from banditroute.errors import (
    BanditrouteError,
    ConfigError,
    DataError,
    PluginError,
    StoreError,
    StoreUnavailable,
)

OK, FAILED, UNUSABLE = 0, 1, 2

COMMANDS = {
    "serve": "serve:serve",
    "demo": "demo:demo",
    "simulate": "simulate:simulate",
    "evaluate": "evaluate:evaluate",
    "inspect": "inspect:inspect",
    "replay": "replay:replay",
    "check": "check:check",
    "export": "export:export",
    "import": "transfer:import_",
    "keys": "keys:keys",
}
"""Where each command is. It is loaded when it is named: all of them together take seconds."""


def commands(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """The command line with some of its commands."""
    cli = typer.Typer(
        name="banditroute",
        help="An online adaptive LLM router: one OpenAI-compatible endpoint, a bandit behind it.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    cli.callback(invoke_without_command=True)(_root)
    for name in names:
        module, _, attribute = COMMANDS[name].partition(":")
        command = getattr(import_module(f"banditroute.cli.{module}"), attribute)
        if isinstance(command, typer.Typer):
            cli.add_typer(command, name=name)
        else:
            cli.command(name)(command)
    return cli


def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    if version:
        typer.echo(f"banditroute {__version__}")
        raise typer.Exit


def run(arguments: Sequence[str]) -> int:
    """Run the command line; returns the exit code."""
    try:
        _named(arguments)(list(arguments), prog_name="banditroute")
    except SystemExit as stop:  # how typer ends: 0, or 2 for arguments it could not take
        return stop.code if isinstance(stop.code, int) else FAILED
    except StoreUnavailable as error:
        complain(str(error))
        return FAILED
    except (ConfigError, DataError, PluginError, StoreError) as error:
        complain(str(error))
        return UNUSABLE
    except BanditrouteError as error:
        complain(str(error))
        return FAILED
    return OK


def _named(arguments: Sequence[str]) -> typer.Typer:
    match arguments:
        case ["--version"]:
            return commands(())
        case [name, *_] if name in COMMANDS:
            return commands([name])
        case _:
            return commands()  # for help, which lists them, or for a name that is none of them
