"""One router's writes, gathered: whoever waits shares one reading and one script.

While a batch is on its way the next calls gather, and all of them are the next batch. A call
that cannot be planned fails alone; a batch that meets a change by another replica is read and
planned again.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from redis import exceptions as redis_errors

from banditroute.errors import BanditrouteError, StoreError, StoreUnavailable
from banditroute.stores.packing import (
    Packed,
    pack_evidence,
    pack_marks,
    pack_outcome,
    unpack_decision,
    unpack_marks,
    unpack_outcome,
)
from banditroute.stores.plan import Plan
from banditroute.stores.redis.history import mark_of
from banditroute.stores.redis.keys import Keys
from banditroute.stores.redis.link import Link
from banditroute.stores.redis.scripts import COMMIT, READ
from banditroute.stores.remote import Mark
from banditroute.values import DecisionId, DecisionRecord, Learned

logger = logging.getLogger(__name__)

MOST_DECISIONS = 512
"""How many decisions one script reads and writes: it holds up the server for so long."""

ATTEMPTS = 16
"""How often a batch is begun again because another replica was faster."""

_PAUSE_S = 0.001
_ABSENT = b""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of one decision, packed; absent parts are empty."""

    body: Packed
    outcome: Packed = _ABSENT
    marks: Packed = _ABSENT

    def record(self) -> DecisionRecord:
        """The values. Raises StoreError for bytes that are damaged."""
        return DecisionRecord(
            decision=unpack_decision(self.body),
            outcome=unpack_outcome(self.outcome) if self.outcome else None,
            marks=unpack_marks(self.marks) if self.marks else {},
        )


@dataclass(slots=True)
class _Call:
    """A caller: the decisions concerned, how to plan, and who waits for the statuses."""

    decision_ids: frozenset[DecisionId]
    plan: Callable[[Plan], None]
    future: asyncio.Future[list[Learned]]
    statuses: list[Learned] = field(default_factory=list)
    error: BanditrouteError | None = None

    def settle(self) -> None:
        if self.future.done():  # whoever asked has gone; what was written stays
            return
        if self.error is None:
            self.future.set_result(self.statuses)
        else:
            self.future.set_exception(self.error)


@dataclass(slots=True)
class _Draft:
    """What a batch is going to write."""

    before: dict[DecisionId, Kept]
    after: dict[DecisionId, Kept] = field(default_factory=dict)
    entries: list[Packed] = field(default_factory=list)

    def take(self, plan: Plan) -> None:
        """Add one call's plan. Everything is packed first: packing may refuse a value."""
        outcomes = {id_: pack_outcome(value) for id_, value in plan.outcomes.items()}
        marks = {id_: pack_marks(value) for id_, value in plan.marks.items()}
        entries = [pack_evidence(entry) for entry in plan.evidence]
        for id_ in {*outcomes, *marks}:
            now = self.after.get(id_, self.before[id_])
            self.after[id_] = Kept(
                now.body, outcomes.get(id_, now.outcome), marks.get(id_, now.marks)
            )
        self.entries += entries


