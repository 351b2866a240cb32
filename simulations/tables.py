"""The tables of the pages: one row a policy, in columns that a page asks for by name.

quality, utility, cost, regret      means over the run, with 95 % intervals over seeds
quality 0.5-0.75                    the same over a part of the run
less fixed:large                    quality less that of another policy, paired by seed
saved fixed:large                   cost less than that of another policy, in per cent
share newcomer 0.5-1                how much of a part of the run an arm answers
until newcomer                      requests from the change until an arm answers most of 100
spent                               dollars over those allowed, and the worst of the seeds
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from banditroute.simulation.report.names import clipped
from banditroute.simulation.report.numbers import (
    Estimate,
    estimate,
    interval,
    per_thousand,
    percent,
    shown,
    signed,
)
from banditroute.simulation.report.series import paired
from banditroute.simulation.results import Chapter, Means, Run
from banditroute.values import Vector

UNKNOWN = "–"
DIGITS = 3
WINDOW = 100  # requests, of which an arm has to answer most to have been found
BASELINES = {"best_fixed": "one arm, the best in hindsight", "random": "an arm at random"}


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, and what stands below it for a policy and for a baseline."""

    heading: str
    policy: Callable[[Chapter, str], str]
    baseline: Callable[[Means], str] = lambda _: UNKNOWN


def table(chapter: Chapter, wanted: Sequence[str]) -> str:
    """A scenario as Markdown. Raises ValueError for a column that there is not."""
    columns = [_column(one, chapter) for one in wanted]
    rows = [["policy", *(column.heading for column in columns)], ["---"] * (len(columns) + 1)]
    for policy in chapter.policies:
        cells = [column.policy(chapter, policy) for column in columns]
        rows.append([_named(policy), *cells])
    for name, title in BASELINES.items():
        cells = [column.baseline(chapter.baselines[name]) for column in columns]
        rows += [[title, *cells]] if set(cells) != {UNKNOWN} else []
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _named(policy: str) -> str:
    """A policy in code; of one of our own players, what it is."""
    return f"`{clipped(policy.removeprefix('../players.py:'))}`"


def _column(text: str, chapter: Chapter) -> Column:
    name, _, argument = text.partition(" ")
    if name not in _COLUMNS:
        raise ValueError(f'no column "{text}"; there are {", ".join(_COLUMNS)}')
    return _COLUMNS[name](argument, chapter)


def _quality(part: str, chapter: Chapter) -> Column:
    span = _span(part, chapter)
    if not part:
        return _means("quality", lambda run: run.means.quality, lambda means: means.quality)
    first, last = _requests(span, chapter)
    return _means(
        f"quality, requests {first:,}–{last:,}",
        lambda run: _average(run.curves.quality[span], span, chapter),
    )


def _worst(_: str, __: Chapter) -> Column:
    return Column(
        "at the worst seed",
        lambda chapter, policy: shown(min(run.means.quality for run in chapter.of(policy)), DIGITS),
    )


def _utility(_: str, __: Chapter) -> Column:
    return _means("utility", lambda run: run.means.utility, lambda means: means.utility)


def _regret(_: str, __: Chapter) -> Column:
    return _means("regret a request", lambda run: run.regret)


def _means(
    heading: str, value: Callable[[Run], float], baseline: Callable[[Means], float] | None = None
) -> Column:
    """Means over seeds, with their intervals."""
    return Column(
        heading,
        lambda chapter, policy: interval(_over(chapter, policy, value), DIGITS),
        lambda means: shown(baseline(means), DIGITS) if baseline else UNKNOWN,
    )


def _cost(_: str, __: Chapter) -> Column:
    return Column(
        "$ per 1,000",
        lambda chapter, policy: per_thousand(_over(chapter, policy, _usd).mean),
        lambda means: per_thousand(means.cost_usd),
    )


