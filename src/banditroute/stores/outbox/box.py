"""A file of the outbox with its lanes, and the folder in which every process has one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

from banditroute.errors import StoreUnavailable, StoreUnusable
from banditroute.stores.base import Pending
from banditroute.stores.outbox.file import OutboxFile
from banditroute.stores.outbox.lane import Lane
from banditroute.stores.remote import Remote
from banditroute.stores.tasks import end
from banditroute.values import DecisionId

logger = logging.getLogger(__name__)

MOST_FILES = 1_000
PURGED_AT_ONCE = 500
DRAIN_S = 2.0


class Box:
    """Brings everything in one file to the remote store, each router in a task of its own."""

    def __init__(
        self, file: OutboxFile, remote: Remote, *, clock: Callable[[], float], early_s: float
    ) -> None:
        """``early_s`` is as in :class:`~banditroute.stores.outbox.carrier.Carrier`."""
        self.file = file
        self._remote = remote
        self._clock = clock
        self._early_s = early_s
        self._lanes: dict[str, Lane] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._lost = 0

    async def start(self) -> None:
        """Go on with what an earlier process left."""
        for router in await self.file.routers():
            self.lane(router)

    def lane(self, router: str) -> Lane:
        """The lane of a router."""
        if router not in self._lanes:
            self._lanes[router] = Lane(
                self.file, self._remote, router, clock=self._clock, early_s=self._early_s
            )
            self._tasks.append(asyncio.create_task(self._lanes[router].run()))
        return self._lanes[router]

    def suspect(self, router: str) -> None:
        """Look at once whether the remote store still has everything of a router."""
        if router in self._lanes:
            self._lanes[router].suspect()

    def pending(self) -> Pending:
        """What the remote store does not have yet."""
        lanes = self._lanes.values()
        parked = sum(lane.carrier.parked for lane in lanes)
        return Pending(
            waiting=sum(lane.pending for lane in lanes) + parked,
            parked=parked,
            dropped=sum(lane.carrier.dropped for lane in lanes) + self._lost,
        )

    async def purge(self, oldest: DecisionId) -> None:
        """Delete rows whose decisions have expired."""
        deleted = PURGED_AT_ONCE
        while deleted == PURGED_AT_ONCE:
            deleted, lost = await self.file.purge(oldest, PURGED_AT_ONCE)
            self._lost += lost

    async def stop(self) -> None:
        """Bring over what can be brought over soon, and let go of the file."""
        await end(self._tasks)
        await asyncio.gather(*(lane.drain(DRAIN_S) for lane in self._lanes.values()))
        await self.file.close()


async def claim(folder: Path) -> OutboxFile:
    """The first file of a folder that no living process has.

    Raises StoreUnusable where no file can be made.
    """
    try:
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnusable(
            f"the outbox {folder} cannot be made ({error.strerror}): name a folder on a local disk "
            'in [store] outbox, or turn it "off"'
        ) from error
    for number in range(MOST_FILES):
        with suppress(StoreUnavailable):
            return await OutboxFile.open(folder / f"{number}.db")
    raise StoreUnusable(f"all {MOST_FILES} files of the outbox {folder} are in use")


async def orphans(folder: Path, mine: set[Path]) -> AsyncIterator[OutboxFile]:
    """The files of a folder whose processes are gone; they are ours from here on."""
    for path in await asyncio.to_thread(lambda: sorted(folder.glob("*.db"))):
        if path not in mine:
            try:
                file = await OutboxFile.open(path)
            except StoreUnavailable:
                continue
            except StoreUnusable as error:
                logger.warning("an outbox cannot be taken over", exc_info=error)
                continue
            yield file
