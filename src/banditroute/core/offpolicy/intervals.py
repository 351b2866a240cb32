"""Intervals of a mean, for a number of rounds that was fixed before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

from banditroute.core.offpolicy.rounds import Rounds
from banditroute.values import Matrix, Vector

LEAST_ROUNDS = 2
CHUNK = 200_000  # counts drawn at once, which a processor's cache holds


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its bounds."""

    estimate: float
    low: float
    high: float


def mean_interval(outcomes: Vector, level: float = 0.95, foreseen: float = 0.0) -> Interval:
    """The mean with its interval, for a number of rounds that was fixed before.

    Student's t with as many degrees of freedom as the sample's kurtosis κ leaves its variance
    (Satterthwaite 1946): ν = 2n / (κ − (n − 3)/(n − 1)), at most n − 1. Outcomes with a few large
    weights get the wider interval that they need. Never narrower than outcomes of the
    ``foreseen`` variance make it. Raises ValueError for fewer than two outcomes.
    """
    n = _count(outcomes)
    mean, tail = float(outcomes.mean()), 0.5 + level / 2.0
    sampled = float(stdtrit(_freedom(outcomes), tail)) * float(outcomes.std(ddof=1))
    half = max(sampled, float(ndtri(tail)) * foreseen**0.5) / n**0.5
    return Interval(mean, mean - half, mean + half)


def foreseen_variance(rounds: Rounds) -> float:
    """The variance of a doubly robust outcome around its prediction, as the weights foresee it.

    Σ_k p_k²/π_k is the expected square of a round's weight, known for every arm before one is
    drawn; times the mean squared error of the predictions, of all arms alike or each arm's own
    (with one round of all arms' added), whichever makes more. A log that happened to draw no arm
    of large weight has a small sample variance, and errs the more. Raises ValueError where the
    target chooses an arm of probability 0.
    """
    target, probabilities = rounds.target, rounds.probabilities
    if np.any((probabilities <= 0.0) & (target > 0.0)):
        raise ValueError("the target chooses an arm that was never chosen: nothing is known of it")
    weights = (target**2 / np.where(target > 0.0, probabilities, 1.0)).mean(axis=0)
    squares = (rounds.rewards - rounds.at_arm(rounds.predictions)) ** 2
    alike, arms = float(squares.mean()), len(weights)
    drawn = np.bincount(rounds.arms, minlength=arms)
    own = (np.bincount(rounds.arms, squares, arms) + alike) / (drawn + 1.0)
    return max(float(weights.sum()) * alike, float(weights @ own))


def bootstrap_interval(
    outcomes: Vector, level: float = 0.95, resamples: int = 2_000, seed: int = 0
) -> Interval:
    """The mean with the percentiles of its bootstrap, which need not lie evenly around it.

    Every outcome is counted Poisson(1) times and the mean taken of those counted (Chamandy et
    al. 2012): as drawing n of n, in one pass over rounds of any number, with memory for a chunk.
    Percentiles (Efron 1979) and not BCa, whose acceleration is a cubic moment that one large
    weight decides. Raises ValueError for fewer than two outcomes, or no resamples.
    """
    _count(outcomes)
    if resamples < 1:
        raise ValueError("a bootstrap needs at least one resample")
    rng = np.random.default_rng(seed)
    counted, total = np.zeros(resamples), np.zeros(resamples)
    width = max(CHUNK // resamples, 1)
    for at in range(0, len(outcomes), width):
        part = outcomes[at : at + width]
        counts = _counts(rng, (resamples, len(part)))
        counted += counts.sum(axis=1)
        total += counts @ part
    means = total[counted > 0.0] / counted[counted > 0.0]
    low, high = np.quantile(means, [0.5 - level / 2.0, 0.5 + level / 2.0])
    return Interval(float(outcomes.mean()), float(low), float(high))


def _counts(rng: np.random.Generator, shape: tuple[int, int]) -> Matrix:
    """Independent Poisson(1) counts: what a Poisson number of points, thrown at cells, makes."""
    cells = shape[0] * shape[1]
    thrown = rng.integers(0, cells, rng.poisson(cells))
    return np.bincount(thrown, minlength=cells).reshape(shape).astype(np.float64)


def _count(outcomes: Vector) -> int:
    if len(outcomes) < LEAST_ROUNDS:
        raise ValueError("an interval needs at least two rounds")
    return len(outcomes)


def _freedom(outcomes: Vector) -> float:
    """Degrees of freedom of the sample's variance, at least 1."""
    n = len(outcomes)
    square = (outcomes - outcomes.mean()) ** 2
    if not np.any(square):
        return n - 1.0
    kurtosis = float((square**2).mean() / square.mean() ** 2)
    return max(min(2.0 * n / (kurtosis - (n - 3.0) / (n - 1.0)), n - 1.0), 1.0)
