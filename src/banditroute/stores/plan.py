"""What a batch of feedback or outcomes writes: computed before anything is written.

A store reads the records concerned, plans, and writes the plan in one transaction; an error
while planning leaves everything as it was. So all stores share one set of rules, and
"all or nothing" costs none of them an undo.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from banditroute.core import feedback
from banditroute.core.identity import made_at_ms
from banditroute.core.outcomes import outcome_evidence, quality_evidence
from banditroute.errors import (
    CheckpointInvalid,
    FeatureMismatch,
    InvalidRequest,
    OutcomeConflict,
    StoreUnusable,
    UnknownDecision,
)
from banditroute.stores.base import FeedbackChange
from banditroute.stores.retention import is_expired
from banditroute.values import (
    Announcement,
    Checkpoint,
    Decision,
    DecisionId,
    DecisionRecord,
    Evidence,
    Learned,
    Mark,
    Outcome,
)


@dataclass(slots=True)
class Plan:
    """What is to be written: new marks and outcomes by decision, and the log's next entries.

    ``records`` are the living decisions concerned; ``head`` is the log's last position, and
    ``evidence`` stands at ``head`` + 1, + 2, …; ``oldest`` is the lowest id not yet expired.
    """

    records: dict[DecisionId, DecisionRecord]
    head: int
    oldest: DecisionId
    statuses: list[Learned] = field(default_factory=list)
    marks: dict[DecisionId, Mapping[str, Mark]] = field(default_factory=dict)
    outcomes: dict[DecisionId, Outcome] = field(default_factory=dict)
    evidence: list[Evidence] = field(default_factory=list)

    def absorb(self, changes: Sequence[FeedbackChange]) -> None:
        """Plan feedbacks and retractions, in order."""
        for index, change in enumerate(changes):
            with _blaming(index):
                self.statuses.append(self._absorb(change))

    def record(self, outcomes: Sequence[Outcome], at_s: float) -> None:
        """Plan outcomes recorded at ``at_s``, in order."""
        for index, outcome in enumerate(outcomes):
            with _blaming(index):
                self.statuses.append(self._record(outcome, at_s))

    def _absorb(self, change: FeedbackChange) -> Learned:
        record = self._found(change.decision_id)
        applied = feedback.apply(record.marks, change)
        if applied.marks is not record.marks:
            self.marks[change.decision_id] = applied.marks
            self.records[change.decision_id] = replace(record, marks=applied.marks)
        if applied.old != applied.new:
            entry = quality_evidence(
                record.decision,
                applied.old,
                applied.new,
                position=self._next_position(),
                charges=applied.charges,
            )
            self.evidence.append(entry)
        return applied.status

    def _record(self, outcome: Outcome, at_s: float) -> Learned:
        record = self._found(outcome.decision_id)
        if record.outcome == outcome:
            return Learned.UNCHANGED
        if record.outcome is not None:
            raise OutcomeConflict(
                f"decision {outcome.decision_id} has another outcome already; "
                "an outcome is recorded once and never changed"
            )
        entry = outcome_evidence(
            record.decision, outcome, position=self._next_position(), at_s=at_s
        )
        self.evidence.append(entry)
        self.outcomes[outcome.decision_id] = outcome
        self.records[outcome.decision_id] = replace(record, outcome=outcome)
        return Learned.LEARNED

    def _found(self, decision_id: DecisionId) -> DecisionRecord:
        record = self.records.get(decision_id)
        if record is None:
            raise unknown_decision(decision_id, self.oldest)
        return record

    def _next_position(self) -> int:
        return self.head + len(self.evidence) + 1


def news_ids(entries: Sequence[Evidence]) -> list[str]:
    """The ids of the news among a log's entries."""
    return [entry.news.id for entry in entries if isinstance(entry, Announcement)]


def unknown_decision(decision_id: DecisionId, oldest: DecisionId) -> UnknownDecision:
    """The error for an id that no living decision has, which tells late from wrong."""
    expired = is_expired(decision_id, oldest)
    what = "is past its time to live" if expired else "was never made here"
    return UnknownDecision(f"decision {decision_id} {what}", expired=expired)


def check_claim(router: str, claimed: str | None, fingerprint: str) -> None:
    """Raise FeatureMismatch unless a router's log is claimed for these features, or for none."""
    if claimed not in (None, fingerprint):
        raise FeatureMismatch(
            f"router {router!r} is learned from context features {claimed}, not {fingerprint}: "
            "restore the earlier [features] and [[tasks]], or start afresh with another router "
            "name or another [store] url"
        )


def check_decision(decision: Decision, claimed: str | None) -> None:
    """Raise FeatureMismatch for a decision made of other features than the claimed ones.

    Raises InvalidRequest for an id that carries no time, as it could never expire.
    """
    made_at_ms(decision.id)
    check_claim(decision.router, claimed, decision.fingerprint)


def check_position(router: str, checkpoint: Checkpoint, head: int) -> None:
    """Raise CheckpointInvalid for a checkpoint of evidence that the log does not have.

    Whoever loaded it would pass over the entries that are yet to take those positions.
    """
    if checkpoint.position > head:
        raise CheckpointInvalid(
            f"a checkpoint at position {checkpoint.position} is ahead of the log of router "
            f"{router!r}, which ends at {head}"
        )


def check_vacant(router: str, *, occupied: bool) -> None:
    """Raise StoreUnusable for an import into a router that has something of its own."""
    if occupied:
        raise StoreUnusable(
            f"router {router!r} already has decisions or a log in this store: import into "
            "another store, where no router has used that name"
        )


def check_settled(router: str, *, arriving: bool) -> None:
    """Raise StoreUnusable from the beginning of a router's import to its end."""
    if arriving:
        raise StoreUnusable(
            f"an import of router {router!r} is under way, or was cut short: run `banditroute "
            "import` again to its end, or name another [store] url"
        )


def check_arriving(router: str, *, arriving: bool) -> None:
    """Raise StoreUnusable for a part of a router's state outside of its import."""
    if not arriving:
        raise StoreUnusable(
            f"no import of router {router!r} is under way: another one has just finished it"
        )


@contextmanager
def _blaming(index: int) -> Iterator[None]:
    """Point an error at the item of the batch that caused it."""
    try:
        yield
    except InvalidRequest as error:
        error.param = str(index)
        raise
