"""Whether each policy keeps its budget, over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from banditroute.errors import DataError
from banditroute.simulation.report import canvas, numbers, strokes
from banditroute.simulation.report.figures.earning import seeds
from banditroute.simulation.report.look import themed
from banditroute.simulation.report.names import clipped, printable
from banditroute.simulation.report.palette import LIGHT, Theme, pens
from banditroute.simulation.report.series import Line, line, sizes, stacked
from banditroute.simulation.results import Chapter

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT = 3.2
WIDE = 4.0  # times from the least to the most: more are shown on a log axis
LOG_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
ALLOWED = "all of the budget"


def budget(chapter: Chapter, theme: Theme = LIGHT) -> Figure:
    """Spending so far, as a multiple of what the budget allows so far, with 95 % bands."""
    with themed(theme):
        page = canvas.blank(_claim(chapter), _measure(chapter), HEIGHT, theme)
        axes = page.figure.subplots()
        lines = {policy: spent(chapter, policy) for policy in chapter.policies}
        edge = np.array([0.0, float(chapter.requests)])
        for policy, pen in pens(chapter.policies).items():
            strokes.policy_line(page, axes, policy, lines[policy], pen)
        strokes.reference(page, axes, ALLOWED, Line(edge, *(np.ones(2),) * 3))
        _axes(axes, list(lines.values()))
        strokes.over_requests(axes, chapter)
        strokes.marked(page, [axes], chapter)
        return page.finished()


def budgeted(chapter: Chapter) -> bool:
    """Whether there is a budget to keep."""
    return chapter.budget_usd is not None


def alt(chapter: Chapter) -> str:
    """The picture in words, with its numbers."""
    ends = "; ".join(
        f"{printable(policy)} {numbers.interval(spent(chapter, policy).last, 3)}"
        for policy in chapter.policies
    )
    return f"Line chart. Dollars spent as a multiple of the budget, at the end: {ends}."


def spent(chapter: Chapter, policy: str) -> Line:
    """One policy's spending over its budget. Raises DataError where there is none."""
    if chapter.budget_usd is None:
        raise DataError(
            f"{chapter.scenario}: there is no budget to compare spending with; give the scenario "
            "one, or leave this picture out"
        )
    costs = stacked(chapter.of(policy), lambda run: run.curves.cost_usd)
    paid = np.cumsum(costs * sizes(chapter), axis=1)
    allowed = chapter.budget_usd * chapter.ends
    return line(chapter.ends.astype(np.float64), paid / allowed)


def _axes(axes: Axes, seen: list[Line]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator  # noqa: PLC0415

    axes.set_ylabel("spent / allowed, so far")
    low = min(1.0, *(float(ratio.mean.min()) for ratio in seen))
    high = max(1.0, *(float(ratio.mean.max()) for ratio in seen))
    if low > 0.0 and high > WIDE * low:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(FixedLocator(LOG_TICKS))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_ylim(low / 1.2, high * 1.2)
    else:
        strokes.fit(axes, seen, low=1.0, high=1.0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}×"))


def _claim(chapter: Chapter) -> str:
    first = chapter.policies[0]
    end = spent(chapter, first).last.mean
    return f"{clipped(first)} spends {numbers.percent(end)} of its budget"


def _measure(chapter: Chapter) -> str:
    allowed = numbers.given(1_000.0 * (chapter.budget_usd or 0.0))
    what = f"Dollars spent so far over the {allowed} per 1,000 requests allowed"
    return f"{what}; above 1× is too much; {seeds(chapter)}.{strokes.marks_of(chapter)}"
