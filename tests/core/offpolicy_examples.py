"""Logs for the tests of off-policy evaluation, by hand and at random."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from banditroute.core.offpolicy import Rounds

TRUTH = np.array([0.7, 0.5, 0.2])


def two_rounds(**changes):
    """Weights 2 and 2."""
    parts = {
        "rewards": np.array([1.0, 0.0]),
        "arms": np.array([0, 1]),
        "probabilities": np.array([[0.5, 0.5], [0.75, 0.25]]),
        "predictions": np.array([[0.5, 0.25], [0.5, 0.25]]),
        "target": np.array([[1.0, 0.0], [0.5, 0.5]]),
    }
    return Rounds(**{**parts, **changes})


def logged(rng, rounds, logging, target, predictions=(0.7, 0.5, 0.2), truth=TRUTH):
    """A log of right and wrong answers, in which nothing changes with time."""
    arms = rng.choice(len(truth), size=rounds, p=logging)
    rewards = (rng.random(rounds) < np.asarray(truth)[arms]).astype(float)
    rows = [np.tile(np.asarray(one, float), (rounds, 1)) for one in (logging, predictions, target)]
    return Rounds(rewards, arms, *rows)


def drifting(seed, rounds=400, arms=3, least=0.002):
    """A log whose truth, logging policy, predictions and target change all the time.

    The policy learns from what it drew, and gives the other arms ``least`` each: weights of up to
    1/least. Returns the rounds and what every arm was really worth in each.
    """
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0.0, 2.0 * np.pi, arms)
    truth = 0.5 + 0.4 * np.sin(np.arange(rounds)[:, None] / 40.0 + phase)
    mean, drawn = np.full(arms, 0.5), np.zeros(rounds, int)
    rewards, chances, predicted = np.zeros(rounds), np.zeros((rounds, arms)), np.zeros_like(truth)
    for t in range(rounds):
        predicted[t] = mean
        chances[t] = least
        chances[t, mean.argmax()] += 1.0 - least * arms
        drawn[t] = rng.choice(arms, p=chances[t])
        rewards[t] = rng.random() < truth[t, drawn[t]]
        mean[drawn[t]] += 0.1 * (rewards[t] - mean[drawn[t]])
    target = rng.dirichlet(np.full(arms, 0.3), rounds)
    return Rounds(rewards, drawn, chances, predicted, target), truth


@st.composite
def worlds(draw):
    """One context of few arms: probabilities, target, predictions, and what each arm is worth."""
    arms = draw(st.integers(1, 5))

    def row(least, most):
        numbers = st.lists(st.floats(least, most), min_size=arms, max_size=arms)
        return np.array(draw(numbers))

    logging, target = row(0.01, 1.0), row(0.0, 1.0) + 1e-3
    return logging / logging.sum(), target / target.sum(), row(0.0, 1.0), row(0.0, 1.0)


def every_arm(world):
    """A round for each arm of a world, in which it was drawn and paid what it is worth."""
    logging, target, predictions, truth = world
    rows = [np.tile(one, (len(truth), 1)) for one in (logging, predictions, target)]
    return Rounds(truth, np.arange(len(truth)), *rows)
