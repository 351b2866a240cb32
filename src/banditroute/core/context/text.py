"""The text of a request as a few numbers, learned once from unlabelled prompts and shipped.

Grams are weighted as in latent semantic analysis (Deerwester et al. 1990): log(1 + count)
times an inverse document frequency, so that function words hardly count; words and pieces
are each scaled to length 1/√2, so that a long text is no louder than a short one; then the
mean over prompts is subtracted and the rest projected on the leading principal directions,
each divided by the fourth root of its variance (half-way between keeping the variances as
they are and making all directions equal). No bucket may weigh more than nine in ten others
do: a harmless word can share one with a mark that tells whole data sets apart.
``scripts/fit_feature_constants.py`` makes ``projection.npy``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from banditroute.core.context.grams import BUCKETS, WORD_BUCKETS, grams
from banditroute.core.context.words import Words

Spectrum: TypeAlias = NDArray[np.float32]  # shape (BUCKETS,)

TEXT_DIMENSION = 32
LOGARITHMS = np.log1p(np.arange(256)).astype(np.float32)  # of counts; more count as 255


@dataclass(frozen=True, slots=True)
class Projection:
    """What was learned of prompts in general.

    ``idf`` and ``mean`` have shape (BUCKETS,), ``directions`` (TEXT_DIMENSION, BUCKETS), scaled
    so that the coordinates of a prompt have squared length 1 on average.
    """

    idf: Spectrum
    mean: Spectrum
    directions: NDArray[np.float32]

    @classmethod
    def of(cls, table: NDArray[np.float16]) -> Projection:
        """From the rows of ``projection.npy``: idf, mean, directions."""
        rows = table.astype(np.float32)
        return cls(idf=rows[0], mean=rows[1], directions=rows[2:])

    def project(self, words: Words) -> tuple[Spectrum, NDArray[np.float32]]:
        """A text's weighted grams less their mean, and these in the leading directions.

        Both are 0 for a text without grams.
        """
        weights = weigh(grams(words), self.idf)
        spectrum: Spectrum = weights - self.mean if weights.any() else weights
        return spectrum, self.directions @ spectrum


def weigh(counts: NDArray[np.int64], idf: Spectrum) -> Spectrum:
    """Counted grams weighted: words and pieces each of length 1/√2, or 0 where there are none."""
    weights: Spectrum = LOGARITHMS.take(counts, mode="clip") * idf
    for block in (slice(WORD_BUCKETS), slice(WORD_BUCKETS, None)):
        length = float(weights[block] @ weights[block]) ** 0.5
        weights[block] /= np.float32(max(length * 2**0.5, 1e-6))
    return weights


@cache
def shipped_projection() -> Projection:
    """The projection in the package, read once."""
    place = resources.files(__package__).joinpath("projection.npy")
    with place.open("rb") as file:
        table = np.load(file, allow_pickle=False)
    if table.shape != (2 + TEXT_DIMENSION, BUCKETS):
        raise ValueError(f"projection.npy has shape {table.shape}; reinstall banditroute")
    return Projection.of(table)
