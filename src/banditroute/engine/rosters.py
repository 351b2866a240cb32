"""Which arms of a router are in force: the configured ones, as its log has changed them since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from banditroute.core.beliefs import Knowledge
from banditroute.core.eligibility import PAUSED
from banditroute.core.roster import Roster, effective
from banditroute.values import ArmChange


@dataclass(frozen=True, slots=True)
class InForce:
    """The arms that there are, and the reason code of each that is paused."""

    roster: Roster
    paused: Mapping[str, str]


class Rosters:
    """One router's arms in force, worked out again only when the changes are others."""

    def __init__(self, configured: Roster) -> None:
        self._configured = configured
        self._changes: Mapping[str, ArmChange] = {}
        self._known = InForce(configured, {})

    def at(self, knowledge: Knowledge) -> InForce:
        """The arms in force at the position of ``knowledge``."""
        if knowledge.arm_changes is not self._changes:
            roster, paused = effective(self._configured, knowledge.arm_changes)
            self._known = InForce(roster, dict.fromkeys(sorted(paused), PAUSED))
            self._changes = knowledge.arm_changes
        return self._known
