"""A router's state on its way in from another store, as SQL.

What arrives is a router of its own, under a name that none can have, until it is whole: then it
takes the name that it is meant for. So nobody sees half of it, whoever was cut short leaves a
row that says so, and a file needs no new table for it. Every function runs in its caller's
transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from banditroute.stores.base import SavedCheckpoint
from banditroute.stores.packing import (
    Packed,
    pack_decision,
    pack_evidence,
    pack_marks,
    pack_outcome,
)
from banditroute.stores.plan import check_arriving, check_vacant, news_ids
from banditroute.stores.sqlite.ledger import arrival, is_arriving, router_number
from banditroute.values import DecisionRecord, Evidence

_KEYS = {"decisions": "id", "log": "position", "checkpoints": "position", "news": "id"}


def begin_import(db: sqlite3.Connection, router: str) -> None:
    """Mark a router as arriving, or raise StoreUnusable. The rest of an earlier try is kept."""
    check_vacant(router, occupied=_occupied(db, router))
    router_number(db, arrival(router))


def discard(db: sqlite3.Connection, router: str, limit: int) -> int:
    """Delete up to ``limit`` rows of each kind that have arrived; how many."""
    number = _number(db, router)
    return sum(
        db.execute(
            f"DELETE FROM {table} WHERE router = ? AND {key} IN"  # noqa: S608 - both are ours
            f" (SELECT {key} FROM {table} WHERE router = ? ORDER BY {key} LIMIT ?)",
            (number, number, limit),
        ).rowcount
        for table, key in _KEYS.items()
    )


def put(
    db: sqlite3.Connection,
    router: str,
    records: Sequence[DecisionRecord],
    entries: Sequence[Evidence],
    checkpoints: Sequence[SavedCheckpoint],
    *,
    announced: Sequence[str],
) -> None:
    """Write parts of a state; a row that is there already is replaced."""
    number = _number(db, router)
    db.executemany(
        "INSERT OR REPLACE INTO decisions (router, id, body, outcome, marks)"
        " VALUES (?, ?, ?, ?, ?)",
        [(number, record.decision.id, *_packed(record)) for record in records],
    )
    db.executemany(
        "INSERT OR REPLACE INTO log (router, position, entry) VALUES (?, ?, ?)",
        [(number, entry.position, pack_evidence(entry)) for entry in entries],
    )
    db.executemany(
        "INSERT OR REPLACE INTO checkpoints (router, position, saved_at_s, fingerprint, payload)"
        " VALUES (?, ?, ?, ?, ?)",
        [
            (number, kept.position, saved.at_s, kept.fingerprint, kept.payload)
            for saved in checkpoints
            for kept in (saved.checkpoint,)
        ],
    )
    db.executemany(
        "INSERT OR IGNORE INTO news (router, id) VALUES (?, ?)",
        [(number, id_) for id_ in [*announced, *news_ids(entries)]],
    )


def finish_import(db: sqlite3.Connection, router: str, fingerprint: str | None, head: int) -> None:
    """Give what arrived its name, its fingerprint and its head."""
    number = _number(db, router)
    for table in _KEYS:  # a checkpoint of nothing may stand there since the beginning
        db.execute(
            f"DELETE FROM {table} WHERE router ="  # noqa: S608 - ours
            " (SELECT number FROM routers WHERE name = ?)",
            (router,),
        )
    db.execute("DELETE FROM routers WHERE name = ?", (router,))
    db.execute(
        "UPDATE routers SET name = ?, fingerprint = ?, head = ? WHERE number = ?",
        (router, fingerprint, head, number),
    )


def _occupied(db: sqlite3.Connection, router: str) -> bool:
    row = db.execute(
        "SELECT head > 0 OR EXISTS (SELECT 1 FROM decisions WHERE router = number)"
        " OR EXISTS (SELECT 1 FROM checkpoints WHERE router = number)"
        " FROM routers WHERE name = ?",
        (router,),
    ).fetchone()
    return row is not None and bool(row[0])


def _packed(record: DecisionRecord) -> tuple[Packed, Packed | None, Packed | None]:
    return (
        pack_decision(record.decision),
        None if record.outcome is None else pack_outcome(record.outcome),
        pack_marks(record.marks) if record.marks else None,
    )


def _number(db: sqlite3.Connection, router: str) -> int:
    check_arriving(router, arriving=is_arriving(db, router))
    return router_number(db, arrival(router))
