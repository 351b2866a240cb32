"""The log, decisions and checkpoints as SQL. Every function runs in its caller's transaction.

A row that cannot be read raises StoreError with its table and key.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from banditroute.errors import StoreError
from banditroute.stores.base import FeedbackChange
from banditroute.stores.packing import (
    Packed,
    pack_decision,
    pack_evidence,
    pack_marks,
    pack_outcome,
    unpack_decision,
    unpack_evidence,
    unpack_marks,
    unpack_outcome,
)
from banditroute.stores.plan import Plan, check_claim, check_decision, check_settled
from banditroute.values import (
    Announcement,
    Decision,
    DecisionId,
    DecisionRecord,
    Evidence,
    Learned,
    News,
    Outcome,
)

T = TypeVar("T")


def claim(db: sqlite3.Connection, router: str, fingerprint: str) -> None:
    """Bind a router's log to context features, or raise FeatureMismatch."""
    check_settled(router, arriving=is_arriving(db, router))
    number = router_number(db, router)
    claimed, last = db.execute(
        "SELECT fingerprint, head FROM routers WHERE number = ?", (number,)
    ).fetchone()
    if last:
        check_claim(router, claimed, fingerprint)
    elif claimed not in (None, fingerprint):  # what earlier features decided taught nothing
        db.execute("DELETE FROM decisions WHERE router = ?", (number,))
        db.execute("DELETE FROM checkpoints WHERE router = ?", (number,))
    db.execute("UPDATE routers SET fingerprint = ? WHERE number = ?", (fingerprint, number))


def remember(db: sqlite3.Connection, decisions: Sequence[Decision]) -> None:
    """Keep decisions; one that is kept already is left as it is."""
    for router in {decision.router for decision in decisions}:
        check_settled(router, arriving=is_arriving(db, router))
    for decision in decisions:
        number = router_number(db, decision.router)
        claimed = db.execute(
            "SELECT fingerprint FROM routers WHERE number = ?", (number,)
        ).fetchone()[0]
        check_decision(decision, claimed)
        db.execute(
            "INSERT INTO decisions (router, id, body) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (number, decision.id, pack_decision(decision)),
        )


def record(
    db: sqlite3.Connection,
    router: str,
    outcomes: Sequence[Outcome],
    oldest: DecisionId,
    at_s: float,
) -> tuple[list[Learned], int]:
    """Append outcomes; their statuses and the log's head after them."""
    plan = _plan(db, router, (outcome.decision_id for outcome in outcomes), oldest)
    plan.record(outcomes, at_s)
    return plan.statuses, _write(db, router, plan)


def absorb(
    db: sqlite3.Connection, router: str, changes: Sequence[FeedbackChange], oldest: DecisionId
) -> tuple[list[Learned], int]:
    """Apply feedbacks and retractions; their statuses and the log's head after them."""
    plan = _plan(db, router, (change.decision_id for change in changes), oldest)
    plan.absorb(changes)
    return plan.statuses, _write(db, router, plan)


def announce(db: sqlite3.Connection, router: str, news: News) -> tuple[Learned, int]:
    """Append news whose id is new; what became of it and the log's head after it."""
    check_settled(router, arriving=is_arriving(db, router))
    number, last = router_number(db, router), head(db, router)
    added = db.execute(
        "INSERT INTO news (router, id) VALUES (?, ?) ON CONFLICT DO NOTHING", (number, news.id)
    )
    if not added.rowcount:
        return Learned.UNCHANGED, last
    return Learned.LEARNED, _append(db, number, last, [Announcement(last + 1, news)])


def announced(db: sqlite3.Connection, router: str) -> list[str]:
    """The ids of all news ever announced, in order."""
    rows = db.execute(
        "SELECT id FROM news WHERE router = (SELECT number FROM routers WHERE name = ?)"
        " ORDER BY id",
        (router,),
    ).fetchall()
    return [id_ for (id_,) in rows]


def claimed(db: sqlite3.Connection, router: str) -> str | None:
    """The fingerprint that a router's log is claimed for."""
    row = db.execute("SELECT fingerprint FROM routers WHERE name = ?", (router,)).fetchone()
    return row[0] if row else None


def head(db: sqlite3.Connection, router: str) -> int:
    """The last position ever given in a router's log; 0 for none."""
    row = db.execute("SELECT head FROM routers WHERE name = ?", (router,)).fetchone()
    return row[0] if row else 0


