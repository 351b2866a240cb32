"""The pictures of a report, one function each: a chapter in, a matplotlib Figure out.

In a notebook, after ``%matplotlib inline``::

    from banditroute.simulation.report import figures

    figures.frontier(results.chapters[0])

Each takes ``theme=figures.DARK`` for a dark page. ``pictures`` says which of them a chapter
has. Needs ``banditroute[plots]``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from banditroute.simulation.report.changes import changing
from banditroute.simulation.report.figures import (
    buying,
    earning,
    losing,
    recovering,
    sharing,
    spending,
)
from banditroute.simulation.report.figures.buying import frontier
from banditroute.simulation.report.figures.earning import reward
from banditroute.simulation.report.figures.losing import regret
from banditroute.simulation.report.figures.recovering import recovery
from banditroute.simulation.report.figures.sharing import shares
from banditroute.simulation.report.figures.spending import budget
from banditroute.simulation.report.palette import DARK, LIGHT, Theme
from banditroute.simulation.results import Chapter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "DARK",
    "LIGHT",
    "PICTURES",
    "Picture",
    "Theme",
    "budget",
    "frontier",
    "pictures",
    "recovery",
    "regret",
    "reward",
    "shares",
]


@dataclass(frozen=True, slots=True)
class Picture:
    """One kind of picture: its title on a page, how to read it, how to draw and to say it."""

    name: str
    title: str
    reading: str
    draw: Callable[[Chapter, Theme], Figure]
    alt: Callable[[Chapter], str]
    shown: Callable[[Chapter], bool] = lambda _: True


PICTURES = (
    Picture(
        "reward",
        "Reward over time",
        "Higher is better. The dashed line is what the best single arm would earn, the dotted "
        "one what an arm drawn at random would.",
        reward,
        earning.alt,
    ),
    Picture(
        "regret",
        "Cumulative regret",
        "Lower is better; where a line is flat, nothing more is lost. Below zero a policy has "
        "earned more than any single arm.",
        regret,
        losing.alt,
    ),
    Picture(
        "frontier",
        "Cost and quality",
        "Up and to the left is better. Above the dashed line a policy does better than any "
        "fixed mix of arms at its cost.",
        frontier,
        buying.alt,
        buying.priced,
    ),
    Picture(
        "shares",
        "Arms over time",
        "Every band is an arm, the most used at the bottom, in the same order for every policy.",
        shares,
        sharing.alt,
    ),
    Picture(
        "budget",
        "Budget",
        "Above the dashed line more was spent than the budget allowed by then.",
        budget,
        spending.alt,
        spending.budgeted,
    ),
    Picture(
        "recovery",
        "Recovery after a change",
        "Zero is what a policy earned before the change. The dashed line is how the best single "
        "arm, which may be another one than before, compares with the one before.",
        recovery,
        recovering.alt,
        changing,
    ),
)


def pictures(chapter: Chapter) -> list[Picture]:
    """The pictures that a chapter has something to show in."""
    return [picture for picture in PICTURES if picture.shown(chapter)]
