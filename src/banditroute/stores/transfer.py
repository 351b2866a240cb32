"""Whole routers as a file, and back: how what was learned moves from one store to another.

The frames (see :mod:`~banditroute.stores.frames`) of a file hold, in this order::

    {format, version, routers}                               routers: all names in the file
    ["router", name, fingerprint or nil]                     for each router; then of it, mixed:
    ["announced", [id, …]]                                   of news, whose entries may be gone
    ["checkpoint", at_s, position, fingerprint, payload]
    ["entries", [entry, …]]                                  by position, without gaps
    ["records", [[decision, outcome or nil, marks or nil], …]]   a later one replaces an earlier
    ["anew"]                                                 forget what came of this router
    ["done", head, decisions, entries, checkpoints]          nothing more comes of this router
    ["end", digest]

Entries, decisions, outcomes and marks are packed by :mod:`~banditroute.stores.packing`, each
with its own checksum. Both ways hold one frame in memory at a time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from banditroute.errors import StoreError, StoreUnavailable, StoreUnusable
from banditroute.stores.base import SavedCheckpoint, Store
from banditroute.stores.frames import FrameReader, FrameWriter, Read, Write
from banditroute.stores.packing import (
    pack_decision,
    pack_evidence,
    pack_marks,
    pack_outcome,
    unpack_decision,
    unpack_evidence,
    unpack_marks,
    unpack_outcome,
)
from banditroute.stores.plan import check_vacant
from banditroute.values import Announcement, Checkpoint, DecisionId, DecisionRecord, Evidence

FORMAT = "banditroute-state"
VERSION = 3

PAGE = 500
MOST_ROUNDS = 100
MOST_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Transferred:
    """How much of one router went into a file, or came out of it. ``head``: last position."""

    router: str
    fingerprint: str | None
    head: int
    decisions: int
    entries: int
    checkpoints: int
    bytes: int


async def export_state(store: Store, routers: Sequence[str], write: Write) -> list[Transferred]:
    """Write routers' whole states as they are at one position of each log.

    Others may go on using them: what they learn meanwhile is written too, until for a moment
    they learn nothing. Of what happens meanwhile without becoming evidence (a decision nobody
    has taught anything, a comment), some may be missing. Expired decisions are left out. Raises
    StoreUnavailable for a router that is never quiet, and StoreError for a log with a gap.
    """
    file = FrameWriter(write)
    file.write({"format": FORMAT, "version": VERSION, "routers": list(routers)})
    done = [await _export(store, router, file) for router in routers]
    file.end()
    return done


async def import_state(store: Store, read: Read) -> list[Transferred]:
    """Read the routers of a file into a store that has nothing of theirs: all or none.

    A router keeps its name: every decision id carries a digest of it. The routers are opened
    for use only after the last byte; an import that fails before leaves them marked, so that
    nobody can claim them until one succeeds. Raises StoreUnusable for a router that is in use
    here, and StoreError for a file that is damaged, cut short, or of a newer version.
    """
    file = FrameReader(read)
    routers = _header(file)
    for router in routers:  # all, before anything is marked
        check_vacant(router, occupied=await has_state(store, router))
    for router in routers:
        await store.begin_import(router)
    try:
        arrived = [await _import(store, router, file) for router in routers]
        file.end()
    except (StoreUnavailable, StoreUnusable):
        raise
    except StoreError as error:
        raise StoreError(
            f"{error}. Until a whole file is imported, this store has nothing of router "
            f"{', '.join(routers)} and nobody can use it there"
        ) from error
    for one in arrived:
        await store.finish_import(one.router, one.fingerprint, one.head)
    return arrived


async def has_state(store: Store, router: str) -> bool:
    """Whether a store has anything of a router that an export would hold."""
    if await store.head(router) or await store.load_checkpoint(router):
        return True
    async for _ in store.decisions(router):
        return True
    return False


class _Hole(StoreError):
    """Entries that should follow one another do not: trimmed while they were read, or lost."""


async def _export(store: Store, router: str, file: FrameWriter) -> Transferred:
    before = file.count
    fingerprint = await store.claimed(router)
    file.write(["router", router, fingerprint])
    attempts = 1
    while True:
        departure = _Departure(store, router, file)
        try:
            await departure.run()
            break
        except _Hole:
            if attempts == MOST_ATTEMPTS:
                raise
            attempts += 1
            file.write(["anew"])
    head, counts = departure.position, (departure.decisions, departure.entries)
    file.write(["done", head, *counts, departure.checkpoints])
    size = file.count - before
    return Transferred(router, fingerprint, head, *counts, departure.checkpoints, size)


@dataclass(slots=True)
class _Departure:
    """One router on its way into a file, which holds its log up to ``position``."""

    store: Store
    router: str
    file: FrameWriter
    position: int = 0
    last: DecisionId = ""
    decisions: int = 0
    entries: int = 0
    checkpoints: int = 0

    async def run(self) -> None:
        """Write everything, then what came meanwhile, until nothing was learned meanwhile.

        What is written of a decision then agrees with the log up to ``position``: both were
        read before a look at the head that found it unmoved.
        """
        head = await self.store.head(self.router)
        await self._begin(head)
        async for _ in self._log(head):  # of which all records are written next
            pass
        await self._decisions()
        for _ in range(MOST_ROUNDS):
            head = await self.store.head(self.router)
            if head == self.position:
                return
            async for page in self._log(head):
                await self._again({e.decision_id for e in page if not isinstance(e, Announcement)})
            await self._decisions()
        raise StoreUnavailable(
            f"router {self.router!r} learned something in each of {MOST_ROUNDS} looks: stop it "
            "first, then export"
        )

    async def _begin(self, head: int) -> None:
        """Write what was announced and the checkpoints, and find where the log begins."""
        if announced := await self.store.announced(self.router):
            self.file.write(["announced", announced])
        kept = await self.store.checkpoints(self.router)
        for saved in kept:
            of = saved.checkpoint
            self.file.write(["checkpoint", saved.at_s, of.position, of.fingerprint, of.payload])
        self.checkpoints = len(kept)
        first = await self.store.evidence(self.router, 0, 1)
        self.position = first[0].position - 1 if first else head
        if self.position > max((saved.checkpoint.position for saved in kept), default=0):
            raise self._hole()

    async def _log(self, head: int) -> AsyncIterator[list[Evidence]]:
        """Write the entries up to ``head``, and a page of later ones at most."""
        while self.position < head:
            page = await self.store.evidence(self.router, self.position, PAGE)
            if not page or page[0].position != self.position + 1:
                raise self._hole()
            self.file.write(["entries", [pack_evidence(entry) for entry in page]])
            self.position = page[-1].position
            self.entries += len(page)
            yield page

    async def _decisions(self) -> None:
        """Write the decisions after the last one written."""
        page: list[DecisionRecord] = []
        async for record in self.store.decisions(self.router, self.last):
            page.append(record)
            if len(page) == PAGE:
                self._next(page)
                page = []
        self._next(page)

    def _next(self, page: list[DecisionRecord]) -> None:
        if page:
            self._records(page)
            self.last = page[-1].decision.id
            self.decisions += len(page)

    async def _again(self, decision_ids: Iterable[DecisionId]) -> None:
        """Write what is known now of decisions that were learned from."""
        found = [await self.store.find(self.router, id_) for id_ in sorted(decision_ids)]
        self._records([record for record in found if record is not None])

    def _records(self, records: list[DecisionRecord]) -> None:
        self.file.write(["records", [_pack_record(record) for record in records]])

    def _hole(self) -> _Hole:
        return _Hole(
            f"the log of router {self.router!r} has a gap near position {self.position + 1}: "
            "restore the store from a backup"
        )


def _header(file: FrameReader) -> list[str]:
    """The names of the routers in a file that this version can read."""
    try:
        header = file.read()
    except StoreError as error:
        raise StoreError("this is no file of `banditroute export`, or it is damaged") from error
    match header:
        case {"format": format_, "version": int(version), "routers": [*routers]} if (
            format_ == FORMAT
        ):
            if version > VERSION:
                raise StoreError(
                    f"the file was written by a newer banditroute (version {version}, this one "
                    f"reads {VERSION}): upgrade banditroute"
                )
            return routers
        case _:
            raise StoreError("this is no file of `banditroute export`")


async def _import(store: Store, router: str, file: FrameReader) -> Transferred:
    """Put everything that a file holds of one router."""
    before = file.count
    match file.read():
        case ["router", name, fingerprint] if name == router:
            pass
        case _:
            raise file.damaged()
    while True:
        match file.read():
            case ["checkpoint", at_s, *content]:
                saved = SavedCheckpoint(at_s, Checkpoint(*content))
                await store.put(router, checkpoints=[saved])
            case ["announced", ids]:
                await store.put(router, announced=ids)
            case ["entries", packed]:
                await store.put(router, entries=[unpack_evidence(entry) for entry in packed])
            case ["records", packed]:
                await store.put(router, records=[_unpack_record(record) for record in packed])
            case ["anew"]:
                await store.begin_import(router)
            case ["done", head, decisions, entries, checkpoints]:
                size = file.count - before
                return Transferred(router, fingerprint, head, decisions, entries, checkpoints, size)
            case _:
                raise file.damaged()


def _pack_record(record: DecisionRecord) -> list[bytes | None]:
    return [
        pack_decision(record.decision),
        None if record.outcome is None else pack_outcome(record.outcome),
        pack_marks(record.marks) if record.marks else None,
    ]


def _unpack_record(packed: list[Any]) -> DecisionRecord:
    decision, outcome, marks = packed
    return DecisionRecord(
        decision=unpack_decision(decision),
        outcome=None if outcome is None else unpack_outcome(outcome),
        marks={} if marks is None else unpack_marks(marks),
    )
