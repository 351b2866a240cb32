"""A figure with a head that says what is seen, and a legend that hides nothing.

matplotlib is the optional extra ``plots``, so it is imported inside functions. Figures are made
without pyplot: nothing is kept between them, and no window is opened.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from banditroute.simulation.report.look import CLAIM, MEASURE
from banditroute.simulation.report.names import clipped, printable
from banditroute.simulation.report.palette import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 7.5  # inches: a page's width
LETTERS = 130  # that never fit into a line
LEADING = 1.4 / 72.0  # inches a line, per point
MARGIN = 0.1  # inches
GAP = 0.05  # inches between what is claimed and what is measured
LEGEND_LETTERS = 92
ENTRY = 0.193  # inches a line of the legend


@dataclass(slots=True)
class Canvas:
    """A figure under way: its head in lines, the height of its panels, its legend so far."""

    figure: Figure
    theme: Theme
    claims: list[str]
    measures: list[str]
    height: float
    handles: dict[str, Any] = field(default_factory=dict)

    def finished(self) -> Figure:
        """The figure, with its head over the panels and its legend under them."""
        claim, measure = len(self.claims) * CLAIM * LEADING, len(self.measures) * MEASURE * LEADING
        below = self.height + self._legend()
        whole = below + claim + GAP + measure + 2.0 * MARGIN
        self.figure.set_size_inches(WIDTH, whole)
        engine: Any = self.figure.get_layout_engine()
        engine.set(rect=(0.0, 0.0, 1.0, below / whole), w_pad=MARGIN, h_pad=MARGIN / 2.0)
        self._head(self.claims, 1.0 - MARGIN / whole, fontsize=CLAIM, fontweight="bold")
        under = 1.0 - (MARGIN + claim + GAP) / whole
        self._head(self.measures, under, fontsize=MEASURE, color=self.theme.faint)
        return self.figure

    def _head(self, lines: list[str], y: float, **style: Any) -> None:
        text = "\n".join(lines)
        self.figure.text(MARGIN / WIDTH, y, text, va="top", linespacing=1.2, **style)

    def _legend(self) -> float:
        """Put the legend under the axes; its height."""
        labels = [clipped(name) for name in self.handles]
        columns = max(1, min(4, len(labels), LEGEND_LETTERS // (max(map(len, labels)) + 8)))
        self.figure.legend(
            list(self.handles.values()),
            labels,
            loc="outside lower left",
            ncols=columns,
            frameon=False,
            handlelength=2.6,
            columnspacing=1.4,
        )
        return -(-len(labels) // columns) * ENTRY + MARGIN


def blank(claim: str, measure: str, height: float, theme: Theme = LIGHT) -> Canvas:
    """An empty figure with panels of ``height`` inches.

    ``claim`` is what is seen; ``measure`` says what is measured, in lines of its own.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - an optional extra

    claims = _balanced(claim, CLAIM, "bold")
    measures = [line for part in measure.split("\n") for line in _balanced(part, MEASURE, "normal")]
    return Canvas(Figure(layout="constrained"), theme, claims, measures, height)


def _balanced(text: str, size: float, weight: str) -> list[str]:
    """``text`` in as few lines as fit the page, and those about equally long."""
    clean = printable(text)
    room = 72.0 * (WIDTH - 4.0 * MARGIN)
    letters = LETTERS
    while letters > 20 and _widest(wrap(clean, letters), size, weight) > room:
        letters -= 2
    lines = wrap(clean, letters)
    while len(wrap(clean, letters - 1)) == len(lines) > 1:
        letters -= 1
    return wrap(clean, letters)


def _widest(lines: list[str], size: float, weight: str) -> float:
    """The width of the longest line in points."""
    from matplotlib.font_manager import FontProperties  # noqa: PLC0415 - an optional extra
    from matplotlib.textpath import text_to_path  # noqa: PLC0415

    font: Any = FontProperties(family="DejaVu Sans", weight=weight, size=size)
    widths = [text_to_path.get_text_width_height_descent(line, font, False)[0] for line in lines]
    return max(widths, default=0.0)
