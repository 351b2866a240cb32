"""Who decides and learns in a simulation. The router's own player uses the router's own core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from banditroute.core.beliefs import Beliefs, Knowledge, Objective
from banditroute.core.choice import Rules, choose, eligible, probabilities_of
from banditroute.core.fold import RouterState
from banditroute.core.pacing import Budget
from banditroute.core.posterior import FeatureGroups
from banditroute.core.purse import Ledger, Purse
from banditroute.core.roster import Roster
from banditroute.values import Context, OutcomeEvidence, QualityEvidence, Reading, Vector

PATIENT_S = float("inf")  # latency does not count


@dataclass(frozen=True, slots=True)
class Ask:
    """One request as a player sees it. ``barred`` names arms that may not be used.

    ``prompt`` is the row of the problem, for players that know everything beforehand.
    """

    at: int
    at_s: float
    prompt: int
    decision_id: str
    context: Context
    roster: Roster
    answer_value_usd: float
    barred: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Cell:
    """What one call really did. ``output_tokens`` and ``latency_s`` are None where unknown."""

    quality: float
    cost_usd: float
    output_tokens: float | None
    latency_s: float | None


class Player(Protocol):
    """A policy with its own learning. ``probabilities`` are over the arms of ``ask.roster``."""

    def probabilities(self, ask: Ask) -> Vector:
        """(K,) the distribution to draw from; 0 for arms that are barred."""

    def called(self, ask: Ask, row: int, propensity: float, cell: Cell) -> None:
        """The call was made: its cost, length and latency are known. Its quality is not."""

    def told(self, ask: Ask, row: int, propensity: float, quality: float) -> None:
        """Somebody judged the answer."""


class RouterPlayer:
    """The router: its fold, its beliefs, its policy, without its HTTP, store and clock."""

    def __init__(self, groups: FeatureGroups, rules: Rules, budget: Budget | None = None) -> None:
        self.rules = rules
        self.state = RouterState.empty(groups)
        self.purse = Purse([budget] if budget else [], rules.seed)
        self._knowledge: Knowledge | None = None
        self._expected: dict[str, dict[str, tuple[float, float]]] = {}

    def probabilities(self, ask: Ask) -> Vector:
        """As the engine would draw."""
        knowledge = self._knowledge = self._knowledge or self.state.knowledge()
        ledger = Ledger(self.state.spending.accounts, ask.at_s)
        objective = Objective(ask.answer_value_usd, PATIENT_S, self.purse.price(()))
        beliefs = knowledge.beliefs(ask.roster, ask.context, objective, ask.at_s)
        reasons = dict.fromkeys(ask.barred, "barred")
        reasons |= self.purse.over_budget(beliefs, reasons, (), ledger)
        allowed = eligible(beliefs, reasons)
        self.purse.note(ask.roster.ids, allowed, objective, (), ledger)
        usual = knowledge.usage.recent_spend_usd()
        noise = knowledge.hyper.noise
        spread = np.sqrt(noise + allowed.quality_sd**2).tolist()
        expected = zip(allowed.quality.tolist(), spread, strict=True)
        self._expected[ask.decision_id] = dict(zip(allowed.arm_ids, expected, strict=True))
        choice = choose(allowed, ask.roster, self.rules, usual, ask.decision_id)
        return _spread(probabilities_of(choice), allowed, ask.roster)

    def called(self, ask: Ask, row: int, propensity: float, cell: Cell) -> None:
        """An outcome enters the log."""
        arm = ask.roster.arms[row]
        entry = OutcomeEvidence(
            position=self.state.position + 1,
            decision_id=ask.decision_id,
            arm_id=arm.id,
            x=ask.context.x,
            at_s=ask.at_s,
            output_tokens=cell.output_tokens,
            cost_usd=cell.cost_usd,
            latency_s=cell.latency_s,
            ttft_s=None,
            error=None,
            propensity=propensity,
        )
        self._take(entry)

    def told(self, ask: Ask, row: int, propensity: float, quality: float) -> None:
        """A feedback enters the log."""
        expected, spread = self._expected.pop(ask.decision_id)[ask.roster.ids[row]]
        entry = QualityEvidence(
            position=self.state.position + 1,
            decision_id=ask.decision_id,
            arm_id=ask.roster.ids[row],
            x=ask.context.x,
            old=None,
            new=Reading(quality, 1.0),
            propensity=propensity,
            expected=expected,
            spread=spread,
        )
        self._take(entry)

    def _take(self, entry: OutcomeEvidence | QualityEvidence) -> None:
        self.state.fold([entry])
        self._knowledge = None


def _spread(chosen: Vector, allowed: Beliefs, roster: Roster) -> Vector:
    """The probabilities of some of the arms, laid out over all of them."""
    if allowed.arm_ids == roster.ids:
        return chosen
    place = {arm_id: row for row, arm_id in enumerate(roster.ids)}
    spread = np.zeros(len(roster))
    spread[[place[arm_id] for arm_id in allowed.arm_ids]] = chosen
    return spread
