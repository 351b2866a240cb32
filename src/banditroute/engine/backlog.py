"""Decisions and outcomes on their way to the store, off the request path.

While the store is away they wait here, up to a bound; what comes beyond it is dropped and
counted. Order is kept: an outcome never overtakes its decision.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby

from banditroute.errors import InvalidRequest, StoreError
from banditroute.stores.base import Recorder
from banditroute.values import Decision, DecisionId, Outcome

logger = logging.getLogger(__name__)

BATCH = 256
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0


@dataclass(slots=True)
class _Item:
    router: str
    entry: Decision | Outcome
    written: asyncio.Future[None] = field(repr=False)

    @property
    def decision_id(self) -> DecisionId:
        return self.entry.id if isinstance(self.entry, Decision) else self.entry.decision_id


class Backlog:
    """A bounded queue in front of a store; one task writes it out, batch by batch.

    ``dropped`` counts what was never written. ``stuck`` is True while the store refuses.
    """

    def __init__(self, store: Recorder, limit: int = 10_000) -> None:
        self._store = store
        self._limit = limit
        self._items: deque[_Item] = deque()
        self._waiting: dict[DecisionId, list[asyncio.Future[None]]] = {}
        self._wake = asyncio.Event()
        self.dropped = 0
        self.stuck = False

    def __len__(self) -> int:
        return len(self._items)

    def add(self, router: str, entry: Decision | Outcome) -> None:
        """Put a decision or an outcome in line; beyond the bound it is dropped and counted."""
        if len(self._items) >= self._limit:
            self._drop("backlog is full", router)
            return
        item = _Item(router, entry, asyncio.get_running_loop().create_future())
        self._items.append(item)
        self._waiting.setdefault(item.decision_id, []).append(item.written)
        self._wake.set()

    async def settled(
        self, decision_ids: Iterable[DecisionId], timeout_s: float, *, whole: bool = True
    ) -> bool:
        """Wait until all that is in line of some decisions is written: False when time is up.

        Not ``whole``: only the first of it, which is the decision itself.
        """
        last = -1 if whole else 0
        waiting = {self._waiting[id_][last] for id_ in decision_ids if id_ in self._waiting}
        if not waiting:
            return True
        _, left = await asyncio.wait(waiting, timeout=timeout_s)
        return not left

    async def run(self) -> None:
        """Write out what is in line, for as long as the task lives."""
        pause_s = FIRST_PAUSE_S
        while True:
            await self._wake.wait()
            if await self.flush():
                pause_s = FIRST_PAUSE_S
                continue
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2.0, LONGEST_PAUSE_S)

    async def flush(self) -> bool:
        """Write one batch. False when the store refused; the batch then stays in line."""
        batch = [self._items[place] for place in range(min(BATCH, len(self._items)))]
        try:
            refused = await self._write(batch)
        except StoreError as error:
            if not self.stuck:
                logger.warning("store refuses writes; holding them back", exc_info=error)
            self.stuck = True
            return False
        self.stuck = False
        for item in batch:
            self._items.popleft()
            self._finish(item)
        for why, router in refused:  # only now: a batch that is tried again is judged again
            self._drop(why, router)
        if not self._items:
            self._wake.clear()
        return True

    async def drain(self, timeout_s: float) -> None:
        """Write out everything before a shutdown, or count what is left when time is up."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._items and await self.flush():
                    pass
        except TimeoutError:
            pass
        for item in self._items:
            self._drop("shutting down", item.router)
            self._finish(item)
        self._items.clear()

    async def _write(self, batch: list[_Item]) -> list[tuple[str, str]]:
        """Write a batch. Returns why, and for which router, an outcome can never be written."""
        await self._store.remember(
            [item.entry for item in batch if isinstance(item.entry, Decision)]
        )
        outcomes = sorted(
            (item for item in batch if isinstance(item.entry, Outcome)),
            key=lambda item: item.router,
        )
        refused: list[tuple[str, str]] = []
        for router, items in groupby(outcomes, key=lambda item: item.router):
            entries = [item.entry for item in items if isinstance(item.entry, Outcome)]
            refused += [(why, router) for why in await self._record(router, entries)]
        return refused

    async def _record(self, router: str, outcomes: list[Outcome]) -> list[str]:
        try:
            await self._store.record(router, outcomes)
        except InvalidRequest:
            return await self._record_singly(router, outcomes)
        return []

    async def _record_singly(self, router: str, outcomes: list[Outcome]) -> list[str]:
        """Keep the good ones of a batch that was refused whole; returns why the others are not."""
        reasons = []
        for outcome in outcomes:
            try:
                await self._store.record(router, [outcome])
            except InvalidRequest as error:
                reasons.append(str(error))
        return reasons

    def _finish(self, item: _Item) -> None:
        item.written.set_result(None)
        waiting = self._waiting[item.decision_id]
        waiting.remove(item.written)
        if not waiting:
            del self._waiting[item.decision_id]

    def _drop(self, why: str, router: str) -> None:
        self.dropped += 1
        logger.warning("dropped one log write", extra={"router": router, "why": why})
