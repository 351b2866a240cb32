"""What a round was worth, and what every arm was predicted to be worth, in four measures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from banditroute.evaluation.log import Log
from banditroute.values import Matrix, Vector

QUALITY, COST, LATENCY, UTILITY = "quality", "cost_usd", "latency_s", "utility"
MEASURES = (UTILITY, QUALITY, COST, LATENCY)


@dataclass(frozen=True, slots=True)
class Weights:
    """What an answer is worth in dollars, and how many seconds of waiting cancel it.

    None leaves each decision the number it was made with.
    """

    answer_value_usd: float | None = None
    patience_s: float | None = None

    def of(self, log: Log) -> tuple[Vector, Vector]:
        """(T,) the answer's value and the patience of every round."""
        value, patience = self.answer_value_usd, self.patience_s
        return (
            log.answer_value_usd if value is None else np.full(len(log), value),
            log.patience_s if patience is None else np.full(len(log), patience),
        )


AS_LOGGED = Weights()


def realised(log: Log, measure: str, weights: Weights) -> Vector:
    """(T,) what was measured; NaN where it is not known.

    Utility = quality − cost / value − min(latency / patience, 1): of answers that came, at what
    they really cost. What no round of the log knows of cost or latency is left out of it.
    """
    if measure != UTILITY:
        measured: Vector = getattr(log, measure)
        return measured
    value, patience = weights.of(log)
    money = _part(log.cost_usd, value, known=_any(log.cost_usd))
    waiting = _part(log.latency_s, patience, known=_any(log.latency_s))
    worth: Vector = log.quality - money - np.minimum(waiting, 1.0)
    return worth


def foretold(log: Log, measure: str, weights: Weights) -> Matrix | None:
    """(T, K) what the router predicted of every arm; None where it did not, NaN as in the log."""
    if log.predictions is None:
        return None
    if measure != UTILITY:
        predicted: Matrix = getattr(log.predictions, measure)
        return None if not _any(predicted) else predicted
    value, patience = weights.of(log)
    money = _part(log.predictions.cost_usd, value[:, None], known=_any(log.cost_usd))
    waiting = _part(log.predictions.latency_s, patience[:, None], known=_any(log.latency_s))
    worth: Matrix = log.predictions.quality - money - np.minimum(waiting, 1.0)
    return worth


def _part(amount: Vector, unit: Vector, *, known: bool) -> Vector:
    """How many units an amount is; nothing of what is free at any amount, or known nowhere."""
    counted = np.isfinite(unit) & known
    part: Vector = np.where(counted, amount / np.where(counted, unit, 1.0), 0.0)
    return part


def _any(values: Vector) -> bool:
    return bool(np.any(np.isfinite(values)))
