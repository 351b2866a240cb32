"""MABWiser's LinUCB and LinTS as players.

Searched, on the development sets together: α over 0.1, 0.3 and 1, and batches of 1, 10 and 50
answers; 6,000 requests of 9 arms take under half a minute with each. Learning in batches helps
LinTS: MABWiser 2.7 copies its random generator with every model that it fits, so models fitted
at the same moment draw the same noise, and arms are compared with less of it than their
posteriors have. Arms are drawn at random until the first batch is full.
"""

from __future__ import annotations

import numpy as np
from mabwiser.mab import MAB, LearningPolicy

from banditroute.simulation import Ask
from banditroute.simulation.rivals.base import Learner, Rows, shared_argmax
from banditroute.values import Vector
from peers import Factory

BATCH = 50


class MABWiser(Learner):
    """One ``MAB``; it draws inside, so what it chooses has probability 1 here."""

    def __init__(self, policy: LearningPolicy, arms: int, seed: int, batch: int = BATCH) -> None:
        super().__init__()
        self.bandit = MAB(list(range(arms)), policy, seed=seed)
        self.batch = batch
        self.fitted = False
        self._waiting: list[tuple[int, float, Vector]] = []

    def choose(self, ask: Ask, rows: Rows) -> Vector:
        """All on the arm of the highest index, which for LinTS is a posterior sample."""
        if not self.fitted:
            return np.full(len(rows), 1.0 / len(rows))
        indices = self.bandit.predict_expectations([ask.context.x])
        return shared_argmax(np.array([indices[row] for row in rows.tolist()]))

    def learn(self, ask: Ask, row: int, reward: float) -> None:
        """Hand over the answers that wait, once there are ``batch`` of them."""
        self._waiting.append((row, reward, ask.context.x))
        if len(self._waiting) < self.batch:
            return
        rows, rewards, contexts = zip(*self._waiting, strict=True)
        hand_over = self.bandit.partial_fit if self.fitted else self.bandit.fit
        hand_over(list(rows), list(rewards), list(contexts))
        self._waiting, self.fitted = [], True


MAKERS: dict[str, Factory] = {
    "mabwiser-lints": lambda problem, seed, _: MABWiser(
        LearningPolicy.LinTS(alpha=0.1), len(problem.roster), seed
    ),
    "mabwiser-linucb": lambda problem, seed, _: MABWiser(
        LearningPolicy.LinUCB(alpha=0.3), len(problem.roster), seed
    ),
}
