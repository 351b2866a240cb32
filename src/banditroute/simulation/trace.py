"""What happened in one run, request by request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from banditroute.values import Vector


@dataclass(frozen=True, slots=True)
class Trace:
    """T requests in the order they came; every array has shape (T,).

    ``prompt`` and ``arm`` are rows of the problem; ``propensity`` is the probability that the
    arm was drawn with. ``attempts`` counts the calls that a request took: all but the last
    failed. Where the last failed too, no arm was left, and the answer is worth nothing.
    """

    prompt: NDArray[np.int64]
    arm: NDArray[np.int64]
    propensity: Vector
    quality: Vector
    cost_usd: Vector
    attempts: NDArray[np.int64]

    @classmethod
    def empty(cls, prompts: Sequence[int]) -> Trace:
        """To be filled in, for the prompts that will come."""
        size = len(prompts)
        return cls(
            prompt=np.asarray(prompts, dtype=np.int64),
            arm=np.zeros(size, dtype=np.int64),
            propensity=np.zeros(size),
            quality=np.zeros(size),
            cost_usd=np.zeros(size),
            attempts=np.zeros(size, dtype=np.int64),
        )

    def note(self, at: int, arm: int, propensity: float, quality: float, cost_usd: float) -> None:
        """What became of request ``at``."""
        self.arm[at], self.propensity[at] = arm, propensity
        self.quality[at], self.cost_usd[at] = quality, cost_usd

    def utility(self, answer_value_usd: float) -> Vector:
        """Quality − cost / value of every request."""
        worth: Vector = self.quality - self.cost_usd / answer_value_usd
        return worth
