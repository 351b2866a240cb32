"""What every store offers: one append-only, totally ordered log per router, and its decisions.

A store keeps no learned state but packed checkpoints. It never interprets evidence; it only
puts it in order, once. Every method is safe to call again with the same arguments: what is
already there is left as it is. ``tests/stores/contract.py`` is the proof, for every store.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol, TypeAlias

from banditroute.values import (
    Checkpoint,
    Decision,
    DecisionId,
    DecisionRecord,
    Evidence,
    Feedback,
    Learned,
    Outcome,
    Retraction,
)

FeedbackChange: TypeAlias = Feedback | Retraction


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

    async def evidence(self, router: str, after: int, limit: int) -> list[Evidence]:
        """Up to ``limit`` entries with position > ``after``, in order of position, without gaps."""

    async def wait(self, router: str, after: int, timeout_s: float) -> bool:
        """Wait until the log goes past ``after``: True, or False when the time is up."""

    async def head(self, router: str) -> int:
        """The position of the last entry ever appended; 0 for an empty log."""

    async def load_checkpoint(self, router: str, at: int | None = None) -> Checkpoint | None:
        """The newest checkpoint, or the newest with position ≤ ``at``; None if there is none."""

    async def save_checkpoint(self, router: str, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint. Older ones are thinned out, never the one the log begins at."""

    async def find(self, router: str, decision_id: DecisionId) -> DecisionRecord | None:
        """A decision with its outcome and feedback; None if unknown or expired."""

    def decisions(self, router: str, after: DecisionId = "") -> AsyncIterator[DecisionRecord]:
        """Every decision still kept with id > ``after``, in order of id."""

    async def expire(self) -> int:
        """Delete decisions past their time to live, and the log before the last checkpoint
        that is older than that. Returns how many decisions were deleted.
        """