def evidence(db: sqlite3.Connection, router: str, after: int, limit: int) -> list[Evidence]:
    """Up to ``limit`` entries after a position."""
    rows = db.execute(
        "SELECT position, entry FROM log WHERE router = (SELECT number FROM routers WHERE name = ?)"
        " AND position > ? ORDER BY position LIMIT ?",
        (router, after, limit),
    ).fetchall()
    return [unpacked("log", (router, place), unpack_evidence, entry) for place, entry in rows]


def find(
    db: sqlite3.Connection, router: str, decision_id: DecisionId, oldest: DecisionId
) -> DecisionRecord | None:
    """A living decision with what became known of it."""
    row = db.execute(
        "SELECT id, body, outcome, marks FROM decisions"
        " WHERE router = (SELECT number FROM routers WHERE name = ?) AND id = ? AND id >= ?",
        (router, decision_id, oldest),
    ).fetchone()
    return None if row is None else _record(router, *row)


def page(
    db: sqlite3.Connection, router: str, after: DecisionId, oldest: DecisionId, limit: int
) -> list[DecisionRecord]:
    """Up to ``limit`` living decisions with ids above ``after``, in order of id."""
    rows = db.execute(
        "SELECT id, body, outcome, marks FROM decisions"
        " WHERE router = (SELECT number FROM routers WHERE name = ?) AND id > ? AND id >= ?"
        " ORDER BY id LIMIT ?",
        (router, after, oldest, limit),
    ).fetchall()
    return [_record(router, *row) for row in rows]


def router_number(db: sqlite3.Connection, router: str) -> int:
    """The number that stands for a router in the tables, given to it if it has none."""
    row = db.execute("SELECT number FROM routers WHERE name = ?", (router,)).fetchone()
    if row is None:
        row = db.execute(
            "INSERT INTO routers (name) VALUES (?) RETURNING number", (router,)
        ).fetchone()
    number: int = row[0]
    return number


def arrival(router: str) -> str:
    """The name that an imported router has until it is whole. No configured router can have it."""
    return f"{router} (import)"


def is_arriving(db: sqlite3.Connection, router: str) -> bool:
    """Whether an import of a router has begun, and not ended."""
    row = db.execute("SELECT 1 FROM routers WHERE name = ?", (arrival(router),)).fetchone()
    return row is not None


def unpacked(table: str, key: tuple[str, object], unpack: Callable[[Packed], T], data: Packed) -> T:
    """A column's value. Raises StoreError naming table and key if it cannot be read."""
    try:
        return unpack(data)
    except StoreError as error:
        router, place = key
        raise StoreError(f"row {place} of router {router!r} in {table}: {error}") from error


def _record(
    router: str, decision_id: DecisionId, body: Packed, outcome: Any, marks: Any
) -> DecisionRecord:
    key = (router, decision_id)
    return DecisionRecord(
        decision=unpacked("decisions", key, unpack_decision, body),
        outcome=outcome and unpacked("decisions", key, unpack_outcome, outcome),
        marks=unpacked("decisions", key, unpack_marks, marks) if marks else {},
    )


def _plan(
    db: sqlite3.Connection, router: str, decision_ids: Iterable[DecisionId], oldest: DecisionId
) -> Plan:
    found = {
        decision_id: known
        for decision_id in set(decision_ids)
        if (known := find(db, router, decision_id, oldest)) is not None
    }
    return Plan(found, head(db, router), oldest)


def _write(db: sqlite3.Connection, router: str, plan: Plan) -> int:
    """Write a plan; the log's head after it. A plan that changes nothing costs no fsync."""
    if not (plan.marks or plan.outcomes):
        return plan.head
    number = router_number(db, router)
    _set(db, "marks", number, [(pack_marks(m), id_) for id_, m in plan.marks.items()])
    _set(db, "outcome", number, [(pack_outcome(o), id_) for id_, o in plan.outcomes.items()])
    return _append(db, number, plan.head, plan.evidence)


def _append(db: sqlite3.Connection, number: int, last: int, entries: Sequence[Evidence]) -> int:
    """Write the entries that come after ``last``; the log's head after them."""
    db.executemany(
        "INSERT INTO log (router, position, entry) VALUES (?, ?, ?)",
        [(number, entry.position, pack_evidence(entry)) for entry in entries],
    )
    after = last + len(entries)
    db.execute("UPDATE routers SET head = ? WHERE number = ?", (after, number))
    return after


def _set(
    db: sqlite3.Connection, column: str, number: int, rows: list[tuple[Packed, DecisionId]]
) -> None:
    db.executemany(
        f"UPDATE decisions SET {column} = ? WHERE router = ? AND id = ?",  # noqa: S608 - ours
        [(packed, number, decision_id) for packed, decision_id in rows],
    )