class Writer:
    """Writes outcomes and feedback of one router. ``mark`` is the newest append it knows of."""

    def __init__(
        self, link: Link, router: str, oldest: Callable[[], DecisionId], nonce: Callable[[], bytes]
    ) -> None:
        self._link = link
        self._keys = Keys(router)
        self._oldest = oldest
        self._nonce = nonce
        self._calls: deque[_Call] = deque()
        self._work: asyncio.Task[None] | None = None
        self.mark: Mark | None = None

    async def run(
        self, decision_ids: Iterable[DecisionId], plan: Callable[[Plan], None]
    ) -> list[Learned]:
        """What ``plan`` found out, once it is written; raises what it raised."""
        call = _Call(frozenset(decision_ids), plan, asyncio.get_running_loop().create_future())
        self._calls.append(call)
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._work_off())
        return await call.future

    async def read(self, decision_ids: Iterable[DecisionId]) -> dict[DecisionId, Kept]:
        """What is kept of those decisions that are there."""
        return await read(self._link, self._keys, list(decision_ids))

    async def close(self) -> None:
        """Finish what was asked for."""
        if self._work is not None:
            await asyncio.wait({self._work})

    async def _work_off(self) -> None:
        while self._calls:
            batch = self._next_batch()
            try:
                await self._write(batch)
            except Exception as error:  # noqa: BLE001 - the task's edge: whoever waits is told
                for call in batch:
                    call.error = call.error or _told(error)
            for call in batch:
                call.settle()

    def _next_batch(self) -> list[_Call]:
        batch = [self._calls.popleft()]
        decisions = len(batch[0].decision_ids)
        while self._calls:
            decisions += len(self._calls[0].decision_ids)
            if decisions > MOST_DECISIONS:
                break
            batch.append(self._calls.popleft())
        return batch

    async def _write(self, batch: list[_Call]) -> None:
        for attempt in range(ATTEMPTS):
            draft = await self._draft(batch)
            if not draft.after or await self._commit(draft):
                return
            await asyncio.sleep(_PAUSE_S * random.random() * 2**attempt)  # noqa: S311 - no secret
        raise StoreUnavailable("other replicas keep changing the same decisions; try again")

    async def _draft(self, batch: list[_Call]) -> _Draft:
        """Read everything that is concerned, and let every call plan on what the last one left."""
        concerned = frozenset[DecisionId]().union(*(call.decision_ids for call in batch))
        kept = await self.read(concerned)
        oldest = self._oldest()
        living = {id_ for id_ in kept if id_ >= oldest}
        records: dict[DecisionId, DecisionRecord] = {}
        draft = _Draft(kept)
        for call in batch:
            try:
                fresh = (living & call.decision_ids) - records.keys()
                records |= {id_: kept[id_].record() for id_ in fresh}
                plan = Plan(dict(records), 0, oldest)
                call.plan(plan)
                draft.take(plan)
            except BanditrouteError as error:
                call.error = error
            else:
                call.error, call.statuses = None, plan.statuses
                records |= plan.records
        return draft

    async def _commit(self, draft: _Draft) -> bool:
        """Write a draft; False if what it was made from is no longer so."""
        keys = [self._keys.meta, self._keys.log, *map(self._keys.decision, draft.after)]
        args: list[bytes] = []
        for id_, after in draft.after.items():
            before = draft.before[id_]
            args += [before.outcome, before.marks, after.outcome, after.marks]
        args += draft.entries
        ours = {b"written"}
        try:
            happened, *place = await self._link.run(COMMIT, keys, [self._nonce(), *args])
        except StoreUnavailable as error:
            if not isinstance(error.__cause__, redis_errors.ConnectionError):
                raise
            # The reply is lost, and perhaps only the reply: then this finds it done.
            happened, *place = await self._link.run(COMMIT, keys, [self._nonce(), *args])
            ours = {b"written", b"done"}
        if happened not in ours:
            return False
        self.mark = mark_of(*place) or self.mark
        return True


def _told(error: Exception) -> StoreError:
    """What becomes of a write that failed, whyever: nobody may take it for one that was done."""
    if isinstance(error, StoreError):
        return error
    logger.error("a write failed unexpectedly", exc_info=error)
    return StoreUnavailable("the write failed unexpectedly; the log has the reason")


async def read(link: Link, keys: Keys, ids: list[DecisionId]) -> dict[DecisionId, Kept]:
    """What is kept of those decisions that are there."""
    if not ids:
        return {}
    _, _, found = await link.run(READ, [keys.meta, *map(keys.decision, ids)])
    return {
        id_: Kept(body, outcome or _ABSENT, marks or _ABSENT)
        for id_, (body, outcome, marks) in zip(ids, found, strict=True)
        if body is not None
    }
