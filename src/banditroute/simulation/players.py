"""Who decides and learns in a simulation. The router's own player uses the router's own core."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from banditroute.core.beliefs import Knowledge, Objective
from banditroute.core.choice import Rules, probabilities_of
from banditroute.core.eligibility import FAILED, PAUSED
from banditroute.core.fold import RouterState
from banditroute.core.outcomes import chosen_candidate, outcome_evidence, quality_evidence
from banditroute.core.pacing import Budget
from banditroute.core.posterior import FeatureGroups
from banditroute.core.roster import Roster
from banditroute.engine.deciding import Call, Decider
from banditroute.engine.rosters import Rosters
from banditroute.engine.spec import RouterSpec
from banditroute.errors import UpstreamFault
from banditroute.values import (
    Context,
    Decision,
    Outcome,
    OutcomeEvidence,
    QualityEvidence,
    Reading,
    Request,
    Vector,
    Wishes,
)

ROUTER = "simulated"
PATIENT = Objective(float("inf"), float("inf"))  # latency does not count


@dataclass(frozen=True, slots=True)
class Ask:
    """One request as a player sees it. ``barred`` names arms that may not be used.

    Those of them that ``failed`` are barred because they did not answer this very request.
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
    failed: frozenset[str] = frozenset()
    task: str | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """What one call really did. ``output_tokens`` and ``latency_s`` are None where unknown.

    A call that ``failed`` has no answer, costs nothing, and is never judged.
    """

    quality: float
    cost_usd: float
    output_tokens: int | None
    latency_s: float | None
    failed: bool = False


class Player(Protocol):
    """A policy with its own learning. ``probabilities`` are over the arms of ``ask.roster``."""

    def probabilities(self, ask: Ask) -> Vector:
        """(K,) the distribution to draw from; 0 for arms that are barred."""

    def called(self, ask: Ask, row: int, propensity: float, cell: Cell) -> None:
        """The call was made: its cost, length and latency are known. Its quality is not."""

    def told(self, ask: Ask, row: int, propensity: float, quality: float) -> None:
        """Somebody judged the answer."""


class RouterPlayer:
    """The router: its engine's decisions, its log's evidence, its fold, on a virtual clock.

    Only HTTP, the store and the reading of prompts are left out.
    """

    def __init__(self, groups: FeatureGroups, rules: Rules, budget: Budget | None = None) -> None:
        self.rules = rules
        self.state = RouterState.empty(groups)
        budgets = (budget,) if budget else ()
        spec = RouterSpec(ROUTER, Roster(()), rules, PATIENT, budgets)
        self._decider = Decider(spec, fingerprint=f"simulated:{groups.dimension}")
        self._roster = spec.roster
        self._knowledge: Knowledge | None = None
        self._made: dict[str, Decision] = {}

    def probabilities(self, ask: Ask) -> Vector:
        """As the engine draws."""
        made = self.decide(ask)
        chances = probabilities_of(made)
        if len(made.candidates) == len(ask.roster):
            return chances
        place = {arm_id: row for row, arm_id in enumerate(ask.roster.ids)}
        spread = np.zeros(len(ask.roster))
        spread[[place[candidate.arm_id] for candidate in made.candidates]] = chances
        return spread

    def decide(self, ask: Ask) -> Decision:
        """The engine's decision. Raises NoEligibleArm when every arm is barred."""
        if ask.roster is not self._roster:
            self._roster, self._decider.rosters = ask.roster, Rosters(ask.roster)
        self._knowledge = self._knowledge or self.state.knowledge()
        call = Call(
            decision_id=ask.decision_id,
            request=Request({}, Wishes(task=ask.task, answer_value_usd=ask.answer_value_usd)),
            context=ask.context,
            out={arm: FAILED if arm in ask.failed else PAUSED for arm in ask.barred},
        )
        made = self._decider.decide(call, self.rules, self._knowledge, ask.at_s)
        self._made[ask.decision_id] = made
        return made

    def called(self, ask: Ask, row: int, propensity: float, cell: Cell) -> None:
        """An outcome enters the log."""
        made = self._made.pop(ask.decision_id)
        if made.arm_id != ask.roster.ids[row]:  # drawn by another seed than the rules have
            made = replace(made, arm_id=ask.roster.ids[row], propensity=propensity)
        self._decider.purse.settle(made.id)
        outcome = Outcome(
            made.id,
            output_tokens=cell.output_tokens,
            cost_usd=cell.cost_usd,
            latency_s=cell.latency_s,
            error=UpstreamFault.UNAVAILABLE if cell.failed else None,
        )
        position = self.state.position + 1
        self._take(outcome_evidence(made, outcome, position=position, at_s=ask.at_s))
        if not cell.failed:
            self._made[made.id] = _slim(made)

    def told(self, ask: Ask, row: int, propensity: float, quality: float) -> None:  # noqa: ARG002
        """A feedback enters the log."""
        made, position = self._made.pop(ask.decision_id), self.state.position + 1
        self._take(quality_evidence(made, None, Reading(quality, 1.0), position=position))

    def _take(self, entry: OutcomeEvidence | QualityEvidence) -> None:
        self.state.fold([entry])
        self._knowledge = None


def _slim(made: Decision) -> Decision:
    """A decision without what was predicted of the arms that were not drawn."""
    chosen = chosen_candidate(made)
    return replace(made, candidates=(chosen,) if chosen else ())
