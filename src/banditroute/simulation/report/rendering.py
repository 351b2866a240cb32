"""A figure as the bytes of a file: the same figure, the same bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING

from banditroute.simulation.report.look import themed
from banditroute.simulation.report.palette import Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 144
# Measured in DejaVu Sans, which is wider than any of these: they fit where it would.
FONTS = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
UNDATED: Mapping[str, None] = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def svg(figure: Figure, theme: Theme, title: str) -> str:
    """An SVG document that refers to nothing outside itself, its text as text."""
    drawn = _saved(figure, theme, "svg", {**UNDATED, "Title": title}).decode()
    document = re.sub(r"<!DOCTYPE[^>]*>\s*", "", drawn, count=1)
    document = re.sub(r"style=\"[^\"]*'DejaVu Sans'", _lettered, document)
    return re.sub(r' d="[^"]*"', _coarse, document)


def png(figure: Figure, theme: Theme) -> bytes:
    """A PNG file, sharp at twice a page's width."""
    return _saved(figure, theme, "png", {"Software": None})


def _saved(figure: Figure, theme: Theme, kind: str, metadata: Mapping[str, str | None]) -> bytes:
    file = BytesIO()
    with themed(theme):
        figure.savefig(file, format=kind, dpi=DPI if kind == "png" else 72, metadata=metadata)
    return file.getvalue()


def _lettered(style: re.Match[str]) -> str:
    """A style with the fonts of the page around it."""
    return style[0].replace("'DejaVu Sans'", FONTS)


def _coarse(path: re.Match[str]) -> str:
    """A path to a hundredth of a point: nobody sees more, and it is half of the file."""
    return re.sub(r"(\.\d\d)\d+", r"\1", path[0])
