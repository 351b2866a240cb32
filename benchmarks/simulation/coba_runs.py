"""``cb.Experiment`` of coba, in this process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from arrays import ALPHA, EPSILON, SEED, Maker, Run, Work
from coba import BanditEpsilonLearner, Experiment, LinUCBLearner, RandomLearner
from coba.primitives import SimulatedInteraction


class Requests:
    """An environment in which LinUCB is told arms as units, so that each has its own weights."""

    params: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, work: Work, policy: str) -> None:
        units = np.eye(work.arms).tolist()
        self._work, self._actions = work, units if policy == "linucb" else list(range(work.arms))

    def read(self) -> Iterator[SimulatedInteraction]:
        """One interaction a request."""
        for x, rewards in zip(self._work.contexts, self._work.rewards, strict=True):
            yield SimulatedInteraction(x.tolist(), self._actions, rewards.tolist())


def experimented(folder: Path, policy: str) -> Run:
    """Sequential evaluation, on policy."""
    environment, learner = Requests(Work(folder), policy), learner_of(policy)

    def run() -> float:
        result = Experiment(environment, learner).run(quiet=True)
        return float(np.mean(list(result.interactions["reward"])))

    return run


def learner_of(policy: str) -> Any:
    if policy == "linucb":
        return LinUCBLearner(ALPHA, ["ax"], SEED)
    return (
        BanditEpsilonLearner(EPSILON, SEED) if policy == "epsilon-greedy" else RandomLearner(SEED)
    )


MAKERS: dict[str, Maker] = {"coba": experimented}
