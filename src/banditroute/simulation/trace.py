"""What happened in one run, request by request."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from banditroute.values import Vector


@dataclass(frozen=True, slots=True)
class Trace:
    """T requests in the order they came; every array has shape (T,).

    ``prompt`` and ``arm`` are rows of the problem; ``propensity`` is the probability that the
    arm was drawn with.
    """

    prompt: NDArray[np.int64]
    arm: NDArray[np.int64]
    propensity: Vector
    quality: Vector
    cost_usd: Vector

    def utility(self, answer_value_usd: float) -> Vector:
        """Quality − cost / value of every request."""
        worth: Vector = self.quality - self.cost_usd / answer_value_usd
        return worth
