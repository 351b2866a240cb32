"""Logs that the router makes in worlds whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from banditroute.core.choice import Rules, probabilities_of
from banditroute.core.offpolicy import Rounds
from banditroute.core.policies import Thompson
from banditroute.core.posterior import FeatureGroups
from banditroute.core.roster import Roster
from banditroute.simulation import Ask, Problem, RouterPlayer, play
from banditroute.values import Arm, Context, Decision, Matrix, Vector

FEATURES = 5


@dataclass(frozen=True, slots=True)
class World:
    """What is drawn anew for every log. ``floor`` is the router's.

    ``alike``: all arms are equally good everywhere, so that no policy is better than another.
    """

    rounds: int = 400
    arms: int = 4
    floor: float = 0.2
    alike: bool = False

    def problem(self, seed: int) -> tuple[Problem, Matrix]:
        """The problem, and P(right) of every answer (T, K): the truth."""
        rng = np.random.default_rng(seed)
        x = np.hstack([np.ones((self.rounds, 1)), rng.normal(size=(self.rounds, FEATURES - 1)) / 2])
        x = x.astype(np.float32).astype(np.float64)
        spread = [rng.normal(0, 0.6, (self.arms, 1)), rng.normal(0, 0.5, (self.arms, FEATURES - 1))]
        theta = (0.0 if self.alike else 1.0) * np.hstack(spread)
        truth = 1.0 / (1.0 + np.exp(-(0.8 + x @ theta.T)))
        arms = tuple(Arm(f"arm-{k:02}", "p", "m", 0.0, 0.0) for k in range(self.arms))
        posed = Problem(
            "world",
            FeatureGroups(("bias", *("shape",) * (FEATURES - 1))),
            tuple(Context(one, 100) for one in x),
            (None,) * self.rounds,
            Roster(arms),
            (rng.random(truth.shape) < truth).astype(np.float64),
            np.zeros(truth.shape),
            np.full(truth.shape, np.nan),
            np.full(truth.shape, np.nan),
        )
        return posed, truth


class Logging(RouterPlayer):
    """The router, noting what it predicted and with which probabilities, before it learned."""

    def __init__(self, groups: FeatureGroups, rules: Rules) -> None:
        super().__init__(groups, rules)
        self.chances: list[Vector] = []
        self.predicted: list[Vector] = []

    def decide(self, ask: Ask) -> Decision:
        """As the router's."""
        made = super().decide(ask)
        self.chances.append(probabilities_of(made))
        self.predicted.append(np.array([candidate.quality for candidate in made.candidates]))
        return made


@dataclass(frozen=True, slots=True)
class Logged:
    """A router's log beside what every answer was really worth."""

    rounds: Rounds
    truth: Matrix

    def value(self, policy: Matrix) -> Vector:
        """(T,) the true mean value of a policy (T, K) at the contexts so far."""
        values = np.sum(policy * self.truth, axis=1)
        running: Vector = np.cumsum(values) / np.arange(1, len(values) + 1)
        return running


def logged(world: World, seed: int) -> Logged:
    """Let the router run in a world; the target is, until another is set, what it did."""
    posed, truth = world.problem(seed)
    player = Logging(posed.groups, Rules(Thompson(), world.floor, seed))
    trace = play(player, posed, range(world.rounds), seed)
    chances = np.array(player.chances)
    rounds = Rounds(trace.quality, trace.arm, chances, np.array(player.predicted), chances)
    return Logged(rounds, truth)


def mostly(arms: int | np.ndarray, shape: tuple[int, ...]) -> Matrix:
    """(T, K) a policy that chooses one arm, or one for each round, and a tenth of the time any."""
    policy = np.full(shape, 0.1 / shape[1])
    policy[np.arange(shape[0]), arms] += 0.9
    return policy
