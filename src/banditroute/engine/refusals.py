"""Why no arm may serve a request, in words that say what to change or how long to wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from banditroute.core.beliefs import Beliefs
from banditroute.core.eligibility import OVER_BUDGET, PASSING, explain
from banditroute.core.pacing import Budget
from banditroute.core.purse import Standing
from banditroute.engine.budgets import shown
from banditroute.errors import BudgetExhausted, NoEligibleArm

SETTLES_S = 1.0  # what is set aside for calls that run is soon known


def refusal(
    router: str,
    beliefs: Beliefs,
    reasons: Mapping[str, str],
    standings: Sequence[Standing],
    now_s: float,
) -> NoEligibleArm:
    """The refusal of a request that every arm of ``beliefs`` is kept from, by its reason code.

    ``standings`` are those of the budgets that the request draws on.
    """
    over = {arm_id for arm_id, reason in reasons.items() if _is_over(reason)}
    if not over or PASSING & set(reasons.values()):
        return _nothing_left(router, reasons)
    costs = zip(beliefs.arm_ids, beliefs.cost_usd.tolist(), strict=True)
    least_usd = min(cost for arm_id, cost in costs if arm_id in over)
    return _exhausted(router, least_usd, reasons, standings, now_s)


def _nothing_left(router: str, reasons: Mapping[str, str]) -> NoEligibleArm:
    if not reasons:
        return NoEligibleArm(
            f"router {router!r} has no arm left; add one with POST /admin/arms", reasons=reasons
        )
    said = [f"{arm_id}: {explain(reason)}" for arm_id, reason in list(reasons.items())[:10]]
    more = f"; and {len(reasons) - 10} more" if len(reasons) > 10 else ""
    return NoEligibleArm(
        f"no arm of router {router!r} may serve this request ({'; '.join(said)}{more})",
        reasons=reasons,
    )


def _exhausted(
    router: str,
    least_usd: float,
    reasons: Mapping[str, str],
    standings: Sequence[Standing],
    now_s: float,
) -> BudgetExhausted:
    """``least_usd`` is what the first arm to be affordable again may cost."""
    blocking = [standing for standing in standings if standing.left_usd < least_usd]
    waits = [_wait_s(standing, least_usd, now_s) for standing in blocking]
    known = [wait_s for wait_s in waits if wait_s is not None]
    wait_s = max(known) if len(known) == len(waits) else None
    named = " and of ".join(_named(standing.budget) for standing in blocking)
    return BudgetExhausted(
        f"no arm of router {router!r} may serve this request: of the budget of {named} less is "
        f"left than the ${least_usd:.2g} that it may cost; {_when(wait_s, now_s)}",
        reasons=reasons,
        retry_after_s=wait_s,
    )


def _is_over(reason: str) -> bool:
    return reason.partition(":")[0] == OVER_BUDGET


def _wait_s(standing: Standing, usd: float, now_s: float) -> float | None:
    """Seconds until ``usd`` can be spent; None where time alone does not help."""
    spent = [(whole, end) for whole, gone, end in standing.periods if whole - gone < usd]
    if spent:
        return None if min(spent)[0] < usd else max(end for _, end in spent) - now_s
    held = standing.reserved_usd + standing.left_usd >= usd
    return SETTLES_S if held else None


def _named(budget: Budget) -> str:
    limits = {
        "usd_per_request": budget.usd_per_request,
        "usd_per_day": budget.usd_per_day,
        "usd_per_month": budget.usd_per_month,
    }
    said = ", ".join(f"{name} = {usd:g}" for name, usd in limits.items() if usd is not None)
    return f"{shown(budget.payer)} ({said})"


def _when(wait_s: float | None, now_s: float) -> str:
    if wait_s is None:
        return "raise the budget, or ask for less with max_tokens"
    if wait_s <= SETTLES_S:
        return "calls that still run may cost that much; try again in a moment"
    renewed = datetime.fromtimestamp(now_s + wait_s, UTC)
    return f"it is renewed at {renewed:%Y-%m-%dT%H:%M}Z"
