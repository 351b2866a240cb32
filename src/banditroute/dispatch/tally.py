"""What came of the calls to arms that this process made."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from banditroute.values import Decision, Outcome

OK = "ok"


@dataclass(frozen=True, slots=True)
class Tally:
    """Calls since the process started; one that a client made itself is not among them.

    ``calls`` counts by router, arm, and how the call ended: ``ok`` or the word of the fault.
    ``cost_usd`` adds up each arm's costs as far as they are known.
    """

    calls: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    cost_usd: dict[str, float] = field(default_factory=dict)

    def add(self, decision: Decision, outcome: Outcome) -> None:
        """Count one call."""
        arm_id = decision.arm_id
        self.calls[decision.router, arm_id, outcome.error or OK] += 1
        self.cost_usd[arm_id] = self.cost_usd.get(arm_id, 0.0) + (outcome.cost_usd or 0.0)
