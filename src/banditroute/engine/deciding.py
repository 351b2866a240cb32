"""One router's decisions: from a request and what is known to the arm that is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from banditroute.core.beliefs import Beliefs, Knowledge, Objective
from banditroute.core.choice import Choice, Rules, choose, eligible
from banditroute.core.eligibility import NO_EXCUSE, excluded
from banditroute.core.purse import Ledger, Purse
from banditroute.core.spending import ROUTER
from banditroute.engine.refusals import refusal
from banditroute.engine.rosters import Rosters
from banditroute.engine.spec import RouterSpec
from banditroute.values import Context, Decision, DecisionId, Request


@dataclass(frozen=True, slots=True)
class Call:
    """A request to decide for. ``out`` maps arms that cannot be used now to reason codes,
    ``parent`` is the decision whose call failed, ``named`` the arm that the caller asked for.
    ``prompt`` is kept with the decision.
    """

    decision_id: DecisionId
    request: Request
    context: Context
    out: Mapping[str, str]
    parent: DecisionId | None = None
    named: str | None = None
    prompt: str | None = None


class Decider:
    """Decides for one router; ``purse`` keeps its budgets, ``rosters`` its arms in force."""

    def __init__(self, spec: RouterSpec, fingerprint: str) -> None:
        self.purse = Purse(spec.budgets, spec.rules.seed)
        self.rosters = Rosters(spec.roster)
        self._spec = spec
        self._fingerprint = fingerprint

    def decide(self, call: Call, rules: Rules, knowledge: Knowledge, now_s: float) -> Decision:
        """Draw the arm. Raises NoEligibleArm when nothing is left."""
        payers, context = self._payers(call.request), call.context
        objective = self._objective(call.request, self.purse.price(payers))
        ledger, in_force = Ledger(knowledge.accounts, now_s), self.rosters.at(knowledge)
        roster, wishes = in_force.roster, call.request.wishes
        beliefs = knowledge.beliefs(roster, context, objective, now_s)
        reasons = excluded(roster, context, wishes, beliefs, {**call.out, **in_force.paused})
        reasons = self._over_budget(beliefs, reasons, payers, ledger) | reasons
        if call.named is not None:
            beliefs = beliefs.take([roster.ids.index(call.named)])
            reasons = {arm: why for arm, why in reasons.items() if arm == call.named}
        if len(reasons) == len(beliefs.arm_ids):
            standings = self.purse.standings(ledger)
            drawn_on = [one for one in standings if one.budget.payer in {ROUTER, *payers}]
            raise refusal(self._spec.name, beliefs, reasons, drawn_on, now_s)
        allowed = eligible(beliefs, reasons)
        self.purse.note(roster.ids, allowed, objective, payers, ledger)
        usual = knowledge.usage.recent_spend_usd()
        choice = choose(allowed, roster, rules, usual, call.decision_id)
        self.purse.reserve(call.decision_id, _expected_usd(choice), payers, now_s)
        return Decision(
            id=call.decision_id,
            router=self._spec.name,
            arm_id=choice.arm_id,
            propensity=choice.propensity,
            candidates=choice.candidates,
            excluded=reasons,
            x=context.x,
            fingerprint=self._fingerprint,
            position=knowledge.position,
            policy=rules.policy.spec,
            floor=rules.floor,
            seed=rules.seed,
            answer_value_usd=objective.answer_value_usd,
            patience_s=objective.patience_s,
            made_at_s=now_s,
            input_tokens=context.input_tokens,
            max_output_tokens=context.max_output_tokens,
            budget_price=objective.budget_price,
            noise=knowledge.hyper.noise,
            payers=payers,
            task=wishes.task,
            tags=wishes.tags,
            session_id=wishes.session_id,
            parent_id=call.parent,
            judged_share=knowledge.judged_share,
            usual_cost_usd=usual,
            prompt=call.prompt,
        )

    def _payers(self, request: Request) -> tuple[str, ...]:
        """Whose budgets a request counts against, besides the router's; each once."""
        tags = (f"tag:{tag}" for tag in request.wishes.tags)
        return self.purse.watched(list(dict.fromkeys([*request.payers, *tags])))

    def _objective(self, request: Request, budget_price: float) -> Objective:
        wishes, usual = request.wishes, self._spec.objective
        return Objective(
            wishes.answer_value_usd or usual.answer_value_usd,
            wishes.patience_s or usual.patience_s,
            budget_price,
        )

    def _over_budget(
        self,
        beliefs: Beliefs,
        reasons: Mapping[str, str],
        payers: tuple[str, ...],
        ledger: Ledger,
    ) -> dict[str, str]:
        """The arms that would cost too much, beside those that could answer."""
        unable = {arm: why for arm, why in reasons.items() if why not in NO_EXCUSE}
        return self.purse.over_budget(beliefs, unable, payers, ledger)


def _expected_usd(choice: Choice) -> float:
    """What the chosen call is expected to cost."""
    return next(c.cost_usd for c in choice.candidates if c.arm_id == choice.arm_id)
