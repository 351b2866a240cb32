"""What is known of an arm's quality from elsewhere: how its prior is made, and when it is sound."""

from __future__ import annotations

from math import isfinite

import numpy as np

from banditroute.core.context.featurizer import CLIP
from banditroute.core.identity import is_id
from banditroute.values import Matrix, Prior, Vector

ROUNDING = 1e-9  # how far sums of that many readings may be off, as a share of their count


def prior_of(
    x: Matrix, scores: Vector, weights: Vector, *, id_: str, arm_id: str, at_s: float
) -> Prior:
    """The prior that N judged answers of one arm amount to: the sums of their regression.

    ``x`` has shape (N, d), ``scores`` in [0, 1] and ``weights`` in (0, 1] have shape (N,).
    Without any answer it is the prior that takes back the one before.
    """
    weighted = weights[:, None] * x
    lower = np.tril(weighted.T @ x)
    return Prior(
        id=id_,
        arm_id=arm_id,
        at_s=at_s,
        n=float(weights.sum()),
        gram=lower + np.tril(lower, -1).T,  # symmetric to the bit, as it is logged
        moment=scores @ weighted,
        square=float(weights @ scores**2),
    )


def flaw(prior: Prior, dimension: int) -> str | None:
    """Why nothing can be learned from a prior, to be read after "the prior"; None where it can.

    Sums that no readings in [0, 1] add up to are refused, as a posterior of them may not exist.
    """
    d = dimension
    if not is_id(prior.id):
        return "has an id that carries no time"
    if prior.gram.shape != (d, d) or prior.moment.shape != (d,):
        return f"has other features than the {d} of this router's contexts"
    sums = np.block([[prior.gram, prior.moment[:, None]], [prior.moment, np.array(prior.square)]])
    if not (isfinite(prior.n) and np.isfinite(sums).all()):
        return "holds a number that is not finite"
    if prior.n < 0.0:
        return "counts as fewer than no readings"
    if prior.n > 0.0 and not _attainable(sums, prior.n):
        return "holds sums that no readings between 0 and 1 add up to"
    return None


def _attainable(sums: Matrix, n: float) -> bool:
    """Whether ``n`` readings could add up to Σ w (x, r)(x, r)ᵀ: x₀ = 1, |x| ≤ CLIP, 0 ≤ r ≤ 1."""
    slack = ROUNDING * n
    if not np.array_equal(sums, sums.T) or abs(sums[0, 0] - n) > slack:
        return False
    if np.abs(sums).max() > CLIP * CLIP * n + slack or sums[-1, -1] > sums[0, -1] + slack:
        return False
    least: float = np.linalg.eigvalsh(sums / n)[0]
    return least >= -ROUNDING * len(sums)
