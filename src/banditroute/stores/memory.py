"""A store in one process's memory: for tests, simulations and a first look. Nothing survives.

Values are kept packed, as every other store keeps them: what is read back is what a durable
store would have given back, and nobody can change it from outside.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from banditroute.errors import StoreUnavailable
from banditroute.stores.base import FeedbackChange
from banditroute.stores.packing import (
    Packed,
    pack_decision,
    pack_evidence,
    pack_marks,
    pack_outcome,
    unpack_decision,
    unpack_evidence,
    unpack_marks,
    unpack_outcome,
)
from banditroute.stores.plan import Plan, check_claim, check_decision, check_position
from banditroute.stores.retention import Retention, Saved, base
from banditroute.values import (
    Checkpoint,
    Decision,
    DecisionId,
    DecisionRecord,
    Evidence,
    Learned,
    Outcome,
)


@dataclass(slots=True)
class _Router:
    """One router's log, which begins after ``base``, and its decisions."""

    claimed: str | None = None
    base: int = 0
    log: list[Packed] = field(default_factory=list)
    decisions: dict[DecisionId, Packed] = field(default_factory=dict)
    outcomes: dict[DecisionId, Packed] = field(default_factory=dict)
    marks: dict[DecisionId, Packed] = field(default_factory=dict)
    checkpoints: dict[int, tuple[float, Checkpoint]] = field(default_factory=dict)

    @property
    def head(self) -> int:
        return self.base + len(self.log)

    @property
    def saved(self) -> list[Saved]:
        return [Saved(position, at_s) for position, (at_s, _) in self.checkpoints.items()]

    def find(self, decision_id: DecisionId, oldest: DecisionId) -> DecisionRecord | None:
        packed = self.decisions.get(decision_id)
        if packed is None or decision_id < oldest:
            return None
        outcome, marks = self.outcomes.get(decision_id), self.marks.get(decision_id)
        return DecisionRecord(
            decision=unpack_decision(packed),
            outcome=None if outcome is None else unpack_outcome(outcome),
            marks={} if marks is None else unpack_marks(marks),
        )

    def plan(self, decision_ids: set[DecisionId], oldest: DecisionId) -> Plan:
        found = {id_: record for id_ in decision_ids if (record := self.find(id_, oldest))}
        return Plan(found, self.head, oldest)

    def write(self, plan: Plan) -> list[Learned]:
        # Everything is packed before anything is kept: packing may refuse a value.
        marks = {id_: pack_marks(value) for id_, value in plan.marks.items()}
        outcomes = {id_: pack_outcome(value) for id_, value in plan.outcomes.items()}
        entries = [pack_evidence(entry) for entry in plan.evidence]
        self.marks.update(marks)
        self.outcomes.update(outcomes)
        self.log.extend(entries)
        return plan.statuses

    def forget(self, decision_id: DecisionId) -> None:
        for kept in (self.decisions, self.outcomes, self.marks):
            kept.pop(decision_id, None)

    def trim(self, before_s: float) -> None:
        position = base(self.saved, before_s)
        if position is not None:
            self.checkpoints = {p: c for p, c in self.checkpoints.items() if p >= position}
            del self.log[: position - self.base]
            self.base = position


class MemoryStore:
    """The :class:`~banditroute.stores.base.Store` of a single process and event loop."""

    def __init__(self, *, decision_ttl_s: float, clock: Callable[[], float]) -> None:
        """``clock`` gives seconds since the epoch. Raises ValueError for a ttl not above 0."""
        self._retention = Retention(decision_ttl_s)
        self._clock = clock
        self._routers: dict[str, _Router] = {}
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
        if kept.head:
            check_claim(router, kept.claimed, fingerprint)
        elif kept.claimed not in (None, fingerprint):
            self._routers[router] = _Router()  # what earlier features decided taught nothing
        self._routers[router].claimed = fingerprint

    async def remember(self, decisions: Sequence[Decision]) -> None:
        """Keep decisions, all or none."""
        packed = []
        for decision in decisions:
            check_decision(decision, self._readable(decision.router).claimed)
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
        return None if position is None else checkpoints[position][1]

    async def save_checkpoint(self, router: str, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint unless a newer one is kept. Raises CheckpointInvalid if it is ahead."""
        kept = self._writable(router)
        check_position(router, checkpoint, kept.head)
        if checkpoint.position > max(kept.checkpoints, default=-1):
            kept.checkpoints[checkpoint.position] = (self._clock(), checkpoint)
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

    def _oldest(self) -> DecisionId:
        return self._retention.oldest(self._clock())

    def _readable(self, router: str) -> _Router:
        """The router's kept state; an empty one, which is not kept, if there is none."""
        if not self._open:
            raise StoreUnavailable("the store is not open")
        return self._routers.get(router, _Router())

    def _writable(self, router: str) -> _Router:
        return self._routers.setdefault(router, self._readable(router))

    def _written(self, kept: _Router, plan: Plan) -> list[Learned]:
        statuses = kept.write(plan)
        if plan.evidence:
            self._wake()
        return statuses

    def _wake(self) -> None:
        """Wake whoever waits now; who waits from here on waits for the next time."""
        self._grown.set()
        self._grown = asyncio.Event()
