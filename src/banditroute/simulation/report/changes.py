"""The stretches of a run before and after each change, and curves around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from banditroute.errors import DataError
from banditroute.simulation.report.series import Line, line, moving, sizes, stacked, window
from banditroute.simulation.results import Chapter, Run
from banditroute.values import Vector

MOST = 4  # changes that are drawn: the first ones


@dataclass(frozen=True, slots=True)
class Change:
    """What changed at a request, and the whole parts up to the changes before and after it."""

    what: str
    request: int
    before: slice
    after: slice


def changing(chapter: Chapter) -> bool:
    """Whether anything changes on the way that has a before and an after."""
    return bool(_found(chapter))


def changes(chapter: Chapter) -> list[Change]:
    """The changes that can be drawn. Raises DataError where there is none."""
    found = _found(chapter)
    if not found:
        raise DataError(
            f"{chapter.scenario}: nothing changes between two parts of the run, so there is no "
            "recovery to draw; leave this picture out, or mark a change inside the run"
        )
    return found


def around(
    chapter: Chapter, runs: Sequence[Run], change: Change, curve: Callable[[Run], Vector]
) -> Line:
    """Moving means around a change, less the level before it; none is of both sides.

    That level is the mean of the second half of the time before, which is where the line begins.
    """
    values, weights, span = stacked(runs, curve), sizes(chapter), window(chapter)
    level = slice((change.before.start + change.before.stop) // 2, change.before.stop)
    zero = np.average(values[:, level], axis=1, weights=weights[level])[:, None]
    before = moving(values[:, change.before], weights[change.before], span)
    after = moving(values[:, change.after], weights[change.after], span)
    drawn = slice(level.start - level.stop, None)
    at = np.concatenate([chapter.ends[level], chapter.ends[change.after]])
    means = np.concatenate([before[:, drawn], after], axis=1)
    return line(at.astype(np.float64) - change.request, means - zero)


def _found(chapter: Chapter) -> list[Change]:
    """The first changes that have at least one whole part on either side."""
    said: dict[int, str] = {}
    for at, what in sorted(chapter.marks):
        said[at] = f"{said[at]}; {what}" if at in said else what
    starts = chapter.ends - np.diff(chapter.ends, prepend=0)
    stops = [int(np.searchsorted(chapter.ends, at, side="right")) for at in said]
    begins = [int(np.searchsorted(starts, at)) for at in said]
    sides = zip(said.items(), [0, *begins], stops, begins, [*stops[1:], len(starts)], strict=False)
    return [
        Change(what, at, slice(first, stop), slice(begin, last))
        for (at, what), first, stop, begin, last in sides
        if first < stop and begin < last
    ][:MOST]
