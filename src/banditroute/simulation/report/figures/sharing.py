"""Which arms answer, over time, for every policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from banditroute.simulation.report import canvas, numbers, strokes
from banditroute.simulation.report.look import themed
from banditroute.simulation.report.names import clipped, printable, short
from banditroute.simulation.report.palette import COLOURS, HATCHES, LIGHT, Theme
from banditroute.simulation.report.series import moving, sizes, thinned, window
from banditroute.simulation.results import Chapter
from banditroute.values import Matrix, Vector

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMED = 7  # arms; the others are drawn together
POINTS = 60  # a band has two edges, and there are many
ROW, ALONE = 1.5, 2.6  # inches a row of panels, and one row alone
TITLES = {1: 60, 2: 36, 3: 22}  # letters over a panel, by how many stand side by side
OTHERS = "all others"


def shares(chapter: Chapter, theme: Theme = LIGHT) -> Figure:
    """Stacked shares of the arms, one panel a policy, in the same colours and order."""
    count = len(chapter.policies)
    across = min(2 if count == 4 else 3, count)
    down = -(-count // across)
    with themed(theme):
        height = ALONE if down == 1 else down * ROW + 0.2
        page = canvas.blank(_claim(chapter), _measure(chapter), height, theme)
        panels = page.figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
        for axes in panels.flat[count:]:
            axes.remove()
        used = list(panels.flat[:count])
        for axes, policy in zip(used, chapter.policies, strict=True):
            _panel(page, axes, chapter, policy)
            axes.set_title(clipped(policy, TITLES[across]))
        _axes(page, used, chapter, across)
        return page.finished()


def alt(chapter: Chapter) -> str:
    """The picture in words, with its numbers."""
    named = short(chapter.arms)
    said = "; ".join(
        f"{printable(policy)}: "
        + ", ".join(f"{named[arm]} {numbers.percent(share)}" for arm, share in used[:3])
        for policy in chapter.policies
        for used in [late(chapter, policy)]
    )
    return f"Stacked area charts, one a policy. Arms used most in the last half: {said}."


def late(chapter: Chapter, policy: str) -> list[tuple[str, float]]:
    """The arms by their share of a policy's last half, most used first."""
    half, weights = len(chapter.ends) // 2, sizes(chapter)
    mean = np.average(_mean(chapter, policy)[half:], axis=0, weights=weights[half:])
    order = np.argsort(-mean, kind="stable")
    return [(chapter.arms[column], float(mean[column])) for column in order]


def _mean(chapter: Chapter, policy: str) -> Matrix:
    """(B, K) shares, mean over seeds."""
    mean: Matrix = np.mean([run.curves.shares for run in chapter.of(policy)], axis=0)
    return mean


def _bands(chapter: Chapter) -> dict[str, list[int]]:
    """The columns of every band, the arm that all policies together use most first."""
    total = np.sum([_mean(chapter, policy).mean(axis=0) for policy in chapter.policies], axis=0)
    order = [int(column) for column in np.argsort(-total, kind="stable")]
    named = len(order) if len(order) == NAMED + 1 else NAMED
    names = short(chapter.arms)
    bands = {names[chapter.arms[column]]: [column] for column in order[:named]}
    return bands | ({OTHERS: order[named:]} if order[named:] else {})


def _panel(page: canvas.Canvas, axes: Axes, chapter: Chapter, policy: str) -> None:
    at, values = _moved(chapter, policy)
    floor = np.zeros(len(at))
    for number, (name, columns) in enumerate(_bands(chapter).items()):
        top = floor + values[:, columns].sum(axis=1)
        page.handles[name] = _band(page, axes, (at, floor, top), number, name == OTHERS)
        floor = top


def _band(
    page: canvas.Canvas, axes: Axes, edges: tuple[Vector, Vector, Vector], number: int, rest: bool
) -> Any:
    at, _, top = edges
    axes.plot(at, top, color=page.theme.page, linewidth=0.9)
    return axes.fill_between(
        *edges,
        facecolor=COLOURS[-1] if rest else COLOURS[number],
        hatch="" if rest else HATCHES[number],
        edgecolor=f"{page.theme.page}90",
        linewidth=0.0,
    )


def _moved(chapter: Chapter, policy: str) -> tuple[Vector, Matrix]:
    """(P,) requests and (P, K) moving means of the shares."""
    span, mean = window(chapter), _mean(chapter, policy)
    means = moving(mean.T, sizes(chapter), span).T
    at = np.concatenate([[0.0], chapter.ends.astype(np.float64)])  # the first mean from the start
    kept = thinned(len(at), POINTS)
    return at[kept], np.concatenate([means[:1], means])[kept]


def _axes(page: canvas.Canvas, panels: list[Axes], chapter: Chapter, across: int) -> None:
    from matplotlib.ticker import PercentFormatter  # noqa: PLC0415 - an optional extra

    for number, axes in enumerate(panels):
        strokes.over_requests(axes, chapter)
        axes.xaxis.set_major_locator(strokes.few_ticks(3))
        axes.label_outer() if number + across < len(panels) else axes.tick_params(labelbottom=True)
        axes.set_xlabel("requests answered" if number + across >= len(panels) else "")
        axes.set_ylim(0.0, 1.0)
        axes.set_yticks([0.0, 0.5, 1.0])
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
        axes.grid(visible=False)
    for axes in panels:
        for at, _ in chapter.marks:
            axes.axvline(at, color=page.theme.ink, linewidth=0.9, linestyle=(0, (2, 2)))


def _claim(chapter: Chapter) -> str:
    first = chapter.policies[0]
    (arm, share), *_ = late(chapter, first)
    sent, name = numbers.percent(share), short(chapter.arms)[arm]
    return f"{clipped(first)} sends {sent} of its last half to {name}"


def _measure(chapter: Chapter) -> str:
    return f"Share of requests that each arm answers, mean over seeds.{strokes.marks_of(chapter)}"
