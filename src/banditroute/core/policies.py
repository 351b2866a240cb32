"""Policies: from beliefs to the probability of choosing each eligible arm.

A policy is a value with a ``spec`` (its name and parameters, by which a logged decision can be
recomputed) and one pure method. The exploration floor is added afterwards, for every policy
alike (:mod:`banditroute.core.selection`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from banditroute.core.beliefs import Beliefs
from banditroute.core.winning import win_probabilities
from banditroute.values import Vector

SPARSE_SHARPNESS = 2.0  # c: with hardly any feedback, probabilities are cubed
TIE = 1e-12  # indices closer than this are equal, and share the choice


class Policy(Protocol):
    """How to choose among K ≥ 1 eligible arms."""

    @property
    def spec(self) -> str:
        """The policy's name, and after a colon its parameter if it has one."""

    def probabilities(self, beliefs: Beliefs) -> Vector:
        """(K,) the probability of each arm; sums to 1, depends on nothing but ``beliefs``."""


@dataclass(frozen=True, slots=True)
class Thompson:
    """Choose each arm with the probability that it is the best (Thompson 1933).

    Utilities are taken as independent normals, mean ``utility`` and sd ``sampling_sd``; the
    probability is computed by quadrature, not sampled, so it is what is logged. The less of what
    it chooses is judged, the less it explores: P is raised to a power of 1 + c·(1 - share) and
    normalised. At a power of 3 that is to draw until three samples agree.
    """

    spec: str = "thompson"

    def probabilities(self, beliefs: Beliefs) -> Vector:
        """P(arm k is the largest), to about 1e-5."""
        sharpness = 1.0 + SPARSE_SHARPNESS * (1.0 - beliefs.judged_share)
        return win_probabilities(beliefs.utility, beliefs.sampling_sd, sharpness)


@dataclass(frozen=True, slots=True)
class LinUCB:
    """Choose the largest upper confidence bound (Li et al. 2010) on the shared posterior."""

    alpha: float = 2.0

    @property
    def spec(self) -> str:
        """``linucb:alpha``."""
        return f"linucb:{self.alpha!r}"

    def probabilities(self, beliefs: Beliefs) -> Vector:
        """All on argmax utility + α·quality_sd; ties share."""
        return _best(beliefs.utility + self.alpha * beliefs.quality_sd)


@dataclass(frozen=True, slots=True)
class EpsilonGreedy:
    """Choose uniformly with probability ε, else greedily."""

    epsilon: float = 0.05

    @property
    def spec(self) -> str:
        """``epsilon-greedy:epsilon``."""
        return f"epsilon-greedy:{self.epsilon!r}"

    def probabilities(self, beliefs: Beliefs) -> Vector:
        """ε/K each, and 1 - ε on the best."""
        best = _best(beliefs.utility)
        return self.epsilon / len(best) + (1.0 - self.epsilon) * best


@dataclass(frozen=True, slots=True)
class Greedy:
    """Choose the largest predicted utility."""

    spec: str = "greedy"

    def probabilities(self, beliefs: Beliefs) -> Vector:
        """All on argmax utility; ties share."""
        return _best(beliefs.utility)


@dataclass(frozen=True, slots=True)
class Uniform:
    """Choose every arm equally often."""

    spec: str = "uniform"

    def probabilities(self, beliefs: Beliefs) -> Vector:
        """1/K each."""
        return np.full(len(beliefs.utility), 1.0 / len(beliefs.utility))


@dataclass(frozen=True, slots=True)
class Fixed:
    """Choose one arm; while it is not eligible, choose greedily among the others."""

    arm_id: str

    @property
    def spec(self) -> str:
        """``fixed:arm_id``."""
        return f"fixed:{self.arm_id}"

    def probabilities(self, beliefs: Beliefs) -> Vector:
        """All on the arm."""
        if self.arm_id not in beliefs.arm_ids:
            return _best(beliefs.utility)
        chosen = np.zeros(len(beliefs.arm_ids))
        chosen[beliefs.arm_ids.index(self.arm_id)] = 1.0
        return chosen


_MAKERS: dict[str, Callable[[str], Policy]] = {
    "thompson": lambda _: Thompson(),
    "linucb": lambda parameter: LinUCB(float(parameter)) if parameter else LinUCB(),
    "epsilon-greedy": lambda parameter: (
        EpsilonGreedy(float(parameter)) if parameter else EpsilonGreedy()
    ),
    "greedy": lambda _: Greedy(),
    "uniform": lambda _: Uniform(),
    "fixed": Fixed,
}
POLICY_NAMES = tuple(_MAKERS)


def policy_from(spec: str) -> Policy:
    """The policy that a ``spec`` names. Raises ValueError for an unknown one."""
    name, _, parameter = spec.partition(":")
    if name not in _MAKERS:
        raise ValueError(f"unknown policy {name!r}; there are {', '.join(POLICY_NAMES)}")
    return _MAKERS[name](parameter)


def _best(index: Vector) -> Vector:
    best = (index >= index.max() - TIE).astype(np.float64)
    shared: Vector = best / best.sum()
    return shared
