"""What the log taught of each arm's quality: sums, shared scales, and posteriors kept fresh.

A reading updates the posterior of its arm at once (Sherman & Morrison 1950). At refit points,
which are counts of readings and therefore the same on every replica, the shared scales are
learned again and every posterior is computed anew from the sums, so rounding never builds up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from banditroute.core.posterior import (
    FeatureGroups,
    Hyperparameters,
    all_posteriors,
    arm_covariance,
    arm_mean,
    em_step,
)
from banditroute.core.sums import RegressionSums
from banditroute.values import Matrix, Reading, Vector

EM_STEPS = 3  # more than three measured as no better
FIRST_REFIT = 8
REFIT_GROWTH = 0.2
REFIT_GAP_MAX = 500


def next_refit(count: int) -> int:
    """The count of readings at which to refit after ``count``: sparser as evidence grows."""
    return count + int(min(max(REFIT_GROWTH * count, FIRST_REFIT), REFIT_GAP_MAX))


@dataclass(slots=True)
class QualityModel:
    """Posteriors of K arms' quality over d features; rows are added as arms earn evidence.

    ``means`` (K, d) and ``covariances`` (K, d, d) are always those of ``sums`` under ``hyper``.
    ``taught`` (K,) counts the decisions whose feedback is in the sums. Updated in place.
    """

    groups: FeatureGroups
    sums: RegressionSums
    hyper: Hyperparameters
    means: Matrix
    covariances: Matrix
    taught: np.ndarray
    readings: int = 0
    refit_at: int = FIRST_REFIT

    @classmethod
    def empty(cls, groups: FeatureGroups) -> QualityModel:
        """A model without arms."""
        d = groups.dimension
        hyper = Hyperparameters.start(groups)
        return cls(
            groups,
            RegressionSums.empty(d),
            hyper,
            means=np.zeros((0, d)),
            covariances=np.zeros((0, d, d)),
            taught=np.zeros(0, dtype=np.int64),
        )

    def grow(self) -> None:
        """Add an arm: it starts at the pooled model with the spread that arms have."""
        self.sums.grow()
        spread = np.diag(self.hyper.prior_variance(self.groups))
        self.means = np.concatenate([self.means, self.hyper.pooled[None]])
        self.covariances = np.concatenate([self.covariances, spread[None]])
        self.taught = np.append(self.taught, 0)

    def revise(self, row: int, x: Vector, old: Reading | None, new: Reading | None) -> None:
        """Replace what was known of one decision by what is known now; None is nothing."""
        if old is not None:
            self.sums.add(row, x, old.quality, -old.weight)
            self.taught[row] -= 1
        if new is not None:
            self.sums.add(row, x, new.quality, new.weight)
            self.taught[row] += 1
        if self.taught[row] == 0:
            self._clear(row)  # no rounding residue stays of what was taken back
        self.readings += 1
        if self.readings >= self.refit_at:
            self._refit()
        elif old is None and new is not None:
            self._observe(row, x, new)
        else:
            self._recompute(row)

    def _observe(self, row: int, x: Vector, reading: Reading) -> None:
        gain = self.covariances[row] @ x
        spread = self.hyper.noise / reading.weight + float(x @ gain)
        surprise = reading.quality - float(x @ self.means[row])
        self.means[row] += gain * (surprise / spread)
        step = gain / np.sqrt(spread)
        self.covariances[row] -= np.multiply.outer(step, step)  # stays symmetric to the bit

    def _recompute(self, row: int) -> None:
        covariance = arm_covariance(self.sums.gram[row], self.hyper, self.groups)
        self.covariances[row] = covariance
        self.means[row] = arm_mean(covariance, self.sums.moment[row], self.hyper, self.groups)

    def _refit(self) -> None:
        hyper, covariances = self.hyper, self.refreshed()[1]
        for _ in range(EM_STEPS):
            hyper, means, covariances = em_step(self.sums, hyper, covariances, self.groups)
        self.hyper, self.means, self.covariances = hyper, means, covariances
        self.refit_at = next_refit(self.readings)

    def _clear(self, row: int) -> None:
        self.sums.n[row] = 0.0
        self.sums.gram[row] = 0.0
        self.sums.moment[row] = 0.0
        self.sums.square[row] = 0.0

    def refreshed(self) -> tuple[Matrix, Matrix]:
        """Every posterior computed from the sums alone, for checks."""
        return all_posteriors(self.sums, self.hyper, self.groups)
