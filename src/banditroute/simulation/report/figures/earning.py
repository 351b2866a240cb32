"""What each policy earns over time, beside the best single arm and a random one."""

from __future__ import annotations

from math import isinf
from typing import TYPE_CHECKING

import numpy as np

from banditroute.simulation.report import canvas, numbers, strokes
from banditroute.simulation.report.look import themed
from banditroute.simulation.report.names import clipped, printable
from banditroute.simulation.report.palette import LIGHT, Theme, pens
from banditroute.simulation.report.series import Line, moved, window_requests
from banditroute.simulation.results import Chapter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEIGHT = 3.7
BEST, RANDOM = "best single arm", "random arm"


def reward(chapter: Chapter, theme: Theme = LIGHT) -> Figure:
    """Moving means of the reward, with 95 % bands over seeds."""
    with themed(theme):
        page = canvas.blank(_claim(chapter), _measure(chapter), HEIGHT, theme)
        axes = page.figure.subplots()
        best, random = references(chapter)
        seen = {policy: earned(chapter, policy) for policy in chapter.policies}
        for policy, pen in pens(chapter.policies).items():
            strokes.policy_line(page, axes, policy, seen[policy], pen)
        strokes.reference(page, axes, BEST, best)
        if random is not None:
            strokes.reference(page, axes, RANDOM, random, ":")
        strokes.fit(axes, [*seen.values(), best, *([random] if random else [])])
        axes.set_ylabel(f"{word(chapter)} per request")
        strokes.over_requests(axes, chapter)
        strokes.marked(page, [axes], chapter)
        return page.finished()


def alt(chapter: Chapter) -> str:
    """The picture in words, with its numbers."""
    ends = [(policy, earned(chapter, policy).last) for policy in chapter.policies]
    best, random = references(chapter)
    known = [(BEST, best.last)] + ([(RANDOM, random.last)] if random else [])
    said = "; ".join(f"{printable(name)} {numbers.interval(end, 3)}" for name, end in ends + known)
    span = f"{window_requests(chapter):,} of {chapter.requests:,} requests"
    return f"Line chart. Mean {word(chapter)} of the last {span}: {said}."


def word(chapter: Chapter) -> str:
    """What a reward is: quality, less what it costs where that counts."""
    return "quality" if isinf(chapter.answer_value_usd) else "utility"


def unit(chapter: Chapter) -> str:
    """What a reward is measured in."""
    if isinf(chapter.answer_value_usd):
        return "Quality, 1 is a perfect answer"
    worth = numbers.given(chapter.answer_value_usd)
    return f"Utility is quality − cost / {worth}, 1 is a perfect answer for nothing"


def seeds(chapter: Chapter) -> str:
    """What the bands are, in words."""
    count = len(chapter.of(chapter.policies[0]))
    return f"bands: 95 % over {count} seeds" if count > 1 else "one seed, so no bands"


def earned(chapter: Chapter, policy: str) -> Line:
    """One policy's reward over time."""
    return moved(chapter, chapter.of(policy), lambda run: run.curves.utility)


def references(chapter: Chapter) -> tuple[Line, Line | None]:
    """The best single arm over time, and the mean of all arms where the study has it."""
    runs = chapter.of(chapter.policies[0])
    best = moved(chapter, runs, lambda run: run.curves.best_arm)
    random = chapter.baselines.get("random")
    if random is None:
        return best, None
    flat = np.full(len(best.at), random.utility)
    unknown = np.full(len(best.at), np.nan)
    return best, Line(best.at, flat, unknown, unknown)


def _claim(chapter: Chapter) -> str:
    first = chapter.policies[0]
    mean = numbers.estimate([run.means.utility for run in chapter.of(first)]).mean
    said = f"{clipped(first)} earns {numbers.shown(mean, 3)} per request"
    best = chapter.baselines.get("best_fixed")
    return said + (f", the best single arm {numbers.shown(best.utility, 3)}" if best else "")


def _measure(chapter: Chapter) -> str:
    span = f"Mean of the last {window_requests(chapter):,} requests; {seeds(chapter)}."
    return f"{unit(chapter)}. {span}{strokes.marks_of(chapter)}"
