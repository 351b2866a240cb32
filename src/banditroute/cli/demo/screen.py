"""A demo on the terminal: live while it runs, and the result."""

from __future__ import annotations

import numpy as np
from rich.console import Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from banditroute.cli.console import table
from banditroute.cli.demo.tally import Means, Tally

RECENT = 500
MOST_ARMS = 8  # while it runs: what is taller than the terminal cannot be drawn over


class Screen:
    """Renders a tally as it grows."""

    def __init__(self, tally: Tally, total: int) -> None:
        self._tally = tally
        self._progress = Progress(
            "requests", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        )
        self._bar = self._progress.add_task("requests", total=total)

    def __rich__(self) -> RenderableType:
        done = len(self._tally.rows) + self._tally.failed
        self._progress.update(self._bar, completed=done)
        if not self._tally.rows:
            return self._progress
        return Group(self._progress, arms(self._tally, MOST_ARMS), Text(headline(self._tally)))


def arms(tally: Tally, most: int) -> Table:
    """Of the ``most`` used arms: share of all and of the latest answers, quality and cost."""
    lines = table("arm", "share", f"last {RECENT}", "quality", "$ / call")
    columns = np.array(tally.columns)
    quality, cost = np.array(tally.quality), np.array(tally.cost_usd)
    share, recent = tally.share(), columns[-RECENT:]
    for column in np.argsort(-share, kind="stable")[:most]:
        mine = columns == column
        measured = ("–", "–")
        if mine.any():
            measured = (f"{quality[mine].mean():.3f}", f"{cost[mine].mean():.6f}")
        lines.add_row(
            tally.cells.arm_ids[column],
            f"{share[column]:.1%}",
            f"{np.mean(recent == column):.1%}",
            *measured,
        )
    return lines


def headline(tally: Tally) -> str:
    """What the router saved so far, against always the dearest and always the best arm."""
    cells, mine = tally.cells, tally.means()
    rows = np.array(tally.rows)
    said = []
    for name, column in (("dearest", cells.dearest), ("best", cells.best)):
        other = cells.fixed(column, rows)
        said.append(
            f"against always {cells.arm_ids[column]} (the {name}): "
            f"{_saved(mine, other)}, quality {mine.quality - other.quality:+.3f}, "
            f"reward {mine.utility - other.utility:+.3f}"
        )
    return "\n".join(said)


def result(tally: Tally) -> Table:
    """The router beside the baselines, on the same prompts."""
    cells = tally.cells
    title = f"Means over {len(tally.rows)} requests"
    lines = table("who answers", "reward", "quality", "$ / request", title=title)
    rows = {
        "[bold]banditroute[/]": tally.means(),
        "every arm equally often": cells.uniform(),
        f"always the cheapest: {cells.arm_ids[cells.cheapest]}": cells.fixed(cells.cheapest),
        f"always the dearest: {cells.arm_ids[cells.dearest]}": cells.fixed(cells.dearest),
        f"always the best, in hindsight: {cells.arm_ids[cells.best]}": cells.fixed(cells.best),
    }
    for name, means in rows.items():
        lines.add_row(name, f"{means.utility:.4f}", f"{means.quality:.4f}", f"{means.cost_usd:.6f}")
    return lines


def _saved(mine: Means, other: Means) -> str:
    if other.cost_usd <= 0.0:
        return "no cost to compare"
    ratio = mine.cost_usd / other.cost_usd
    if ratio >= 2.0:
        return f"{ratio:.1f} times the cost"
    return f"{1.0 - ratio:.0%} cheaper" if ratio <= 1.0 else f"{ratio - 1.0:.0%} dearer"
