"""What the outcome of a call, and what is said of it, is evidence of."""

from __future__ import annotations

import math

from banditroute.errors import InvalidRequest
from banditroute.values import (
    Candidate,
    Charge,
    Decision,
    Outcome,
    OutcomeEvidence,
    QualityEvidence,
    Reading,
)

_NUMBERS = (
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cost_usd",
    "latency_s",
    "ttft_s",
)


def outcome_evidence(
    decision: Decision, outcome: Outcome, *, position: int, at_s: float
) -> OutcomeEvidence:
    """The log entry for a call's outcome, recorded at ``at_s``. Failed calls are evidence too.

    Raises InvalidRequest for a number that is negative or not finite.
    """
    _check(outcome)
    return OutcomeEvidence(
        position=position,
        decision_id=decision.id,
        arm_id=decision.arm_id,
        x=decision.x,
        at_s=at_s,
        output_tokens=output_tokens(decision, outcome),
        cost_usd=cost_usd(decision, outcome),
        latency_s=outcome.latency_s,
        ttft_s=outcome.ttft_s,
        error=outcome.error,
        payers=decision.payers,
        propensity=decision.propensity if decision.explored else None,
    )


def quality_evidence(
    decision: Decision,
    old: Reading | None,
    new: Reading | None,
    *,
    position: int,
    charges: tuple[Charge, ...] = (),
) -> QualityEvidence:
    """The log entry for a change of what is known of a decision's quality.

    A reading was expected around the arm's predicted quality, with that prediction's variance
    and the noise of readings.
    """
    chosen = chosen_candidate(decision)
    predicted = (
        {}
        if chosen is None
        else {
            "expected": chosen.quality,
            "spread": math.sqrt(decision.noise + chosen.quality_sd**2),
        }
    )
    return QualityEvidence(
        position=position,
        decision_id=decision.id,
        arm_id=decision.arm_id,
        x=decision.x,
        old=old,
        new=new,
        propensity=decision.propensity if decision.explored else None,
        charges=charges,
        **predicted,
    )


def output_tokens(decision: Decision, outcome: Outcome) -> float | None:
    """The output tokens of a call, or as many as would have cost what it cost.

    The equivalent is (cost − input tokens · input price) / output price, at the prices in
    force at the decision; the decision's own count of input tokens stands in for an unknown
    one. None where neither tokens nor (cost and output price) are known.
    """
    if outcome.output_tokens is not None:
        return outcome.output_tokens
    chosen = chosen_candidate(decision)
    if outcome.cost_usd is None or chosen is None or chosen.output_usd_per_mtok <= 0.0:
        return None
    known = outcome.input_tokens
    read = decision.input_tokens if known is None else known
    output_usd_mtok = outcome.cost_usd * 1e6 - read * chosen.input_usd_per_mtok
    return max(output_usd_mtok / chosen.output_usd_per_mtok, 0.0)


def cost_usd(decision: Decision, outcome: Outcome) -> float | None:
    """What a call cost: as reported, else by the prices in force at the decision.

    None where neither is known; cached input tokens are then priced like the others.
    """
    chosen = chosen_candidate(decision)
    known = (outcome.input_tokens, outcome.output_tokens)
    if outcome.cost_usd is not None or chosen is None or known[0] is None or known[1] is None:
        return outcome.cost_usd
    spent = known[0] * chosen.input_usd_per_mtok + known[1] * chosen.output_usd_per_mtok
    return spent / 1e6


def chosen_candidate(decision: Decision) -> Candidate | None:
    """What was predicted of the arm that was drawn; None if nothing was."""
    return next((c for c in decision.candidates if c.arm_id == decision.arm_id), None)


def _check(outcome: Outcome) -> None:
    for name in _NUMBERS:
        value = getattr(outcome, name)
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise InvalidRequest(f"{name} is a finite number, not below 0", param=name)
