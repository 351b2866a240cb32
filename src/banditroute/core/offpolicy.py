"""Off-policy estimation: what another policy would have earned, from the log of this one.

T logged rounds: reward r, arm a, its propensity π(a), what a model predicts of every arm, and the
target policy's probabilities. Predictions must not have been fitted on the reward they stand
beside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from banditroute.values import Matrix, Vector

LEAST_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its bounds."""

    estimate: float
    low: float
    high: float


def doubly_robust(
    rewards: Vector,
    arms: NDArray[np.int64],
    propensities: Vector,
    predictions: Matrix,
    target: Matrix,
) -> Vector:
    """(T,) pseudo-outcomes whose mean estimates the target's value without bias.

    Γ_t = Σ_k p_k q_k + p_a/π (r − q_a) (Dudík, Langford & Li 2011, eq. 2). Shapes: (T,), and
    (T, K) for ``predictions`` q and ``target`` p. Raises ValueError for a propensity that is
    not in (0, 1].
    """
    if not np.all((propensities > 0.0) & (propensities <= 1.0)):
        raise ValueError("every propensity lies above 0 and is at most 1")
    rounds = np.arange(len(rewards))
    weight = target[rounds, arms] / propensities
    direct = np.sum(target * predictions, axis=1)
    outcomes: Vector = direct + weight * (rewards - predictions[rounds, arms])
    return outcomes


def foreseen_variance(
    rewards: Vector,
    arms: NDArray[np.int64],
    predictions: Matrix,
    probabilities: Matrix,
    target: Matrix,
) -> float:
    """The variance of a pseudo-outcome around its prediction, if all arms err alike.

    Σ_k p_k²/π_k is the expected square of a round's weight, known for every arm before one is
    drawn; times the mean squared error of the predictions. A log that happened to draw no arm of
    large weight has a small sample variance, and errs the more. ``probabilities`` π (T, K) are
    those drawn from; otherwise as :func:`doubly_robust`. Raises ValueError where the target
    chooses an arm of probability 0.
    """
    if np.any((probabilities <= 0.0) & (target > 0.0)):
        raise ValueError("the target chooses an arm that was never chosen: nothing is known of it")
    weights = target**2 / np.where(target > 0.0, probabilities, 1.0)
    errors = rewards - predictions[np.arange(len(rewards)), arms]
    return float(weights.sum(axis=1).mean() * (errors**2).mean())


def mean_interval(outcomes: Vector, level: float = 0.95, foreseen: float = 0.0) -> Interval:
    """The mean with its interval, for a number of rounds that was fixed before.

    Student's t with as many degrees of freedom as the sample's kurtosis κ leaves its variance
    (Satterthwaite 1946): ν = 2n / (κ − (n − 3)/(n − 1)), at most n − 1. Outcomes with a few large
    weights get the wider interval that they need. Never narrower than outcomes of the
    ``foreseen`` variance make it. Raises ValueError for fewer than two outcomes.
    """
    n = len(outcomes)
    if n < LEAST_ROUNDS:
        raise ValueError("an interval needs at least two rounds")
    mean, tail = float(outcomes.mean()), 0.5 + level / 2.0
    sampled = float(stdtrit(_freedom(outcomes), tail)) * float(outcomes.std(ddof=1))
    half = max(sampled, float(ndtri(tail)) * foreseen**0.5) / n**0.5
    return Interval(mean, mean - half, mean + half)


def _freedom(outcomes: Vector) -> float:
    """Degrees of freedom of the sample's variance, at least 1."""
    n = len(outcomes)
    square = (outcomes - outcomes.mean()) ** 2
    if not np.any(square):
        return n - 1.0
    kurtosis = float((square**2).mean() / square.mean() ** 2)
    return max(min(2.0 * n / (kurtosis - (n - 3.0) / (n - 1.0)), n - 1.0), 1.0)


def confidence_sequence(
    outcomes: Vector, bounds: tuple[float, float], level: float = 0.95
) -> tuple[Vector, Vector]:
    """(T,) lower and upper bounds of the mean that hold at all times at once.

    The predictable plug-in empirical Bernstein sequence (Waudby-Smith & Ramdas 2024, theorem 2)
    of outcomes within ``bounds``; looking at it after every round, and stopping when it
    pleases, costs nothing. The running intersection is returned. Raises ValueError for an
    outcome out of bounds.
    """
    low, high = bounds
    if np.any(outcomes < low) or np.any(outcomes > high):
        raise ValueError(f"every outcome lies between {low} and {high}")
    y = (outcomes - low) / (high - low)
    t = np.arange(1, len(y) + 1)
    alpha = 1.0 - level
    mean = (0.5 + np.cumsum(y)) / (t + 1.0)
    variance = (0.25 + np.cumsum((y - mean) ** 2)) / (t + 1.0)
    before = np.concatenate([[0.25], variance[:-1]])
    bet = np.sqrt(2.0 * np.log(2.0 / alpha) / (before * t * np.log(1.0 + t)))
    bet = np.minimum(bet, 0.5)
    surprise = 4.0 * (y - np.concatenate([[0.5], mean[:-1]])) ** 2
    psi = (-np.log1p(-bet) - bet) / 4.0
    total = np.cumsum(bet)
    centre = np.cumsum(bet * y) / total
    half = (np.log(2.0 / alpha) + np.cumsum(surprise * psi)) / total
    lower = np.maximum.accumulate(np.maximum(centre - half, 0.0))
    upper = np.minimum.accumulate(np.minimum(centre + half, 1.0))
    return low + (high - low) * lower, low + (high - low) * upper


def promoted(lifts: Vector, bounds: tuple[float, float], level: float = 0.95) -> bool:
    """Whether a policy is surely better at some time: the gate for letting it take over.

    ``lifts`` (T,) are its pseudo-outcomes less those of the policy in force.
    """
    lower, _ = confidence_sequence(lifts, bounds, level)
    return bool(np.any(lower > 0.0))
