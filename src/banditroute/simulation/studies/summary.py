"""What came out, as a person reads it: means with their 95% intervals over seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from banditroute.simulation.results import Chapter, Run

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over seeds and the half-width of its 95% interval; NaN for a single seed."""

    mean: float
    half: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Interval:
        """Student's interval: seeds are independent shuffles of the same prompts."""
        array = np.asarray(values, dtype=np.float64)
        if len(array) < 2:
            return cls(float(array.mean()), float("nan"))
        quantile = stdtrit(len(array) - 1, (1.0 + CONFIDENCE) / 2.0)
        error = array.std(ddof=1) / np.sqrt(len(array))
        return cls(float(array.mean()), float(quantile * error))


@dataclass(frozen=True, slots=True)
class Line:
    """One policy in one scenario. ``gain`` is its utility less that of the first policy.

    It is paired by seed, on which both met the same requests; None for the first policy.
    """

    policy: str
    utility: Interval
    quality: Interval
    cost_usd: Interval
    quality_first_500: Interval
    quality_last_half: Interval
    regret: Interval
    failed: Interval
    gain: Interval | None


def lines(chapter: Chapter) -> list[Line]:
    """The policies of a chapter, in their order."""
    first, *others = chapter.policies
    reference = chapter.of(first)
    return [_line(chapter.of(first), None)] + [
        _line(chapter.of(policy), reference) for policy in others
    ]


def _line(runs: Sequence[Run], reference: Sequence[Run] | None) -> Line:
    def over(value: Callable[[Run], float]) -> Interval:
        return Interval.of([value(run) for run in runs])

    gain = None if reference is None else _gain(runs, reference)
    return Line(
        policy=runs[0].policy,
        utility=over(lambda run: run.means.utility),
        quality=over(lambda run: run.means.quality),
        cost_usd=over(lambda run: run.means.cost_usd),
        quality_first_500=over(lambda run: run.quality_first_500),
        quality_last_half=over(lambda run: run.quality_last_half),
        regret=over(lambda run: run.regret),
        failed=over(lambda run: float(run.failed)),
        gain=gain,
    )


def _gain(runs: Sequence[Run], reference: Sequence[Run]) -> Interval:
    pairs = zip(runs, reference, strict=True)
    return Interval.of([run.means.utility - other.means.utility for run, other in pairs])
