"""The tables of a page: what each policy earned, and what each arm does alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import isinf

import numpy as np

from banditroute.simulation.report import numbers
from banditroute.simulation.report.figures.buying import priced
from banditroute.simulation.report.figures.earning import word
from banditroute.simulation.report.markup import Markup, joined, tag
from banditroute.simulation.report.numbers import Estimate, estimate
from banditroute.simulation.report.series import paired
from banditroute.simulation.results import Chapter, Means, Run

BASELINES = {
    "best_fixed": "best single arm, in hindsight",
    "random": "random arm",
    "oracle": "best arm of every prompt",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, and its cell for a policy and for a baseline."""

    heading: str
    policy: Callable[[Chapter, str], str]
    baseline: Callable[[Means], str] = lambda _: numbers.UNKNOWN


def results(chapter: Chapter) -> Markup:
    """Every policy in numbers, and what it is compared with."""
    columns = _columns(chapter)
    policies = [
        _row(policy, [column.policy(chapter, policy) for column in columns])
        for policy in chapter.policies
    ]
    baselines = [
        _row(BASELINES.get(name, name), [column.baseline(means) for column in columns])
        for name, means in chapter.baselines.items()
    ]
    return _table(
        "What every policy earned",
        ["Policy", *(column.heading for column in columns)],
        [("Policies", policies), ("To compare with", baselines)],
    )


def arms(chapter: Chapter) -> Markup:
    """Every arm alone on all prompts, the best first."""
    order = np.argsort(-chapter.arm_quality, kind="stable")
    costs = chapter.arm_cost_usd
    rows = [
        _row(
            chapter.arms[column],
            [numbers.shown(float(chapter.arm_quality[column]))]
            + ([numbers.per_thousand(float(costs[column]))] if priced(chapter) else []),
        )
        for column in order
    ]
    headings = ["Arm", "Quality", *(["$ per 1,000 requests"] if priced(chapter) else [])]
    return _table("Every arm alone, on all prompts", headings, [("Arms", rows)], "wide arms")


def _columns(chapter: Chapter) -> list[Column]:
    reward = Column(word(chapter).capitalize(), _mean(_utility), _utility_of)
    quality = Column("Quality", _mean(_quality), lambda means: numbers.shown(means.quality))
    cost = Column("$ per 1,000 requests", _cost, lambda means: numbers.per_thousand(means.cost_usd))
    first = chapter.policies[0]
    return [
        reward,
        *([] if isinf(chapter.answer_value_usd) else [quality]),
        *([cost] if priced(chapter) else []),
        Column("Regret per request", _mean(lambda run: run.regret)),
        Column(f"{word(chapter).capitalize()}, less that of {first}", _difference),
        Column("Quality, first 500", _mean(lambda run: run.quality_first_500)),
        Column("Quality, last half", _mean(lambda run: run.quality_last_half)),
        *(
            [Column("Calls that failed", _failed)]
            if any(run.failed for run in chapter.runs)
            else []
        ),
    ]


def _utility(run: Run) -> float:
    return run.means.utility


def _quality(run: Run) -> float:
    return run.means.quality


def _utility_of(means: Means) -> str:
    return numbers.shown(means.utility)


def _mean(value: Callable[[Run], float]) -> Callable[[Chapter, str], str]:
    """The cell with a mean over seeds and its interval."""

    def cell(chapter: Chapter, policy: str) -> str:
        over = _over(chapter, policy, value)
        return _cell(numbers.shown(over.mean), f"± {numbers.shown(over.half)}", over)

    return cell


def _over(chapter: Chapter, policy: str, value: Callable[[Run], float]) -> Estimate:
    return estimate([value(run) for run in chapter.of(policy)])


def _cost(chapter: Chapter, policy: str) -> str:
    cost = _over(chapter, policy, lambda run: run.means.cost_usd)
    return _cell(numbers.per_thousand(cost.mean), f"± {numbers.per_thousand(cost.half)}", cost)


def _cell(mean: str, spread: str, over: Estimate) -> str:
    """A mean, and under it its interval if there is one."""
    return joined(mean, " ", tag("small", spread)) if over.known else mean


def _failed(chapter: Chapter, policy: str) -> str:
    return numbers.shown(_over(chapter, policy, lambda run: run.failed).mean, 1)


def _difference(chapter: Chapter, policy: str) -> str:
    """Paired by seed; in bold where the interval leaves 0 out."""
    if policy == chapter.policies[0]:
        return numbers.UNKNOWN
    pairs = paired(chapter, policy, chapter.policies[0], _utility)
    if not len(pairs):
        return numbers.UNKNOWN
    apart = estimate(pairs)
    clear = apart.known and abs(apart.mean) > apart.half
    mean = numbers.signed(apart.mean)
    return _cell(tag("strong", mean) if clear else mean, numbers.span(apart), apart)


def _row(name: str, cells: Iterable[str]) -> Markup:
    return tag("tr", tag("th", name, scope="row"), *(tag("td", cell) for cell in cells))


def _table(
    caption: str,
    headings: Sequence[str],
    groups: Sequence[tuple[str, Sequence[Markup]]],
    box: str = "wide",
) -> Markup:
    """A table in a box of its own, which scrolls where the page is too narrow."""
    head = tag("tr", *(tag("th", heading, scope="col") for heading in headings))
    filled = [(title, rows) for title, rows in groups if rows]
    bodies = []
    for title, rows in filled:
        over = tag("tr", tag("th", title, scope="rowgroup", colspan=str(len(headings))))
        bodies.append(tag("tbody", *([over] if len(filled) > 1 else []), *rows))
    table = tag("table", tag("caption", caption), tag("thead", head), joined(*bodies))
    return tag("div", table, class_=box, role="region", tabindex="0", aria_label=caption)
