"""What each policy's quality costs, beside the arms and the best mixes of them."""

from __future__ import annotations

from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from banditroute.simulation.report import canvas, numbers
from banditroute.simulation.report.figures.labels import Label, place
from banditroute.simulation.report.look import themed
from banditroute.simulation.report.names import clipped, printable, short
from banditroute.simulation.report.numbers import Estimate, estimate
from banditroute.simulation.report.palette import LIGHT, Theme, pens
from banditroute.simulation.report.series import hull, mixed
from banditroute.simulation.results import Chapter
from banditroute.values import Vector

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT = 4.0
FREE = 3.0  # times cheaper than the cheapest that costs anything: where a log axis puts $0
STEPS = 60  # of a straight mix on the bent axis
ALONG = 15  # places on a bar that names stay clear of
Style: TypeAlias = dict[str, Any]
ARM, MIX, BUDGET = "one arm alone", "best static mix of arms", "budget"


def frontier(chapter: Chapter, theme: Theme = LIGHT) -> Figure:
    """Mean quality against dollars per 1,000 requests, with 95 % intervals over seeds."""
    with themed(theme):
        page = canvas.blank(_claim(chapter), _measure(chapter), HEIGHT, theme)
        axes = page.figure.subplots()
        axes.set_xscale("log")
        for policy in chapter.policies:
            _policy(page, axes, chapter, policy)
        _arms(page, axes, chapter)
        if chapter.budget_usd is not None:
            style: Style = {"color": theme.faint, "linestyle": ":", "linewidth": 1.2}
            at = axes.axvline(1_000.0 * chapter.budget_usd, **style)
            page.handles[BUDGET] = at
        _axes(axes, chapter)
        figure = page.finished()
        _names(page, axes, chapter)
        return figure


def priced(chapter: Chapter) -> bool:
    """Whether anything costs anything."""
    return bool(np.any(chapter.arm_cost_usd > 0.0))


def alt(chapter: Chapter) -> str:
    """The picture in words, with its numbers."""
    points = [(printable(policy), *spent(chapter, policy)) for policy in chapter.policies]
    policies = "; ".join(f"{name} {_point(q, c.mean)}" for name, c, q in points)
    known = zip(chapter.arms, chapter.arm_cost_usd, chapter.arm_quality, strict=True)
    arms = "; ".join(
        f"{printable(arm)} {_point(Estimate(quality, np.nan), cost)}"
        for arm, cost, quality in known
    )
    return f"Scatter chart of quality against cost. Policies: {policies}. Arms alone: {arms}."


def spent(chapter: Chapter, policy: str) -> tuple[Estimate, Estimate]:
    """Dollars per request and quality of a policy, over seeds."""
    runs = chapter.of(policy)
    cost = estimate([run.means.cost_usd for run in runs])
    return cost, estimate([run.means.quality for run in runs])


def _point(quality: Estimate, usd: float) -> str:
    return f"{numbers.interval(quality, 3)} at {numbers.per_thousand(usd)} per 1,000 requests"


def _arms(page: canvas.Canvas, axes: Axes, chapter: Chapter) -> None:
    theme, free = page.theme, _free(chapter)
    costs, qualities = hull(chapter.arm_cost_usd, chapter.arm_quality)
    mixes = np.unique([cost for pair in pairwise(costs) for cost in _between(*pair, free)])
    if len(mixes):
        style: Style = {"color": theme.ink, "linestyle": "--", "linewidth": 1.2, "zorder": 2.0}
        at = np.interp(mixes, costs, qualities)
        (page.handles[MIX],) = axes.plot(_at(mixes, free), at, **style)
    look: Style = {"color": theme.faint, "marker": "s", "markersize": 5.0, "linestyle": "none"}
    at_cost = _at(chapter.arm_cost_usd, free)
    (page.handles[ARM],) = axes.plot(at_cost, chapter.arm_quality, zorder=2.2, **look)


def _policy(page: canvas.Canvas, axes: Axes, chapter: Chapter, policy: str) -> None:
    pen, (cost, quality) = pens(chapter.policies)[policy], spent(chapter, policy)
    at = float(_at(np.array([cost.mean]), _free(chapter))[0])
    left = at - 1_000.0 * max(cost.mean - cost.half, cost.mean / FREE)
    right = 1_000.0 * cost.half if cost.mean > 0.0 else 0.0
    known = cost.known and quality.known
    crossed = axes.errorbar(
        at,
        quality.mean,
        xerr=[[max(left, 0.0)], [right]] if known else None,
        yerr=quality.half if known else None,
        color=pen.colour,
        marker=pen.marker,
        markersize=8.0 if pen.place else 10.0,
        markeredgecolor=page.theme.page,
        linestyle="none",
        elinewidth=1.3,
        capsize=2.5,
        zorder=4.0 - 0.01 * pen.place,
    )
    page.handles[policy] = crossed.lines[0]


