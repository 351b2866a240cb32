"""The rules of feedback: what a new word on a decision changes, and what all words amount to.

One value per (decision, source); the later word of a source replaces the earlier, by the ids
of the words and not by the order in which they arrive. How much a source may weigh there is
settled by the first of its words to arrive. Every store applies these functions inside its own
transaction, so that all of them learn alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import fsum

from banditroute.errors import InvalidRequest
from banditroute.values import (
    Charge,
    Feedback,
    FeedbackKind,
    Learned,
    Mark,
    Reading,
    Retraction,
    Voice,
)

MOST_SOURCES = 256
"""How many sources may speak of one decision: what is kept of a decision has a bound."""

PRIOR_VARIANCE = 0.20
"""Residual variance of quality before anything is learned."""

# Noise sd of one value by how it was given.
_KIND_SD = {FeedbackKind.SCORE: 0.05, FeedbackKind.RATING: 0.05, FeedbackKind.THUMBS: 0.45}
_JUDGE_SD = 0.15
_IMPLICIT_SD = 0.60

_LEAST_WEIGHT = 1e-12  # a mean is divided by a sum of weights, which must not underflow to 0


@dataclass(frozen=True, slots=True)
class Applied:
    """What a change does: the marks after it, its name, and the readings around it.

    The log gets an entry only if ``old != new``, and with it the ``charges`` of a first word.
    ``marks`` is the very mapping that was given if nothing needs to be written at all.
    """

    marks: Mapping[str, Mark]
    status: Learned
    old: Reading | None
    new: Reading | None
    charges: tuple[Charge, ...] = ()


def apply(marks: Mapping[str, Mark], change: Feedback | Retraction) -> Applied:
    """Apply one feedback or retraction to the marks of its decision, keyed by source.

    A change that is not newer than its source's mark is stale and changes nothing. A
    retraction leaves a mark without a score, so that an older feedback that arrives later
    stays out. What a source was granted outlives both. Raises InvalidRequest for a score outside
    [0, 1], a weight outside (0, 1], and more than ``MOST_SOURCES`` sources on one decision.
    """
    after = _mark(change)  # first, so that a value out of range is refused in whatever order
    before = marks.get(change.source)
    old = reading(marks)
    if before is not None and change.id <= before.id:
        return Applied(marks, Learned.UNCHANGED, old, old)
    if before is None and len(marks) >= MOST_SOURCES:
        raise InvalidRequest(
            f"{MOST_SOURCES} sources have already spoken of this decision", param="source"
        )
    charges = change.charges if isinstance(change, Feedback) else ()
    if before is not None and is_settled(before):
        after, charges = replace(after, granted=before.granted), ()
    changed = {**marks, change.source: after}
    return Applied(changed, _status(before, after), old, reading(changed), charges)


def is_settled(mark: Mark) -> bool:
    """Whether it is settled how much the mark's source may weigh on that decision."""
    return mark.score is not None or mark.granted is not None


def reading(marks: Mapping[str, Mark]) -> Reading | None:
    """The one number that all marks amount to; None if nobody's score stands.

    With w_i = weight_i S₀ / (S₀ + sd_i²), S₀ the prior residual variance: the quality is the
    mean of the scores weighted by w_i, its weight max w_i. A second opinion sharpens the
    number; it does not make one decision count as two. The weight is shared among the voices
    as the w_i are, in order of source. Who was granted nothing has no voice.
    """
    scored = [
        (source, mark.score, weight)
        for source, mark in sorted(marks.items())  # so that the sums do not depend on arrival
        if mark.score is not None and (weight := _heard_weight(source, mark)) >= _LEAST_WEIGHT
    ]
    if not scored:
        return None
    anchor = scored[0][1]  # taking the mean around it keeps equal scores exactly as they are
    total = fsum(weight for _, _, weight in scored)
    shift = fsum(weight * (score - anchor) for _, score, weight in scored) / total
    heaviest = max(weight for _, _, weight in scored)
    share = heaviest / total  # exactly 1 for a single voice
    return Reading(
        quality=min(max(anchor + shift, 0.0), 1.0),
        weight=heaviest,
        voices=tuple(Voice(source, score, weight * share) for source, score, weight in scored),
    )


def evidence_weight(source: str, word: Mark | Feedback) -> float:
    """What one word is worth: weight · S₀ / (S₀ + sd²), at least 1e-12 and at most 1."""
    sd = max(_KIND_SD[word.kind], _source_sd(source))  # the noisier of how and by whom
    return max(word.weight * PRIOR_VARIANCE / (PRIOR_VARIANCE + sd * sd), _LEAST_WEIGHT)


def grant(source: str, mark: Mark) -> float:
    """The share of its evidence weight that one mark counts, in [0, 1]."""
    return _heard_weight(source, mark) / evidence_weight(source, mark)


def is_judge(source: str) -> bool:
    """Whether a source of feedback is a judge: ``judge``, or one of several, ``judge:name``."""
    return source == "judge" or source.startswith("judge:")


def _heard_weight(source: str, mark: Mark) -> float:
    weight = evidence_weight(source, mark)
    return weight if mark.granted is None else min(weight, mark.granted)


def _source_sd(source: str) -> float:
    if source.startswith("implicit"):
        return _IMPLICIT_SD
    if is_judge(source):
        return _JUDGE_SD
    return 0.0


def _mark(change: Feedback | Retraction) -> Mark:
    if isinstance(change, Retraction):
        return Mark(id=change.id, score=None)
    if not 0.0 <= change.score <= 1.0:  # also refuses NaN
        raise InvalidRequest("a score lies between 0 and 1", param="score")
    if not 0.0 < change.weight <= 1.0:
        raise InvalidRequest("a weight lies above 0 and is at most 1", param="weight")
    return Mark(
        id=change.id,
        score=change.score,
        kind=change.kind,
        weight=change.weight,
        comment=change.comment,
        metadata=change.metadata,
        granted=change.granted,
    )


def _status(before: Mark | None, after: Mark) -> Learned:
    stood = before is not None and before.score is not None
    if after.score is None:
        return Learned.RETRACTED if stood else Learned.UNCHANGED
    if before is None or not stood:
        return Learned.LEARNED
    same = (before.score, before.weight, before.kind) == (after.score, after.weight, after.kind)
    return Learned.UNCHANGED if same else Learned.AMENDED
