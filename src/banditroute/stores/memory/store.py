"""A store in one process's memory: for tests, simulations and a first look. Nothing survives.

Values are kept packed, as every other store keeps them: what is read back is what a durable
store would have given back, and nobody can change it from outside.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from banditroute.errors import StoreUnavailable
from banditroute.stores.base import ArmEstimate, FeedbackChange, Pending, Recorder, SavedCheckpoint
from banditroute.stores.memory.router import Arrival, MemoryRouter
from banditroute.stores.packing import pack_decision, unpack_evidence
from banditroute.stores.plan import (
    Plan,
    check_arriving,
    check_claim,
    check_decision,
    check_position,
    check_settled,
    check_vacant,
)
from banditroute.stores.retention import Retention
from banditroute.values import (
    Checkpoint,
    Decision,
    DecisionId,
    DecisionRecord,
    Evidence,
    Learned,
    News,
    Outcome,
)


class MemoryStore:
    """The :class:`~banditroute.stores.base.Store` of a single process and event loop."""

    def __init__(self, *, decision_ttl_s: float, clock: Callable[[], float]) -> None:
        """``clock`` gives seconds since the epoch. Raises ValueError for a ttl not above 0."""
        self._retention = Retention(decision_ttl_s)
        self._clock = clock
        self._routers: dict[str, MemoryRouter] = {}
        self._arrivals: dict[str, Arrival] = {}
        self._grown = asyncio.Event()
        self._open = False

    async def open(self) -> None:
        """Begin; what an earlier session of this very store kept is still there."""
        self._open = True

    async def close(self) -> None:
        """End. Every later call but ``open`` raises StoreUnavailable."""
        self._open = False
        self._wake()

    async def claim(self, router: str, fingerprint: str) -> None:
        """Bind a router's log to context features; see ``Store.claim``."""
        kept = self._writable(router)
        check_settled(router, arriving=router in self._arrivals)
        if kept.head:
            check_claim(router, kept.claimed, fingerprint)
        elif kept.claimed not in (None, fingerprint):
            self._routers[router] = MemoryRouter()  # what earlier features decided taught nothing
        self._routers[router].claimed = fingerprint

    async def remember(self, decisions: Sequence[Decision]) -> None:
        """Keep decisions, all or none."""
        packed = []
        for decision in decisions:
            kept = self._readable(decision.router)
            check_settled(decision.router, arriving=decision.router in self._arrivals)
            check_decision(decision, kept.claimed)
            packed.append(pack_decision(decision))
        for decision, data in zip(decisions, packed, strict=True):
            self._writable(decision.router).decisions.setdefault(decision.id, data)

    async def record(self, router: str, outcomes: Sequence[Outcome]) -> list[Learned]:
        """Append outcomes, all or none."""
        kept, now_s = self._readable(router), self._clock()
        plan = kept.plan({o.decision_id for o in outcomes}, self._retention.oldest(now_s))
        plan.record(outcomes, now_s)
        return self._written(kept, plan)

    async def absorb(self, router: str, changes: Sequence[FeedbackChange]) -> list[Learned]:
        """Apply feedbacks and retractions, all or none."""
        kept, now_s = self._readable(router), self._clock()
        plan = kept.plan({c.decision_id for c in changes}, self._retention.oldest(now_s))
        plan.absorb(changes)
        return self._written(kept, plan)

    async def announce(self, router: str, news: News) -> Learned:
        """Append news, once per id."""
        kept = self._writable(router)
        check_settled(router, arriving=router in self._arrivals)
        status = kept.announce(news)
        self._wake()
        return status

    async def evidence(self, router: str, after: int, limit: int) -> list[Evidence]:
        """Entries after a position; they begin at the base once the log was trimmed."""
        kept = self._readable(router)
        start = max(after - kept.base, 0)
        return [unpack_evidence(packed) for packed in kept.log[start : start + limit]]

    async def wait(self, router: str, after: int, timeout_s: float) -> bool:
        """Wait for an entry after ``after``."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._readable(router).head <= after:
                    await self._grown.wait()
        except TimeoutError:
            return False
        return True

    async def head(self, router: str) -> int:
        """The position of the last entry."""
        return self._readable(router).head

    async def load_checkpoint(self, router: str, at: int | None = None) -> Checkpoint | None:
        """The newest checkpoint up to ``at``."""
        checkpoints = self._readable(router).checkpoints
        position = max((p for p in checkpoints if at is None or p <= at), default=None)
        return None if position is None else checkpoints[position].checkpoint

    async def save_checkpoint(
        self, router: str, checkpoint: Checkpoint, estimates: Sequence[ArmEstimate] = ()
    ) -> None:
        """Keep a checkpoint unless a newer one is kept. Raises CheckpointInvalid if it is ahead."""
        del estimates  # no other tool can read this memory
        kept = self._writable(router)
        check_position(router, checkpoint, kept.head)
        if checkpoint.position > max(kept.checkpoints, default=-1):
            kept.checkpoints[checkpoint.position] = SavedCheckpoint(self._clock(), checkpoint)
            for position in self._retention.superfluous(kept.saved):
                del kept.checkpoints[position]

    async def find(self, router: str, decision_id: DecisionId) -> DecisionRecord | None:
        """A living decision with its outcome and marks."""
        return self._readable(router).find(decision_id, self._oldest())

    async def decisions(self, router: str, after: DecisionId = "") -> AsyncIterator[DecisionRecord]:
        """Living decisions in order of id; those made meanwhile may be missing."""
        kept = self._readable(router)
        for decision_id in sorted(id_ for id_ in kept.decisions if id_ > after):
            record = kept.find(decision_id, self._oldest())
            if record is not None:  # it may have expired since the first was asked for
                yield record

    async def expire(self) -> int:
        """Forget decisions past their time to live, and trim the logs."""
        oldest, before_s = self._oldest(), self._retention.oldest_s(self._clock())
        deleted = 0
        for kept in self._routers.values():
            expired = [decision_id for decision_id in kept.decisions if decision_id < oldest]
            for decision_id in expired:
                kept.forget(decision_id)
            kept.trim(before_s)
            deleted += len(expired)
        return deleted

    def recorder(self) -> Recorder:
        """The store itself."""
        return self

    def pending(self) -> Pending:
        """Nothing: what was promised is there."""
        return Pending()

    async def claimed(self, router: str) -> str | None:
        """The fingerprint that a router's log is claimed for."""
        return self._readable(router).claimed

    async def checkpoints(self, router: str) -> list[SavedCheckpoint]:
        """Every checkpoint kept, in order of position."""
        return [kept for _, kept in sorted(self._readable(router).checkpoints.items())]

    async def announced(self, router: str) -> list[str]:
        """The ids of all news ever announced, in order."""
        return sorted(self._readable(router).announced)

    async def begin_import(self, router: str) -> None:
        """Make room for an imported state; see ``Store.begin_import``."""
        check_vacant(router, occupied=self._readable(router).occupied)
        self._arrivals[router] = Arrival()

    async def put(
        self,
        router: str,
        *,
        records: Sequence[DecisionRecord] = (),
        entries: Sequence[Evidence] = (),
        checkpoints: Sequence[SavedCheckpoint] = (),
        announced: Sequence[str] = (),
    ) -> None:
        """Keep parts of an imported state apart, until it is whole."""
        self._arrival(router).put(records, entries, checkpoints, announced)

    async def finish_import(self, router: str, fingerprint: str | None, head: int) -> None:
        """Let what was put be the router's state."""
        self._routers[router] = self._arrival(router).whole(fingerprint, head)
        del self._arrivals[router]
        self._wake()

    def _arrival(self, router: str) -> Arrival:
        self._readable(router)
        check_arriving(router, arriving=router in self._arrivals)
        return self._arrivals[router]

    def _oldest(self) -> DecisionId:
        return self._retention.oldest(self._clock())

    def _readable(self, router: str) -> MemoryRouter:
        """The router's kept state; an empty one, which is not kept, if there is none."""
        if not self._open:
            raise StoreUnavailable("the store is not open")
        return self._routers.get(router, MemoryRouter())

    def _writable(self, router: str) -> MemoryRouter:
        return self._routers.setdefault(router, self._readable(router))

    def _written(self, kept: MemoryRouter, plan: Plan) -> list[Learned]:
        statuses = kept.write(plan)
        if plan.evidence:
            self._wake()
        return statuses

    def _wake(self) -> None:
        """Wake whoever waits now; who waits from here on waits for the next time."""
        self._grown.set()
        self._grown = asyncio.Event()
