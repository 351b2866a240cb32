"""ε-greedy, on arm means and on linear models."""

from __future__ import annotations

from banditroute.simulation.players import Ask
from banditroute.simulation.rivals.base import Learner, Rows, shared_argmax
from banditroute.simulation.rivals.means import ArmMeans
from banditroute.simulation.rivals.ridge import Ridges
from banditroute.values import Vector

# c/d² of Auer et al. 2002: the uniform pulls of each arm in every e-fold of time. The best of
# 1, 2, 5 and 10 on the development sets together.
EXPLORED_MEANS = 10.0
EXPLORED_RIDGE = 2.0


def decayed(predicted: Vector, at: int, explored: float) -> Vector:
    """ε_t/K each and 1 − ε_t on the best, ε_t = min(1, c K / t) (Auer et al. 2002, figure 3)."""
    arms = len(predicted)
    epsilon = min(1.0, explored * arms / (at + 1))
    return epsilon / arms + (1.0 - epsilon) * shared_argmax(predicted)


class EpsilonGreedyMeans(Learner):
    """ε_t-greedy on posterior arm means (Auer, Cesa-Bianchi & Fischer 2002, figure 3)."""

    def __init__(self, arms: int, explored: float = EXPLORED_MEANS) -> None:
        super().__init__()
        self.explored = explored
        self.means = ArmMeans(arms)

    def choose(self, ask: Ask, rows: Rows) -> Vector:
        """Uniform with probability ε_t, else the best mean."""
        return decayed(self.means.mean()[rows], ask.at, self.explored)

    def learn(self, ask: Ask, row: int, reward: float) -> None:  # noqa: ARG002
        """One reward of one arm."""
        self.means.observe(row, reward)


class EpsilonGreedyRidge(Learner):
    """ε_t-greedy on one ridge regression per arm, with the same ε_t."""

    def __init__(self, arms: int, dimension: int, explored: float = EXPLORED_RIDGE) -> None:
        super().__init__()
        self.explored = explored
        self.ridges = Ridges(arms, dimension)

    def choose(self, ask: Ask, rows: Rows) -> Vector:
        """Uniform with probability ε_t, else the best prediction."""
        return decayed(self.ridges.mean(ask.context.x)[rows], ask.at, self.explored)

    def learn(self, ask: Ask, row: int, reward: float) -> None:
        """One ridge update of the arm."""
        self.ridges.observe(row, ask.context.x, reward)
