"""The published ParetoBandit package as a player.

Its own ``BanditRouter`` with vectors computed beforehand, cold (``priors`` need the authors'
embeddings), with the authors' constants for a cold start: α = 0.05, γ = 0.997. With a budget,
its own ``BudgetPacer`` in its default mode, told what a call really cost, and α = 0.2, searched
over 0.05, 0.1, 0.2, 0.4 and 0.8 on the authors' data: their own keeps to the first arm it meets.
"""

from __future__ import annotations

import numpy as np
from pareto_bandit import BanditRouter, FeatureService, RouterConfig, RoutingLog
from pareto_bandit.budget_pacer import BudgetPacer
from pareto_bandit.config import BEST_K3_TABULA_RASA_HPARAMS as COLD

from banditroute.core.roster import Roster
from banditroute.simulation import Ask, Cell, Problem
from banditroute.simulation.rivals.base import Learner, Rows
from banditroute.simulation.rivals.paretobandit import ALPHA_AT_BUDGET
from banditroute.values import Vector
from peers import Factory


class ParetoBanditPackage(Learner):
    """One ``BanditRouter``; ties are broken inside it, so its choice has probability 1 here.

    Barred arms are kept out by a quality floor on a score that only they lack.
    """

    def __init__(
        self,
        problem: Problem,
        seed: int,
        budget_usd: float | None = None,
        alpha: float = COLD["alpha"],
    ) -> None:
        super().__init__()
        self.roster = problem.roster
        self.router = BanditRouter(
            {arm_id: _entry(self.roster, row) for row, arm_id in enumerate(self.roster.ids)},
            feature_service=FeatureService.for_precomputed(problem.groups.dimension),
            alpha=alpha,
            forgetting_factor=COLD["forgetting_factor"],
            bandit_seed=seed,
            cost_penalty=0.0,
            config=RouterConfig(reward_min=-np.inf),
            budget_pacer=None if budget_usd is None else BudgetPacer(budget_usd),
        )
        self._logs: dict[str, RoutingLog] = {}

    def choose(self, ask: Ask, rows: Rows) -> Vector:
        """All on the arm that the package routes to."""
        self._reprice(ask.roster)
        floor = {_not(arm_id): 1.0 for arm_id in ask.barred}
        arm_id, log = self.router.route(ask.context.x, quality_floor=floor)
        self._logs[ask.decision_id] = log
        chosen: Vector = (rows == ask.roster.ids.index(arm_id)).astype(np.float64)
        return chosen

    def called(self, ask: Ask, row: int, propensity: float, cell: Cell) -> None:
        """What the pacer will be told, in place of the package's estimate."""
        super().called(ask, row, propensity, cell)
        self._logs[ask.decision_id].cost_usd = cell.cost_usd

    def learn(self, ask: Ask, row: int, reward: float) -> None:  # noqa: ARG002
        """The package's own feedback, from which it also paces."""
        self.router.process_feedback(self._logs.pop(ask.decision_id).request_id, reward)

    def _reprice(self, roster: Roster) -> None:
        if roster is self.roster:
            return
        self.roster = roster
        for row, arm_id in enumerate(roster.ids):
            self.router.update_model_pricing(arm_id, **_prices(roster, row))


def at_budget(budget_usd: float) -> Factory:
    """The package at a budget in dollars per request."""
    return lambda problem, seed, _: ParetoBanditPackage(problem, seed, budget_usd, ALPHA_AT_BUDGET)


def _prices(roster: Roster, row: int) -> dict[str, float]:
    return {
        "input_cost_per_m": float(roster.input_price[row]),
        "output_cost_per_m": float(roster.output_price[row]),
    }


def _entry(roster: Roster, row: int) -> dict[str, object]:
    others = (arm_id for at, arm_id in enumerate(roster.ids) if at != row)
    return {**_prices(roster, row), "scores": {_not(arm_id): 1.0 for arm_id in others}}


def _not(arm_id: str) -> str:
    return f"not {arm_id}"


MAKERS: dict[str, Factory] = {
    "paretobandit-package": lambda problem, seed, _: ParetoBanditPackage(problem, seed),
}
