"""One process's outbox: rows in the order in which they were promised, in a SQLite file."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import TypeAlias, TypeVar, cast

from banditroute.errors import StoreError
from banditroute.stores.base import FeedbackChange
from banditroute.stores.packing import (
    Packed,
    pack_changes,
    pack_decision,
    pack_outcomes,
    unpack_changes,
    unpack_decision,
    unpack_outcomes,
)
from banditroute.stores.remote import Mark
from banditroute.stores.sqlite.group_commit import GroupCommit
from banditroute.stores.sqlite.schema import Schema, connect
from banditroute.values import Decision, DecisionId, Outcome

T = TypeVar("T")

# A lane's ``applied`` is the last row that the remote store has, but for the parked ones, which
# wait for a decision that it lacks. A mark says: where the log has that append, it also has
# every row up to ``seq``.
SCHEMA = Schema(
    version=1,
    application_id=0x62726F78,  # "brox"
    tables=(
        """CREATE TABLE rows (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            router TEXT NOT NULL,
            kind INTEGER NOT NULL,
            decision_id TEXT NOT NULL,
            at_s REAL NOT NULL,
            body BLOB NOT NULL
        )""",
        "CREATE INDEX rows_in_order ON rows (router, seq)",
        "CREATE INDEX rows_by_decision ON rows (router, decision_id)",
        "CREATE TABLE parked (seq INTEGER PRIMARY KEY, router TEXT NOT NULL)",
        "CREATE TABLE lanes (router TEXT PRIMARY KEY, applied INTEGER NOT NULL, server TEXT)",
        """CREATE TABLE marks (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            router TEXT NOT NULL,
            seq INTEGER NOT NULL,
            position INTEGER NOT NULL,
            nonce BLOB NOT NULL
        )""",
        "CREATE INDEX marks_in_order ON marks (router, number)",
    ),
)

MOST_MARKS = 8192
"""Marks kept of a router: at two a second, more than an hour of writing."""

logger = logging.getLogger(__name__)


class Kind(IntEnum):
    """What a row holds."""

    DECISION = 0
    OUTCOMES = 1
    CHANGES = 2


Content: TypeAlias = Decision | tuple[Outcome, ...] | tuple[FeedbackChange, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """Something to be promised."""

    router: str
    kind: Kind
    content: Content


@dataclass(frozen=True, slots=True)
class Row:
    """Something that was promised. ``seq`` orders the rows of a file; ``at_s`` is when.

    ``content`` is None for a row that is damaged. ``decision_id`` is that of the youngest
    decision concerned: when it has expired, so have all, and the row can go.
    """

    seq: int
    router: str
    kind: Kind
    decision_id: DecisionId
    at_s: float
    content: Content | None

    @property
    def size(self) -> int:
        """How many things it says."""
        return len(self.content) if isinstance(self.content, tuple) else 1


@dataclass(frozen=True, slots=True)
class Covered:
    """A mark with the last row that a log having it surely has.

    ``number`` orders the marks of a file as they were made; 0 before it is in one.
    """

    seq: int
    mark: Mark
    number: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a router's rows have come, and on which server."""

    applied: int = 0
    server: str = ""


