"""How far each policy falls when something changes, and how fast it comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from banditroute.simulation.report import canvas, numbers, strokes
from banditroute.simulation.report.changes import Change, around, changes
from banditroute.simulation.report.figures.earning import seeds, word
from banditroute.simulation.report.look import themed
from banditroute.simulation.report.names import clipped, printable
from banditroute.simulation.report.palette import LIGHT, Theme, pens
from banditroute.simulation.report.series import Line, window_requests
from banditroute.simulation.results import Chapter, Run
from banditroute.values import Vector

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW, ALONE = 2.2, 3.2  # inches a row of panels, and one row alone
BEFORE, BEST = "level before", "best single arm, at its time"


def recovery(chapter: Chapter, theme: Theme = LIGHT) -> Figure:
    """The reward around every change, less its level before the change."""
    seen = changes(chapter)
    across = min(2, len(seen))
    down = -(-len(seen) // across)
    with themed(theme):
        height = ALONE if down == 1 else down * ROW
        page = canvas.blank(_claim(chapter), _measure(chapter), height, theme)
        panels = page.figure.subplots(down, across, sharey=True, squeeze=False)
        for axes in panels.flat[len(seen) :]:
            axes.remove()
        drawn: list[Line] = []
        for axes, change in zip(panels.flat, seen, strict=False):
            drawn += _panel(page, axes, chapter, change)
        strokes.fit(panels[0, 0], drawn, low=0.0, high=0.0)
        for axes in panels[:, 0]:
            axes.set_ylabel(f"{word(chapter)} less level before")
        return page.finished()


def alt(chapter: Chapter) -> str:
    """The picture in words, with its numbers."""
    said = " ".join(
        f"After {printable(change.what)}, at request {change.request:,}: "
        + "; ".join(f"{printable(policy)} {_end(chapter, policy, change)}" for policy in policies)
        + "."
        for policies in [chapter.policies]
        for change in changes(chapter)
    )
    return f"Line charts. Where the {word(chapter)} ends, less its level before. {said}"


def _panel(page: canvas.Canvas, axes: Axes, chapter: Chapter, change: Change) -> list[Line]:
    first = chapter.of(chapter.policies[0])
    axes.axvline(0.0, color=page.theme.faint, linewidth=0.9, linestyle=(0, (2, 2)))
    seen = {policy: _seen(chapter, policy, change) for policy in chapter.policies}
    for policy, pen in pens(chapter.policies).items():
        strokes.policy_line(page, axes, policy, seen[policy], pen)
    best = around(chapter, first, change, lambda run: run.curves.best_arm)
    strokes.reference(page, axes, BEST, best)
    level: dict[str, Any] = {
        "color": page.theme.ink,
        "linestyle": ":",
        "linewidth": 1.2,
        "zorder": 2.4,
    }
    page.handles[BEFORE] = axes.axhline(0.0, **level)
    if len(changes(chapter)) > 1:
        axes.set_title(clipped(f"{change.request:,}: {change.what}", 48), fontweight="normal")
    axes.set_xlabel("requests since the change")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_major_locator(strokes.few_ticks(5))
    axes.margins(x=0.0)
    return [*seen.values(), best]


def _seen(chapter: Chapter, policy: str, change: Change) -> Line:
    return around(chapter, chapter.of(policy), change, _earned)


def _earned(run: Run) -> Vector:
    """What is expected of the arms that answered, where that is known: it is less noisy."""
    return run.curves.utility if run.curves.expected is None else run.curves.expected


def _end(chapter: Chapter, policy: str, change: Change) -> str:
    return numbers.signed(_seen(chapter, policy, change).mean[-1], 3)


def _claim(chapter: Chapter) -> str:
    first, change = chapter.policies[0], changes(chapter)[0]
    best = around(chapter, chapter.of(first), change, lambda run: run.curves.best_arm)
    ours, theirs = float(_seen(chapter, first, change).mean[-1]), float(best.mean[-1])
    told = f"{clipped(first)} ends {numbers.beside(ours)} its level before the change"
    where = "After the first change, " if len(changes(chapter)) > 1 else ""
    return f"{where}{told}; the best single arm ends {numbers.beside(theirs)} its own"


def _measure(chapter: Chapter) -> str:
    span = f"Mean of the last {window_requests(chapter):,} requests, never across the change"
    before = "less the mean of the second half of the time before it"
    return f"{span}, {before}; {seeds(chapter)}.{strokes.marks_of(chapter)}"
