"""One look for all pictures, light or dark. Needs the optional extra ``plots``."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from banditroute.simulation.report.palette import Theme

CLAIM, MEASURE = 12.0, 9.0  # points


@contextmanager
def themed(theme: Theme) -> Iterator[None]:
    """Draw as ``theme`` says, whatever the reader's own settings of matplotlib are."""
    import matplotlib as mpl  # noqa: PLC0415 - an optional extra

    with mpl.rc_context(), warnings.catch_warnings():
        # A name in letters that the font lacks is drawn as boxes in a PNG, and right in an SVG.
        warnings.filterwarnings("ignore", message=r".*[Gg]lyph")
        mpl.rcdefaults()
        mpl.rcParams.update(_settings(theme))
        yield


def _settings(theme: Theme) -> Any:
    ink = dict.fromkeys(("text.color", "axes.labelcolor"), theme.ink)
    page = dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), theme.page)
    faint = dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), theme.faint)
    bare = dict.fromkeys(("axes.spines.top", "axes.spines.right", "axes.spines.left"), False)
    return {
        **ink,
        **page,
        **faint,
        **bare,
        "font.family": ["DejaVu Sans"],
        "font.size": MEASURE,
        "axes.labelsize": MEASURE,
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "hatch.color": f"{theme.page}90",
        "hatch.linewidth": 0.7,
        "axes.titlelocation": "left",
        "axes.titlesize": MEASURE,
        "axes.titleweight": "bold",
        "grid.color": theme.grid,
        "ytick.major.size": 0.0,
        "legend.fontsize": MEASURE,
        "text.parse_math": False,  # a dollar in a name is a dollar
        "svg.fonttype": "none",  # text stays text: small, and found by a search
        "svg.hashsalt": "banditroute",  # the same numbers make the same file
    }
