"""From a policy's probabilities to the arm: the exploration floor, and the draw.

The arm is drawn from exactly the distribution that is logged.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate

import numpy as np

from banditroute.core.beliefs import Beliefs
from banditroute.core.policies import Policy
from banditroute.values import Vector

FLOOR_SPEND = 0.02  # κ: exploring an arm may cost at most this share of a usual request
FREE_USD = 1e-200  # what a free call is taken to cost: any share of any request affords it


def floors(cost_usd: Vector, floor: float, usual_cost_usd: float | None) -> Vector:
    """(K,) the least probability of each arm: min(ε/K, κ·B/(K·ĉ_k)).

    ``floor`` is ε, ``usual_cost_usd`` is B: what a recent request cost; before there is one,
    the median of ``cost_usd``. So the dearest arm, which may cost 500 times the cheapest, is
    explored as often as it can be afforded.
    """
    count = len(cost_usd)
    usual = _median(cost_usd) if usual_cost_usd is None else usual_cost_usd
    if usual <= 0.0:
        return np.full(count, floor / count)  # calls are free: so is exploring
    affordable = FLOOR_SPEND * usual / count / np.maximum(cost_usd, FREE_USD)
    least: Vector = np.minimum(affordable, floor / count)
    return least


def distribution(
    policy: Policy, beliefs: Beliefs, floor: float, usual_cost_usd: float | None
) -> Vector:
    """(K,) the probabilities to draw from: π = (1 - Σf)·P + f, which sum to 1."""
    least = floors(beliefs.cost_usd, floor, usual_cost_usd)
    chosen = policy.probabilities(beliefs)
    probabilities: Vector = (1.0 - np.add.reduce(least)) * chosen + least
    return probabilities


def draw(probabilities: Vector, arm_ids: tuple[str, ...], u: float) -> int:
    """The row that ``u`` in [0, 1) falls on, the arms laid side by side in order of their ids.

    The order of the arms in the configuration therefore does not change what is drawn.
    """
    order = _by_id(arm_ids)
    shares = probabilities.tolist()
    edges = list(accumulate(shares[row] for row in order))
    return order[min(bisect_right(edges, u * edges[-1]), len(order) - 1)]


@lru_cache(maxsize=1024)
def _by_id(arm_ids: tuple[str, ...]) -> tuple[int, ...]:
    """The rows in order of their ids, which are much the same from one request to the next."""
    return tuple(sorted(range(len(arm_ids)), key=arm_ids.__getitem__))


def _median(values: Vector) -> float:
    """As ``np.median``, which takes longer than the rest of a decision's floors."""
    ordered = sorted(values.tolist())
    middle = len(ordered) // 2
    return float(ordered[middle] + ordered[~middle]) / 2.0
