"""A chapter's curves as lines to draw: means over seeds, their bands, few enough points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from banditroute.simulation.report.numbers import Estimate, half_width
from banditroute.simulation.results import Chapter, Run
from banditroute.values import Matrix, Vector

POINTS = 120  # more make the file larger and not clearer
SPAN = 12  # one part in so many of the run is what a moving mean is of


@dataclass(frozen=True, slots=True)
class Line:
    """(P,) each: the mean over seeds at a request, and its 95 % interval (NaN for one seed)."""

    at: Vector
    mean: Vector
    low: Vector
    high: Vector

    @property
    def banded(self) -> bool:
        """Whether there is an interval to draw."""
        return bool(np.isfinite(self.low).any())

    @property
    def last(self) -> Estimate:
        """Where the line ends."""
        return Estimate(float(self.mean[-1]), float(self.high[-1] - self.mean[-1]))


def line(at: Vector, runs: Matrix) -> Line:
    """The line of (seeds, P) values, at no more than ``POINTS`` of its points."""
    kept = thinned(len(at))
    mean, half = runs.mean(axis=0), half_width(runs)
    return Line(at[kept], mean[kept], (mean - half)[kept], (mean + half)[kept])


def thinned(size: int, points: int = POINTS) -> NDArray[np.intp]:
    """At most ``points`` of ``size`` places, evenly spaced, the first and the last among them."""
    return np.unique(np.linspace(0, size - 1, min(size, points)).round().astype(np.intp))


def sizes(chapter: Chapter) -> Vector:
    """(B,) how many requests each part has."""
    return np.diff(chapter.ends, prepend=0).astype(np.float64)


def stacked(runs: Sequence[Run], curve: Callable[[Run], Vector]) -> Matrix:
    """(seeds, B) one curve of each run."""
    return np.array([curve(run) for run in runs], dtype=np.float64)


def window(chapter: Chapter) -> int:
    """How many parts a moving mean is of."""
    return max(1, round(len(chapter.ends) / SPAN))


def window_requests(chapter: Chapter) -> int:
    """How many requests a moving mean is of."""
    return round(window(chapter) * chapter.requests / len(chapter.ends))


def moving(values: Matrix, weights: Vector, span: int, least: int = 1) -> Matrix:
    """(…, B − least + 1) the mean of the last ``span`` parts by their sizes, part after part.

    The first is of ``least`` parts; until there are ``span``, each is of all there are.
    """
    begin = np.zeros((*values.shape[:-1], 1))
    total = np.concatenate([begin, np.cumsum(values * weights, axis=-1)], axis=-1)
    count = np.concatenate([[0.0], np.cumsum(weights)])
    stop = np.arange(least, len(count))
    start = np.maximum(stop - span, 0)
    means: Matrix = (total[..., stop] - total[..., start]) / (count[stop] - count[start])
    return means


def moved(chapter: Chapter, runs: Sequence[Run], curve: Callable[[Run], Vector]) -> Line:
    """The moving mean of a curve; it begins with half a window."""
    span = window(chapter)
    least = -(-span // 2)
    means = moving(stacked(runs, curve), sizes(chapter), span, least)
    return line(chapter.ends[least - 1 :].astype(np.float64), means)


def summed(chapter: Chapter, runs: Matrix) -> Line:
    """(seeds, B) totals as they grow, from 0 at request 0."""
    at = np.concatenate([[0.0], chapter.ends.astype(np.float64)])
    return line(at, np.pad(runs, ((0, 0), (1, 0))))


def paired(chapter: Chapter, policy: str, other: str, value: Callable[[Run], float]) -> Vector:
    """(seeds,) ``policy`` − ``other`` at every seed that both were run with."""
    theirs = {run.seed: value(run) for run in chapter.of(other)}
    ours = [(value(run), run.seed) for run in chapter.of(policy)]
    return np.array([here - theirs[seed] for here, seed in ours if seed in theirs])


def hull(cost_usd: Vector, quality: Vector) -> tuple[Vector, Vector]:
    """The corners of the best static mixes: the upper-left concave envelope, cheapest first.

    No fixed mix of arms has more quality at the same mean cost. Ends at the best arm.
    """
    corners: list[tuple[float, float]] = []
    points = zip(cost_usd.tolist(), quality.tolist(), strict=True)
    for point in sorted(points, key=lambda arm: (arm[0], -arm[1])):
        if corners and point[1] <= corners[-1][1]:
            continue
        while len(corners) > 1 and _below(corners[-2], corners[-1], point):
            corners.pop()
        corners.append(point)
    costs, qualities = zip(*corners, strict=True)
    return np.array(costs), np.array(qualities)


def _below(
    left: tuple[float, float], middle: tuple[float, float], right: tuple[float, float]
) -> bool:
    """Whether the middle corner lies on or under the line between the others."""
    rise = (middle[1] - left[1]) * (right[0] - left[0])
    return rise <= (right[1] - left[1]) * (middle[0] - left[0])


def mixed(chapter: Chapter, usd: float) -> float:
    """The best quality of a static mix at a mean cost of at most ``usd``: NaN if none has it."""
    costs, qualities = hull(chapter.arm_cost_usd, chapter.arm_quality)
    return float(np.interp(usd, costs, qualities, left=np.nan))