def _axes(axes: Axes, chapter: Chapter) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator  # noqa: PLC0415

    axes.margins(0.09, 0.12)
    axes.grid(visible=True, axis="both")
    axes.set_xlabel("dollars per 1,000 requests (log)")
    axes.set_ylabel("mean quality")
    low, high = axes.get_xlim()
    free = 1_000.0 * _free(chapter)
    ticks = LogLocator(subs=_steps(high / low)).tick_values(low, high)
    lone = [free] if np.any(chapter.arm_cost_usd <= 0.0) else []
    shown = [tick for tick in ticks if tick > 1.5 * free or not lone]
    axes.xaxis.set_major_locator(FixedLocator([*lone, *shown]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda usd, _: _tick(usd, lone)))
    axes.xaxis.set_minor_locator(FixedLocator([]))
    axes.set_xlim(low, high)


def _tick(usd: float, free: list[float]) -> str:
    return "free" if usd in free else f"${usd:g}"


def _steps(span: float) -> tuple[float, ...]:
    decades = float(np.log10(span))
    return (1.0,) if decades > 3.0 else (1.0, 3.0) if decades > 1.5 else (1.0, 2.0, 5.0)


def _free(chapter: Chapter) -> float:
    """Where on the axis something free stands, in dollars per request."""
    seen = [spent(chapter, policy)[0].mean for policy in chapter.policies]
    costs = np.concatenate([chapter.arm_cost_usd, seen])
    return float(costs[costs > 0.0].min()) / FREE


def _at(usd: Vector, free: float) -> Vector:
    """Dollars per 1,000 requests, where a log axis can show them."""
    return 1_000.0 * np.maximum(usd, free)


def _between(low: float, high: float, free: float) -> Vector:
    return np.concatenate([[low], np.geomspace(max(low, free), high, STEPS), [high]])


def _names(page: canvas.Canvas, axes: Axes, chapter: Chapter) -> None:
    """Every arm's name beside its point, where there is room for it."""
    free = _free(chapter)
    corners = set(hull(chapter.arm_cost_usd, chapter.arm_quality)[1].tolist())
    costs = _at(chapter.arm_cost_usd, free).tolist()
    names = zip(short(chapter.arms).values(), costs, chapter.arm_quality.tolist(), strict=True)
    labels = [Label(*named) for named in names]
    labels.sort(key=lambda label: (label.y not in corners, -label.y, label.text))
    crosses = [_cross(chapter, policy) for policy in chapter.policies]
    mix = page.handles[MIX].get_xydata().tolist() if MIX in page.handles else []
    bars = list(chain.from_iterable(crosses))
    place(axes, labels, [cross[0] for cross in crosses], [*bars, *mix], page.theme)


def _cross(chapter: Chapter, policy: str) -> list[tuple[float, float]]:
    """The middle of a policy's cross, and places along its bars."""
    cost, quality = spent(chapter, policy)
    wide, high = np.nan_to_num(cost.half), np.nan_to_num(quality.half)
    low, middle, top = _at(cost.mean + np.array([-wide, 0.0, wide]), _free(chapter)).tolist()
    across = np.geomspace(max(low, middle / FREE), top, ALONG).tolist()
    along = np.linspace(quality.mean - high, quality.mean + high, ALONG).tolist()
    bars = [(x, quality.mean) for x in across] + [(middle, y) for y in along]
    return [(middle, quality.mean), *bars]


def _claim(chapter: Chapter) -> str:
    first = chapter.policies[0]
    cost, quality = spent(chapter, first)
    mean, usd = numbers.shown(quality.mean, 3), numbers.per_thousand(cost.mean)
    mix = mixed(chapter, cost.mean)
    beside = f"; the best static mix at that cost: {mix:.3f}" if np.isfinite(mix) else ""
    return f"{clipped(first)}: quality {mean} for {usd} per 1,000 requests{beside}"


def _measure(chapter: Chapter) -> str:
    count = len(chapter.of(chapter.policies[0]))
    crosses = f"crosses: 95 % over {count} seeds; " if count > 1 else ""
    changing = "; arms as the scenario begins" if chapter.marks else ""
    return f"Up and to the left is better; {crosses}mix: two arms at a fixed rate{changing}."
