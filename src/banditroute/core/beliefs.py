"""What is believed of each arm for one request, in the units that a choice is made in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from typing import NamedTuple

import numpy as np

from banditroute.core.allowances import Allowances
from banditroute.core.drift import Alarm
from banditroute.core.guard import Guard
from banditroute.core.posterior import FeatureGroups, Hyperparameters
from banditroute.core.roster import Roster
from banditroute.core.sources import Calibration
from banditroute.core.spending import Account
from banditroute.core.spreads import variances
from banditroute.core.usage import UsageModel
from banditroute.values import ArmChange, Context, Matrix, SourceChange, Tuning, Vector

EXPLORATION_WIDTH = 0.5  # v: sample at half the posterior width; the full width explores too long
MEAN_WIDTH = 1.0  # w: but never narrower than what the arm's plain mean is uncertain by
PRICE_SLOPE = 0.05  # an arm at e times the price is presumed to be better by so much
MOST_DEARNESS = 3.0  # at 20 times the usual price, dearness says no more


@dataclass(frozen=True, slots=True)
class Objective:
    """What an answer is worth in dollars, and how many seconds of waiting cancel it.

    ``budget_price`` is what a dollar costs beyond that, in reward, so that budgets last.
    """

    answer_value_usd: float
    patience_s: float
    budget_price: float = 0.0

    @property
    def dollar_price(self) -> float:
        """The reward that a dollar is worth."""
        return 1.0 / self.answer_value_usd + self.budget_price


class Beliefs(NamedTuple):
    """Predictions for K arms at one context ``x`` (d,); every array has shape (K,).

    ``quality`` ± ``quality_sd`` is the posterior of expected quality; ``sampling_sd`` the
    width that policies explore with; ``utility`` the predicted reward at the objective.
    ``latency_log`` and ``latency_var`` describe the log-normal latency, ``latency_n`` how many
    recent calls it rests on; ``taught`` counts the decisions that feedback was learned for.
    ``presumed`` is the share of the quality that is not learned yet, but the prior of the arm's
    mean. ``judged_share`` is the share of requests that anybody speaks of.
    """

    arm_ids: tuple[str, ...]
    x: Vector
    judged_share: float
    quality: Vector
    quality_sd: Vector
    sampling_sd: Vector
    cost_usd: Vector
    latency_s: Vector
    latency_log: Vector
    latency_var: Vector
    latency_n: Vector
    error_rate: Vector
    utility: Vector
    taught: Vector
    presumed: Vector

    def take(self, rows: Sequence[int]) -> Beliefs:
        """The beliefs of some of the arms, in the order of ``rows``."""
        if len(rows) == len(self.arm_ids) and list(rows) == list(range(len(rows))):
            return self
        index = np.asarray(rows, dtype=np.intp)
        return Beliefs(
            tuple(self.arm_ids[row] for row in rows),
            self.x,
            self.judged_share,
            *(getattr(self, name)[index] for name in _ARRAYS),
        )

    def beside_each_other(self) -> Beliefs:
        """The same arms, presumed to be the better the dearer they are, until more is known.

        The prior mean of an arm's quality moves by ``PRICE_SLOPE`` for each factor e between its
        cost and the usual one of these arms (their geometric mean); what was learned of the arm
        outweighs it by as much as it outweighs the prior. Free arms have no price to go by.
        """
        if len(self.arm_ids) < 2:
            return self
        shift = _between(_dearness(self.cost_usd), -MOST_DEARNESS, MOST_DEARNESS)
        shift *= self.presumed
        shift *= PRICE_SLOPE
        return self._replace(
            quality=self.quality + shift,
            utility=self.utility + (1.0 - self.error_rate) * shift,
        )


_SHARED = frozenset({"arm_ids", "x", "judged_share"})
_ARRAYS = tuple(name for name in Beliefs._fields if name not in _SHARED)


@dataclass(frozen=True, slots=True)
class Latency:
    """Log-normal latencies of K arms: ``log`` and ``variance`` of the log, and the mean."""

    log: Vector
    variance: Vector
    mean_s: Vector

    @classmethod
    def of(cls, log: Vector, variance: Vector) -> Latency:
        """The latencies with such a mean and variance of their logs."""
        return cls(log, variance, np.exp(log + variance / 2.0))


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Everything a router knows at one position of its log. Nobody writes to it.

    Every array has one row more than there are arms with evidence: the last row stands for
    any arm that has none, so an unknown arm is looked up as row -1. Of the covariances there are
    the :func:`triangles`, ``spreads``, and the first rows, ``doubts``. ``linear`` (3K, d) is what
    is linear in the context, to be multiplied by it at once: the means, the first rows in units
    of the prior, and the means of log lengths. What no request changes is computed once, here.
    ``awaited`` (K,) words are under way, and sampling widths narrowed as though they were in.
    ``arm_changes`` and ``quarantined`` are as in :class:`~banditroute.core.fold.RouterState`.
    """

    position: int
    rows: Mapping[str, int]
    groups: FeatureGroups
    hyper: Hyperparameters
    means: Matrix
    doubts: InitVar[Matrix]
    spreads: Matrix
    evidence_n: Vector
    quality_mean: Vector
    quality_mean_sd: Vector
    taught: Vector
    judged_share: float
    awaited: InitVar[Vector]
    usage: UsageModel
    arm_changes: Mapping[str, ArmChange] = field(default_factory=dict)
    quarantined: Mapping[str, SourceChange] = field(default_factory=dict)
    accounts: Mapping[str, Account] = field(default_factory=dict)
    allowances: Allowances = field(default_factory=Allowances)
    guard: Guard = field(default_factory=Guard.empty)
    alarms: Sequence[Alarm] = ()
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    tuning: Tuning | None = None
    exploration_width: Vector = field(init=False)
    mean_width: Vector = field(init=False)
    latency: Latency = field(init=False)
    linear: Matrix = field(init=False)

    def __post_init__(self, doubts: Matrix, awaited: Vector) -> None:
        relative = doubts / self.hyper.scales[0]
        linear = np.concatenate([self.means, relative, self.usage.length_means])
        object.__setattr__(self, "linear", linear)
        narrowing = _narrowing(self.evidence_n, awaited, self.hyper)
        object.__setattr__(self, "exploration_width", EXPLORATION_WIDTH * narrowing)
        object.__setattr__(self, "mean_width", _mean_sd(self.evidence_n, self.hyper) * narrowing)
        object.__setattr__(self, "latency", Latency.of(*self.usage.latency()))

    def beliefs(
        self, roster: Roster, context: Context, objective: Objective, now_s: float
    ) -> Beliefs:
        """Predict every arm of the roster for one request.

        Utility = (1 - error rate)·quality - (1/value + λ)·cost - min(latency/patience, 1).
        """
        x, rows = context.x, self._rows_of(roster)
        quality, doubt, log_tokens = (self.linear @ x).reshape(3, -1)[:, rows]
        quality_sd = np.sqrt(variances(self.spreads, x)[rows])
        cost = self._cost_usd(roster, context, self.usage.tokens(log_tokens, rows))
        latency = self.latency.mean_s[rows]
        latency_n, error_rate = self.usage.recent(now_s)
        error_rate = error_rate[rows]
        utility = (
            (1.0 - error_rate) * quality
            - cost * objective.dollar_price
            - np.minimum(latency / objective.patience_s, 1.0)
        )
        return Beliefs(
            arm_ids=roster.ids,
            x=x,
            judged_share=self.judged_share,
            quality=quality,
            quality_sd=quality_sd,
            sampling_sd=np.maximum(
                self.exploration_width[rows] * quality_sd, self.mean_width[rows]
            ),
            cost_usd=cost,
            latency_s=latency,
            latency_log=self.latency.log[rows],
            latency_var=self.latency.variance[rows],
            latency_n=latency_n[rows],
            error_rate=error_rate,
            utility=utility,
            taught=self.taught[rows],
            presumed=_between(doubt, 0.0, 1.0),
        )

    def _rows_of(self, roster: Roster) -> np.ndarray | slice:
        """Where the arms of a roster stand; where it is the order they were met in, a slice."""
        rows = [self.rows.get(arm_id, -1) for arm_id in roster.ids]
        if rows == list(range(len(rows))):
            return slice(len(rows))  # which copies nothing
        return np.array(rows, dtype=np.intp)

    def _cost_usd(self, roster: Roster, context: Context, tokens: Vector) -> Vector:
        if context.max_output_tokens is not None:
            tokens = np.minimum(tokens, context.max_output_tokens)
        cost = tokens * roster.output_price
        cost += context.input_tokens * roster.input_price
        cost /= 1e6
        return cost


