"""Is this still the log that was read?

A server that failed over to a replica, or came back from an older snapshot, has lost its last
writes and gives their positions to others. Every append carries a random nonce that is sent
once; and a server loses the end of what it had, never the middle. So a log that has a known
nonce at a known position is the log that was read, up to there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from banditroute.errors import HistoryLost
from banditroute.stores.redis.keys import Keys
from banditroute.stores.redis.link import Link
from banditroute.stores.redis.scripts import PROVE
from banditroute.stores.remote import Mark

_MOST_KNOWN = 512


class History:
    """What one reader knows of one router's log."""

    def __init__(self, link: Link, router: str) -> None:
        self._link = link
        self._keys = Keys(router)
        self._router = router
        self._known: OrderedDict[int, bytes] = OrderedDict()

    def learn(self, position: int, nonce: bytes | None) -> None:
        """Remember what was read at a position."""
        if nonce:
            self._known[position] = nonce
            self._known.move_to_end(position)
            if len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)

    def at(self, position: int) -> bytes | None:
        """The nonce that was read at a position, if it is still known."""
        return self._known.get(position)

    async def entries(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Positions and packed entries after a position.

        Raises HistoryLost if that position was read before, and is not what it was.
        """
        known = self._nonce_at(after)
        found = await self._range(after if known else after + 1, limit + bool(known))
        if known is not None:
            if found and found[0][0] == after:
                self._compare(after, found.pop(0)[2])
            else:
                await self.verify(after)
        if found:
            self.learn(found[-1][0], found[-1][2])
        return [(position, entry) for position, entry, _ in found]

    async def verify(self, position: int) -> None:
        """Raise HistoryLost if a position that was read before is not what it was."""
        known = self._nonce_at(position)
        if known is not None:
            held, _ = await prove(self._link, self._keys, [Mark(position, known)])
            if not held:
                self._lost(position)

    def _nonce_at(self, position: int) -> bytes | None:
        """What was read at a position, which is then the last to be forgotten."""
        if position in self._known:
            self._known.move_to_end(position)
        return self._known.get(position)

    def _compare(self, position: int, nonce: bytes) -> None:
        if nonce != self._known[position]:
            self._lost(position)

    def _lost(self, position: int) -> None:
        self._known.clear()
        raise HistoryLost(
            f"the log of router {self._router!r} is not the one that was read up to position "
            f"{position}: the server lost writes"
        )

    async def _range(self, start: int, count: int) -> list[tuple[int, bytes, bytes]]:
        found = await self._link.command(
            "XRANGE", self._keys.log, f"{start}-0", "+", "COUNT", count
        )
        return [(int(id_.partition(b"-")[0]), fields[b"e"], fields[b"n"]) for id_, fields in found]


async def prove(link: Link, keys: Keys, marks: Sequence[Mark]) -> tuple[bool, Mark | None]:
    """Whether a log still has all those appends, and its newest one.

    One that was trimmed away since counts as there.
    """
    pairs = [part for mark in marks for part in (mark.position, mark.nonce)]
    held, *newest = await link.run(PROVE, [keys.meta, keys.log], pairs)
    return bool(held), mark_of(*newest)


def mark_of(head: bytes | None, nonce: bytes | None) -> Mark | None:
    """The newest append, as the server says it; None for an empty log."""
    return Mark(int(head), nonce) if head and nonce else None
