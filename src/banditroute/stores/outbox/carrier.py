"""Brings rows over to the remote store, and finds out what becomes of those it does not take."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeAlias, cast

from banditroute.core.identity import made_at_ms
from banditroute.errors import BanditrouteError, InvalidRequest, StoreError, UnknownDecision
from banditroute.stores.base import FeedbackChange
from banditroute.stores.outbox.file import Content, Kind, OutboxFile, Row
from banditroute.stores.remote import Remote, is_away
from banditroute.values import Decision, DecisionId, Learned, Outcome

logger = logging.getLogger(__name__)

PARKED_PAGE = 256

_Said: TypeAlias = "list[Learned] | BaseException"


class Carrier:
    """Carries rows of one file and one router.

    ``dropped`` counts rows that were promised and could not be kept: the remote store refused
    them, or their decision never turned up.
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
        """A decision younger than ``early_s`` that the remote store lacks may still come from
        another replica: who speaks of it is not refused.
        """
        self.dropped = 0
        self.parked = 0
        self._file = file
        self._remote = remote
        self._router = router
        self._clock = clock
        self._early_s = early_s
        self._asking: dict[int, asyncio.Future[list[Learned] | None]] = {}

    async def answer(self, row: Row, timeout_s: float) -> list[Learned] | None:
        """What the remote store says to a row; None if it does not say so in time.

        Raises what it refuses the row for, which is then out of the file.
        """
        future = self._asking[row.seq] = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait({future}, timeout=timeout_s)
            return future.result() if future.done() else None
        finally:
            del self._asking[row.seq]

    def give_up(self) -> None:
        """Tell whoever waits that there is no answer for now: the promise stands."""
        for future in self._asking.values():
            if not future.done():
                future.set_result(None)

    async def carry(self, rows: Sequence[Row]) -> None:
        """Bring rows over, decisions first: what is said of them comes after them.

        Raises StoreUnavailable or HistoryLost if that was not possible for every row; carrying
        them all again is right then.
        """
        made = [row for row in rows if isinstance(row.content, Decision)]
        said = [row for row in rows if not isinstance(row.content, Decision)]
        await self._settle(made, await self._remember(made))
        await self._settle(said, await self._say_all(said))

    async def retry_parked(self) -> None:
        """Bring over what waited for a decision that has turned up since."""
        self.parked, after = 0, 0
        while rows := await self._file.parked(self._router, after, PARKED_PAGE):
            done = [row.seq for row in rows if await self._retry(row)]
            await self._file.unpark(done)
            self.parked += len(rows) - len(done)
            after = rows[-1].seq

    async def _remember(self, rows: Sequence[Row]) -> list[_Said]:
        decisions = [row.content for row in rows if isinstance(row.content, Decision)]
        try:
            await self._remote.remember(decisions)
        except StoreError as error:
            if is_away(error):
                raise
        except InvalidRequest:
            pass
        else:
            return [[] for _ in rows]
        return await self._say_all(rows)  # one of them is refused: find out which

    async def _say_all(self, rows: Sequence[Row]) -> list[_Said]:
        return await asyncio.gather(*map(self._say, rows), return_exceptions=True)

    async def _say(self, row: Row) -> list[Learned]:
        if row.content is None:
            raise StoreError("the row is damaged")
        return await self._put(row, row.content)

    async def _put(self, row: Row, content: Content) -> list[Learned]:
        if isinstance(content, Decision):
            await self._remote.remember([content])
            return []
        if row.kind is Kind.OUTCOMES:
            outcomes = cast("tuple[Outcome, ...]", content)
            return await self._remote.record(self._router, outcomes, row.at_s)
        return await self._remote.absorb(self._router, cast("tuple[FeedbackChange, ...]", content))

    async def _settle(self, rows: Sequence[Row], said: Sequence[_Said]) -> None:
        away: BaseException | None = None
        for row, answer in zip(rows, said, strict=True):
            if not isinstance(answer, BaseException):
                self._tell(row, answer)
            elif is_away(answer):
                away = answer
            elif isinstance(answer, BanditrouteError):
                await self._refused(row, answer)
            else:
                raise answer
        if away is not None:
            raise away

    async def _refused(self, row: Row, error: BanditrouteError) -> None:
        """Mend it, put the row aside until it can be mended, or take it back."""
        if isinstance(error, UnknownDecision) and not error.expired:
            missing = await self._missing(row)
            if not missing:
                await self._settle([row], await self._say_all([row]))
                return
            if row.seq not in self._asking or all(map(self._is_early, missing)):
                await self._file.park([row])
                self.parked += 1
                self._tell(row, [Learned.ACCEPTED] * row.size)
                return
        await self._file.drop([row.seq])
        if not self._tell(row, error):
            self.dropped += 1
            fields = {"router": self._router, "why": str(error)}
            logger.warning("a promise could not be kept", extra=fields)

    async def _missing(self, row: Row) -> set[DecisionId]:
        """The decisions of a row that the remote store lacks, after giving it those we have."""
        ids = _decision_ids(row)
        missing = ids - await self._remote.known(self._router, ids)
        for id_ in list(missing):
            ours = await self._file.decision(self._router, id_)
            if ours is not None and isinstance(ours.content, Decision):
                await self._remote.remember([ours.content])
                missing.discard(id_)
        return missing

    async def _retry(self, row: Row) -> bool:
        """Bring over as much of a parked row as can be. Whether that was all."""
        missing = await self._missing(row)
        if isinstance(row.content, tuple):
            for said in row.content:
                if said.decision_id not in missing:
                    with suppress(InvalidRequest):
                        await self._put(row, (said,))  # type: ignore[arg-type]  # one of its own
        return not missing

    def _tell(self, row: Row, answer: list[Learned] | BanditrouteError) -> bool:
        """Answer whoever waits; False if nobody does."""
        future = self._asking.get(row.seq)
        if future is None or future.done():
            return False
        if isinstance(answer, BanditrouteError):
            future.set_exception(answer)
        else:
            future.set_result(answer)
        return True

    def _is_early(self, decision_id: DecisionId) -> bool:
        return self._clock() - made_at_ms(decision_id) / 1000 < self._early_s


def _decision_ids(row: Row) -> set[DecisionId]:
    said = row.content if isinstance(row.content, tuple) else ()
    return {one.decision_id for one in said}
