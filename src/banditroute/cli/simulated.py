"""The results of a simulation on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isinf, isnan

from rich.table import Table

from banditroute.cli.console import table
from banditroute.simulation.results import Chapter, Means
from banditroute.simulation.studies.summary import Interval, Line, lines

WIDE = 100  # characters; a narrower terminal is not shown the quality of parts of a run
BASELINES = {
    "best_fixed": "best arm, in hindsight",
    "random": "all arms equally",
    "oracle": "best answer each time",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, and what stands below it for a policy and for a baseline."""

    head: str
    policy: Callable[[Line], str]
    baseline: Callable[[Means], str] = lambda _: ""


def chapter_title(chapter: Chapter) -> str:
    """The scenario, what happens in it and when."""
    stakes = ""
    if chapter.budget_usd is not None:
        stakes = f", at ${chapter.budget_usd:.3g} a request"
    elif not isinf(chapter.answer_value_usd):
        stakes = f", a perfect answer worth ${chapter.answer_value_usd:g}"
    seeds = len(chapter.of(chapter.policies[0]))
    runs = f"{chapter.requests:,} requests × {seeds} seeds{stakes}"
    marks = [f"  from request {at:,}: {what}" for at, what in chapter.marks]
    return "\n".join([f"{chapter.scenario}: {chapter.about}".rstrip(": "), f"  {runs}", *marks])


def chapter_table(chapter: Chapter, width: int) -> Table:
    """Every policy, the baselines below; intervals of what counts, and what fits ``width``."""
    columns = _columns(chapter, wide=width >= WIDE)
    rows = table("policy", *(column.head for column in columns))
    found = lines(chapter)
    for at, line in enumerate(found):
        cells = [column.policy(line) for column in columns]
        rows.add_row(line.policy, *cells, end_section=at == len(found) - 1)
    for name, means in chapter.baselines.items():
        rows.add_row(BASELINES.get(name, name), *(column.baseline(means) for column in columns))
    return rows


def _columns(chapter: Chapter, *, wide: bool) -> Sequence[Column]:
    """Utility and cost where there are any; failed calls where some failed."""
    columns = [_QUALITY_ALONE] if isinf(chapter.answer_value_usd) else [_UTILITY]
    if len(chapter.policies) > 1:
        columns.append(Column(f"− {chapter.policies[0]}", _gain))
    if columns[0] is _UTILITY:
        columns.append(_QUALITY)
    if chapter.arm_cost_usd.any():
        columns.append(_COST)
    if any(run.failed for run in chapter.runs):
        columns.append(_FAILED)
    return [*columns, _FIRST, _LAST] if wide else columns


def _gain(line: Line) -> str:
    return "" if line.gain is None else _shown(line.gain, "+.4f")


_UTILITY = Column("utility", lambda line: _shown(line.utility), lambda m: f"{m.utility:.4f}")
_QUALITY_ALONE = Column("quality", lambda line: _shown(line.quality), lambda m: f"{m.quality:.4f}")
_QUALITY = Column("quality", lambda line: f"{line.quality.mean:.4f}", _QUALITY_ALONE.baseline)
_COST = Column(
    "$ / 1,000",
    lambda line: f"{1000.0 * line.cost_usd.mean:#.3g}",
    lambda means: f"{1000.0 * means.cost_usd:#.3g}",
)
_FAILED = Column("failed", lambda line: f"{line.failed.mean:.0f}")
_FIRST = Column("first 500", lambda line: f"{line.quality_first_500.mean:.4f}")
_LAST = Column("last half", lambda line: f"{line.quality_last_half.mean:.4f}")


def _shown(interval: Interval, form: str = ".4f") -> str:
    """``0.7229 ± 0.0014``; a single seed has no interval."""
    mean = f"{interval.mean:{form}}"
    return mean if isnan(interval.half) else f"{mean} ± {interval.half:{form.lstrip('+')}}"
