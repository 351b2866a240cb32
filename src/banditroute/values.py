"""The frozen values that every part speaks in.

Units stand in the names: ``_s`` seconds, ``_usd`` dollars, ``_per_mtok`` per million tokens.
Times (``*_at_s``) are seconds since the Unix epoch. Vectors are one-dimensional float64
arrays that nobody writes to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = NDArray[np.float64]
Matrix: TypeAlias = NDArray[np.float64]

DecisionId: TypeAlias = str
COMPLETION_PREFIX = "chatcmpl-"


@dataclass(frozen=True, slots=True)
class Arm:
    """One choice the router may make: a model at a provider, with its settings."""

    id: str
    provider: str
    model: str
    input_usd_per_mtok: float
    output_usd_per_mtok: float
    cached_input_usd_per_mtok: float | None = None
    context_window: int | None = None
    capabilities: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    timeout_s: float = 60.0
    max_concurrency: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def cost_usd(
        self, input_tokens: float, output_tokens: float, cached_input_tokens: float = 0.0
    ) -> float:
        """The list price of a call, in dollars."""
        cached_price = self.cached_input_usd_per_mtok
        if cached_price is None:
            cached_price = self.input_usd_per_mtok
        fresh = max(input_tokens - cached_input_tokens, 0.0)
        spent = fresh * self.input_usd_per_mtok + cached_input_tokens * cached_price
        return (spent + output_tokens * self.output_usd_per_mtok) / 1e6


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a caller asks of the router for one request (the ``banditroute`` object)."""

    task: str | None = None
    tags: tuple[str, ...] = ()
    candidates: frozenset[str] | None = None
    exclude: frozenset[str] = frozenset()
    answer_value_usd: float | None = None
    patience_s: float | None = None
    max_cost_usd: float | None = None
    max_latency_s: float | None = None
    session_id: str | None = None
    explore: bool = True
    data: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Request:
    """One chat request: the OpenAI-shaped body as it came, and the caller's wishes.

    ``body`` holds at least ``messages``, a non-empty list; nothing in it is trusted further.
    ``payers`` are those of its decision.
    """

    body: Mapping[str, Any]
    wishes: Wishes = Wishes()
    payers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Context:
    """What a policy and the walls see of a request.

    ``x`` has shape (d,), every value finite and bounded, and is exactly representable in
    float32, so that what is logged is what was decided on. ``needs`` names the capabilities
    the request cannot do without.
    """

    x: Vector
    input_tokens: int
    needs: frozenset[str] = frozenset()
    max_output_tokens: int | None = None


class Candidate(NamedTuple):
    """An eligible arm as the policy saw it at one decision.

    ``utility`` is the predicted reward; ``sampling_sd`` the width the policy explored with.
    The two prices are those in force at the decision, so that it can be recomputed.
    """

    arm_id: str
    probability: float
    quality: float
    quality_sd: float
    sampling_sd: float
    cost_usd: float
    latency_s: float
    error_rate: float
    utility: float
    input_usd_per_mtok: float
    output_usd_per_mtok: float


@dataclass(frozen=True, slots=True)
class Decision:
    """The arm drawn for one request. Never changed after it is made.

    ``propensity`` is the probability with which ``arm_id`` was really drawn; ``position`` is
    the place in the log up to which the state that decided had been folded. ``parent_id``
    links a fallback to the decision whose call failed. ``excluded`` maps arm ids to reason
    codes. ``budget_price`` is what a dollar cost in reward beyond 1 / ``answer_value_usd``, so
    that budgets last; ``noise`` the variance of a reading around its arm's quality; ``payers``
    whose budgets the call counts against, besides the router's. ``explored`` says that a
    policy chose: False for a caller who named the arm. ``judged_share`` and ``usual_cost_usd``
    are what the policy and its floor saw beside the candidates: the share of requests that
    anybody judges, and what a recent one cost. ``prompt`` is the conversation as JSON, where the
    operator keeps prompts.
    """

    id: DecisionId
    router: str
    arm_id: str
    propensity: float
    candidates: tuple[Candidate, ...]
    excluded: Mapping[str, str]
    x: Vector
    fingerprint: str
    position: int
    policy: str
    floor: float
    seed: int
    answer_value_usd: float
    patience_s: float
    made_at_s: float
    input_tokens: int
    max_output_tokens: int | None = None
    budget_price: float = 0.0
    noise: float = 0.2
    payers: tuple[str, ...] = ()
    explored: bool = True
    degraded: bool = False
    task: str | None = None
    tags: tuple[str, ...] = ()
    session_id: str | None = None
    parent_id: DecisionId | None = None
    judged_share: float = 1.0
    usual_cost_usd: float | None = None
    prompt: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call did, known at completion without anybody's feedback.

    ``error`` is None for a complete answer, else a word of
    :class:`~banditroute.errors.UpstreamFault` or ``"abandoned"`` (the caller left). Unknown
    numbers are None, never 0.
    """

    decision_id: DecisionId
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    cost_usd: float | None = None
    latency_s: float | None = None
    ttft_s: float | None = None
    error: str | None = None


class FeedbackKind(StrEnum):
    """How a value was given; it sets how much noise the value is taken to carry."""

    SCORE = "score"
    RATING = "rating"
    THUMBS = "thumbs"


class Charge(NamedTuple):
    """What a principal owes an arm for one word; see :mod:`banditroute.core.allowances`."""

    principal: str
    cost: float


@dataclass(frozen=True, slots=True)
class Feedback:
    """What one source said of one decision: a score in [0, 1].

    ``id`` is sortable by time (UUIDv7) and orders two feedbacks of the same source: the later
    replaces the earlier, whatever order they arrive in. ``granted`` is the most evidence weight
    that it may have, None for no bound, and ``charges`` are what that costs its principals. Those
    of the first word of a source on a decision hold for all that it says there later.
    """

    id: str
    decision_id: DecisionId
    score: float
    source: str = "user"
    kind: FeedbackKind = FeedbackKind.SCORE
    weight: float = 1.0
    comment: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    granted: float | None = None
    charges: tuple[Charge, ...] = ()


@dataclass(frozen=True, slots=True)
class Retraction:
    """What one source said of one decision is taken back. ``id`` orders it among feedbacks."""

    id: str
    decision_id: DecisionId
    source: str = "user"


class Learned(StrEnum):
    """What became of a feedback, a retraction or an outcome."""

    LEARNED = "learned"
    AMENDED = "amended"
    UNCHANGED = "unchanged"
    RETRACTED = "retracted"
    ACCEPTED = "accepted"  # kept on this replica's disk; the store learns it once it is back


@dataclass(frozen=True, slots=True)
class Voice:
    """What one source said of a decision, and how much of the reading's weight is its own."""

    source: str
    score: float
    weight: float


