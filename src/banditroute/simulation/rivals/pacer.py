"""ParetoBandit's budget pacer: one dual variable driven by smoothed cost."""

from __future__ import annotations

from banditroute.simulation.rivals.base import Rows
from banditroute.values import Vector

STEP = 0.05  # η
SMOOTHING = 0.05  # α_ema
PRICE_MAX = 5.0  # λ̄


class DualPacer:
    """The pacer of ParetoBandit (arXiv 2604.00136, algorithm 1), in its two-layer mode.

    c̄ ← (1 − α) c̄ + α c and λ ← clip(λ + η (c̄/B − 1), 0, λ̄), from c̄ = B and λ = 0. λ lowers
    scores by λ c̃_k and bars arms above the highest unit price / (1 + λ). Its constants are the
    published ones.
    """

    def __init__(self, budget_usd: float) -> None:
        self.budget_usd = budget_usd
        self.smoothed_usd = budget_usd
        self.price = 0.0

    def observe(self, cost_usd: float) -> None:
        """A call cost this much."""
        self.smoothed_usd += SMOOTHING * (cost_usd - self.smoothed_usd)
        over = self.smoothed_usd / self.budget_usd - 1.0
        self.price = min(max(self.price + STEP * over, 0.0), PRICE_MAX)

    def affordable(self, unit_usd: Vector, rows: Rows) -> Rows:
        """The rows below the price ceiling; all of them where none is."""
        ceiling = unit_usd[rows].max() / (1.0 + self.price)
        within = rows[unit_usd[rows] <= ceiling]
        return within if len(within) else rows
