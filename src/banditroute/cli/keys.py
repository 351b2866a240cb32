"""``banditroute keys``: keys for clients and operators. None of them is kept anywhere."""

from __future__ import annotations

import json
import secrets
import sys
from typing import Annotated

import typer
from pydantic import ValidationError

from banditroute.config import KeySettings
from banditroute.http.keyring import Role, hash_of

KEY_BYTES = 32

keys = typer.Typer(
    help="Make API keys, and the \\[\\[keys]] tables that let them in.",
    no_args_is_help=True,
)


@keys.command("new")
def new(
    name: Annotated[str, typer.Argument(help="What the key is called: in logs and budgets.")],
    roles: Annotated[
        str, typer.Option(help=f"What it is for, of {', '.join(Role)}, with commas between.")
    ] = "client",
) -> None:
    """Make a key. It is shown once: config.toml gets its hash alone.

    client: chat, route, models, outcomes and feedback. feedback: feedback alone. admin: /admin.
    """
    key = f"br-{secrets.token_urlsafe(KEY_BYTES)}"
    settings = _settings(name, hash_of(key), tuple(part.strip() for part in roles.split(",")))
    typer.echo("# The key. It is shown this once and kept nowhere:")
    typer.echo(key)
    typer.echo("\n# For config.toml:")
    typer.echo(f"[[keys]]\nname = {json.dumps(settings.name)}\nhash = {json.dumps(settings.hash)}")
    typer.echo(f"roles = {json.dumps(list(settings.roles))}")


@keys.command("hash")
def hash_() -> None:
    """Print the hash, for config.toml, of a key that is read from stdin."""
    key = sys.stdin.readline().strip()
    if not (key and key.isascii() and key.isprintable() and " " not in key):
        raise typer.BadParameter("a key is one line of printable ASCII without spaces, on stdin")
    typer.echo(hash_of(key))


def _settings(name: str, digest: str, roles: tuple[str, ...]) -> KeySettings:
    try:
        return KeySettings.model_validate({"name": name, "hash": digest, "roles": roles})
    except ValidationError as error:
        first = error.errors()[0]
        words = first["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        raise typer.BadParameter(f"{first['loc'][0]} {words}") from None