@dataclass(frozen=True, slots=True)
class Reading:
    """The one number that all feedback on a decision amounts to, and its evidence weight.

    ``quality`` is the mean of the ``voices``, whose weights add up to ``weight``.
    """

    quality: float
    weight: float
    voices: tuple[Voice, ...] = ()


@dataclass(frozen=True, slots=True)
class QualityEvidence:
    """A log entry: what is known of one decision's quality changed from ``old`` to ``new``.

    None stands for "nothing known", so that a first feedback has no ``old`` and a retraction
    of the last one has no ``new``. The rest is as at the decision: ``expected`` ± ``spread``
    is where its reading was predicted, ``propensity`` the probability of the arm, None where
    nobody explored. ``charges`` are what a first word costs those whose words are capped.
    """

    position: int
    decision_id: DecisionId
    arm_id: str
    x: Vector
    old: Reading | None
    new: Reading | None
    propensity: float | None = None
    expected: float = 0.5
    spread: float = 1.0
    charges: tuple[Charge, ...] = ()


@dataclass(frozen=True, slots=True)
class OutcomeEvidence:
    """A log entry: one call's outcome. ``at_s`` is when it was recorded.

    ``output_tokens`` may be fractional: where only the cost of a call is known it is the
    number of tokens that would have cost as much. ``payers`` are those of its decision, and
    ``propensity`` the probability of its arm, None where nobody explored.
    """

    position: int
    decision_id: DecisionId
    arm_id: str
    x: Vector
    at_s: float
    output_tokens: float | None
    cost_usd: float | None
    latency_s: float | None
    ttft_s: float | None
    error: str | None
    payers: tuple[str, ...] = ()
    propensity: float | None = None


class ArmStatus(StrEnum):
    """Whether a router may choose an arm."""

    ACTIVE = "active"
    PAUSED = "paused"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class ArmChange:
    """An arm was added, paused, removed or repriced while the router runs.

    ``arm`` is its whole definition from now on, None for the configured one. ``basis`` is the
    digest of what the configuration said of the arm then ("" if nothing): the change holds
    until the configuration says something else.
    """

    id: str
    arm_id: str
    at_s: float
    status: ArmStatus
    arm: Arm | None
    basis: str


@dataclass(frozen=True, slots=True)
class SourceChange:
    """From now on feedback of a source is refused, or heard again."""

    id: str
    source: str
    at_s: float
    quarantined: bool


@dataclass(frozen=True, slots=True)
class Prior:
    """What is known of an arm's quality from elsewhere, as regression sums over its features.

    ``n`` = Σ w · ``gram`` (d, d) = Σ w x xᵀ · ``moment`` (d,) = Σ w r x · ``square`` = Σ w r².
    It replaces the arm's prior given before, if any; with ``n`` 0 it only takes that back.
    """

    id: str
    arm_id: str
    at_s: float
    n: float
    gram: Matrix
    moment: Vector
    square: float


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a router forgets, from now on.

    Evidence counts half after ``half_life_s`` seconds or ``half_life_n`` readings; None is never.
    ``detect_drift`` says whether an arm that answers unlike before has most of its evidence
    dropped. Scores of decisions from now on count as at most ``winsorise_sd`` of their spread
    away from where they were expected; None lets them stand.
    """

    id: str
    at_s: float
    half_life_s: float | None = None
    half_life_n: float | None = None
    detect_drift: bool = True
    winsorise_sd: float | None = None

    def same_as(self, other: Tuning) -> bool:
        """Whether both ask for the same."""
        return replace(self, id=other.id, at_s=other.at_s) == other


News: TypeAlias = ArmChange | SourceChange | Prior | Tuning


@dataclass(frozen=True, slots=True)
class Announcement:
    """A log entry: an operator's news, for every replica to follow."""

    position: int
    news: News


Evidence: TypeAlias = QualityEvidence | OutcomeEvidence | Announcement


@dataclass(frozen=True, slots=True)
class Mark:
    """The latest word of one source on one decision. ``score`` None: it was retracted.

    ``granted`` is the most evidence weight it may have, by its first word; None for no bound.
    """

    id: str
    score: float | None
    kind: FeedbackKind = FeedbackKind.SCORE
    weight: float = 1.0
    comment: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    granted: float | None = None


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """A decision with all that became known of it since. ``marks`` is keyed by source."""

    decision: Decision
    outcome: Outcome | None = None
    marks: Mapping[str, Mark] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A router's folded state at a position, packed; see :mod:`banditroute.core.fold`."""

    position: int
    fingerprint: str
    payload: bytes
