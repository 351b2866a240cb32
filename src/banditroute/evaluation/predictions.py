"""What a router predicted of every arm at its decisions, before anything was heard of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from banditroute.values import Matrix


class Predictions(NamedTuple):
    """Each (T, K), NaN for arms that were not eligible; fields as in a ``Candidate``."""

    quality: Matrix
    quality_sd: Matrix
    sampling_sd: Matrix
    cost_usd: Matrix
    latency_s: Matrix
    error_rate: Matrix
    utility: Matrix

    def take(self, rounds: NDArray[np.int64] | NDArray[np.bool_]) -> Predictions:
        """The predictions of some of the rounds."""
        return Predictions(*(matrix[rounds] for matrix in self))


PREDICTED: Sequence[str] = Predictions._fields
