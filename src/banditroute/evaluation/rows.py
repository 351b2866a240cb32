"""One logged decision as a row that other tools can read; ``docs/log.md`` explains every key.

Rows are plain dicts of JSON's types. A row leaves out who asked and what was said in words: the
session, the payers (names of keys), comments and metadata, and the prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Any, NotRequired, cast

from pydantic import Field
from typing_extensions import TypedDict  # pydantic reads typing's own from Python 3.12 on

from banditroute.core.feedback import reading
from banditroute.values import Candidate, Decision, DecisionRecord, Mark, Outcome, Reading

SCHEMA = 1
"""Another key, unit or meaning is another number; a reader refuses those it does not know."""

Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]


class CandidateRow(TypedDict):
    """An eligible arm as the policy saw it."""

    arm: str
    probability: Probability
    quality: float
    quality_sd: float
    sampling_sd: float
    cost_usd: float
    latency_s: float
    error_rate: float
    utility: float
    input_usd_per_mtok: float
    output_usd_per_mtok: float


class OutcomeRow(TypedDict):
    """What the call did; unknown numbers are None."""

    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None
    cost_usd: float | None
    latency_s: float | None
    ttft_s: float | None
    error: str | None


class WordRow(TypedDict):
    """What one source said. The last two are private."""

    score: Probability
    kind: str
    weight: float
    comment: NotRequired[str | None]
    metadata: NotRequired[dict[str, Any]]


class FeedbackRow(TypedDict):
    """The one number that all words amount to, its evidence weight, and the words by source."""

    quality: Probability
    weight: Positive
    sources: dict[str, WordRow]


class Row(TypedDict):
    """One decision. What stands last is there only where it was asked for."""

    schema: int
    id: Annotated[str, Field(min_length=1)]
    router: str
    made_at_s: float
    position: Count
    arm: str
    propensity: Annotated[float, Field(gt=0, le=1)]
    policy: str
    floor: float
    seed: Count
    answer_value_usd: Positive
    patience_s: Positive
    budget_price: float
    noise: float
    judged_share: Probability
    usual_cost_usd: float | None
    input_tokens: int
    max_output_tokens: int | None
    task: str | None
    tags: list[str]
    explored: bool
    degraded: bool
    parent_id: str | None
    fingerprint: str
    x: list[float]
    candidates: Annotated[list[CandidateRow], Field(min_length=1)]
    excluded: dict[str, str]
    outcome: OutcomeRow | None
    feedback: FeedbackRow | None
    prompt: NotRequired[str | None]
    session_id: NotRequired[str | None]
    payers: NotRequired[list[str]]


@dataclass(frozen=True, slots=True)
class Contents:
    """What rows hold beside the rest: the prompts that are kept, and what is private."""

    prompts: bool = False
    private: bool = False

    @classmethod
    def of(cls, row: Row) -> Contents:
        """What a row holds."""
        return cls(prompts="prompt" in row, private="payers" in row)


_PLAIN = (
    *("policy", "floor", "seed", "answer_value_usd", "patience_s", "budget_price", "noise"),
    *("judged_share", "usual_cost_usd", "input_tokens", "max_output_tokens", "task"),
)
_OUTCOME = tuple(OutcomeRow.__annotations__)
_CANDIDATE = ("arm", *Candidate._fields[1:])

_plain = attrgetter(*_PLAIN)
_outcome_fields = attrgetter(*_OUTCOME)


def row_of(record: DecisionRecord, *, prompts: bool = False, private: bool = False) -> Row:
    """What is known of a decision. Words that count for nothing (any more) are left out."""
    decision, heard = record.decision, reading(record.marks)
    row = {
        **_decision(decision),
        "outcome": None if record.outcome is None else _outcome(record.outcome),
        "feedback": None if heard is None else _feedback(heard, record.marks, private=private),
    }
    if prompts:
        row["prompt"] = decision.prompt
    if private:
        row |= {"session_id": decision.session_id, "payers": list(decision.payers)}
    return cast("Row", row)


def _decision(decision: Decision) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "id": decision.id,
        "router": decision.router,
        "made_at_s": decision.made_at_s,
        "position": decision.position,
        "arm": decision.arm_id,
        "propensity": decision.propensity,
        **dict(zip(_PLAIN, _plain(decision), strict=True)),
        "tags": list(decision.tags),
        "explored": decision.explored,
        "degraded": decision.degraded,
        "parent_id": decision.parent_id,
        "fingerprint": decision.fingerprint,
        "x": decision.x.tolist(),
        "candidates": [dict(zip(_CANDIDATE, one, strict=True)) for one in decision.candidates],
        "excluded": dict(decision.excluded),
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return dict(zip(_OUTCOME, _outcome_fields(outcome), strict=True))


def _feedback(heard: Reading, marks: Mapping[str, Mark], *, private: bool) -> dict[str, Any]:
    sources = {voice.source: _word(marks[voice.source], private=private) for voice in heard.voices}
    return {"quality": heard.quality, "weight": heard.weight, "sources": sources}


def _word(mark: Mark, *, private: bool) -> dict[str, Any]:
    said: dict[str, Any] = {"score": mark.score, "kind": mark.kind.value, "weight": mark.weight}
    if private:
        said |= {"comment": mark.comment, "metadata": dict(mark.metadata)}
    return said
