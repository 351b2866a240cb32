"""Checkpoints, what operators may read, and what is thrown away."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from banditroute.errors import HistoryLost
from banditroute.stores.base import ArmEstimate, SavedCheckpoint
from banditroute.stores.plan import check_position
from banditroute.stores.redis.history import History
from banditroute.stores.redis.keys import ROUTERS, Keys
from banditroute.stores.redis.link import Link
from banditroute.stores.redis.scripts import DROP, SAVE, THIN
from banditroute.stores.retention import Retention, Saved, base
from banditroute.values import Checkpoint, DecisionId

DROPPED_AT_ONCE = 500
TRIMMED_AT_ONCE = 5_000
"""How many decisions, and how many entries, go in one command: others get their turn between."""


async def saved(link: Link, keys: Keys) -> list[Saved]:
    """Where checkpoints are kept and since when, in order of position."""
    found = await link.command("HGETALL", keys.saved)
    return sorted(
        (Saved(int(position), float(at_s)) for position, at_s in found.items()),
        key=lambda one: one.position,
    )


async def load_checkpoint(
    link: Link, keys: Keys, history: History, at: int | None
) -> Checkpoint | None:
    """The newest checkpoint up to a position."""
    kept = [one.position for one in await saved(link, keys) if at is None or one.position <= at]
    for position in reversed(kept):
        fingerprint, payload, nonce = await link.command(
            "HMGET", keys.checkpoint(position), "fingerprint", "payload", "nonce"
        )
        if payload is not None:  # else it was thinned out at this moment
            history.learn(position, nonce)
            return Checkpoint(position, fingerprint.decode(), payload)
    return None


async def save_checkpoint(
    link: Link,
    keys: Keys,
    history: History,
    checkpoint: Checkpoint,
    *,
    at_s: float,
    retention: Retention,
) -> bool:
    """Keep a checkpoint newer than all that are kept, and thin those out. Whether it is kept."""
    position = checkpoint.position
    happened, *more = await link.run(
        SAVE,
        [keys.meta, keys.log, keys.saved, keys.checkpoint(position)],
        [
            position,
            history.at(position) or b"",
            repr(at_s),
            checkpoint.fingerprint,
            checkpoint.payload,
        ],
    )
    if happened == b"ahead":
        check_position(keys.router, checkpoint, int(more[0]))
    if happened == b"other":
        raise HistoryLost(f"the log of router {keys.router!r} is not the one that was folded")
    await thin(link, keys, retention.superfluous(await saved(link, keys)))
    return bool(happened == b"saved")


async def show(link: Link, keys: Keys, estimates: Sequence[ArmEstimate], at_s: float) -> None:
    """Write what was learned of each arm where redis-cli can read it."""
    updated = datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds")
    for arm in estimates:
        numbers = {
            "quality": arm.quality,
            "cost_usd": arm.cost_usd,
            "latency_s": arm.latency_s,
            "reward": arm.reward,
        }
        known = [item for name, v in numbers.items() if v is not None for item in (name, repr(v))]
        await link.command("HSET", keys.arm(arm.arm_id), "n", arm.n, *known, "updated", updated)
        if unknown := [name for name, value in numbers.items() if value is None]:
            await link.command("HDEL", keys.arm(arm.arm_id), *unknown)


async def checkpoints(link: Link, keys: Keys, history: History) -> list[SavedCheckpoint]:
    """Every checkpoint kept, in order of position."""
    found = []
    for one in await saved(link, keys):
        kept = await load_checkpoint(link, keys, history, one.position)
        if kept is not None and kept.position == one.position:
            found.append(SavedCheckpoint(one.at_s, kept))
    return found


async def routers(link: Link) -> list[str]:
    """Every router that has anything."""
    return sorted(name.decode() for name in await link.command("SMEMBERS", ROUTERS))


async def drop_expired(link: Link, keys: Keys, oldest: DecisionId) -> int:
    """Delete decisions with ids below ``oldest``; how many."""
    dropped = 0
    while ids := await link.command(
        "ZRANGEBYLEX", keys.ids, "-", f"({oldest}", "LIMIT", 0, DROPPED_AT_ONCE
    ):
        dropped += await drop(link, keys, [id_.decode() for id_ in ids])
    return dropped


async def drop(link: Link, keys: Keys, ids: Sequence[DecisionId]) -> int:
    """Delete decisions; how many were there."""
    dropped: int = await link.run(DROP, [keys.ids, *map(keys.decision, ids)], list(ids))
    return dropped


async def trim(link: Link, keys: Keys, before_s: float) -> None:
    """Let the log begin at its newest checkpoint saved before a time, if there is one.

    The checkpoints before it go first, so that whatever is cut short leaves no checkpoint
    whose next entries are missing.
    """
    kept = await saved(link, keys)
    position = base(kept, before_s)
    if position is None:
        return
    await thin(link, keys, [one.position for one in kept if one.position < position])
    while True:
        found = await link.command("XRANGE", keys.log, "-", "+", "COUNT", 1)
        first = int(found[0][0].partition(b"-")[0]) if found else position + 1
        if first > position:
            return
        keep_from = min(first + TRIMMED_AT_ONCE, position + 1)
        await link.command("XTRIM", keys.log, "MINID", "=", f"{keep_from}-0")


async def thin(link: Link, keys: Keys, positions: Sequence[int]) -> None:
    """Delete checkpoints."""
    if positions:
        await link.run(THIN, [keys.saved, *map(keys.checkpoint, positions)], list(positions))
