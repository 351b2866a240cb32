"""A mean with its intervals."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from banditroute.core.offpolicy import Rounds, foreseen_variance, mean_interval
from banditroute.evaluation.results import Estimate
from banditroute.values import Matrix, Vector

MOST_BLOCKS = 1_000
RESAMPLES = 1_000
SEED = 0


def estimate(outcomes: Vector, level: float, foreseen: float = 0.0) -> Estimate:
    """The mean of two or more outcomes, in order of time, by Student's t and by the bootstrap."""
    students = mean_interval(outcomes, level, foreseen)
    low, high = _bootstrapped(outcomes, level)
    return Estimate(students.estimate, students.low, students.high, low, high)


def foreseen_lift_variance(rounds: Rounds) -> float:
    """As the foreseen variance, of doubly robust differences from what was really drawn.

    Their weights are w − 1, whose expected square is that of w less 1.
    """
    errors = rounds.rewards - rounds.at_arm(rounds.predictions)
    return max(foreseen_variance(rounds) - float((errors**2).mean()), 0.0)


def _bootstrapped(outcomes: Vector, level: float) -> tuple[float, float]:
    """Percentiles of the mean, as of :func:`~banditroute.core.offpolicy.bootstrap_interval`.

    What is drawn are blocks of consecutive outcomes, up to ``MOST_BLOCKS`` of one length: what
    hangs together in time stays together, and a long log costs no more. All estimates of one
    log see the same draws, which are made once.
    """
    blocks = _blocks(outcomes)
    means = _shares(len(blocks)) @ blocks
    low, high = np.quantile(means, [0.5 - level / 2.0, 0.5 + level / 2.0])
    shift = float(outcomes.mean() - blocks.mean())  # of the last outcomes, which fill no block
    return float(low) + shift, float(high) + shift


def _blocks(outcomes: Vector) -> Vector:
    """(B,) the means of blocks; the outcomes themselves where there are few."""
    length = -(-len(outcomes) // MOST_BLOCKS)
    whole = len(outcomes) // length * length
    means: Vector = outcomes[:whole].reshape(-1, length).mean(axis=1)
    return means


@lru_cache(maxsize=4)
def _shares(blocks: int) -> Matrix:
    """(resamples, B) how much each block counts: Poisson(1) times, of those that count at all."""
    counts = np.random.default_rng(SEED).poisson(1.0, (RESAMPLES, blocks)).astype(np.float64)
    total = counts.sum(axis=1)
    shares: Matrix = counts[total > 0.0] / total[total > 0.0, None]
    return shares