class OutboxFile:
    """A file that this process alone has open. What a writing method wrote is on the disk."""

    def __init__(self, path: Path, commits: GroupCommit) -> None:
        self.path = path
        self._commits = commits

    @classmethod
    async def open(cls, path: Path) -> OutboxFile:
        """Open a file, made if there is none.

        Raises StoreUnavailable if another process has it, StoreUnusable if it can never be used.
        """
        loop = asyncio.get_running_loop()
        db = await loop.run_in_executor(None, lambda: connect(path, 0.0, SCHEMA, alone=True))
        return cls(path, GroupCommit(db, loop))

    async def close(self) -> None:
        """Finish what was asked for and let another process have the file."""
        await self._commits.close()

    async def append(self, contents: Sequence[Draft], at_s: float) -> list[Row]:
        """Keep contents, all or none."""
        drafts = [(draft, *_packed(draft.kind, draft.content)) for draft in contents]

        def insert(db: sqlite3.Connection) -> list[int]:
            return [
                db.execute(
                    "INSERT INTO rows (router, kind, decision_id, at_s, body)"
                    " VALUES (?, ?, ?, ?, ?) RETURNING seq",
                    (draft.router, draft.kind, decision_id, at_s, body),
                ).fetchone()[0]
                for draft, decision_id, body in drafts
            ]

        seqs = await self._run(insert)
        return [
            Row(seq, draft.router, draft.kind, decision_id, at_s, draft.content)
            for seq, (draft, decision_id, _) in zip(seqs, drafts, strict=True)
        ]

    async def page(self, router: str, after: int, limit: int) -> list[Row]:
        """Rows of a router after a seq, in order."""
        return await self._rows("r.router = ? AND r.seq > ?", (router, after), limit)

    async def parked(self, router: str, after: int, limit: int) -> list[Row]:
        """Parked rows of a router after a seq, in order."""
        return await self._rows(
            "r.router = ? AND r.seq > ? AND r.seq IN (SELECT seq FROM parked)",
            (router, after),
            limit,
        )

    async def decision(self, router: str, decision_id: DecisionId) -> Row | None:
        """The row of a decision, if it was made here."""
        where = f"r.router = ? AND r.decision_id = ? AND r.kind = {Kind.DECISION:d}"
        found = await self._rows(where, (router, decision_id), 1)
        return found[0] if found else None

    async def routers(self) -> list[str]:
        """The routers that have rows."""
        return await self._run(
            lambda db: [name for (name,) in db.execute("SELECT DISTINCT router FROM rows")]
        )

    async def progress(self, router: str) -> Progress:
        """How far a router's rows have come."""

        def look(db: sqlite3.Connection) -> Progress:
            row = db.execute(
                "SELECT applied, server FROM lanes WHERE router = ?", (router,)
            ).fetchone()
            return Progress(row[0], row[1] or "") if row else Progress()

        return await self._run(look)

    async def save(self, router: str, progress: Progress, covered: Covered | None = None) -> None:
        """Keep how far a router's rows have come, with a mark if there is a new one."""

        def write(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO lanes (router, applied, server) VALUES (?, ?, ?) ON CONFLICT (router)"
                " DO UPDATE SET applied = excluded.applied, server = excluded.server",
                (router, progress.applied, progress.server),
            )
            if covered is not None:
                _add_mark(db, router, covered)

        await self._run(write)

    async def mark(self, router: str, skip: int = 0) -> Covered | None:
        """A router's newest mark, or the one that ``skip`` others are newer than."""

        def look(db: sqlite3.Connection) -> Covered | None:
            row = db.execute(
                "SELECT seq, position, nonce, number FROM marks WHERE router = ?"
                " ORDER BY number DESC LIMIT 1 OFFSET ?",
                (router, skip),
            ).fetchone()
            return Covered(row[0], Mark(row[1], row[2]), row[3]) if row else None

        return await self._run(look)

    async def forget_marks(self, router: str, after: int) -> None:
        """Delete a router's marks that were made after the one with a number."""
        sql = "DELETE FROM marks WHERE router = ? AND number > ?"
        await self._run(lambda db: db.execute(sql, (router, after)))

    async def park(self, rows: Sequence[Row]) -> None:
        """Put rows aside until their decisions turn up."""
        values = [(row.seq, row.router) for row in rows]
        await self._run(
            lambda db: db.executemany("INSERT OR IGNORE INTO parked VALUES (?, ?)", values)
        )

    async def requeue(self, rows: Sequence[Row]) -> list[Row]:
        """Put parked rows at the end of the line, where what was promised last stands."""

        def move(db: sqlite3.Connection) -> list[int]:
            seqs = [
                db.execute(
                    "INSERT INTO rows (router, kind, decision_id, at_s, body) SELECT router,"
                    " kind, decision_id, at_s, body FROM rows WHERE seq = ? RETURNING seq",
                    (row.seq,),
                ).fetchone()[0]
                for row in rows
            ]
            old = [(row.seq,) for row in rows]
            db.executemany("DELETE FROM rows WHERE seq = ?", old)
            db.executemany("DELETE FROM parked WHERE seq = ?", old)
            return seqs

        seqs = await self._run(move)
        return [replace(row, seq=seq) for row, seq in zip(rows, seqs, strict=True)]

    async def drop(self, seqs: Sequence[int]) -> None:
        """Delete rows that were refused."""
        values = [(seq,) for seq in seqs]

        def delete(db: sqlite3.Connection) -> None:
            db.executemany("DELETE FROM rows WHERE seq = ?", values)
            db.executemany("DELETE FROM parked WHERE seq = ?", values)

        await self._run(delete)

    async def count(self, router: str, after: int) -> int:
        """How many rows of a router come after a seq."""
        where = "router = ? AND seq > ?"
        return await self._run(
            lambda db: db.execute(
                f"SELECT count(*) FROM rows WHERE {where}",  # noqa: S608 - ours
                (router, after),
            ).fetchone()[0]
        )

    async def purge(self, oldest: DecisionId, limit: int) -> tuple[int, int]:
        """Delete up to ``limit`` rows whose decisions have expired.

        Returns how many were deleted, and how many of them never reached the remote store.
        Rows that are still on their way are left alone.
        """

        def delete(db: sqlite3.Connection) -> tuple[int, int]:
            seqs = db.execute(
                "SELECT r.seq FROM rows r JOIN lanes l ON l.router = r.router"
                " WHERE r.decision_id < ? AND r.seq <= l.applied ORDER BY r.seq LIMIT ?",
                (oldest, limit),
            ).fetchall()
            db.executemany("DELETE FROM rows WHERE seq = ?", seqs)
            lost = db.executemany("DELETE FROM parked WHERE seq = ?", seqs).rowcount
            return len(seqs), max(lost, 0)

        return await self._run(delete)

    async def _rows(self, where: str, values: tuple[str | int, ...], limit: int) -> list[Row]:
        columns = "r.seq, r.router, r.kind, r.decision_id, r.at_s, r.body"
        sql = f"SELECT {columns} FROM rows r WHERE {where} ORDER BY r.seq LIMIT ?"  # noqa: S608 - ours
        found = await self._run(lambda db: db.execute(sql, (*values, limit)).fetchall())
        return [
            Row(seq, router, Kind(kind), decision_id, at_s, _content(seq, Kind(kind), body))
            for seq, router, kind, decision_id, at_s, body in found
        ]

    async def _run(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        return await self._commits.run(operation)


def _add_mark(db: sqlite3.Connection, router: str, covered: Covered) -> None:
    """Keep a mark, and a bounded number of older ones."""
    mark = covered.mark
    db.execute(
        "INSERT INTO marks (router, seq, position, nonce) VALUES (?, ?, ?, ?)",
        (router, covered.seq, mark.position, mark.nonce),
    )
    db.execute(
        "DELETE FROM marks WHERE router = ? AND number <= (SELECT number FROM marks"
        " WHERE router = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
        (router, router, MOST_MARKS),
    )


def _packed(kind: Kind, content: Content) -> tuple[DecisionId, Packed]:
    """The youngest decision's id, and the content as bytes."""
    if isinstance(content, Decision):
        return content.id, pack_decision(content)
    youngest = max(said.decision_id for said in content)
    if kind is Kind.OUTCOMES:
        return youngest, pack_outcomes(cast("tuple[Outcome, ...]", content))
    return youngest, pack_changes(cast("tuple[FeedbackChange, ...]", content))


def _content(seq: int, kind: Kind, body: Packed) -> Content | None:
    try:
        match kind:
            case Kind.DECISION:
                return unpack_decision(body)
            case Kind.OUTCOMES:
                return tuple(unpack_outcomes(body))
            case Kind.CHANGES:
                return tuple(unpack_changes(body))
    except StoreError as error:
        logger.error("a row of the outbox cannot be read", exc_info=error, extra={"seq": seq})
        return None
