"""The tables of a store's file, and how a file of ours is opened.

Schema 2 of the store. A router's ``head`` is the last position it ever gave, which outlives a
trimmed log; its ``fingerprint`` is that of the context features it is claimed for. Bodies,
outcomes, marks and log entries are packed by :mod:`banditroute.stores.packing`. ``news`` holds
the ids of all that was announced, which outlive a trimmed log too.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from banditroute.errors import StoreUnavailable, StoreUnusable


@dataclass(frozen=True, slots=True)
class Schema:
    """What makes a file ours: its tables, their version, and an id that tells it from others."""

    tables: tuple[str, ...]
    version: int
    application_id: int


PAGE_BYTES = 8192  # five decisions of 1.4 kB to a page; SQLite's usual 4096 would hold but two

STORE = Schema(
    version=2,
    application_id=0x62726F75,  # "brou"
    tables=(
        """CREATE TABLE routers (
        number INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        fingerprint TEXT,
        head INTEGER NOT NULL DEFAULT 0
    )""",
        """CREATE TABLE decisions (
        router INTEGER NOT NULL,
        id TEXT NOT NULL,
        body BLOB NOT NULL,
        outcome BLOB,
        marks BLOB,
        PRIMARY KEY (router, id)
    )""",
        """CREATE TABLE log (
        router INTEGER NOT NULL,
        position INTEGER NOT NULL,
        entry BLOB NOT NULL,
        PRIMARY KEY (router, position)
    ) WITHOUT ROWID""",
        """CREATE TABLE checkpoints (
        router INTEGER NOT NULL,
        position INTEGER NOT NULL,
        saved_at_s REAL NOT NULL,
        fingerprint TEXT NOT NULL,
        payload BLOB NOT NULL,
        PRIMARY KEY (router, position)
    )""",
        """CREATE TABLE news (
        router INTEGER NOT NULL,
        id TEXT NOT NULL,
        PRIMARY KEY (router, id)
    ) WITHOUT ROWID""",
    ),
)
_WAL_RETRY_S = 0.01


def connect(
    path: Path, busy_timeout_s: float, schema: Schema = STORE, *, alone: bool = False
) -> sqlite3.Connection:
    """A connection in autocommit mode to a file with our tables, made if there is no file.

    With ``alone`` nobody else can open the file for as long as the connection lives. A commit
    is on the disk when it returns (WAL, synchronous=FULL). Raises StoreUnusable for a file
    that can never be used, with what to do; StoreUnavailable while another process holds it
    locked for longer than ``busy_timeout_s``.
    """
    _check_place(path)
    try:
        # Several threads use a connection, but one after the other: the store sees to it.
        db = sqlite3.connect(
            path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False
        )
        try:
            _prepare(db, path, busy_timeout_s, schema, alone=alone)
        except BaseException:
            db.close()
            raise
    except sqlite3.Error as error:
        raise _refusal(path, error) from error
    return db


def _check_place(path: Path) -> None:
    if path.is_dir():
        raise StoreUnusable(f"{path} is a folder: name a file in it in [store] url")
    if not path.parent.is_dir():
        raise StoreUnusable(
            f"the folder {path.parent} does not exist: create it, or change [store] url"
        )


def _prepare(
    db: sqlite3.Connection, path: Path, busy_timeout_s: float, schema: Schema, *, alone: bool
) -> None:
    if alone:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
    _check_owner(db, path, schema)
    db.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # of a file that is yet to be written
    _use_wal(db, path, busy_timeout_s)
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA fullfsync = ON")  # macOS: its plain fsync leaves data in the drive's cache
    db.execute("BEGIN IMMEDIATE")  # also proves that the file can be written
    if not _version(db):
        for table in schema.tables:
            db.execute(table)
        db.execute(f"PRAGMA application_id = {schema.application_id}")
        db.execute(f"PRAGMA user_version = {schema.version}")
    db.execute("COMMIT")


def _version(db: sqlite3.Connection) -> int:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version


def _check_owner(db: sqlite3.Connection, path: Path, schema: Schema) -> None:
    # In one read transaction: another process may be creating the tables at this moment.
    with closing(
        db.execute(
            "SELECT a.application_id, v.user_version, (SELECT count(*) FROM sqlite_master)"
            " FROM pragma_application_id a, pragma_user_version v"
        )
    ) as cursor:
        application, version, tables = cursor.fetchone()
    if application != schema.application_id and (application or version or tables):
        raise StoreUnusable(
            f"{path} is another program's database: name another file in [store] url"
        )
    if version > schema.version:
        raise StoreUnusable(
            f"{path} was written by a newer banditroute (schema {version}, this one knows "
            f"{schema.version}): upgrade banditroute, or name another file in [store] url"
        )
    if 0 < version < schema.version:
        raise StoreUnusable(
            f"{path} was written by an older banditroute (schema {version}, this one knows "
            f"{schema.version}): name another file in [store] url"
        )


def _use_wal(db: sqlite3.Connection, path: Path, busy_timeout_s: float) -> None:
    """Switch to WAL. SQLite does not wait for others here as it does elsewhere, so we do."""
    deadline = monotonic() + busy_timeout_s
    while True:
        try:
            mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            break
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or monotonic() > deadline:
                raise
            sleep(_WAL_RETRY_S)
    if mode != "wal":
        raise StoreUnusable(
            f"{path} cannot keep a write-ahead log (journal mode {mode}): put it on a local "
            "disk, not on a network share"
        )


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    )


def _refusal(path: Path, error: sqlite3.Error) -> StoreUnusable | StoreUnavailable:
    """An error at opening, with what to do about it."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if _is_busy(error):
        return StoreUnavailable(f"{path} is locked by another process")
    if code == sqlite3.SQLITE_FULL:
        return StoreUnavailable(f"the disk of {path} is full")
    advice = {
        sqlite3.SQLITE_NOTADB: "it is no SQLite database: move it away, or change [store] url",
        sqlite3.SQLITE_CORRUPT: "it is damaged: restore it from a backup, or move it away",
    }.get(code, "make its folder and the file writable for this user, or change [store] url")
    return StoreUnusable(f"{path} cannot be used ({error}): {advice}")