def _less(other: str, _: Chapter) -> Column:
    def cell(chapter: Chapter, policy: str) -> str:
        if policy == other:
            return UNKNOWN
        apart = estimate(paired(chapter, policy, other, lambda run: run.means.quality))
        return f"{signed(apart.mean, DIGITS)} ± {shown(apart.half, DIGITS)}"

    return Column(f"quality − `{other}`", cell)


def _saved(other: str, _: Chapter) -> Column:
    def cell(chapter: Chapter, policy: str) -> str:
        spent = _over(chapter, policy, _usd).mean / _over(chapter, other, _usd).mean
        return UNKNOWN if policy == other else percent(1.0 - spent)

    return Column(f"saved against `{other}`", cell)


def _share(text: str, chapter: Chapter) -> Column:
    arm, _, part = text.partition(" ")
    row, span = chapter.arms.index(arm), _span(part, chapter)

    def share(run: Run) -> float:
        return _average(run.curves.shares[span, row], span, chapter)

    first, last = _requests(span, chapter)
    return Column(
        f"share of {arm}, requests {first:,}–{last:,}",
        lambda chapter, policy: percent(_over(chapter, policy, share).mean),
    )


def _until(arm: str, chapter: Chapter) -> Column:
    row = chapter.arms.index(arm)

    def cell(chapter: Chapter, policy: str) -> str:
        found = [_found(run.curves.shares[:, row], chapter) for run in chapter.of(policy)]
        never = sum(one is None for one in found)
        told = [one for one in found if one is not None]
        if len(told) * 2 <= len(found):
            return f"not found at {never} of {len(found)} seeds"
        middle = sorted(np.inf if one is None else one for one in found)[len(found) // 2]
        return f"{middle:,.0f}" + (f", never at {never} of {len(found)} seeds" if never else "")

    return Column(f"requests until {arm} answers most (median)", cell)


def _found(shares: Vector, chapter: Chapter) -> int | None:
    """Requests from the last change until most of ``WINDOW`` requests were the arm's."""
    change = max(at for at, _ in chapter.marks)
    sizes = np.diff(chapter.ends, prepend=0)
    for end in np.flatnonzero(chapter.ends > change):
        begin = int(np.searchsorted(chapter.ends, chapter.ends[end] - WINDOW, side="right"))
        if np.average(shares[begin : end + 1], weights=sizes[begin : end + 1]) > 0.5:
            return int(chapter.ends[end] - change)
    return None


def _spent(_: str, __: Chapter) -> Column:
    def cell(chapter: Chapter, policy: str) -> str:
        allowed = chapter.budget_usd or float("nan")
        shares = [run.means.cost_usd / allowed for run in chapter.of(policy)]
        return f"{percent(float(np.mean(shares)))} (worst {percent(max(shares))})"

    return Column("spent of the budget", cell)


def _span(text: str, chapter: Chapter) -> slice:
    """The parts of a curve that a part of the run has, such as ``0.5-0.75``; all of them for ""."""
    low, _, high = (text or "0-1").partition("-")
    count = len(chapter.ends)
    return slice(round(float(low) * count), round(float(high) * count))


def _requests(span: slice, chapter: Chapter) -> tuple[int, int]:
    first = int(chapter.ends[span.start - 1]) if span.start else 0
    return first, int(chapter.ends[span.stop - 1])


def _average(values: Vector, span: slice, chapter: Chapter) -> float:
    return float(np.average(values, weights=np.diff(chapter.ends, prepend=0)[span]))


def _over(chapter: Chapter, policy: str, value: Callable[[Run], float]) -> Estimate:
    return estimate([value(run) for run in chapter.of(policy)])


def _usd(run: Run) -> float:
    return run.means.cost_usd


_COLUMNS: Mapping[str, Callable[[str, Chapter], Column]] = {
    "quality": _quality,
    "worst": _worst,
    "utility": _utility,
    "cost": _cost,
    "regret": _regret,
    "less": _less,
    "saved": _saved,
    "share": _share,
    "until": _until,
    "spent": _spent,
}
