"""What is drawn into the axes of several pictures: policies, references, changes, time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from banditroute.simulation.report.canvas import Canvas
from banditroute.simulation.report.names import UNBROKEN, printable
from banditroute.simulation.report.palette import Pen
from banditroute.simulation.report.series import Line
from banditroute.simulation.results import Chapter

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

MARKERS = 8  # on a line


def over_requests(axes: Axes, chapter: Chapter) -> None:
    """The axis of time."""
    axes.set_xlim(0.0, float(chapter.requests))
    axes.set_xlabel("requests answered")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_major_locator(few_ticks(6))


def few_ticks(count: int) -> Any:
    """At most about ``count`` round numbers of requests."""
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - an optional extra

    return MaxNLocator(count, integer=True)


def policy_line(canvas: Canvas, axes: Axes, policy: str, seen: Line, pen: Pen) -> None:
    """One policy's mean with its band, and its entry in the legend."""
    if seen.banded:
        alpha = 0.07 if pen.place else 0.2
        axes.fill_between(seen.at, seen.low, seen.high, color=pen.colour, alpha=alpha, linewidth=0)
    step = max(1, len(seen.at) // MARKERS)
    (drawn,) = axes.plot(
        seen.at,
        seen.mean,
        color=pen.colour,
        linestyle=pen.dash,
        linewidth=pen.width,
        marker=pen.marker,
        markersize=5.5 if pen.place else 6.5,
        markeredgecolor=canvas.theme.page,
        markeredgewidth=0.6,
        markevery=(pen.place * step // 12 % step, step),
        zorder=3.0 - 0.01 * pen.place,
    )
    canvas.handles[policy] = drawn


def reference(canvas: Canvas, axes: Axes, name: str, seen: Line, dash: str = "--") -> None:
    """A line without a band, for what the policies are compared with."""
    drawn: Line2D
    (drawn,) = axes.plot(
        seen.at, seen.mean, color=canvas.theme.ink, linestyle=dash, linewidth=1.2, zorder=2.5
    )
    canvas.handles[name] = drawn


def fit(axes: Axes, seen: Sequence[Line], *, low: float = np.inf, high: float = -np.inf) -> None:
    """Set the height so that means fill it: a band wider than half of that runs out of it.

    ``low`` and ``high`` are to be seen as well.
    """
    low = min(low, *(float(line.mean.min()) for line in seen))
    high = max(high, *(float(line.mean.max()) for line in seen))
    room = 0.5 * (high - low) or 0.5
    lows = [line.low[np.isfinite(line.low)] for line in seen]
    highs = [line.high[np.isfinite(line.high)] for line in seen]
    bottom = min([low, *(float(values.min()) for values in lows if len(values))])
    top = max([high, *(float(values.max()) for values in highs if len(values))])
    axes.set_ylim(max(bottom, low - room) - 0.1 * room, min(top, high + room) + 0.1 * room)


def marked(canvas: Canvas, panels: Sequence[Axes], chapter: Chapter) -> None:
    """A numbered upright line at every request at which something changes."""
    for number, (at, _) in enumerate(chapter.marks, start=1):
        for axes in panels:
            axes.axvline(at, color=canvas.theme.faint, linewidth=0.9, linestyle=(0, (2, 2)))
            axes.annotate(
                f"{number}",
                (at, 1.0),
                (0, 2),
                xycoords=axes.get_xaxis_transform(),
                textcoords="offset points",
                ha="center",
                va="bottom",
                color=canvas.theme.faint,
                fontweight="bold",
                annotation_clip=False,
            )


def marks_of(chapter: Chapter) -> str:
    """``(1) request 1,000: the best arm fails.``, a line for the head."""
    said = " ".join(
        f"({number}){UNBROKEN}request{UNBROKEN}{at:,}: {printable(what)}."
        for number, (at, what) in enumerate(chapter.marks, start=1)
    )
    return f"\n{said}" if said else ""
