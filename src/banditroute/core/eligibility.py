"""The walls: which arms may serve a request at all, decided before anything is learned or drawn.

Every arm outside a wall gets a reason code; it then has no probability at all, whether as
first choice, as fallback or in exploration.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.special import ndtr

from banditroute.core.beliefs import Beliefs
from banditroute.core.roster import Roster
from banditroute.values import Arm, Context, Wishes

SLOW_RISK = 0.05  # an arm that is likelier than this to miss the latency limit is out
LATENCY_EVIDENCE_N = 3.0  # but only if that many recent calls say so

NOT_A_CANDIDATE = "not_a_candidate"
EXCLUDED_BY_CALLER = "excluded_by_caller"
DATA_NOT_ALLOWED = "data_not_allowed"
MISSING_CAPABILITY = "missing_capability"
CONTEXT_WINDOW = "context_window"
OVER_MAX_COST = "over_max_cost_usd"
OVER_MAX_LATENCY = "over_max_latency_s"
FAILED = "failed"
SATURATED = "saturated"
OVER_BUDGET = "over_budget"
PAUSED = "paused"
NO_PROVIDER = "no_provider"

PASSING = frozenset({FAILED, SATURATED, PAUSED})  # reasons that may soon hold no more
NO_EXCUSE = frozenset({NOT_A_CANDIDATE, EXCLUDED_BY_CALLER, FAILED, SATURATED})
"""Reasons that make no other arm the one that a spent budget still pays for: else a caller's
wishes, a failure or a rush would carry requests over the wall."""

EXPLANATIONS = {
    NOT_A_CANDIDATE: "not among the request's banditroute.candidates",
    EXCLUDED_BY_CALLER: "named in the request's banditroute.exclude",
    DATA_NOT_ALLOWED: "its labels do not cover the request's banditroute.data",
    MISSING_CAPABILITY: "lacks a capability that the request needs",
    CONTEXT_WINDOW: "the request does not fit its context_window",
    OVER_MAX_COST: "expected to cost more than the request's banditroute.max_cost_usd",
    OVER_MAX_LATENCY: "likely to take longer than the request's banditroute.max_latency_s",
    FAILED: "its call for this request failed",
    SATURATED: "already at its max_concurrency",
    OVER_BUDGET: "expected to cost more than is left of a budget",
    PAUSED: "paused by an operator",
    NO_PROVIDER: "its provider is not configured on this replica",
}


def excluded(
    roster: Roster,
    context: Context,
    wishes: Wishes,
    beliefs: Beliefs,
    out: Mapping[str, str],
) -> dict[str, str]:
    """The reason code of every arm that may not be used.

    ``out`` holds arms that are out for reasons known elsewhere (a failed call, no free place,
    paused).
    """
    costs, late = beliefs.cost_usd.tolist(), _too_late(beliefs, wishes.max_latency_s).tolist()
    reasons: dict[str, str] = {}
    for arm, cost_usd, is_late in zip(roster, costs, late, strict=True):
        reason = (
            barred(arm, wishes)
            or out.get(arm.id)
            or _incapable(arm, context)
            or _too_dear(cost_usd, wishes.max_cost_usd)
            or (OVER_MAX_LATENCY if is_late else None)
        )
        if reason:
            reasons[arm.id] = reason
    return reasons


def explain(reason: str) -> str:
    """A reason code in words."""
    code, _, detail = reason.partition(":")
    words = EXPLANATIONS.get(code, code)
    return f"{words} ({detail})" if detail else words


def barred(arm: Arm, wishes: Wishes) -> str | None:
    """Why an arm may not see a request, whatever it would do with it; None if it may."""
    if not wishes.data <= arm.labels:
        return f"{DATA_NOT_ALLOWED}:{','.join(sorted(wishes.data - arm.labels))}"
    if wishes.candidates is not None and arm.id not in wishes.candidates:
        return NOT_A_CANDIDATE
    return EXCLUDED_BY_CALLER if arm.id in wishes.exclude else None


def _incapable(arm: Arm, context: Context) -> str | None:
    missing = context.needs - arm.capabilities
    if missing:
        return f"{MISSING_CAPABILITY}:{','.join(sorted(missing))}"
    wanted = context.input_tokens + (context.max_output_tokens or 0)
    if arm.context_window is not None and wanted > arm.context_window:
        return CONTEXT_WINDOW
    return None


def _too_dear(cost_usd: float, limit_usd: float | None) -> str | None:
    return OVER_MAX_COST if limit_usd is not None and cost_usd > limit_usd else None


def _too_late(beliefs: Beliefs, limit_s: float | None) -> np.ndarray:
    """(K,) whether P(latency > limit) exceeds the accepted risk, on recent evidence."""
    if limit_s is None:
        return np.zeros(len(beliefs.arm_ids), dtype=bool)
    margin = (beliefs.latency_log - np.log(limit_s)) / np.sqrt(beliefs.latency_var)
    late: np.ndarray = (ndtr(margin) > SLOW_RISK) & (beliefs.latency_n >= LATENCY_EVIDENCE_N)
    return late
