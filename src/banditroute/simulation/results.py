"""What came out of a study: every run in numbers and curves, and what it is compared with.

A run is cut into B parts of about equal length; ``ends`` (B,) are the numbers of requests
after which each part ends. Curves have one value a part: the mean over its requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from banditroute.values import Matrix, Vector


@dataclass(frozen=True, slots=True)
class Means:
    """Per request: quality in [0, 1], dollars, and utility = quality − cost / answer value."""

    quality: float
    cost_usd: float
    utility: float


@dataclass(frozen=True, slots=True)
class Curves:
    """One run, part by part; (B,) each, ``shares`` (B, K) of the arms that answered.

    ``best_arm`` is the expected utility of the best single arm at that time, on the prompts of
    the part: what regret is measured against. ``expected`` is that of the arms that answered;
    None where it is ``utility``.
    """

    utility: Vector
    quality: Vector
    cost_usd: Vector
    best_arm: Vector
    shares: Matrix
    expected: Vector | None = None

    def regret(self, ends: NDArray[np.int64]) -> Vector:
        """(B,) what was lost to the best single arm up to the end of each part, in utility."""
        sizes = np.diff(ends, prepend=0)
        earned = self.utility if self.expected is None else self.expected
        lost: Vector = np.cumsum((self.best_arm - earned) * sizes)
        return lost


@dataclass(frozen=True, slots=True)
class Run:
    """One policy in one scenario at one seed.

    ``regret`` is the mean per request. ``failed`` counts calls that failed and were made again
    with another arm.
    """

    policy: str
    seed: int
    means: Means
    quality_first_500: float
    quality_last_half: float
    regret: float
    failed: int
    curves: Curves


@dataclass(frozen=True, slots=True)
class Chapter:
    """One scenario of a study, with all its runs.

    ``marks`` are the requests at which something changes, with what it is. ``arm_quality`` and
    ``arm_cost_usd`` (K,) are what each arm alone does on all prompts, as the scenario begins.
    ``baselines`` are means over the seeds: ``best_fixed``, ``random`` and ``oracle``.
    ``answer_value_usd`` is infinite where quality alone counts.
    """

    scenario: str
    about: str
    marks: tuple[tuple[int, str], ...]
    arms: tuple[str, ...]
    arm_quality: Vector
    arm_cost_usd: Vector
    answer_value_usd: float
    budget_usd: float | None
    requests: int
    ends: NDArray[np.int64]
    baselines: Mapping[str, Means]
    runs: tuple[Run, ...]

    @property
    def policies(self) -> tuple[str, ...]:
        """Every policy that was run, in order."""
        return tuple(dict.fromkeys(run.policy for run in self.runs))

    def of(self, policy: str) -> tuple[Run, ...]:
        """The runs of one policy, in order of their seeds."""
        return tuple(run for run in self.runs if run.policy == policy)


@dataclass(frozen=True, slots=True)
class Results:
    """A whole study."""

    name: str
    title: str
    data: str
    chapters: tuple[Chapter, ...]
    notes: tuple[str, ...] = field(default=())
