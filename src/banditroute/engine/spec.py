"""What a router is told to be: its arms, how it chooses, what it is after, what it may cost."""

from __future__ import annotations

from dataclasses import dataclass

from banditroute.core.beliefs import Objective
from banditroute.core.choice import Rules
from banditroute.core.pacing import Budget
from banditroute.core.roster import Roster


@dataclass(frozen=True, slots=True)
class Baseline:
    """The arm that a router must not fall behind: by ``max_quality_loss`` on average at most."""

    arm_id: str
    max_quality_loss: float


@dataclass(frozen=True, slots=True)
class Forgetting:
    """How old evidence fades: by half every so many seconds or readings, and at alarms of drift.

    ``winsorise_sd`` bounds how far from its expectation a score counts, in standard deviations.
    """

    half_life_s: float | None = None
    half_life_n: float | None = None
    detect_drift: bool = True
    winsorise_sd: float | None = None


@dataclass(frozen=True, slots=True)
class RouterSpec:
    """One router: its configured arms, how it chooses, and what it is after.

    ``source_share`` caps how much of what an arm learns comes from one source; None does not.
    ``keep_prompts`` keeps what was asked with each decision.
    """

    name: str
    roster: Roster
    rules: Rules
    objective: Objective
    budgets: tuple[Budget, ...] = ()
    forgetting: Forgetting = Forgetting()
    baseline: Baseline | None = None
    default_arm: str | None = None
    max_attempts: int = 3
    source_share: float | None = None
    keep_prompts: bool = False
