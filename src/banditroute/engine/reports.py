"""What was learned of each arm, in numbers for people and programs."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

from banditroute.core.beliefs import Knowledge
from banditroute.core.roster import Roster


@dataclass(frozen=True, slots=True)
class ArmReport:
    """What was learned of one arm. Numbers nobody could know yet are None.

    ``quality`` ± ``quality_sd`` is the mean over the feedback given and its standard error;
    ``share`` the part of the router's calls that this arm answered.
    """

    id: str
    feedback_n: int
    requests_n: int
    quality: float | None
    quality_sd: float | None
    cost_usd: float | None
    latency_s: float | None
    error_rate: float
    share: float


def reports(knowledge: Knowledge, roster: Roster, now_s: float) -> list[ArmReport]:
    """A report of every arm of the roster, in its order."""
    usage = knowledge.usage
    errors = usage.error_rate(now_s)
    costs, (latency, spread) = usage.mean_cost_usd(), usage.latency()
    total = max(float(usage.requests.sum()), 1.0)
    made = []
    for arm in roster:
        row = knowledge.rows.get(arm.id, -1)
        known = knowledge.evidence_n[row] > 0.0
        timed = usage.recent_latency_n[row] > 0.0
        made.append(
            ArmReport(
                id=arm.id,
                feedback_n=int(knowledge.taught[row]),
                requests_n=int(usage.requests[row]),
                quality=float(knowledge.quality_mean[row]) if known else None,
                quality_sd=float(knowledge.quality_mean_sd[row]) if known else None,
                cost_usd=float(costs[row]) if usage.cost_n[row] > 0.0 else None,
                latency_s=exp(latency[row] + spread[row] / 2.0) if timed else None,
                error_rate=float(errors[row]),
                share=float(usage.requests[row]) / total,
            )
        )
    return made
