"""What each policy has lost to the best single arm so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from banditroute.simulation.report import canvas, numbers, strokes
from banditroute.simulation.report.figures.earning import BEST, RANDOM, seeds, word
from banditroute.simulation.report.look import themed
from banditroute.simulation.report.names import clipped, printable
from banditroute.simulation.report.palette import LIGHT, Theme, pens
from banditroute.simulation.report.series import Line, sizes, stacked, summed
from banditroute.simulation.results import Chapter

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT = 3.7


def regret(chapter: Chapter, theme: Theme = LIGHT) -> Figure:
    """Cumulative regret with 95 % bands over seeds; below 0 is better than any single arm.

    The height is that of the policies: a random arm may leave it.
    """
    with themed(theme):
        page = canvas.blank(_claim(chapter), _measure(chapter), HEIGHT, theme)
        axes = page.figure.subplots()
        seen = {policy: lost(chapter, policy) for policy in chapter.policies}
        for policy, pen in pens(chapter.policies).items():
            strokes.policy_line(page, axes, policy, seen[policy], pen)
        _references(page, axes, chapter)
        strokes.fit(axes, list(seen.values()), low=0.0)
        axes.set_ylabel(f"regret so far, in {word(chapter)}")
        strokes.over_requests(axes, chapter)
        strokes.marked(page, [axes], chapter)
        return page.finished()


def alt(chapter: Chapter) -> str:
    """The picture in words, with its numbers."""
    ends = "; ".join(
        f"{printable(policy)} {numbers.interval(lost(chapter, policy).last, 1)}"
        for policy in chapter.policies
    )
    return f"Line chart. Cumulative regret after {chapter.requests:,} requests: {ends}."


def lost(chapter: Chapter, policy: str) -> Line:
    """One policy's cumulative regret."""
    runs = chapter.of(policy)
    return summed(chapter, stacked(runs, lambda run: run.curves.regret(chapter.ends)))


def _references(page: canvas.Canvas, axes: Axes, chapter: Chapter) -> None:
    runs, random = chapter.of(chapter.policies[0]), chapter.baselines.get("random")
    best = stacked(runs, lambda run: run.curves.best_arm)
    strokes.reference(page, axes, BEST, summed(chapter, np.zeros_like(best[:1])))
    if random is not None:
        missed = np.cumsum((best - random.utility) * sizes(chapter), axis=1)
        strokes.reference(page, axes, RANDOM, summed(chapter, missed), ":")


def _claim(chapter: Chapter) -> str:
    first = chapter.policies[0]
    end = lost(chapter, first).last.mean
    verb, amount = ("loses", end) if end >= 0.0 else ("gains", -end)
    where = "to" if end >= 0.0 else "over"
    told = f"{clipped(first)} {verb} {numbers.shown(amount, 1)} {where} the best single arm"
    return f"{told} in {chapter.requests:,} requests"


def _measure(chapter: Chapter) -> str:
    what = f"Sum of the best single arm's expected {word(chapter)} less what was earned"
    return f"{what}; lower is better; {seeds(chapter)}.{strokes.marks_of(chapter)}"
