"""One router in memory: its log, its decisions, and what an import brings before it is whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from banditroute.stores.base import SavedCheckpoint
from banditroute.stores.packing import (
    Packed,
    pack_decision,
    pack_evidence,
    pack_marks,
    pack_outcome,
    unpack_decision,
    unpack_marks,
    unpack_outcome,
)
from banditroute.stores.plan import Plan, news_ids
from banditroute.stores.retention import Saved, base
from banditroute.values import Announcement, DecisionId, DecisionRecord, Evidence, Learned, News


@dataclass(slots=True)
class MemoryRouter:
    """One router's log, which begins after ``base``, and its decisions."""

    claimed: str | None = None
    base: int = 0
    log: list[Packed] = field(default_factory=list)
    decisions: dict[DecisionId, Packed] = field(default_factory=dict)
    outcomes: dict[DecisionId, Packed] = field(default_factory=dict)
    marks: dict[DecisionId, Packed] = field(default_factory=dict)
    checkpoints: dict[int, SavedCheckpoint] = field(default_factory=dict)
    announced: set[str] = field(default_factory=set)

    @property
    def head(self) -> int:
        """The last position ever given."""
        return self.base + len(self.log)

    @property
    def saved(self) -> list[Saved]:
        """Where checkpoints are kept, and since when."""
        return [Saved(position, one.at_s) for position, one in self.checkpoints.items()]

    @property
    def occupied(self) -> bool:
        """Whether there is anything that an import would have to share the router with."""
        return bool(self.head or self.decisions or self.checkpoints)

    def find(self, decision_id: DecisionId, oldest: DecisionId) -> DecisionRecord | None:
        """A living decision with its outcome and marks."""
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
        """A plan that knows these decisions."""
        found = {id_: record for id_ in decision_ids if (record := self.find(id_, oldest))}
        return Plan(found, self.head, oldest)

    def write(self, plan: Plan) -> list[Learned]:
        """Keep what was planned, or nothing."""
        # Everything is packed before anything is kept: packing may refuse a value.
        marks = {id_: pack_marks(value) for id_, value in plan.marks.items()}
        outcomes = {id_: pack_outcome(value) for id_, value in plan.outcomes.items()}
        entries = [pack_evidence(entry) for entry in plan.evidence]
        self.marks.update(marks)
        self.outcomes.update(outcomes)
        self.log.extend(entries)
        return plan.statuses

    def announce(self, news: News) -> Learned:
        """Append news whose id is new."""
        if news.id in self.announced:
            return Learned.UNCHANGED
        self.log.append(pack_evidence(Announcement(self.head + 1, news)))
        self.announced.add(news.id)
        return Learned.LEARNED

    def forget(self, decision_id: DecisionId) -> None:
        """Drop a decision with all that is known of it."""
        for kept in (self.decisions, self.outcomes, self.marks):
            kept.pop(decision_id, None)

    def trim(self, before_s: float) -> None:
        """Let the log begin at its newest checkpoint saved before a time, if there is one."""
        position = base(self.saved, before_s)
        if position is not None:
            self.checkpoints = {p: c for p, c in self.checkpoints.items() if p >= position}
            del self.log[: position - self.base]
            self.base = position


@dataclass(slots=True)
class Arrival:
    """What an import has brought so far. Nobody sees it before :meth:`whole`."""

    router: MemoryRouter = field(default_factory=MemoryRouter)
    entries: dict[int, Packed] = field(default_factory=dict)

    def put(
        self,
        records: Sequence[DecisionRecord],
        entries: Sequence[Evidence],
        checkpoints: Sequence[SavedCheckpoint],
        announced: Sequence[str],
    ) -> None:
        """Take in parts; what came before under the same id or position is replaced."""
        for record in records:
            decision_id = record.decision.id
            self.router.forget(decision_id)
            self.router.decisions[decision_id] = pack_decision(record.decision)
            if record.outcome is not None:
                self.router.outcomes[decision_id] = pack_outcome(record.outcome)
            if record.marks:
                self.router.marks[decision_id] = pack_marks(record.marks)
        self.entries |= {entry.position: pack_evidence(entry) for entry in entries}
        self.router.checkpoints |= {one.checkpoint.position: one for one in checkpoints}
        self.router.announced.update(announced, news_ids(entries))

    def whole(self, fingerprint: str | None, head: int) -> MemoryRouter:
        """The router, whose log is the entries that lead up to ``head``."""
        position = head
        while position in self.entries:
            position -= 1
        self.router.base = position
        self.router.log = [self.entries[place] for place in range(position + 1, head + 1)]
        self.router.claimed = fingerprint
        return self.router
