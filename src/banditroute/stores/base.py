"""What every store offers: one append-only, totally ordered log per router, and its decisions.

A store keeps no learned state but packed checkpoints. It never interprets evidence; it only
puts it in order, once. Every method is safe to call again with the same arguments: what is
already there is left as it is. ``tests/stores/contract.py`` is the proof, for every store.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from banditroute.values import (
    Checkpoint,
    Decision,
    DecisionId,
    DecisionRecord,
    Evidence,
    Feedback,
    Learned,
    News,
    Outcome,
    Retraction,
)

FeedbackChange: TypeAlias = Feedback | Retraction


@dataclass(frozen=True, slots=True)
class SavedCheckpoint:
    """A checkpoint as a store keeps it: with the time at which it was saved."""

    at_s: float
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class ArmEstimate:
    """What was learned of one arm, for people and other tools to read beside a checkpoint.

    ``n`` counts decisions with feedback; ``reward`` is quality − cost / answer value −
    latency / patience at the router's own rates. Numbers nobody could know yet are None.
    """

    arm_id: str
    n: int
    quality: float | None
    cost_usd: float | None
    latency_s: float | None
    reward: float | None


@dataclass(frozen=True, slots=True)
class Pending:
    """What was promised and is not in the store yet.

    ``waiting`` counts all of it, ``parked`` what waits for a decision that has not turned up,
    ``dropped`` what could not be kept since the start.
    """

    waiting: int = 0
    parked: int = 0
    dropped: int = 0


class Recorder(Protocol):
    """The part of a store that writes down what happens, for nobody who waits for an answer."""

    async def remember(self, decisions: Sequence[Decision]) -> None:
        """As ``Store.remember``."""

    async def record(self, router: str, outcomes: Sequence[Outcome]) -> list[Learned]:
        """As ``Store.record``."""


class Store(Protocol):
    """The learning log and the decisions of any number of routers.

    Every method may raise :class:`~banditroute.errors.StoreUnavailable`; then nothing of that
    call was written, or writing it again changes nothing. When a writing method returns, what
    it wrote is durable by the store's own promise.
    """

    async def open(self) -> None:
        """Connect and create what is missing. Raises StoreUnusable where that can never work."""

    async def close(self) -> None:
        """Finish what was begun and let go of every resource. Closing twice is fine."""

    async def claim(self, router: str, fingerprint: str) -> None:
        """Bind a router's log to the context features it is learned from.

        The first claim of a router is kept. Raises FeatureMismatch, naming the ways out, when
        a router with evidence was claimed with another fingerprint; without evidence the new
        fingerprint replaces the old.
        """

    async def remember(self, decisions: Sequence[Decision]) -> None:
        """Keep decisions until they expire. One that is already kept is left unchanged."""

    async def record(self, router: str, outcomes: Sequence[Outcome]) -> list[Learned]:
        """Append each outcome to the log, once per decision: LEARNED, or UNCHANGED if repeated.

        All or nothing. Raises UnknownDecision, or OutcomeConflict when another outcome of the
        same decision is already recorded; ``param`` is then the index in ``outcomes``.
        """

    async def absorb(self, router: str, changes: Sequence[FeedbackChange]) -> list[Learned]:
        """Apply feedbacks and retractions in order, and append what changed to the log.

        All or nothing, in one transaction with the marks on the decisions; the rules are
        :func:`banditroute.core.feedback.apply`. Raises UnknownDecision naming the first
        unknown or expired id; ``param`` is then its index in ``changes``.
        """

    async def announce(self, router: str, news: News) -> Learned:
        """Append an operator's news to the log, once per id: LEARNED, or UNCHANGED if repeated.

        Ids are kept for as long as the router is.
        """

    async def evidence(self, router: str, after: int, limit: int) -> list[Evidence]:
        """Up to ``limit`` entries with position > ``after``, in order of position, without gaps."""

    async def wait(self, router: str, after: int, timeout_s: float) -> bool:
        """Wait until the log goes past ``after``: True, or False when the time is up."""

    async def head(self, router: str) -> int:
        """The position of the last entry ever appended; 0 for an empty log."""

    async def load_checkpoint(self, router: str, at: int | None = None) -> Checkpoint | None:
        """The newest checkpoint, or the newest with position ≤ ``at``; None if there is none."""

    async def save_checkpoint(
        self, router: str, checkpoint: Checkpoint, estimates: Sequence[ArmEstimate] = ()
    ) -> None:
        """Keep a checkpoint. Older ones are thinned out, never the one the log begins at.

        A store that other tools can read also shows them ``estimates``.
        """

    async def find(self, router: str, decision_id: DecisionId) -> DecisionRecord | None:
        """A decision with its outcome and feedback; None if unknown or expired."""

    def decisions(self, router: str, after: DecisionId = "") -> AsyncIterator[DecisionRecord]:
        """Every decision still kept with id > ``after``, in order of id."""

    async def expire(self) -> int:
        """Delete decisions past their time to live, and the log before the last checkpoint
        that is older than that. Returns how many decisions were deleted.
        """

    def recorder(self) -> Recorder:
        """The store for whoever need only know that something is kept, wherever that is."""

    def pending(self) -> Pending:
        """What was promised and is not in the store yet."""

    async def claimed(self, router: str) -> str | None:
        """The fingerprint that a router's log is claimed for; None for none."""

    async def checkpoints(self, router: str) -> list[SavedCheckpoint]:
        """Every checkpoint kept, in order of position; the first is where the log begins."""

    async def announced(self, router: str) -> list[str]:
        """The ids of all news ever announced, in order."""

    async def begin_import(self, router: str) -> None:
        """Make room for a router's state that comes from another store.

        From here to ``finish_import`` nobody may claim the router. What an import that was cut
        short left is thrown away. Raises StoreUnusable if the router has anything of its own.
        """

    async def put(
        self,
        router: str,
        *,
        records: Sequence[DecisionRecord] = (),
        entries: Sequence[Evidence] = (),
        checkpoints: Sequence[SavedCheckpoint] = (),
        announced: Sequence[str] = (),
    ) -> None:
        """Write parts of an imported state as they are, between the two calls around it.

        A record or an entry that is there already is replaced. The ids of news among the
        entries are announced with them; ``announced`` are those of news from before the log.
        """

    async def finish_import(self, router: str, fingerprint: str | None, head: int) -> None:
        """Let the imported router be used, with this claim and ``head`` as its last position."""
