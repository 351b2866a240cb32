"""What is predicted of every arm's reward: by the router at the time, or by ridge regression.

The router's own predictions are honest because they precede the feedback. A regression on the
log's contexts is fitted without the rounds that it predicts: by cross-fitting in blocks of
consecutive rounds, or only on the blocks before, which bounds that hold at all times need, as
a later round was drawn with knowledge of an earlier reward.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from banditroute.core.offpolicy import Rounds
from banditroute.evaluation.log import Log
from banditroute.evaluation.weighing import Weights, foretold, realised
from banditroute.values import Matrix, Vector

LOGGED, RIDGE = "logged", "ridge"
MODELS = (LOGGED, RIDGE)
FOLDS = 10
PENALTY = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The n rounds of a log that know one measure, with what is predicted of it (n, K).

    ``onward`` are predictions fitted on nothing that came later; ``model`` says whose they are.
    """

    known: NDArray[np.bool_]
    rewards: Vector
    arm: NDArray[np.int64]
    probabilities: Matrix
    predictions: Matrix
    onward: Matrix
    model: str

    def __len__(self) -> int:
        return len(self.rewards)

    def rounds(self, target: Matrix, *, onward: bool = False) -> Rounds:
        """Beside a target (T, K) of the whole log."""
        predictions = self.onward if onward else self.predictions
        return Rounds(self.rewards, self.arm, self.probabilities, predictions, target[self.known])

    def within(self, part: NDArray[np.bool_]) -> Sample:
        """Those of its rounds that are in a part (T,) of the log."""
        here = part[self.known]
        return Sample(
            self.known & part,
            self.rewards[here],
            self.arm[here],
            self.probabilities[here],
            self.predictions[here],
            self.onward[here],
            self.model,
        )


def sample(log: Log, measure: str, weights: Weights, model: str) -> Sample:
    """What a log knows of a measure. Ridge also predicts what the router did not."""
    rewards = realised(log, measure, weights)
    known = np.isfinite(rewards)
    part, rewards = log.take(known), rewards[known]
    predicted = foretold(part, measure, weights) if model == LOGGED else None
    if predicted is not None and np.isfinite(predicted[part.eligible]).all():
        model, predicted = LOGGED, np.where(part.eligible, predicted, 0.0)
        onward = predicted
    else:
        model, predicted = RIDGE, ridge(part, rewards)
        onward = ridge(part, rewards, onward=True)
    return Sample(known, rewards, part.arm, part.probabilities, predicted, onward, model)


def ridge(log: Log, rewards: Vector, *, onward: bool = False, folds: int = FOLDS) -> Matrix:
    """(T, K) every arm's reward, by ridge on x around a regression that all arms share.

    Without contexts: by means. Each block of rounds is predicted from the other blocks, or
    ``onward`` from those before it, and the first then as 0.
    """
    ones = np.ones((len(log), 1))
    x = ones if log.x is None else np.hstack([ones, log.x])
    block = np.arange(len(log)) * folds // max(len(log), 1)
    parts = [_Sums.of(x, log.arm, rewards, block == fold, len(log.arms)) for fold in range(folds)]
    predicted = np.zeros(log.probabilities.shape)
    for fold in range(folds):
        known = parts[:fold] if onward else parts[:fold] + parts[fold + 1 :]
        if known:
            predicted[block == fold] = x[block == fold] @ _Sums.together(known).fitted().T
    kept: Matrix = np.where(log.eligible, predicted, 0.0)
    return kept


@dataclass(frozen=True, slots=True)
class _Sums:
    """Of some rounds, arm by arm: ``gram`` (K, d, d) = Σ x xᵀ and ``moment`` (K, d) = Σ r x."""

    gram: Matrix
    moment: Matrix

    @classmethod
    def of(
        cls, x: Matrix, arm: NDArray[np.int64], rewards: Vector, part: NDArray[np.bool_], arms: int
    ) -> _Sums:
        """The sums of the rounds of a part."""
        gram, moment = np.zeros((arms, x.shape[1], x.shape[1])), np.zeros((arms, x.shape[1]))
        for row in range(arms):
            here = part & (arm == row)
            gram[row] = x[here].T @ x[here]
            moment[row] = x[here].T @ rewards[here]
        return cls(gram, moment)

    @classmethod
    def together(cls, parts: Sequence[_Sums]) -> _Sums:
        """The sums of all parts."""
        gram, moment = parts[0].gram.copy(), parts[0].moment.copy()
        for one in parts[1:]:
            gram += one.gram
            moment += one.moment
        return cls(gram, moment)

    def fitted(self) -> Matrix:
        """(K, d) coefficients: what all arms share, and each arm's own around it."""
        ridge = PENALTY * np.eye(self.gram.shape[1])
        shared = np.linalg.solve(self.gram.sum(axis=0) + ridge, self.moment.sum(axis=0))
        rest = self.moment - self.gram @ shared
        own = np.linalg.solve(self.gram + ridge, rest[:, :, None])[:, :, 0]
        return np.asarray(shared + own, dtype=np.float64)
