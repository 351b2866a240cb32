"""ParetoBandit as published: LinUCB that forgets geometrically, and a budget pacer."""

from __future__ import annotations

import numpy as np

from banditroute.core.roster import Roster
from banditroute.simulation.players import Ask, Cell
from banditroute.simulation.rivals.base import Learner, Rows, shared_argmax
from banditroute.simulation.rivals.pacer import DualPacer
from banditroute.values import Matrix, Vector

ALPHA = 0.05  # the authors' choices for a start without priors
ALPHA_AT_BUDGET = 0.2  # the best of 0.05, 0.1, 0.2, 0.4 and 0.8 at five budgets on their data
GAMMA = 0.997
STALE_MAX = 1000  # requests; an arm unused for longer is as stale as this
VARIANCE_MIN = 1e-12
INFLATION_MAX = 200.0  # of the variance of a stale arm
RIDGE_MIN = 0.1  # below this share of λ₀ the ridge is filled up again
UNIT_USD_MIN, UNIT_USD_MAX = 1e-4, 0.1  # dollars per 1,000 tokens at c̃ = 0 and c̃ = 1


class ParetoBandit(Learner):
    """Taberner-Miller 2026 (arXiv 2604.00136), algorithm 1, from a cold start with λ₀ = 1.

    Chooses argmax θ̂_kᵀx + α √(xᵀA_k⁻¹x / γ^Δ) − λ c̃_k, with Δ the requests since arm k was
    last used, and learns A ← γ^Δ' A + x xᵀ, b ← γ^Δ' b + r x, with Δ' those since it last
    learned. λ is the pacer's where there is a budget, c̃ the logarithm of the unit price, scaled
    to [0, 1]. Unlike the published package, which takes rewards in [0, 1] only, rewards are not
    clipped, and the pacer sees a cost when the call is made, not when it is judged.
    """

    def __init__(
        self,
        arms: int,
        dimension: int,
        *,
        budget_usd: float | None = None,
        alpha: float = ALPHA,
        gamma: float = GAMMA,
    ) -> None:
        super().__init__()
        self.alpha, self.gamma = alpha, gamma
        self.pacer = None if budget_usd is None else DualPacer(budget_usd)
        self.requests = 0
        self.used_at = np.zeros(arms, dtype=np.int64)
        self.learned_at = np.zeros(arms, dtype=np.int64)
        self.ridge = np.ones(arms)  # how much of λ₀ is not yet forgotten
        self.precisions: Matrix = np.tile(np.eye(dimension), (arms, 1, 1))  # A
        self.inverses: Matrix = self.precisions.copy()
        self.moments: Matrix = np.zeros((arms, dimension))  # b

    def choose(self, ask: Ask, rows: Rows) -> Vector:
        """All on the largest score; ties share, arms above the price ceiling get nothing."""
        score = self.score(ask.context.x)
        if self.pacer is None:
            return shared_argmax(score[rows])
        unit = unit_usd(ask.roster)
        score -= self.pacer.price * log_scaled(unit)
        within = np.isin(rows, self.pacer.affordable(unit, rows))
        return shared_argmax(np.where(within, score[rows], -np.inf))

    def score(self, x: Vector) -> Vector:
        """(K,) the upper confidence bounds, wider for stale arms."""
        d = len(x)
        solved = (self.inverses.reshape(-1, d) @ x).reshape(-1, d)
        idle = self.requests - np.maximum(self.used_at, self.learned_at)
        kept = np.maximum(self.gamma ** np.minimum(idle, STALE_MAX), 1.0 / INFLATION_MAX)
        width = np.sqrt(np.maximum(solved @ x / kept, VARIANCE_MIN))
        bounds: Vector = np.sum(solved * self.moments, axis=1) + self.alpha * width
        return bounds

    def called(self, ask: Ask, row: int, propensity: float, cell: Cell) -> None:
        """A request has passed, and its cost is known."""
        super().called(ask, row, propensity, cell)
        self.requests += 1
        self.used_at[row] = self.requests
        if self.pacer is not None:
            self.pacer.observe(cell.cost_usd)

    def learn(self, ask: Ask, row: int, reward: float) -> None:
        """Forget by the requests passed since this arm last learned, then add one reward."""
        self._forget(row, self.gamma ** min(self.requests - self.learned_at[row], STALE_MAX))
        self.learned_at[row] = self.requests
        x = ask.context.x
        gain = self.inverses[row] @ x
        step = gain / np.sqrt(1.0 + float(x @ gain))
        self.inverses[row] -= np.multiply.outer(step, step)
        self.precisions[row] += np.multiply.outer(x, x)
        self.moments[row] += reward * x

    def _forget(self, row: int, kept: float) -> None:
        self.precisions[row] *= kept
        self.moments[row] *= kept
        self.ridge[row] *= kept
        if self.ridge[row] >= RIDGE_MIN:
            self.inverses[row] /= kept
            return
        self.precisions[row] += (1.0 - self.ridge[row]) * np.eye(len(self.moments[row]))
        self.inverses[row] = np.linalg.inv(self.precisions[row])
        self.ridge[row] = 1.0


def unit_usd(roster: Roster) -> Vector:
    """(K,) dollars per 1,000 tokens, half input and half output."""
    unit: Vector = (roster.input_price + roster.output_price) / 2.0 / 1000.0
    return unit


def log_scaled(unit: Vector) -> Vector:
    """(K,) c̃: the logarithm of unit prices between the market's ends, scaled to [0, 1]."""
    span = np.log(UNIT_USD_MAX / UNIT_USD_MIN)
    scaled: Vector = np.log(np.maximum(unit, UNIT_USD_MIN) / UNIT_USD_MIN) / span
    return np.minimum(scaled, 1.0)
