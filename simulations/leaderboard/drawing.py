"""The boards as one picture: what each policy loses to the best single arm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from boards import HINDSIGHT, OURS, Board, by_rank

from banditroute.simulation.report import canvas
from banditroute.simulation.report.look import themed
from banditroute.simulation.report.palette import COLOURS, DARK, LIGHT, Theme
from banditroute.simulation.report.rendering import svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACROSS, ROW = 4, 2.6  # panels in a row, and inches
UNDRAWN = (HINDSIGHT, "random")  # the line itself, and what is so far off that it hides the rest
CLAIM = "What each policy loses to the best single arm, which nobody knows beforehand"
MEASURE = (
    "Regret a request, 95 % intervals over seeds: further left is better, and left of the line a "
    "policy earns more than any single arm. A random arm is far to the right."
)


def drawn(boards: list[Board]) -> Iterator[tuple[str, str]]:
    """The picture for a light page and for a dark one, each with the name of its file."""
    for theme, name in ((LIGHT, "regret.svg"), (DARK, "regret-dark.svg")):
        yield name, svg(picture(boards, theme), theme, CLAIM)


def picture(boards: list[Board], theme: Theme) -> Figure:
    """One panel a board, one row a policy, the best mean rank on top."""
    down = -(-len(boards) // ACROSS)
    policies = [policy for policy in by_rank(boards) if policy not in UNDRAWN][::-1]
    with themed(theme):
        page = canvas.blank(CLAIM, MEASURE, down * ROW, theme)
        panels = page.figure.subplots(down, ACROSS, sharey=True, squeeze=False)
        for axes in panels.flat[len(boards) :]:
            axes.remove()
        for axes, board in zip(panels.flat, boards, strict=False):
            _panel(axes, board, policies, theme)
        page.handles = {"banditroute": _entry(theme, ours=True), "others": _entry(theme)}
        return page.finished()


def _panel(axes: Axes, board: Board, policies: list[str], theme: Theme) -> None:
    axes.axvline(0.0, color=theme.ink, linewidth=1.2, linestyle="--", zorder=1.5)
    for at, policy in enumerate(policies):
        regret, ours = board.scores[policy].regret, policy in OURS
        axes.errorbar(
            regret.mean,
            at,
            xerr=regret.half if regret.known else None,
            color=_colour(theme, ours=ours),
            marker="o",
            markersize=6.0 if ours else 4.5,
            elinewidth=1.3,
            capsize=2.0,
        )
    axes.set_title(board.title.replace(" at ", "\nat "))
    axes.set_yticks(np.arange(len(policies)), policies)
    axes.grid(visible=True, axis="both")
    axes.locator_params(axis="x", nbins=3)
    axes.margins(x=0.12)


def _colour(theme: Theme, *, ours: bool) -> str:
    return COLOURS[0] if ours else theme.faint


def _entry(theme: Theme, *, ours: bool = False) -> object:
    from matplotlib.lines import Line2D  # noqa: PLC0415 - an optional extra

    return Line2D([], [], color=_colour(theme, ours=ours), marker="o", linestyle="none")
