"""Moments on the command line."""

from __future__ import annotations

from datetime import UTC, datetime

import typer

from banditroute.config.units import duration_s

TIME_HELP = 'An ISO 8601 time (UTC if it says no offset), or an age: "36h", "7d".'


def moment_s(option: str, text: str, now_s: float) -> float:
    """Seconds since the epoch of what an option was given. Raises typer.BadParameter."""
    at_s = _age_s(text)
    at_s = _time_s(option, text) if at_s is None else now_s - at_s
    if at_s < 0.0:
        raise typer.BadParameter(f"{option}: that is before 1970")
    return at_s


def _age_s(text: str) -> float | None:
    try:
        return duration_s(text)
    except ValueError:
        return None


def _time_s(option: str, text: str) -> float:
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f'{option}: neither a time such as "2026-01-31" or "2026-01-31T18:00:00Z" nor an age '
            'such as "36h" or "7d"'
        ) from None
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
