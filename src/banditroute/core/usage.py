"""What the log taught of each arm's output length, latency and errors.

Learned from outcomes alone, without anybody's feedback, and apart from quality, so that a
price, a patience or a limit can change per request without learning again.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from banditroute.values import Matrix, OutcomeEvidence, Vector

TYPICAL_OUTPUT_TOKENS = 300.0
LENGTH_NOISE = 0.3  # variance of the log of a length around its regression
LENGTH_PRIOR_BIAS = 1.0  # prior variance of the bias: lengths vary by a factor e between arms
LENGTH_PRIOR_OTHER = 0.3  # of the rest: 1.0 predicts worse for the first thousand calls
LOG_TOKENS_MAX = 14.0  # a million tokens: no answer is longer
SMEARING_START = 1.2  # E[exp(e)] for the noise above (Duan 1983)
SMEARING_PRIOR_N = 5.0
SMEARING_SPAN = 100.0
RECENT_HALF_LIFE = 50.0  # calls: latency and errors are forgotten fast
RECENT_DECAY = 0.5 ** (1.0 / RECENT_HALF_LIFE)
TRUST_HALF_LIFE_S = 300.0  # and fade with time, so that an arm that was slow or down is tried again
LATENCY_PRIOR_N = 2.0
LATENCY_PRIOR_LOG = 0.0  # one second
LATENCY_PRIOR_VARIANCE = 0.5
ERROR_PRIOR_N = 5.0
SPEND_DECAY = 0.5 ** (1.0 / 200.0)  # the mean cost of recent calls, for the exploration floor

NOT_THE_ARMS_FAULT = frozenset({"bad_request", "abandoned"})


@dataclass(slots=True)
class UsageModel:
    """Lengths, latencies and error rates of K arms; rows are added as arms are called.

    ``length_means`` (K, d) and ``length_covariances`` (K, d, d): recursive least squares of
    log output tokens on x. The ``recent_*`` arrays (K,) are sums decayed per call.
    ``spend`` (weight, dollars) is the decayed sum over all arms. Updated in place.
    """

    dimension: int
    length_means: Matrix
    length_covariances: Matrix
    length_n: Vector
    smearing: Vector
    recent_latency_n: Vector
    recent_latency_log: Vector
    recent_latency_log2: Vector
    recent_ttft_n: Vector
    recent_ttft_log: Vector
    recent_calls: Vector
    recent_errors: Vector
    latest_s: Vector
    requests: Vector
    cost_n: Vector
    cost_usd: Vector
    spend: Vector

    @classmethod
    def empty(cls, dimension: int) -> UsageModel:
        """A model without arms."""
        d = dimension
        columns = {name: np.zeros(0) for name in _COLUMNS}
        return cls(d, np.zeros((0, d)), np.zeros((0, d, d)), **columns, spend=np.zeros(2))

    def grow(self) -> None:
        """Add an arm that was never called."""
        variance = np.diag(length_prior(self.dimension)[1])
        self.length_covariances = np.concatenate([self.length_covariances, variance[None]])
        _lengthen(self)

    def without_covariances(self) -> UsageModel:
        """A copy to predict with, one unseen arm longer; it cannot learn lengths."""
        nothing = np.zeros((0, self.dimension, self.dimension))
        copy = replace(self, length_covariances=nothing, spend=self.spend.copy())
        _lengthen(copy)  # which leaves the arrays of this model alone
        return copy

    def observe(self, row: int, outcome: OutcomeEvidence) -> None:
        """Learn from one call."""
        self.requests[row] += 1.0
        self._observe_error(row, outcome)
        if outcome.error is None:
            self._observe_latency(row, outcome)
            if outcome.output_tokens is not None and outcome.output_tokens > 0.0:
                self._observe_length(row, outcome.x, float(np.log(outcome.output_tokens)))
        if outcome.cost_usd is not None:
            self.cost_n[row] += 1.0
            self.cost_usd[row] += outcome.cost_usd
            self.spend *= SPEND_DECAY
            self.spend += (1.0, outcome.cost_usd)

    def _observe_error(self, row: int, outcome: OutcomeEvidence) -> None:
        if outcome.error in NOT_THE_ARMS_FAULT:
            return
        kept = RECENT_DECAY * trust(outcome.at_s - self.latest_s[row])
        self.latest_s[row] = max(self.latest_s[row], outcome.at_s)
        self.recent_calls[row] = self.recent_calls[row] * kept + 1.0
        failed = float(outcome.error is not None)
        self.recent_errors[row] = self.recent_errors[row] * kept + failed

    def _observe_length(self, row: int, x: Vector, log_tokens: float) -> None:
        gain = self.length_covariances[row] @ x
        spread = LENGTH_NOISE + float(x @ gain)
        surprise = log_tokens - float(x @ self.length_means[row])
        self.length_means[row] += gain * (surprise / spread)
        step = gain / np.sqrt(spread)
        self.length_covariances[row] -= np.multiply.outer(step, step)
        span = min(self.length_n[row] + SMEARING_PRIOR_N, SMEARING_SPAN)
        left = surprise * LENGTH_NOISE / spread  # what the mean has not just taken up
        self.smearing[row] += (np.exp(min(left, 3.0)) - self.smearing[row]) / span
        self.length_n[row] += 1.0

    def _observe_latency(self, row: int, outcome: OutcomeEvidence) -> None:
        if outcome.latency_s is not None:
            log = float(np.log(max(outcome.latency_s, 1e-3)))
            self.recent_latency_n[row] = self.recent_latency_n[row] * RECENT_DECAY + 1.0
            self.recent_latency_log[row] = self.recent_latency_log[row] * RECENT_DECAY + log
            self.recent_latency_log2[row] = self.recent_latency_log2[row] * RECENT_DECAY + log * log
        if outcome.ttft_s is not None:
            log = float(np.log(max(outcome.ttft_s, 1e-3)))
            self.recent_ttft_n[row] = self.recent_ttft_n[row] * RECENT_DECAY + 1.0
            self.recent_ttft_log[row] = self.recent_ttft_log[row] * RECENT_DECAY + log

    def output_tokens(self, x: Vector) -> Vector:
        """(K,) expected output tokens of every arm for context x."""
        return self.tokens(self.length_means @ x, slice(None))

    def tokens(self, log_tokens: Vector, rows: np.ndarray | slice) -> Vector:
        """Expected output tokens of the arms at ``rows`` whose logs are predicted so."""
        bounded = np.minimum(np.maximum(log_tokens, 0.0), LOG_TOKENS_MAX)
        expected: Vector = self.smearing[rows] * np.exp(bounded)
        return expected

    def latency(self) -> tuple[Vector, Vector]:
        """(K,) mean and variance of every arm's log latency, shrunk to all arms' mean."""
        total_n = float(np.sum(self.recent_latency_n))
        pooled = (float(np.sum(self.recent_latency_log)) + LATENCY_PRIOR_LOG) / (total_n + 1.0)
        n = self.recent_latency_n + LATENCY_PRIOR_N
        mean = (self.recent_latency_log + LATENCY_PRIOR_N * pooled) / n
        square = self.recent_latency_log2 + LATENCY_PRIOR_N * (
            pooled * pooled + LATENCY_PRIOR_VARIANCE
        )
        return mean, np.maximum(square / n - mean * mean, 1e-4)

    def recent(self, now_s: float) -> tuple[Vector, Vector]:
        """(K,) :meth:`trusted_latency_n` and (K,) :meth:`error_rate`, both at once."""
        fade = trust(now_s - self.latest_s)
        if not np.count_nonzero(self.recent_errors):
            return self.recent_latency_n * fade, np.zeros(len(fade))
        rate: Vector = self.recent_errors * fade / (self.recent_calls * fade + ERROR_PRIOR_N)
        return self.recent_latency_n * fade, rate

    def trusted_latency_n(self, now_s: float) -> Vector:
        """(K,) how many recent calls the latency rests on, fading with time."""
        return self.recent(now_s)[0]

    def ttft_s(self) -> Vector:
        """(K,) typical seconds to the first token; NaN where no stream was seen."""
        with np.errstate(invalid="ignore", divide="ignore"):
            typical: Vector = np.exp(self.recent_ttft_log / self.recent_ttft_n)
        return typical

    def error_rate(self, now_s: float) -> Vector:
        """(K,) share of recent calls that failed, fading with the time since the last call."""
        return self.recent(now_s)[1]

    def mean_cost_usd(self) -> Vector:
        """(K,) mean dollars of every arm's calls whose cost is known; NaN where none is."""
        with np.errstate(invalid="ignore", divide="ignore"):
            mean: Vector = self.cost_usd / self.cost_n
        return mean

    def recent_spend_usd(self) -> float | None:
        """Mean dollars per recent call over all arms; None before the first."""
        weight, dollars = self.spend
        return float(dollars / weight) if weight > 0.0 else None


_COLUMNS = tuple(column.name for column in fields(UsageModel)[3:-1])
_NEVER = np.zeros(1)


def _lengthen(model: UsageModel) -> None:
    """Give every column but the covariances one arm more, that was never called."""
    mean, _ = length_prior(model.dimension)
    model.length_means = np.concatenate([model.length_means, mean[None]])
    for name in _COLUMNS:
        setattr(model, name, np.concatenate([getattr(model, name), _NEVER]))
    model.smearing[-1] = SMEARING_START


def length_prior(dimension: int) -> tuple[Vector, Vector]:
    """Mean (d,) and variance (d,) of the length regression of an arm never called."""
    mean = np.zeros(dimension)
    mean[0] = np.log(TYPICAL_OUTPUT_TOKENS)
    variance = np.full(dimension, LENGTH_PRIOR_OTHER)
    variance[0] = LENGTH_PRIOR_BIAS
    return mean, variance


def trust(age_s: Vector | float) -> Vector:
    """How much of what was recent ``age_s`` seconds ago still counts, in (0, 1]."""
    kept: Vector = np.exp2(np.minimum(age_s * (-1.0 / TRUST_HALF_LIFE_S), 0.0))
    return kept
