"""The colours, lines and marks of every picture, on a light page and on a dark one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from banditroute.errors import ConfigError

# Okabe & Ito 2008: told apart by colour-blind readers, in print, on light and on dark.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
LINES = COLOURS[:6]  # a yellow line is lost on white, a grey one among the references
DASHES: tuple[str | tuple[int, tuple[float, ...]], ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "<", ">", "h", "*")
HATCHES = ("", "///", "\\\\\\", "---", "xxx", "|||", "", "")  # dots make a large file


@dataclass(frozen=True, slots=True)
class Theme:
    """What does not depend on the data: the page, the text on it, and what stays behind."""

    name: str
    page: str
    ink: str
    faint: str
    grid: str


LIGHT = Theme("light", page="#ffffff", ink="#1b1f24", faint="#59636e", grid="#e4e8ec")
DARK = Theme("dark", page="#15191e", ink="#e8ebee", faint="#a3adb8", grid="#2c333b")


@dataclass(frozen=True, slots=True)
class Pen:
    """How one policy is drawn, in all pictures of a study the same."""

    colour: str
    dash: str | tuple[int, tuple[float, ...]]
    marker: str
    width: float
    place: int


def pens(policies: Sequence[str]) -> dict[str, Pen]:
    """A pen for each policy, the first one stronger; no two of a dozen are alike."""
    return {
        policy: Pen(
            colour=LINES[place % len(LINES)],
            dash=DASHES[place // len(LINES) % len(DASHES)],
            marker=MARKERS[place % len(MARKERS)],
            width=1.5 if place else 2.4,
            place=place,
        )
        for place, policy in enumerate(policies)
    }


def require_matplotlib(option: str) -> None:
    """Refuse to draw without the extra, before the work begins. Raises ConfigError."""
    if find_spec("matplotlib") is None:
        raise ConfigError(["pictures need matplotlib: pip install 'banditroute[plots]'"], option)