def _dearness(cost_usd: Vector) -> Vector:
    """(K,) the logs of costs less their mean; 0 for what is free, and where one alone is not."""
    if cost_usd[cost_usd.argmin()] > 0.0:
        logs: Vector = np.log(cost_usd)
        logs -= np.add.reduce(logs) / len(logs)
        return logs
    priced = cost_usd > 0.0
    logs = np.log(cost_usd, where=priced, out=np.zeros(len(priced)))
    logs -= logs.sum() / max(np.count_nonzero(priced), 1)
    logs *= priced
    return logs


def _between(values: Vector, least: float, most: float) -> Vector:
    """As ``np.clip``, in half the time for few values."""
    clipped: Vector = np.minimum(np.maximum(values, least), most)
    return clipped


def _mean_sd(evidence_n: Vector, hyper: Hyperparameters) -> Vector:
    """The width of a context-free mean with the same evidence: w / √(n/σ² + 1/τ²)."""
    width: Vector = MEAN_WIDTH / np.sqrt(evidence_n / hyper.noise + 1.0 / hyper.scales[0])
    return width


def _narrowing(evidence_n: Vector, awaited: Vector, hyper: Hyperparameters) -> Vector:
    """By how much widths shrink once ``awaited`` words more are in: √(n' / (n' + awaited)).

    n' = n + σ²/τ² counts the prior as the readings that it is worth.
    """
    count = evidence_n + hyper.noise / hyper.scales[0]
    narrowing: Vector = np.sqrt(count / (count + awaited))
    return narrowing
