"""How much a log can say of a target policy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from banditroute.core.offpolicy.rounds import Rounds

LEAST_PROBABILITY = 1e-4
"""An arm that was drawn with a smaller probability is not supported: nothing is known of it."""


@dataclass(frozen=True, slots=True)
class Support:
    """What the weights of a log's rounds allow to be said.

    ``ess`` is the effective sample size (Σw)²/Σw² (Kish 1965), ``ess_share`` that of all rounds.
    ``mean_weight`` is 1 but for chance where every arm is supported. ``unsupported`` is the mean
    probability with which the target chooses arms that are not, ``unsupported_arms`` that of each
    by its column, without those of which it is 0.
    """

    rounds: int
    ess: float
    ess_share: float
    mean_weight: float
    largest_weight: float
    unsupported: float
    unsupported_arms: dict[int, float]


def support(rounds: Rounds) -> Support:
    """What the log supports. Raises ValueError for no rounds."""
    count = len(rounds)
    if count == 0:
        raise ValueError("there are no rounds")
    weights = rounds.weights
    square = float(weights @ weights)
    ess = float(weights.sum()) ** 2 / square if square > 0.0 else 0.0
    missed = np.where(rounds.probabilities < LEAST_PROBABILITY, rounds.target, 0.0).mean(axis=0)
    return Support(
        rounds=count,
        ess=ess,
        ess_share=ess / count,
        mean_weight=float(weights.mean()),
        largest_weight=float(weights.max()),
        unsupported=float(missed.sum()),
        unsupported_arms={k: float(missed[k]) for k in np.flatnonzero(missed).tolist()},
    )
