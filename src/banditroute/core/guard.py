"""Is the router worth it? Its own log, asked what every arm alone would have earned.

Every reading gives each arm k a doubly robust pseudo-outcome (Dudík, Langford & Li 2011, eq. 2)

    Γ_k = q_k(x) + 1{a = k}/π · (r − q_a(x))

whose mean is the quality of always answering with k, whatever the model q believes: q was fitted
before r was heard, and π is the probability that the arm was really drawn with. What an arm
costs is the mean of its calls' dollars, weighted by 1/π. Old readings fade, so that the answer
is about now.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from banditroute.core.winning import win_probabilities
from banditroute.values import Vector

HALF_LIFE = 2_000.0  # readings
KEPT = 0.5 ** (1.0 / HALF_LIFE)
MOST_WEIGHT = 50.0  # of 1/π: beyond it the model is trusted a little, to tame the variance
SURE_Z = 2.576  # a 99% interval: many arms are compared at once
MARGIN = 0.01  # reward that a router may lose by exploring without being accused
LEAST_N = 50.0  # readings before anything is said


@dataclass(slots=True)
class Guard:
    """Decayed sums of K arms, all of shape (K,): ``n`` readings since the arm is there;
    ``value`` Σ Γ; ``lead`` Σ (Γ − r) and ``lead2`` Σ (Γ − r)²; ``weight`` Σ 1/π over its own
    calls, ``cost`` Σ c/π and ``cost2`` Σ (c/π)². ``own`` holds the router's: readings, Σ r,
    calls, Σ c.
    """

    n: Vector
    value: Vector
    lead: Vector
    lead2: Vector
    weight: Vector
    cost: Vector
    cost2: Vector
    own: Vector

    @classmethod
    def empty(cls) -> Guard:
        """No arms yet."""
        return cls(**{column: np.zeros(0) for column in COLUMNS}, own=np.zeros(4))

    def grow(self) -> None:
        """Add an arm."""
        for column in COLUMNS:
            setattr(self, column, np.append(getattr(self, column), 0.0))

    def hear(self, row: int, quality: float, expected: Vector, propensity: float) -> None:
        """A reading of arm ``row``; ``expected`` (K,) is what the model expected of every arm."""
        for column in ("n", "value", "lead", "lead2"):
            getattr(self, column)[:] *= KEPT
        self.own[:2] *= KEPT
        outcome = expected.copy()
        outcome[row] += min(1.0 / propensity, MOST_WEIGHT) * (quality - expected[row])
        self.n += 1.0
        self.value += outcome
        self.lead += outcome - quality
        self.lead2 += (outcome - quality) ** 2
        self.own[:2] += (1.0, quality)

    def pay(self, row: int, cost_usd: float, propensity: float) -> None:
        """A call of arm ``row`` has cost so much."""
        for column in ("weight", "cost", "cost2"):
            getattr(self, column)[:] *= KEPT
        self.own[2:] *= KEPT
        weight = min(1.0 / propensity, MOST_WEIGHT)
        self.weight[row] += weight
        self.cost[row] += weight * cost_usd
        self.cost2[row] += (weight * cost_usd) ** 2
        self.own[2:] += (1.0, cost_usd)

    def copy(self) -> Guard:
        """The sums as they are now."""
        return Guard(*(getattr(self, column.name).copy() for column in fields(self)))

    def quality_loss(self, row: int) -> float:
        """How much better arm ``row`` alone would have answered; 0 while too little is known."""
        n = float(self.n[row])
        return float(self.lead[row]) / n if n >= LEAST_N else 0.0

    def verdict(self, dollar_price: float) -> Verdict | None:
        """The comparison, with a dollar worth so much reward; None while too little is known."""
        known = (self.n >= LEAST_N) & (self.weight > 0.0)
        if self.own[0] < LEAST_N or self.own[2] <= 0.0 or not known.any():
            return None
        rows = np.flatnonzero(known)
        n, lead = self.n[rows], self.lead[rows] / self.n[rows]
        spread = np.maximum(self.lead2[rows] / n - lead * lead, 0.0) / n
        cost, own_cost = self.cost[rows] / self.weight[rows], self.own[3] / self.own[2]
        dollars = self.cost2[rows] * (dollar_price / self.weight[rows]) ** 2
        return Verdict(
            rows=rows,
            readings=float(self.own[0]),
            router=float(self.own[1] / self.own[0] - dollar_price * own_cost),
            lead=lead - dollar_price * (cost - own_cost),
            error=np.sqrt(spread + dollars),
        )


COLUMNS = tuple(column.name for column in fields(Guard) if column.name != "own")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The router's mean reward over about ``readings`` of them, beside that of arms alone.

    ``rows`` (A,) are the arms of which enough is known; ``lead`` ± ``error`` (A,) how much more
    than the router each would have earned.
    """

    rows: np.ndarray
    readings: float
    router: float
    lead: Vector
    error: Vector

    @property
    def best(self) -> int:
        """Where in ``rows`` the arm stands that would have earned most."""
        return int(np.argmax(self.lead))

    @property
    def context_free(self) -> float:
        """The lead of a policy that knows all this of the arms and looks at no prompt."""
        chances = win_probabilities(self.lead, np.maximum(self.error, 1e-9))
        return float(chances @ self.lead)

    @property
    def losing_to(self) -> int | None:
        """The row of the best arm if it is surely ahead, by more than ``MARGIN``, else None."""
        best = self.best
        ahead = self.lead[best] - SURE_Z * self.error[best] > MARGIN
        return int(self.rows[best]) if ahead else None
