"""Brings rows over to the remote store, and finds out what becomes of those it does not take."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
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
        is_sure: Callable[[], Awaitable[bool]],
        clock: Callable[[], float],
        early_s: float,
    ) -> None:
        """A decision that the remote store lacks may still come from another replica: who
        speaks of it is not refused while it is younger than ``early_s``, nor while the remote
        store is not ``is_sure`` to have what it had.
        """
        self.dropped = 0
        self.parked = 0
        self._file = file
        self._remote = remote
        self._router = router
        self._is_sure = is_sure
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

    async def retry_parked(self, add: Callable[[Row], None]) -> None:
        """Let what waited for a decision that has turned up since get in line again, at its end.

        What is brought over out of turn is covered by no mark.
        """
        waiting, after = 0, 0
        while rows := await self._file.parked(self._router, after, PARKED_PAGE):
            ready = [row for row in rows if await self._retry(row)]
            for row in await self._file.requeue(ready):
                add(row)
            waiting += len(rows) - len(ready)
            after = rows[-1].seq
        self.parked = waiting

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
            promised = row.seq not in self._asking
            if promised or all(map(self._is_early, missing)) or not await self._is_sure():
                await self._file.park([row])
                self.parked += 1
                self._tell(row, [Learned.ACCEPTED] * row.size)
                return
        await self._file.drop([row.seq])
        if not self._tell(row, error):
            self._drop(error)

    async def _missing(self, row: Row) -> set[DecisionId]:
        """The decisions of a row that the remote store lacks, after giving it those we have."""
        ids = _decision_ids(row)
        missing = ids - await self._remote.known(self._router, ids)
        for id_ in list(missing):
            ours = await self._file.decision(self._router, id_)
            if ours is not None and isinstance(ours.content, Decision):
                missing -= await self._given(ours.content)
        return missing

    async def _given(self, decision: Decision) -> set[DecisionId]:
        """Give the remote store a decision again; empty if it does not take it."""
        try:
            await self._remote.remember([decision])
        except (StoreError, InvalidRequest) as error:
            if is_away(error):
                raise
            return set()
        return {decision.id}

    async def _retry(self, row: Row) -> bool:
        """Whether all decisions of a parked row are there; else what can be is brought over."""
        missing = await self._missing(row)
        if missing and isinstance(row.content, tuple):
            for said in row.content:
                if said.decision_id not in missing:
                    try:
                        await self._put(row, (said,))  # type: ignore[arg-type]  # one of its own
                    except InvalidRequest as error:
                        self._drop(error)
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

    def _drop(self, why: BanditrouteError) -> None:
        self.dropped += 1
        fields = {"router": self._router, "why": str(why)}
        logger.warning("a promise could not be kept", extra=fields)

    def _is_early(self, decision_id: DecisionId) -> bool:
        return self._clock() - made_at_ms(decision_id) / 1000 < self._early_s


def _decision_ids(row: Row) -> set[DecisionId]:
    said = row.content if isinstance(row.content, tuple) else ()
    return {one.decision_id for one in said}
