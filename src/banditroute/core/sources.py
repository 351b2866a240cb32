"""Several sources on one scale: what one source's scores mean in terms of the surest source's.

A source may be kinder or harsher than another, or use less of the scale. Where two speak of the
same decision, the pair says how they differ: y = b + g·a, fitted by least squares and shrunk to
(0, 1) by 20 pairs that agree. The surest source is the anchor, whose scores stand as they are;
every other is read as (y − b)/g.

Kept as sums per source and arm, so that a calibration acts on all that the source ever said,
and taking a word back stays exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import fsum

import numpy as np

from banditroute.core.sums import RegressionSums
from banditroute.values import Matrix, Vector, Voice

PSEUDO_PAIRS = 20.0
PSEUDO_VARIANCE = 0.1  # of the anchor's scores in the pairs that agree
PSEUDO_MEAN = 0.5
LEAST_GAIN = 0.2  # a source that hardly tells good from bad must not be blown up
MOST_SOURCES = 16  # calibrated; what others say stands as it is


@dataclass(frozen=True, slots=True)
class Calibration:
    """A source's score y means (y − ``offset``) / ``gain``."""

    offset: float = 0.0
    gain: float = 1.0

    def read(self, score: float) -> float:
        """The score on the anchor's scale."""
        return (score - self.offset) / self.gain


AS_IT_STANDS = Calibration()


@dataclass(slots=True)
class SourceSums:
    """What one source said of K arms: ``weights`` (K, d) = Σ w x, ``moments`` (K, d) = Σ w y x,
    ``squares`` (K,) = Σ w y²; ``n`` words of total weight ``weight``.
    """

    weights: Matrix
    moments: Matrix
    squares: Vector
    n: float = 0.0
    weight: float = 0.0

    def add(self, row: int, x: Vector, voice: Voice, weight: float) -> None:
        """Add one word at ``weight``; a negative one takes it back."""
        self.weights[row] += weight * x
        self.moments[row] += weight * voice.score * x
        self.squares[row] += weight * voice.score * voice.score


@dataclass(slots=True)
class Sources:
    """Every source's sums, and the sums of pairs (n, Σa, Σb, Σa², Σb², Σab) by two names."""

    dimension: int
    arms: int = 0
    known: dict[str, SourceSums] = field(default_factory=dict)
    pairs: dict[tuple[str, str], Vector] = field(default_factory=dict)
    calibrations: dict[str, Calibration] = field(default_factory=dict)

    def grow(self) -> None:
        """Add an arm."""
        self.arms += 1
        d = self.dimension
        for one in self.known.values():
            one.weights = np.concatenate([one.weights, np.zeros((1, d))])
            one.moments = np.concatenate([one.moments, np.zeros((1, d))])
            one.squares = np.append(one.squares, 0.0)

    def add(self, row: int, x: Vector, voices: Sequence[Voice], kept: float) -> None:
        """Add the voices of one reading, at ``kept`` of their weights."""
        self._count(row, x, voices, kept, 1.0)

    def take_back(self, row: int, x: Vector, voices: Sequence[Voice], kept: float) -> None:
        """Take the voices of one reading back."""
        self._count(row, x, voices, -kept, -1.0)

    def scale(self, row: int | slice, kept: float) -> None:
        """Scale what was said of an arm, or of several."""
        for one in self.known.values():
            one.weights[row] *= kept
            one.moments[row] *= kept
            one.squares[row] *= kept

    def read(self, voices: Sequence[Voice]) -> float:
        """The mean of some voices, each on the anchor's scale."""
        total = fsum(voice.weight for voice in voices)
        heard = fsum(voice.weight * self._of(voice.source).read(voice.score) for voice in voices)
        return heard / total

    def recalibrate(self) -> None:
        """Fit every source to the anchor anew."""
        anchor = self._anchor()
        self.calibrations = {
            name: found
            for name in self.known
            if name != anchor and (found := self._fitted(name, anchor)) != AS_IT_STANDS
        }

    def calibrated(self, sums: RegressionSums) -> RegressionSums:
        """The sums with every source's part on the anchor's scale; ``sums`` where none differs."""
        if not self.calibrations:
            return sums
        moment, square = sums.moment.copy(), sums.square.copy()
        for name, its in self.calibrations.items():
            one, b, g = self.known[name], its.offset, its.gain
            moment += (one.moments - b * one.weights) / g - one.moments
            said, weight = one.moments[:, 0], one.weights[:, 0]
            square += (one.squares - 2.0 * b * said + b * b * weight) / (g * g) - one.squares
        return RegressionSums(sums.n, sums.gram, moment, square)

    def _count(self, row: int, x: Vector, voices: Sequence[Voice], kept: float, n: float) -> None:
        heard = [(voice, self._sums(voice.source)) for voice in voices]
        for voice, one in heard:
            if one is not None:
                one.add(row, x, voice, kept * voice.weight)
                one.n += n
                one.weight += n * voice.weight
        for left, right in combinations([voice for voice, one in heard if one is not None], 2):
            a, b = sorted((left, right), key=lambda voice: voice.source)
            pair = self.pairs.setdefault((a.source, b.source), np.zeros(6))
            pair += n * np.array([1.0, a.score, b.score, a.score**2, b.score**2, a.score * b.score])

    def _sums(self, source: str) -> SourceSums | None:
        if source not in self.known:
            if len(self.known) >= MOST_SOURCES:
                return None
            shape = (self.arms, self.dimension)
            self.known[source] = SourceSums(np.zeros(shape), np.zeros(shape), np.zeros(self.arms))
        return self.known[source]

    def _of(self, source: str) -> Calibration:
        return self.calibrations.get(source, AS_IT_STANDS)

    def _anchor(self) -> str | None:
        """The source whose words weigh most, each; of equal ones, the first by name."""
        spoken = {name: one.weight / one.n for name, one in self.known.items() if one.n >= 1.0}
        return min(spoken, key=lambda name: (-round(spoken[name], 6), name), default=None)

    def _fitted(self, name: str, anchor: str | None) -> Calibration:
        if anchor is None:
            return AS_IT_STANDS
        pair = self.pairs.get((min(name, anchor), max(name, anchor)))
        if pair is None or pair[0] < 0.5:
            return AS_IT_STANDS
        n, a, y, aa, yy, ay = pair
        return fitted(n, a, y, aa, ay) if anchor < name else fitted(n, y, a, yy, ay)


def fitted(n: float, a: float, y: float, aa: float, ay: float) -> Calibration:
    """Least squares y = b + g·a from sums over pairs, with ``PSEUDO_PAIRS`` on y = a."""
    pseudo = PSEUDO_PAIRS * (PSEUDO_VARIANCE + PSEUDO_MEAN**2)
    total, mean = n + PSEUDO_PAIRS, PSEUDO_PAIRS * PSEUDO_MEAN
    mean_a, mean_y = (a + mean) / total, (y + mean) / total
    variance = (aa + pseudo) / total - mean_a * mean_a
    gain = max(((ay + pseudo) / total - mean_a * mean_y) / variance, LEAST_GAIN)
    return Calibration(mean_y - gain * mean_a, gain)


def shown(calibrations: Mapping[str, Calibration]) -> dict[str, tuple[float, float]]:
    """Offset and gain by source, for reports."""
    return {name: (one.offset, one.gain) for name, one in sorted(calibrations.items())}
