"""What was learned of each arm, in numbers for people and programs."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

from banditroute.core.beliefs import Knowledge, Objective
from banditroute.core.roster import Roster
from banditroute.stores.base import ArmEstimate


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


def estimates(
    knowledge: Knowledge, roster: Roster, objective: Objective, now_s: float
) -> list[ArmEstimate]:
    """The few numbers of every arm that a store shows beside its checkpoint.

    ``reward`` is (1 − error rate)·quality − cost/value − min(latency/patience, 1) of the means.
    """
    return [
        ArmEstimate(
            arm_id=report.id,
            n=report.feedback_n,
            quality=report.quality,
            cost_usd=report.cost_usd,
            latency_s=report.latency_s,
            reward=_reward(report, objective),
        )
        for report in reports(knowledge, roster, now_s)
    ]


def _reward(report: ArmReport, objective: Objective) -> float | None:
    if report.quality is None:
        return None
    money = (report.cost_usd or 0.0) / objective.answer_value_usd
    waiting = min((report.latency_s or 0.0) / objective.patience_s, 1.0)
    return (1.0 - report.error_rate) * report.quality - money - waiting
