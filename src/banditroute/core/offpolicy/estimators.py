"""Estimators of a target policy's value: (T,) pseudo-outcomes whose mean is the estimate.

w is a round's importance weight, r its reward, q what was predicted of an arm, p the target.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from banditroute.core.offpolicy.rounds import Rounds
from banditroute.values import Vector

Estimator = Callable[[Rounds], Vector]


def ips(rounds: Rounds) -> Vector:
    """w·r: inverse propensity scores (Horvitz & Thompson 1952).

    Unbiased where every arm that the target chooses could be drawn.
    """
    outcomes: Vector = rounds.weights * rounds.rewards
    return outcomes


def clipped_ips(rounds: Rounds, most: float | None = None) -> Vector:
    """min(w, ``most``)·r (Ionides 2008), by default with :func:`default_clip`.

    Biased towards 0 where weights are clipped, with less variance. Raises ValueError for
    ``most`` ≤ 0.
    """
    most = default_clip(rounds) if most is None else most
    if not most > 0.0:
        raise ValueError("the largest weight must be above 0")
    outcomes: Vector = np.minimum(rounds.weights, most) * rounds.rewards
    return outcomes


def snips(rounds: Rounds) -> Vector:
    """The self-normalised estimate V = Σwr/Σw (Swaminathan & Joachims 2015), linearised.

    The outcomes V + w(r − V)/mean(w) have V as their mean and, up to terms of higher order, its
    error as their own (the delta method), so that the intervals of a mean serve. Biased by
    O(1/T). NaN where no arm that the target chooses was ever drawn.
    """
    weights = rounds.weights
    total = float(weights.sum())
    if total <= 0.0:
        return np.full(len(rounds), np.nan)
    value = float(weights @ rounds.rewards) / total
    outcomes: Vector = value + weights * (rounds.rewards - value) * (len(rounds) / total)
    return outcomes


def direct(rounds: Rounds) -> Vector:
    """Σ_k p_k q_k: what is predicted of the target, as wrong as the predictions are."""
    outcomes: Vector = np.sum(rounds.target * rounds.predictions, axis=1)
    return outcomes


def doubly_robust(rounds: Rounds) -> Vector:
    """Σ_k p_k q_k + w(r − q_a) (Dudík, Langford & Li 2011, eq. 2).

    Unbiased whatever is predicted, where every arm that the target chooses could be drawn; the
    closer the predictions, the smaller its variance.
    """
    return direct(rounds) + rounds.weights * _errors(rounds)


def switch_dr(rounds: Rounds, threshold: float | None = None) -> Vector:
    """Doubly robust where w ≤ ``threshold``, else direct (Wang, Agarwal & Dudík 2017, SWITCH-DR).

    By default with :func:`default_clip`. As biased as the predictions where weights are larger.
    Raises ValueError for a threshold below 0.
    """
    threshold = default_clip(rounds) if threshold is None else threshold
    if not threshold >= 0.0:
        raise ValueError("the threshold of weights must be at least 0")
    weights = rounds.weights
    kept = np.where(weights <= threshold, weights, 0.0)
    return direct(rounds) + kept * _errors(rounds)


def default_clip(rounds: Rounds) -> float:
    """√T, and at least 1: where weights are clipped or switched off unless told otherwise.

    As Ionides 2008 has it: what is clipped vanishes with T, no weight moves the estimate by more
    than 1/√T, and as it depends on the number of rounds only, no reward has a say in it.
    """
    return max(float(np.sqrt(len(rounds))), 1.0)


def _errors(rounds: Rounds) -> Vector:
    """(T,) by how much the rewards exceed what was predicted of them."""
    errors: Vector = rounds.rewards - rounds.at_arm(rounds.predictions)
    return errors


ESTIMATORS: Mapping[str, Estimator] = {
    "ips": ips,
    "clipped-ips": clipped_ips,
    "snips": snips,
    "dm": direct,
    "dr": doubly_robust,
    "switch-dr": switch_dr,
}
"""Every estimator by its name, with its defaults."""
