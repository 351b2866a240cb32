"""The log of one policy, beside the policy that is asked about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from banditroute.values import Matrix, Vector

ROUNDING = 1e-5  # how far a distribution that was stored or added up may be from 1


@dataclass(frozen=True, slots=True)
class Rounds:
    """T logged rounds × K arms, in the order in which they happened.

    ``rewards`` (T,) came of ``arms`` (T,), which are rows drawn from ``probabilities`` (T, K).
    ``predictions`` (T, K) of the reward must not have been fitted on the reward that they stand
    beside; for sequences, on nothing that came after it either. Both are 0 where an arm was not
    eligible. ``target`` (T, K) is the policy asked about. Raises ValueError for shapes that do
    not match, numbers that are not finite, and probabilities that are none.
    """

    rewards: Vector
    arms: NDArray[np.int64]
    probabilities: Matrix
    predictions: Matrix
    target: Matrix

    def __post_init__(self) -> None:
        self._check_shapes()
        for name in ("rewards", "probabilities", "predictions", "target"):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} must be finite; leave out the rounds that are not")
        for name in ("probabilities", "target"):
            _check_distributions(name, getattr(self, name))
        drawn = self.propensities
        if not np.all((drawn > 0.0) & (drawn <= 1.0)):
            raise ValueError("every propensity lies above 0 and is at most 1")

    def _check_shapes(self) -> None:
        shape = self.target.shape
        if len(shape) != 2 or shape[1] < 1:
            raise ValueError(f"target must be rounds × arms, not {shape}")
        for name in ("probabilities", "predictions"):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} must be {shape} as target is")
        for name in ("rewards", "arms"):
            if getattr(self, name).shape != shape[:1]:
                raise ValueError(f"{name} must be {shape[:1]}: one for each row of target")
        if np.any((self.arms < 0) | (self.arms >= shape[1])):
            raise ValueError(f"arms must be rows from 0 to {shape[1] - 1}")

    def __len__(self) -> int:
        return len(self.rewards)

    @property
    def propensities(self) -> Vector:
        """(T,) the probability with which each arm was drawn."""
        return self.at_arm(self.probabilities)

    @property
    def weights(self) -> Vector:
        """(T,) importance weights w = p_a/π_a."""
        return self.at_arm(self.target) / self.propensities

    def at_arm(self, of: Matrix) -> Vector:
        """(T,) the entries of a (T, K) matrix at the arms that were drawn."""
        entries: Vector = of[np.arange(len(self)), self.arms]
        return entries

    def rewards_within(self, bounds: tuple[float, float]) -> Vector:
        """(T,) the rewards as shares of the way from one bound to the other.

        Raises ValueError for a reward that is out of bounds.
        """
        low, high = bounds
        if np.any(self.rewards < low) or np.any(self.rewards > high):
            raise ValueError(f"every reward lies between {low} and {high}; scale them, or say so")
        shares: Vector = (self.rewards - low) / (high - low)
        return shares

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Rounds:
        """Some of the rounds, by number, mask or slice."""
        return Rounds(
            self.rewards[rows],
            self.arms[rows],
            self.probabilities[rows],
            self.predictions[rows],
            self.target[rows],
        )


def _check_distributions(name: str, of: Matrix) -> None:
    wrong = (of < 0.0).any(axis=1) | (np.abs(of.sum(axis=1) - 1.0) > ROUNDING)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"{name} of round {row} must be at least 0 and add up to 1, not to {of[row].sum():g}"
        )
