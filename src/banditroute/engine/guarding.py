"""How a router stands: against every arm alone on its own log, and which arms have changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from banditroute.core.beliefs import Knowledge, Objective
from banditroute.core.drift import Alarm
from banditroute.core.identity import made_at_ms

INTERVAL_Z = 1.96
RECENT_ALARMS = 20


@dataclass(frozen=True, slots=True)
class Rival:
    """An arm alone: the reward it would have earned beyond the router's, with a 95% interval."""

    arm: str
    lead: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Drifted:
    """An alarm of drift, in the words of the log. Times are seconds since the epoch."""

    arm: str
    at_s: float
    since_s: float
    readings: int
    change: float
    p_value: float
    position: int


@dataclass(frozen=True, slots=True)
class GuardReport:
    """What the guard says of a router, over about the last ``readings`` of feedback.

    ``reward`` is the router's mean reward there; ``rivals`` are the arms of which enough is
    known, the best first; ``context_free`` the lead of a policy that knows as much and looks at
    no prompt. ``losing_to`` names an arm that alone would surely have earned more.
    ``restrained`` says that the router answers with its baseline until it has made up for what
    it lost against it.
    """

    readings: int
    reward: float | None
    rivals: tuple[Rival, ...]
    context_free: float | None
    losing_to: str | None
    restrained: bool
    drift: tuple[Drifted, ...]
    calibrations: dict[str, tuple[float, float]]

    @property
    def summary(self) -> str:
        """The verdict in a sentence."""
        if self.reward is None or not self.rivals:
            return "Too little feedback to compare the router with any arm alone."
        best = self.rivals[0]
        span = f"{best.lead:+.3f} ({best.low:+.3f} to {best.high:+.3f})"
        judged = f"over the last {self.readings} readings it would have earned {span} a request"
        if self.losing_to is not None:
            return f"The router is losing: with {best.arm} alone {judged} more."
        return f"The router holds its own: the best arm alone is {best.arm}; {judged}."


def guard_report(knowledge: Knowledge, objective: Objective, *, restrained: bool) -> GuardReport:
    """What the log says of a router, at what an answer is worth to it."""
    names = list(knowledge.rows)
    value = objective.answer_value_usd
    verdict = knowledge.guard.verdict(1.0 / value if isfinite(value) else 0.0)
    drift = tuple(_drifted(alarm, names) for alarm in knowledge.alarms[-RECENT_ALARMS:])
    calibrations = {
        name: (one.offset, one.gain) for name, one in sorted(knowledge.calibrations.items())
    }
    if verdict is None:
        n = int(knowledge.guard.own[0])
        return GuardReport(n, None, (), None, None, restrained, drift, calibrations)
    leads = zip(verdict.rows, verdict.lead.tolist(), verdict.error.tolist(), strict=True)
    rivals = [
        Rival(names[row], lead, lead - INTERVAL_Z * error, lead + INTERVAL_Z * error)
        for row, lead, error in leads
    ]
    losing = verdict.losing_to
    return GuardReport(
        readings=round(verdict.readings),
        reward=verdict.router,
        rivals=tuple(sorted(rivals, key=lambda rival: (-rival.lead, rival.arm))),
        context_free=verdict.context_free,
        losing_to=None if losing is None else names[losing],
        restrained=restrained,
        drift=drift,
        calibrations=calibrations,
    )


def _drifted(alarm: Alarm, names: Sequence[str]) -> Drifted:
    return Drifted(
        arm=names[alarm.arm],
        at_s=made_at_ms(alarm.decision_id) / 1000.0,
        since_s=made_at_ms(alarm.since) / 1000.0,
        readings=alarm.readings,
        change=alarm.change,
        p_value=alarm.p_value,
        position=alarm.position,
    )


def drift_counts(knowledge: Knowledge) -> dict[str, int]:
    """How many alarms of drift are on record, by arm."""
    names = list(knowledge.rows)
    return dict(Counter(names[alarm.arm] for alarm in knowledge.alarms))
