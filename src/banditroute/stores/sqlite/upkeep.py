"""Checkpoints, and what is thrown away, as SQL. Every function runs in its caller's transaction."""

from __future__ import annotations

import sqlite3

from banditroute.stores.base import SavedCheckpoint
from banditroute.stores.plan import check_position
from banditroute.stores.retention import Retention, Saved, base
from banditroute.stores.sqlite import ledger
from banditroute.values import Checkpoint, DecisionId


def load_checkpoint(db: sqlite3.Connection, router: str, at: int | None) -> Checkpoint | None:
    """The newest checkpoint with position ≤ ``at``, or of all."""
    row = db.execute(
        "SELECT position, fingerprint, payload FROM checkpoints"
        " WHERE router = (SELECT number FROM routers WHERE name = ?)"
        " AND (? IS NULL OR position <= ?) ORDER BY position DESC LIMIT 1",
        (router, at, at),
    ).fetchone()
    return None if row is None else Checkpoint(*row)


def checkpoints(db: sqlite3.Connection, router: str) -> list[SavedCheckpoint]:
    """Every checkpoint kept, in order of position."""
    rows = db.execute(
        "SELECT saved_at_s, position, fingerprint, payload FROM checkpoints"
        " WHERE router = (SELECT number FROM routers WHERE name = ?) ORDER BY position",
        (router,),
    ).fetchall()
    return [SavedCheckpoint(at_s, Checkpoint(*content)) for at_s, *content in rows]


def save_checkpoint(
    db: sqlite3.Connection, router: str, checkpoint: Checkpoint, at_s: float, retention: Retention
) -> None:
    """Keep a checkpoint newer than all that are kept, and thin those out."""
    check_position(router, checkpoint, ledger.head(db, router))
    number = ledger.router_number(db, router)
    saved = _saved(db, number)
    if saved and checkpoint.position <= saved[-1].position:
        return
    db.execute(
        "INSERT INTO checkpoints (router, position, saved_at_s, fingerprint, payload)"
        " VALUES (?, ?, ?, ?, ?)",
        (number, checkpoint.position, at_s, checkpoint.fingerprint, checkpoint.payload),
    )
    db.executemany(
        "DELETE FROM checkpoints WHERE router = ? AND position = ?",
        [
            (number, position)
            for position in retention.superfluous([*saved, Saved(checkpoint.position, at_s)])
        ],
    )


def delete_decisions(db: sqlite3.Connection, oldest: DecisionId, limit: int) -> int:
    """Delete up to ``limit`` decisions of each router with ids below ``oldest``; how many."""
    return sum(
        db.execute(
            "DELETE FROM decisions WHERE rowid IN (SELECT rowid FROM decisions"
            " WHERE router = ? AND id < ? ORDER BY id LIMIT ?)",
            (number, oldest, limit),
        ).rowcount
        for number in _numbers(db)
    )


def trim(db: sqlite3.Connection, before_s: float, limit: int) -> int:
    """Let each log begin at its newest checkpoint saved before a time, if there is one.

    Deletes the checkpoints before it, and up to ``limit`` entries of each log, oldest first;
    returns how many entries. The checkpoints go first, so that whatever is cut short leaves no
    checkpoint whose next entries are missing.
    """
    return sum(_trim(db, number, before_s, limit) for number in _numbers(db))


def _trim(db: sqlite3.Connection, number: int, before_s: float, limit: int) -> int:
    position = base(_saved(db, number), before_s)
    if position is None:
        return 0
    db.execute("DELETE FROM checkpoints WHERE router = ? AND position < ?", (number, position))
    return db.execute(
        "DELETE FROM log WHERE router = ? AND position IN (SELECT position FROM log"
        " WHERE router = ? AND position <= ? ORDER BY position LIMIT ?)",
        (number, number, position, limit),
    ).rowcount


def _numbers(db: sqlite3.Connection) -> list[int]:
    return [number for (number,) in db.execute("SELECT number FROM routers").fetchall()]


def _saved(db: sqlite3.Connection, number: int) -> list[Saved]:
    rows = db.execute(
        "SELECT position, saved_at_s FROM checkpoints WHERE router = ? ORDER BY position",
        (number,),
    ).fetchall()
    return [Saved(*row) for row in rows]
