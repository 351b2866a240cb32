"""The shapes that go out for what was decided and what was learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from banditroute.core.choice import Choice
from banditroute.core.eligibility import explain
from banditroute.core.feedback import grant, reading
from banditroute.engine import BudgetReport
from banditroute.values import COMPLETION_PREFIX, Candidate, Decision, DecisionRecord, Mark


def route_view(decision: Decision) -> dict[str, Any]:
    """A decision for a caller who makes the call itself."""
    return {
        "object": "decision",
        "decision_id": decision.id,
        "id": COMPLETION_PREFIX + decision.id,
        "router": decision.router,
        "arm": decision.arm_id,
        "model": decision.arm_id,
        "policy": decision.policy,
        "propensity": decision.propensity,
        "degraded": decision.degraded,
        "candidates": _candidates(decision),
        "excluded": _excluded(decision),
    }


def receipt(record: DecisionRecord, names: Sequence[str]) -> dict[str, Any]:
    """Everything about one decision. ``names`` are the features' names, in order."""
    decision = record.decision
    made = datetime.fromtimestamp(decision.made_at_s, UTC)
    now = reading(record.marks)
    return {
        **route_view(decision),
        "summary": summary(decision),
        "made_at": made.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "position": decision.position,
        "explored": decision.explored,
        "parent_id": decision.parent_id,
        "task": decision.task,
        "tags": list(decision.tags),
        "session_id": decision.session_id,
        "floor": decision.floor,
        "seed": decision.seed,
        "objective": {
            "answer_value_usd": decision.answer_value_usd,
            "patience_s": decision.patience_s,
        },
        "budget_price": decision.budget_price,
        "payers": list(decision.payers),
        "input_tokens": decision.input_tokens,
        "features": _features(decision, names),
        "outcome": _outcome(record),
        "feedback": _feedback(record),
        "quality": None if now is None else now.quality,
    }


def summary(decision: Decision) -> str:
    """Why this arm, in words for a person."""
    chosen = next(c for c in decision.candidates if c.arm_id == decision.arm_id)
    said = [_drawn(decision), _expected(chosen, decision)]
    best = max(decision.candidates, key=lambda c: c.utility)
    if best.arm_id != chosen.arm_id:
        said.append(
            f"{best.arm_id} looked best (utility {best.utility:.3f}) but the router still "
            f"learns from trying others."
        )
    if decision.budget_price > 0.0:
        said.append(f"Budgets add {decision.budget_price:.4g} to what a dollar costs.")
    if decision.excluded:
        reasons = "; ".join(f"{arm}: {explain(why)}" for arm, why in decision.excluded.items())
        said.append(f"Not considered: {reasons}.")
    if decision.parent_id:
        said.append(f"This is a fallback for decision {decision.parent_id}.")
    return " ".join(said)


def replay_view(decision: Decision, again: Choice) -> dict[str, Any]:
    """A decision made again from the log, beside what was logged."""
    before = {c.arm_id: c.probability for c in decision.candidates}
    after = {c.arm_id: c.probability for c in again.candidates}
    return {
        "same": before == after and again.arm_id == decision.arm_id,
        "arm": again.arm_id,
        "probabilities": after,
    }


def budget_view(router: str, report: BudgetReport) -> dict[str, Any]:
    """A budget of a router, and how it stands."""
    budget, spent = report.budget, report.spent
    return {
        "router": router,
        "payer": spent.payer,
        "limits": {
            "usd_per_request": budget.usd_per_request,
            "usd_per_day": budget.usd_per_day,
            "usd_per_month": budget.usd_per_month,
            "min_quality": budget.least_quality,
        },
        "when_spent": "refuse" if budget.refuse else "cheapest",
        "spent_usd": spent.usd,
        "spent_today_usd": spent.today_usd,
        "spent_this_month_usd": spent.month_usd,
        "requests": spent.requests,
        "requests_today": spent.requests_today,
        "price": report.price,
        "reserved_usd": report.reserved_usd,
        "left_usd": report.left_usd,
    }


def _drawn(decision: Decision) -> str:
    count = len(decision.candidates)
    if not decision.explored:
        return f"The caller asked for {decision.arm_id} by name."
    arms = "the only arm left" if count == 1 else f"one of {count} arms"
    return (
        f"{decision.arm_id} was drawn with probability {decision.propensity:.3f} by policy "
        f"{decision.policy}, as {arms}."
    )


def _expected(chosen: Candidate, decision: Decision) -> str:
    money = chosen.cost_usd * (1.0 / decision.answer_value_usd + decision.budget_price)
    waiting = min(chosen.latency_s / decision.patience_s, 1.0)
    return (
        f"Expected utility {chosen.utility:.3f}: quality {chosen.quality:.3f} ± "
        f"{chosen.quality_sd:.3f}, less {money:.3f} for ${chosen.cost_usd:.6f} and "
        f"{waiting:.3f} for {chosen.latency_s:.2f} s."
    )


def _candidates(decision: Decision) -> list[dict[str, Any]]:
    ranked = sorted(decision.candidates, key=lambda c: (-c.probability, c.arm_id))
    return [
        {"arm": c.arm_id, "chosen": c.arm_id == decision.arm_id}
        | {name: value for name, value in c._asdict().items() if name != "arm_id"}
        for c in ranked
    ]


def _excluded(decision: Decision) -> list[dict[str, str]]:
    return [
        {"arm": arm_id, "reason": reason, "explanation": explain(reason)}
        for arm_id, reason in sorted(decision.excluded.items())
    ]


def _features(decision: Decision, names: Sequence[str]) -> dict[str, float]:
    """The features that are not zero, by name; by number if they were made differently then."""
    if len(names) != len(decision.x):
        names = [f"x{place}" for place in range(len(decision.x))]
    return {name: float(v) for name, v in zip(names, decision.x, strict=True) if v != 0.0}


def _outcome(record: DecisionRecord) -> dict[str, Any] | None:
    if record.outcome is None:
        return None
    return {name: v for name, v in asdict(record.outcome).items() if name != "decision_id"}


def _feedback(record: DecisionRecord) -> list[dict[str, Any]]:
    return [_word(source, mark) for source, mark in sorted(record.marks.items())]


def _word(source: str, mark: Mark) -> dict[str, Any]:
    """What a source said; with its ``grant``, where that is less than its weight."""
    said = {name: v for name, v in asdict(mark).items() if name not in {"id", "granted"}}
    share = 1.0 if mark.score is None else grant(source, mark)
    return {"source": source, **said} | ({} if share == 1.0 else {"grant": share})
