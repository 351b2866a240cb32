"""A router's state as a deterministic fold over its log.

Two replicas that folded the same entries hold the same bytes: every operation depends on the
entries and their order alone, never on how they were batched, on a clock or on a dictionary's
order. Numbers are float64; on other builds of BLAS the last bits may differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from banditroute.core.allowances import Allowances
from banditroute.core.awaited import Awaited
from banditroute.core.beliefs import Knowledge
from banditroute.core.feedback_rate import FeedbackRate
from banditroute.core.guard import Guard
from banditroute.core.posterior import START_NOISE, FeatureGroups
from banditroute.core.priors import flaw
from banditroute.core.quality import QualityModel
from banditroute.core.spending import Spending
from banditroute.core.spreads import triangles
from banditroute.core.usage import UsageModel
from banditroute.values import (
    Announcement,
    ArmChange,
    Evidence,
    News,
    OutcomeEvidence,
    Prior,
    QualityEvidence,
    SourceChange,
    Tuning,
)


@dataclass(slots=True)
class RouterState:
    """What a log taught up to ``position``. Updated in place by :meth:`fold`.

    ``arm_changes`` holds the last change of each arm by its id; ``quarantined`` the sources
    that are refused, each with what refused it. Both are replaced and never changed.
    """

    groups: FeatureGroups
    quality: QualityModel
    usage: UsageModel
    spending: Spending = field(default_factory=Spending)
    guard: Guard = field(default_factory=Guard.empty)
    allowances: Allowances = field(default_factory=Allowances)
    feedback_rate: FeedbackRate = field(default_factory=FeedbackRate)
    awaited: Awaited = field(default_factory=Awaited)
    position: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    arm_changes: Mapping[str, ArmChange] = field(default_factory=dict)
    quarantined: Mapping[str, SourceChange] = field(default_factory=dict)

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
        if isinstance(entry, Announcement):
            self._hear(entry.news)
            return
        row = self._row(entry.arm_id)
        if isinstance(entry, OutcomeEvidence):
            self.usage.observe(row, entry)
            self.spending.observe(entry)
            if entry.error is None:
                self.feedback_rate.answer()
                self.awaited.answer(row, entry.decision_id)
            if entry.propensity is not None and entry.cost_usd is not None:
                self.guard.pay(row, entry.cost_usd, entry.propensity)
        else:
            self._watch(row, entry)
            self.quality.revise(row, entry)
            if entry.old is None and entry.new is not None:
                self.feedback_rate.judge()
                self.awaited.judge(entry.decision_id, entry.new.weight)
            self.allowances.hear(entry)

    def _watch(self, row: int, entry: QualityEvidence) -> None:
        """Let the guard hear the first word on a decision, before the model learns of it."""
        if entry.propensity is not None and entry.old is None and entry.new is not None:
            expected = self.quality.means @ entry.x
            self.guard.hear(row, self.quality.read(entry.new), expected, entry.propensity)

    def _hear(self, news: News) -> None:
        match news:
            case ArmChange():
                self.arm_changes = {**self.arm_changes, news.arm_id: news}
            case SourceChange(quarantined=True):
                self.quarantined = {**self.quarantined, news.source: news}
            case SourceChange():
                others = self.quarantined.items()
                self.quarantined = {name: one for name, one in others if name != news.source}
            case Prior():
                if flaw(news, self.groups.dimension) is None:
                    self.quality.set_prior(self._row(news.arm_id), news)
            case Tuning():
                self.quality.tune(news)

    def _row(self, arm_id: str) -> int:
        row = self.rows.get(arm_id)
        if row is None:
            row = self.rows[arm_id] = len(self.rows)
            self.quality.grow()
            self.usage.grow()
            self.guard.grow()
            self.awaited.grow()
        return row

    def knowledge(self) -> Knowledge:
        """A copy to decide from, which later folding does not touch."""
        quality, hyper = self.quality, self.quality.hyper
        unknown = np.diag(hyper.prior_variance(self.groups))[None]
        return Knowledge(
            position=self.position,
            rows=dict(self.rows),
            groups=self.groups,
            hyper=hyper,
            means=np.concatenate([quality.means, hyper.pooled[None]]),
            doubts=np.concatenate([quality.covariances[:, 0], unknown[:, 0]]),
            spreads=np.concatenate([quality.spreads, triangles(unknown)]),
            evidence_n=np.append(quality.sums.n, 0.0),
            quality_mean=np.append(quality.sums.mean(), np.nan),
            quality_mean_sd=np.append(quality.sums.standard_error(START_NOISE), np.nan),
            taught=np.append(quality.taught, 0).astype(np.float64),
            judged_share=self.feedback_rate.share,
            awaited=np.append(self.awaited.to_come(self.feedback_rate.share), 0.0),
            usage=self.usage.without_covariances(),
            arm_changes=self.arm_changes,
            quarantined=self.quarantined,
            accounts=self.spending.copy().accounts,
            allowances=self.allowances.copy(),
            guard=self.guard.copy(),
            alarms=tuple(quality.drift.alarms),
            calibrations=dict(quality.sources.calibrations),
            tuning=quality.tuning,
        )
