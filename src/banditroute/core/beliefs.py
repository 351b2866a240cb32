"""What is believed of each arm for one request, in the units that a choice is made in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from banditroute.core.posterior import FeatureGroups, Hyperparameters
from banditroute.core.roster import Roster
from banditroute.core.usage import UsageModel
from banditroute.values import Context, Matrix, Vector

EXPLORATION_WIDTH = 0.5  # v: sample at half the posterior width; the full width explores too long
MEAN_WIDTH = 1.0  # w: but never narrower than what the arm's plain mean is uncertain by


@dataclass(frozen=True, slots=True)
class Objective:
    """What an answer is worth in dollars, and how many seconds of waiting cancel it."""

    answer_value_usd: float
    patience_s: float


@dataclass(frozen=True, slots=True)
class Beliefs:
    """Predictions for K arms at one context ``x`` (d,); every array has shape (K,).

    ``quality`` ± ``quality_sd`` is the posterior of expected quality; ``sampling_sd`` the
    width that policies explore with; ``utility`` the predicted reward at the objective.
    ``latency_log`` and ``latency_var`` describe the log-normal latency, ``latency_n`` how many
    recent calls it rests on; ``taught`` counts the decisions that feedback was learned for.
    """

    arm_ids: tuple[str, ...]
    x: Vector
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

    def take(self, rows: Sequence[int]) -> Beliefs:
        """The beliefs of some of the arms, in the order of ``rows``."""
        if len(rows) == len(self.arm_ids) and list(rows) == list(range(len(rows))):
            return self
        index = np.asarray(rows, dtype=np.intp)
        return Beliefs(
            tuple(self.arm_ids[row] for row in rows),
            self.x,
            *(getattr(self, name)[index] for name in _ARRAYS),
        )


_ARRAYS = tuple(name for name in Beliefs.__slots__ if name not in {"arm_ids", "x"})


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Everything a router knows at one position of its log. Nobody writes to it.

    Every array has one row more than there are arms with evidence: the last row stands for
    any arm that has none, so an unknown arm is looked up as row -1.
    """

    position: int
    rows: Mapping[str, int]
    groups: FeatureGroups
    hyper: Hyperparameters
    means: Matrix
    covariances: Matrix
    evidence_n: Vector
    quality_mean: Vector
    quality_mean_sd: Vector
    taught: Vector
    usage: UsageModel

    def beliefs(
        self, roster: Roster, context: Context, objective: Objective, now_s: float
    ) -> Beliefs:
        """Predict every arm of the roster for one request.

        Utility = (1 - error rate)·quality - cost/value - min(latency/patience, 1).
        """
        x = context.x
        rows = np.array([self.rows.get(arm_id, -1) for arm_id in roster.ids], dtype=np.intp)
        quality = (self.means @ x)[rows]
        quality_sd = self._quality_sd(x)[rows]
        cost = self._cost_usd(roster, context, rows)
        latency_log, latency_var, latency_n = self._latency(rows, now_s)
        latency = np.exp(latency_log + latency_var / 2.0)
        error_rate = self.usage.error_rate(now_s)[rows]
        utility = (
            (1.0 - error_rate) * quality
            - cost / objective.answer_value_usd
            - np.minimum(latency / objective.patience_s, 1.0)
        )
        return Beliefs(
            arm_ids=roster.ids,
            x=x,
            quality=quality,
            quality_sd=quality_sd,
            sampling_sd=np.maximum(EXPLORATION_WIDTH * quality_sd, self._mean_sd()[rows]),
            cost_usd=cost,
            latency_s=latency,
            latency_log=latency_log,
            latency_var=latency_var,
            latency_n=latency_n,
            error_rate=error_rate,
            utility=utility,
            taught=self.taught[rows],
        )

    def _quality_sd(self, x: Vector) -> Vector:
        """√(xᵀ V x) of every row, as one matrix-vector product."""
        d = len(x)
        spread = (self.covariances.reshape(-1, d) @ x).reshape(-1, d) @ x
        return np.sqrt(np.maximum(spread, 0.0))

    def _mean_sd(self) -> Vector:
        """The width of a context-free mean with the same evidence: w / √(n/σ² + 1/τ²)."""
        precision = self.evidence_n / self.hyper.noise + 1.0 / self.hyper.scales[0]
        width: Vector = MEAN_WIDTH / np.sqrt(precision)
        return width

    def _cost_usd(self, roster: Roster, context: Context, rows: np.ndarray) -> Vector:
        tokens = self.usage.output_tokens(context.x)[rows]
        if context.max_output_tokens is not None:
            tokens = np.minimum(tokens, context.max_output_tokens)
        cost: Vector = context.input_tokens * roster.input_price + tokens * roster.output_price
        return cost / 1e6

    def _latency(self, rows: np.ndarray, now_s: float) -> tuple[Vector, Vector, Vector]:
        mean, variance = self.usage.latency()
        return mean[rows], variance[rows], self.usage.trusted_latency_n(now_s)[rows]
