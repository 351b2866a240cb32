"""One router's rows on their way to the remote store, in the order in which they were promised.

Bringing a row over twice changes nothing. So whenever it is not certain that the remote store
still has all that it took, rows are brought over again: when another server answers, and when
its log is not the one that was written. Marks say from where on.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from banditroute.errors import StoreError
from banditroute.stores.outbox.carrier import Carrier
from banditroute.stores.outbox.file import Covered, OutboxFile, Progress, Row
from banditroute.stores.remote import Mark, Remote
from banditroute.values import Learned

logger = logging.getLogger(__name__)

PAGE = 256
MOST_FRESH = 4_096
"""Rows that are kept in memory for the next page; more are read back from the file."""

LOOK_S, REST_S = 0.5, 2.0
MOST_APPENDS = 128
"""How often to look whether everything is still there: while there is work, and at rest."""

UNSURE_S = 30.0
"""So long after a loss a decision that the remote store lacks may be on its way back."""

PARKED_S = 0.5
IDLE_S = 0.25
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0


class Lane:
    """Brings one router's rows of one file to the remote store.

    ``away`` is True while the remote store does not take them; ``pending`` counts rows that it
    does not have yet.
    """

    def __init__(
        self,
        file: OutboxFile,
        remote: Remote,
        router: str,
        *,
        clock: Callable[[], float],
        early_s: float,
    ) -> None:
        """``early_s`` is as in :class:`~banditroute.stores.outbox.carrier.Carrier`."""
        self.router = router
        self.away = False
        self.pending = 0
        self.carrier = Carrier(
            file, remote, router, is_sure=self._is_sure, clock=clock, early_s=early_s
        )
        self._file = file
        self._remote = remote
        self._fresh: deque[Row] = deque()
        self._behind = True  # what an earlier process left is read from the file
        self._applied = 0
        self._known: _Known | None = None
        self._appends: list[Mark] = []
        self._grown = asyncio.Event()
        self._looked_at_s = self._parked_at_s = self._unsure_until_s = float("-inf")

    def add(self, row: Row) -> None:
        """Take a row that is in the file."""
        self.pending += 1
        self._fresh.append(row)
        if len(self._fresh) > MOST_FRESH:
            self._fresh.popleft()
            self._behind = True
        self._grown.set()

    async def answer(self, row: Row, timeout_s: float) -> list[Learned] | None:
        """What the remote store says to a row just added; None if it does not say so in time.

        Raises what it refuses the row for, which is then out of the file.
        """
        return None if self.away else await self.carrier.answer(row, timeout_s)

    def suspect(self) -> None:
        """Look at once whether the remote store still has everything."""
        self._looked_at_s = float("-inf")
        self._grown.set()

    async def run(self) -> None:
        """Bring rows over for as long as the task lives."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                if not await self._step():
                    await self._idle()
                pause_s = FIRST_PAUSE_S
            except Exception as error:  # noqa: BLE001 - the task's edge: promises outlive a bug
                self._leave(error)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2.0, LONGEST_PAUSE_S)

    async def drain(self, timeout_s: float) -> None:
        """Bring over what there is, as far as that goes, and keep how far it came."""
        with suppress(StoreError, TimeoutError):
            async with asyncio.timeout(timeout_s):
                while await self._step():
                    pass
                self.suspect()
                await self._look()

    async def _step(self) -> bool:
        """Do what is due; False if nothing is left to do right now."""
        await self._look()
        page = await self._page()
        if page:
            before = self._remote.mark(self.router)  # it may be of a log that is lost by now
            await self.carrier.carry(page)
            self._applied = page[-1].seq
            if (mark := self._remote.mark(self.router)) not in (None, before):
                self._appends.append(mark)
            self.pending = max(self.pending - len(page), 0)
        elif self._now() - self._parked_at_s > PARKED_S:
            await self.carrier.retry_parked(self.add)
            self._parked_at_s = self._now()
        self.away = False
        return bool(page)

    async def _idle(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(IDLE_S):
                await self._grown.wait()
        self._grown.clear()

    def _leave(self, error: Exception) -> None:
        fields = {"router": self.router}
        if not isinstance(error, StoreError):
            logger.error("the outbox failed; trying again", exc_info=error, extra=fields)
        elif not self.away:
            logger.warning("the store takes nothing now; keeping it", exc_info=error, extra=fields)
        self.away = self._behind = True  # a page that is not over is read again
        self.suspect()
        self.carrier.give_up()

    async def _page(self) -> list[Row]:
        """The next rows, from memory, or from the file where memory does not reach back."""
        while self._fresh and self._fresh[0].seq <= self._applied:
            self._fresh.popleft()
        if self._behind:
            self._behind = False  # unless more is added meanwhile than is kept
            page = await self._file.page(self.router, self._applied, PAGE)
            self._behind |= len(page) == PAGE
            if page:
                return page
        return [self._fresh[at] for at in range(min(PAGE, len(self._fresh)))]

    async def _look(self) -> None:
        """Now and then: does the remote store still have all that it took? Then note how far.

        It does if its log still has the newest mark and all that was appended since, and no
        other server took its place. An end of the log that was not there at the last look was
        appended after it: that is the next mark, for all rows that were over by then.
        """
        if not self._is_due():
            return
        known = self._known or await self._begin()
        server, held, end = await self._ask(known)
        if not held or server != known.server:
            await self._go_back(server, end)
            if known.server:  # others give back what they have, too
                self._unsure_until_s = self._now() + UNSURE_S
        elif end != known.mark or self._applied != known.applied:
            mark = Covered(known.applied, end) if end and end != known.mark else None
            await self._file.save(self.router, Progress(self._applied, server), mark)
            self._known = _Known(server, end, self._applied)
        self._appends.clear()
        self._looked_at_s = self._now()

    def _is_due(self) -> bool:
        busy = self._appends or (self._known and self._known.applied != self._applied)
        waited_s = self._now() - self._looked_at_s
        return waited_s > (LOOK_S if busy else REST_S) or len(self._appends) > MOST_APPENDS

    async def _ask(self, known: _Known) -> tuple[str, bool, Mark | None]:
        """The server, whether its log has all that is known to be there, and the log's end."""
        marks = [*([known.mark] if known.mark else []), *self._appends]
        proof = await self._remote.prove(self.router, marks)
        # The server last: no server comes back, so if it is the known one, it gave the proof.
        return (await self._remote.server(self.router), *proof)

    async def _is_sure(self) -> bool:
        """Whether what the remote store lacks was never there, and not just lost."""
        if self._known is None or self._now() < self._unsure_until_s:
            return False
        server, held, _ = await self._ask(self._known)
        return held and server == self._known.server

    async def _begin(self) -> _Known:
        """Go on from where the last process with this file had come."""
        progress, newest = (
            await self._file.progress(self.router),
            await self._file.mark(self.router),
        )
        self._applied = progress.applied
        self.pending = await self._file.count(self.router, self._applied)
        self._known = _Known(progress.server, *((newest.mark, newest.seq) if newest else ()))
        return self._known

    async def _go_back(self, server: str, end: Mark | None) -> None:
        """Bring over again whatever the remote store may have lost."""
        found = await self._last_held()
        safe = found.seq if found else 0
        await self._file.forget_marks(self.router, found.number if found else 0)
        if safe < self._applied:
            fields = {"router": self.router, "rows": self._applied - safe}
            logger.warning("the store may have lost writes; giving them again", extra=fields)
            self._applied, self._behind = safe, True
        await self._file.save(self.router, Progress(self._applied, server))
        self._known = _Known(server, end, safe)
        self.pending = await self._file.count(self.router, self._applied)

    async def _last_held(self) -> Covered | None:
        """A mark that the remote store's log has: the newest, or not much older than that."""
        skip = 0
        while covered := await self._file.mark(self.router, skip):
            held, _ = await self._remote.prove(self.router, [covered.mark])
            if held:
                return covered
            skip = 2 * skip + 1
        return None

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


@dataclass(frozen=True, slots=True)
class _Known:
    """What the last look found: the server, the log's end, and the rows that were over."""

    server: str
    mark: Mark | None = None
    applied: int = 0
