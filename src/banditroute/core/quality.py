"""What the log taught of each arm's quality: sums, shared scales, and posteriors kept fresh.

A reading updates the posterior of its arm at once (Sherman & Morrison 1950). At refit points,
which are counts of readings and therefore the same on every replica, the shared scales and the
sources' calibrations are learned again and every posterior is computed anew from the sums, so
rounding never builds up. An arm that answers unlike its posterior has most of its evidence
scaled away (:mod:`banditroute.core.drift`).
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from math import fsum

import numpy as np

from banditroute.core.ages import EVERY_ARM, Ages
from banditroute.core.drift import KEPT_N, SURE_N, DriftWatch
from banditroute.core.posterior import (
    FeatureGroups,
    Hyperparameters,
    all_posteriors,
    arm_covariance,
    arm_mean,
    em_step,
)
from banditroute.core.sources import Sources
from banditroute.core.spreads import triangles
from banditroute.core.sums import RegressionSums
from banditroute.values import (
    DecisionId,
    Matrix,
    Prior,
    QualityEvidence,
    Reading,
    Tuning,
    Vector,
    Voice,
)

EM_STEPS = 3  # more than three measured as no better
FIRST_REFIT = 8
REFIT_GROWTH = 0.2
REFIT_GAP_MAX = 500
MOST_PRIOR_N = 200.0  # what is known from elsewhere counts at most as so many readings


def next_refit(count: int) -> int:
    """The count of readings at which to refit after ``count``: sparser as evidence grows."""
    return count + int(min(max(REFIT_GROWTH * count, FIRST_REFIT), REFIT_GAP_MAX))


@dataclass(slots=True)
class QualityModel:
    """Posteriors of K arms' quality over d features; rows are added as arms earn evidence.

    ``means`` (K, d) and ``covariances`` (K, d, d) are always those of ``sums`` under ``hyper``,
    every source on the anchor's scale as of the last refit; ``spreads`` are the covariances'
    :func:`triangles`, so that a copy to predict with is cheap. ``taught`` (K,) counts the
    decisions whose feedback is in the sums. ``limits`` says after which decision scores are
    bounded by how many standard deviations, in order. Updated in place.
    """

    groups: FeatureGroups
    sums: RegressionSums
    sources: Sources
    hyper: Hyperparameters
    means: Matrix
    covariances: Matrix
    taught: np.ndarray
    ages: Ages = field(default_factory=Ages)
    drift: DriftWatch = field(default_factory=DriftWatch)
    priors: dict[int, Prior] = field(default_factory=dict)
    tuning: Tuning | None = None
    limits: list[tuple[DecisionId, float | None]] = field(default_factory=list)
    readings: int = 0
    refit_at: int = FIRST_REFIT
    spreads: Matrix = field(init=False)

    def __post_init__(self) -> None:
        self.spreads = triangles(self.covariances)

    @classmethod
    def empty(cls, groups: FeatureGroups) -> QualityModel:
        """A model without arms."""
        d = groups.dimension
        return cls(
            groups,
            RegressionSums.empty(d),
            Sources(d),
            Hyperparameters.start(groups),
            means=np.zeros((0, d)),
            covariances=np.zeros((0, d, d)),
            taught=np.zeros(0, dtype=np.int64),
        )

    def grow(self) -> None:
        """Add an arm: it starts at the pooled model with the spread that arms have."""
        self.sums.grow()
        self.sources.grow()
        self.drift.grow()
        spread = np.diag(self.hyper.prior_variance(self.groups))
        self.means = np.concatenate([self.means, self.hyper.pooled[None]])
        self.covariances = np.concatenate([self.covariances, spread[None]])
        self.spreads = triangles(self.covariances)
        self.taught = np.append(self.taught, 0)

    def revise(self, row: int, entry: QualityEvidence) -> None:
        """Replace what was known of one decision by what is known now; None is nothing."""
        x, old, new = entry.x, entry.old, entry.new
        aged = self._age(entry.decision_id)
        kept = self.ages.left(row, entry.decision_id)
        self.ages.meet(entry.decision_id)
        old, new = self._bounded(entry, old), self._bounded(entry, new)
        if old is not None:
            self._count(row, x, old, -kept)
            self.taught[row] -= 1
        if new is not None:
            self._count(row, x, new, kept)
            self.taught[row] += 1
        if self.taught[row] == 0:
            self._clear(row)  # no rounding residue stays of what was taken back
        self.readings += 1
        changed = old is None and new is not None and self._drifts(row, entry, new)
        if aged or changed or self.readings >= self.refit_at:
            self._refit()
        elif old is None and new is not None:
            self._observe(row, x, self.read(new), new.weight * kept)
        else:
            self._recompute(row)

    def tune(self, tuning: Tuning) -> None:
        """Forget as told, from now on."""
        self.tuning = tuning
        self.ages.meet(tuning.id)
        self.limits.append((self.ages.newest, tuning.winsorise_sd))
        self.ages.begin(tuning.id, self.readings)

    def set_prior(self, row: int, prior: Prior) -> None:
        """Take in what is known of an arm from elsewhere, instead of what was given before.

        It counts as at most ``MOST_PRIOR_N`` readings; one of none leaves nothing given.
        """
        self._age(prior.id)
        if row in self.priors:
            self._add_prior(row, -1.0)
            del self.priors[row]
        if self.taught[row] == 0:
            self._clear(row)  # no rounding residue stays of the one before
        self.ages.meet(prior.id)
        if prior.n > 0.0:
            self.priors[row] = prior
            self._add_prior(row, 1.0)
        self._refit()

    def refreshed(self) -> tuple[Matrix, Matrix]:
        """Every posterior computed from the sums alone, for checks."""
        return all_posteriors(self.sources.calibrated(self.sums), self.hyper, self.groups)

    def read(self, reading: Reading) -> float:
        """What a reading says of the quality, every source on the anchor's scale."""
        return self.sources.read(_voices(reading))

    def _age(self, decision_id: DecisionId) -> bool:
        """Let all evidence so far count for less, if it is time to. Returns whether it was."""
        if self.tuning is None:
            return False
        kept = self.ages.due(self.tuning, self.readings, decision_id)
        if kept < 1.0:
            self._scale(slice(None), kept)
            self.ages.scale(EVERY_ARM, kept)
        return kept < 1.0

    def _scale(self, row: int | slice, kept: float) -> None:
        self.sums.scale(row, kept)
        self.sources.scale(row, kept)

    def _bounded(self, entry: QualityEvidence, reading: Reading | None) -> Reading | None:
        """A reading no further from where it was expected than was asked for at its decision.

        It depends on the decision and on what was said alone, and so can be taken back.
        """
        asked = bisect_left(self.limits, entry.decision_id, key=lambda limit: limit[0])
        most = self.limits[asked - 1][1] if asked else None
        if reading is None or most is None:
            return reading
        low, high = entry.expected - most * entry.spread, entry.expected + most * entry.spread
        voices = [replace(v, score=min(max(v.score, low), high)) for v in _voices(reading)]
        total = fsum(voice.weight for voice in voices)
        quality = fsum(voice.weight * voice.score for voice in voices) / total
        return Reading(quality, reading.weight, tuple(voices))

    def _count(self, row: int, x: Vector, reading: Reading, share: float) -> None:
        """Add a reading at ``share`` of its weight, or take one back."""
        voices = _voices(reading)
        square = fsum(voice.weight * voice.score * voice.score for voice in voices)
        self.sums.add(row, x, share * reading.weight, reading.quality, share * square)
        (self.sources.add if share > 0.0 else self.sources.take_back)(row, x, voices, abs(share))

    def _drifts(self, row: int, entry: QualityEvidence, reading: Reading) -> bool:
        """Whether this reading raises an alarm; most of the arm's evidence is then dropped.

        A word that comes late, on a decision from before an alarm, speaks of the arm that was.
        """
        if self.ages.outlived(row, entry.decision_id):
            return False
        if self.sums.n[row] <= SURE_N or (self.tuning and not self.tuning.detect_drift):
            return False
        x, value = entry.x, self.read(reading)
        surprise = value - float(x @ self.means[row])
        spread = self.hyper.noise / reading.weight + float(x @ self.covariances[row] @ x)
        alarm = self.drift.hear(row, surprise, spread**0.5, entry.decision_id, entry.position)
        if alarm is None:
            return False
        kept = min(KEPT_N / float(self.sums.n[row]), 1.0)
        self._scale(row, kept)
        self.ages.scale(row, kept)
        return True

    def _observe(self, row: int, x: Vector, value: float, weight: float) -> None:
        gain = self.covariances[row] @ x
        spread = self.hyper.noise / weight + float(x @ gain)
        self.means[row] += gain * ((value - float(x @ self.means[row])) / spread)
        step = gain / np.sqrt(spread)
        self.covariances[row] -= np.multiply.outer(step, step)  # stays symmetric to the bit
        self.spreads[row] = triangles(self.covariances[row])

    def _recompute(self, row: int) -> None:
        moment = self.sources.calibrated(self.sums).moment[row]
        covariance = arm_covariance(self.sums.gram[row], self.hyper, self.groups)
        self.covariances[row] = covariance
        self.spreads[row] = triangles(covariance)
        self.means[row] = arm_mean(covariance, moment, self.hyper, self.groups)

    def _refit(self) -> None:
        self.sources.recalibrate()
        sums = self.sources.calibrated(self.sums)
        hyper, covariances = self.hyper, all_posteriors(sums, self.hyper, self.groups)[1]
        for _ in range(EM_STEPS):
            hyper, means, covariances = em_step(sums, hyper, covariances, self.groups)
        self.hyper, self.means, self.covariances = hyper, means, covariances
        self.spreads = triangles(covariances)
        self.refit_at = next_refit(self.readings)

    def _clear(self, row: int) -> None:
        self._scale(row, 0.0)
        if row in self.priors:
            self._add_prior(row, 1.0)

    def _add_prior(self, row: int, sign: float) -> None:
        prior = self.priors[row]
        share = sign * min(MOST_PRIOR_N / prior.n, 1.0) * self.ages.left(row, prior.id)
        self.sums.n[row] += share * prior.n
        self.sums.gram[row] += share * prior.gram
        self.sums.moment[row] += share * prior.moment
        self.sums.square[row] += share * prior.square


def _voices(reading: Reading) -> tuple[Voice, ...]:
    """Who said it; one nameless voice where nobody was noted."""
    return reading.voices or (Voice("", reading.quality, reading.weight),)
