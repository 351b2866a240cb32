"""A router's state on its way in from another store.

It is written where it will stay, and the router is marked as arriving until it is whole.
"""

from __future__ import annotations

from collections.abc import Sequence

from banditroute.stores.base import SavedCheckpoint
from banditroute.stores.packing import pack_decision, pack_evidence, pack_marks, pack_outcome
from banditroute.stores.plan import check_arriving, check_vacant
from banditroute.stores.redis import upkeep
from banditroute.stores.redis.keys import Keys
from banditroute.stores.redis.link import Link
from banditroute.stores.redis.scripts import (
    BEGIN_IMPORT,
    FINISH_IMPORT,
    PUT_CHECKPOINT,
    PUT_ENTRIES,
    PUT_NEWS,
    PUT_RECORDS,
)
from banditroute.values import DecisionRecord, Evidence


async def begin(link: Link, keys: Keys) -> None:
    """Mark a router as arriving, and throw away what an earlier import left."""
    arriving = await link.run(BEGIN_IMPORT, [keys.meta, keys.ids, keys.saved])
    check_vacant(keys.router, occupied=not arriving)
    await wipe(link, keys)
    await link.command("DEL", keys.log, keys.news)


async def wipe(link: Link, keys: Keys) -> None:
    """Throw away decisions and checkpoints."""
    while ids := await link.command("ZRANGE", keys.ids, 0, upkeep.DROPPED_AT_ONCE - 1):
        await upkeep.drop(link, keys, [id_.decode() for id_ in ids])
    await upkeep.thin(link, keys, [one.position for one in await upkeep.saved(link, keys)])


async def put_records(
    link: Link, keys: Keys, records: Sequence[DecisionRecord], left_ms: Sequence[int]
) -> None:
    """Write decisions with all that is known of them, and how long each is kept."""
    names = [keys.decision(record.decision.id) for record in records]
    args: list[str | bytes | int] = []
    for record, living_ms in zip(records, left_ms, strict=True):
        outcome = b"" if record.outcome is None else pack_outcome(record.outcome)
        marks = pack_marks(record.marks) if record.marks else b""
        args += [record.decision.id, pack_decision(record.decision), outcome, marks, living_ms]
    arriving = await link.run(PUT_RECORDS, [keys.meta, keys.ids, *names], args)
    check_arriving(keys.router, arriving=bool(arriving))


async def put_entries(link: Link, keys: Keys, entries: Sequence[Evidence], nonce: bytes) -> None:
    """Write entries in order; those at or before the last one that is there are left out."""
    args = [part for entry in entries for part in (entry.position, pack_evidence(entry))]
    arriving = await link.run(PUT_ENTRIES, [keys.meta, keys.log], [nonce, *args])
    check_arriving(keys.router, arriving=bool(arriving))


async def put_news(link: Link, keys: Keys, announced: Sequence[str]) -> None:
    """Write the ids of what was announced."""
    arriving = await link.run(PUT_NEWS, [keys.meta, keys.news], announced)
    check_arriving(keys.router, arriving=bool(arriving))


async def put_checkpoint(link: Link, keys: Keys, saved: SavedCheckpoint) -> None:
    """Write a checkpoint."""
    kept = saved.checkpoint
    arriving = await link.run(
        PUT_CHECKPOINT,
        [keys.meta, keys.saved, keys.checkpoint(kept.position)],
        [kept.position, repr(saved.at_s), kept.fingerprint, kept.payload],
    )
    check_arriving(keys.router, arriving=bool(arriving))


async def finish(link: Link, keys: Keys, fingerprint: str | None, head: int, nonce: bytes) -> None:
    """Let the router be used."""
    arriving = await link.run(FINISH_IMPORT, [keys.meta], [head, nonce, fingerprint or ""])
    check_arriving(keys.router, arriving=bool(arriving))
