"""Lower bounds of a mean that may change, for outcomes that are bounded from below only.

Let ξ_i ≥ c_i − 1 have the conditional mean μ_i, with c_i known before. For 0 ≤ λ < 1 the wealth
Π (1 + λ(ξ_i − c_i)) · exp(−λ Σ (μ_i − c_i)) is a supermartingale, as 1 + y ≤ exp(y); so is its
mean over several λ, which ever reaches 1/α with probability α at most (Ville 1939). What Σ μ_i
would have made it do so is ruled out (Mineiro 2022, arXiv 2210.11133). No mean need equal another.

That is never wider than the empirical Bernstein bound with the same λ (Howard et al. 2021;
Waudby-Smith et al. 2022, arXiv 2210.10768), which puts λy − ψ(λ)y² for log(1 + λy): there a huge
outcome takes its square away, here it adds its logarithm.
"""

from __future__ import annotations

import numpy as np

from banditroute.values import Matrix, Vector

STAKES = 0.9 * 2.0 ** -np.arange(14.0)  # λ: serves means of 10 to 10⁸ rounds
SHARES = 1.0 / np.arange(2.0, 16.0)
SHARES /= SHARES.sum()  # more on the large stakes, which bind early
STEPS = 10  # of Newton's method; fewer make the bound lower, not wrong
BLOCK = 16_384  # rounds at once
ROUNDING = 1e-4  # of probabilities that add up to 1 nearly


def lower_bounds(outcomes: Vector, centres: Vector, alpha: float) -> Vector:
    """(T,) lower bounds of (μ_1 + … + μ_t)/t: all hold at once with probability 1 − ``alpha``.

    ``centres`` c (T,) may use earlier outcomes only. Raises ValueError for an outcome that lies
    more than 1 below its centre.
    """
    surprises = outcomes - centres
    if np.any(surprises < -1.0 - ROUNDING):
        raise ValueError("an outcome lies more than 1 below its centre: it is not bounded so")
    wealth = np.log(SHARES)
    bounds = np.empty(len(outcomes))
    for at in range(0, len(outcomes), BLOCK):
        won = np.log1p(surprises[at : at + BLOCK, None] * STAKES)
        won[0] += wealth
        logs = np.cumsum(won, axis=0)
        bounds[at : at + BLOCK] = _ruled_out(logs, -float(np.log(alpha)))
        wealth = logs[-1]
    lower: Vector = (np.cumsum(centres) + bounds) / np.arange(1, len(outcomes) + 1)
    return lower


def _ruled_out(logs: Matrix, sought: float) -> Vector:
    """(T,) the D at which log Σ_j exp(``logs``_j − λ_j D) = ``sought``.

    The sum is convex and falls in D, so Newton's method rises to D from where one term suffices.
    """
    sum_of_means = ((logs - sought) / STAKES).max(axis=1)
    for _ in range(STEPS):
        terms = logs - STAKES * sum_of_means[:, None]
        most = terms.max(axis=1)
        terms = np.exp(terms - most[:, None])
        total = terms.sum(axis=1)
        sum_of_means += (most + np.log(total) - sought) * total / (terms @ STAKES)
    reached: Vector = sum_of_means
    return reached
