"""An evaluation as tables and sentences that people want to read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite

from rich.console import Console
from rich.table import Table
from rich.text import Text

from banditroute.cli.console import note, out, table
from banditroute.evaluation import Estimate, Evaluation, Measured, Savings
from banditroute.evaluation.estimating import LEAST_GROUP

QUALITY, COST, UTILITY = "quality", "cost_usd", "utility"
UNKNOWN = "–"
COLOURS = {"promote": "green", "keep": "yellow", "refused": "red"}


def show(found: Evaluation) -> None:
    """Print everything but the other estimators; what to doubt goes last, where it is seen."""
    console = out()
    console.print(Text(_title(found)))
    console.print(_policies(found))
    for one in found.targets:
        console.print(Text(f"{one.target}: {one.verdict.word}. {one.verdict.sentence}"))
    for by in found.in_force.groups:
        console.print(_groups(found, by))
    if found.savings is not None:
        console.print(Text(_savings(found.savings)))
    _warn(console, found)
    if not found.targets:
        note("name what to judge with --policy, --without, --floor or --answer-value-usd")


def _title(found: Evaluation) -> str:
    said = f"{found.rounds:,} decisions of a policy, {found.judged:,} of them judged"
    if isfinite(found.begin_s) and isfinite(found.end_s):
        said += f", from {_day(found.begin_s)} to {_day(found.end_s)}"
    left = "; ".join(f"{count:,} in which {why}" for why, count in found.left_out.items())
    return f"{said}. Left out: {left}." if left else f"{said}."


def _policies(found: Evaluation) -> Table:
    columns = ("quality", "$/request", "utility", _lift_title(found), "ESS", "verdict")
    rows = table("policy", *columns)
    for one in found.judgements:
        word = "refused" if one.refused else one.verdict.word
        rows.add_row(
            Text(one.target),
            *_numbers(one.measures, found.estimator),
            UNKNOWN if one.support is None else f"{one.support.ess:,.0f}",
            Text(word, style=COLOURS.get(word, "")),
        )
    return rows


def _groups(found: Evaluation, by: str) -> Table:
    columns = ("rounds", "quality", "$/request", "utility", _lift_title(found))
    title = f"by {by}, where at least {LEAST_GROUP} answers were judged"
    rows = table(f"{by}, policy", *columns, title=title)
    names = dict.fromkeys(name for one in found.judgements for name in one.groups[by])
    for name in names:
        for one in found.judgements:
            measures = one.groups[by].get(name, {})
            counted = f"{measures[UTILITY].rounds:,}" if UTILITY in measures else UNKNOWN
            rows.add_row(
                Text(f"{name}, {one.target}"), counted, *_numbers(measures, found.estimator)
            )
    return rows


def _numbers(measures: Mapping[str, Measured], estimator: str) -> list[str]:
    """Quality, dollars, utility, and the lift in utility with half its interval."""
    values = {name: one.values[estimator] for name, one in measures.items()}
    lifts = measures[UTILITY].lifts if UTILITY in measures else {}
    return [
        _number(values.get(QUALITY), 3),
        _number(values.get(COST), 6),
        _number(values.get(UTILITY), 3),
        _lift(lifts.get(estimator)),
    ]


def _number(one: Estimate | None, digits: int) -> str:
    return UNKNOWN if one is None else f"{one.estimate:.{digits}f}"


def _lift(one: Estimate | None) -> str:
    return UNKNOWN if one is None else f"{one.estimate:+.3f} ± {one.high - one.estimate:.3f}"


def _lift_title(found: Evaluation) -> str:
    return f"lift ± {100.0 * found.level:g}%"


def _savings(one: Savings) -> str:
    """What routing saved, in sentences."""
    chosen = " (the best single arm by this log, so it looks better than it is)"
    lines = [f"Against always {one.baseline}{chosen if one.chosen_on_this_log else ''}:"]
    lines += [f"  {name} cannot be compared: {why}" for name, why in one.refusals.items()]
    if one.usd is not None:
        lines += _money(one, one.usd)
    if one.quality is not None:
        lines.append(f"  quality {_bounds(one.quality, 4)} a request")
    if one.utility is not None:
        lines.append(f"  utility {_bounds(one.utility, 4)} a request")
    return "\n".join(lines)


def _money(one: Savings, saved: Estimate) -> list[str]:
    """What was saved on calls, what routing cost itself, and what is left of it."""
    read = f"{one.judged_by_judge:,} answers that a judge read (--judge-usd-per-answer),"
    low, high = _usd(saved.low), _usd(saved.high)
    net, total = one.net_usd or 0.0, one.total_usd or 0.0
    return [
        f"  saved {_usd(saved.estimate)} [{low}, {high}] a request on calls,",
        f"  less {_usd(one.router_usd)} for the router (--router-usd-per-request)",
        f"  less {_usd(one.judge_usd)} for {read}",
        f"  which is {_usd(net)} a request, {_usd(total, 4)} for all {one.requests:,}",
    ]


def _usd(amount: float, digits: int = 6) -> str:
    return f"{'-' if amount < 0.0 else ''}${abs(amount):,.{digits}f}"


def _bounds(one: Estimate, digits: int) -> str:
    return f"{one.estimate:+.{digits}f} [{one.low:+.{digits}f}, {one.high:+.{digits}f}]"


def _warn(console: Console, found: Evaluation) -> None:
    """Each doubt once, with whom it concerns."""
    said = [("the log", text) for text in found.warnings]
    said += [(one.target, text) for one in found.judgements for text in one.warnings]
    if found.savings is not None:
        said += [(f"always {found.savings.baseline}", text) for text in found.savings.warnings]
    for text in dict.fromkeys(text for _, text in said):
        whom = "; ".join(name for name, same in said if same == text)
        console.print(Text(f"Warning, {whom}: {text}.", style="yellow"))


def _day(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d")
