"""A router's state as a deterministic fold over its log.

Two replicas that folded the same entries hold the same bytes: every operation depends on the
entries and their order alone, never on how they were batched, on a clock or on a dictionary's
order. Numbers are float64; on other builds of BLAS the last bits may differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from banditroute.core.beliefs import Knowledge
from banditroute.core.posterior import START_NOISE, FeatureGroups
from banditroute.core.quality import QualityModel
from banditroute.core.usage import UsageModel
from banditroute.values import Evidence, OutcomeEvidence


@dataclass(slots=True)
class RouterState:
    """What a log taught up to ``position``. Updated in place by :meth:`fold`."""

    groups: FeatureGroups
    quality: QualityModel
    usage: UsageModel
    position: int = 0
    rows: dict[str, int] = field(default_factory=dict)

    @classmethod
    def empty(cls, groups: FeatureGroups) -> RouterState:
        """The state before the first entry."""
        return cls(groups, QualityModel.empty(groups), UsageModel.empty(groups.dimension))

    def fold(self, entries: Iterable[Evidence]) -> None:
        """Take in entries in order of position; those at or before ``position`` are skipped.

        Raises ValueError where an entry is missing in between: nothing past the gap is folded.
        """
        for entry in entries:
            if entry.position <= self.position:
                continue
            if entry.position != self.position + 1:
                raise ValueError(f"the log jumps from {self.position} to {entry.position}")
            self._take(entry)
            self.position = entry.position

    def _take(self, entry: Evidence) -> None:
        row = self._row(entry.arm_id)
        if isinstance(entry, OutcomeEvidence):
            self.usage.observe(row, entry)
        else:
            self.quality.revise(row, entry.x, entry.old, entry.new)

    def _row(self, arm_id: str) -> int:
        row = self.rows.get(arm_id)
        if row is None:
            row = self.rows[arm_id] = len(self.rows)
            self.quality.grow()
            self.usage.grow()
        return row

    def knowledge(self) -> Knowledge:
        """A copy to decide from, which later folding does not touch."""
        quality, hyper = self.quality, self.quality.hyper
        spread = np.diag(hyper.prior_variance(self.groups))
        return Knowledge(
            position=self.position,
            rows=dict(self.rows),
            groups=self.groups,
            hyper=hyper,
            means=np.concatenate([quality.means, hyper.pooled[None]]),
            covariances=np.concatenate([quality.covariances, spread[None]]),
            evidence_n=np.append(quality.sums.n, 0.0),
            quality_mean=np.append(quality.sums.mean(), np.nan),
            quality_mean_sd=np.append(quality.sums.standard_error(START_NOISE), np.nan),
            taught=np.append(quality.taught, 0).astype(np.float64),
            usage=self.usage.without_covariances(),
        )
