"""HTML from Python values: what is not markup already is escaped."""

from __future__ import annotations

from html import escape

from banditroute.simulation.report.names import printable

VOID = frozenset({"img", "meta", "source"})


class Markup(str):
    """HTML that may stand in a page as it is. Only this module and ``style.css`` make it."""

    __slots__ = ()


def tag(name: str, *children: str, **attributes: str) -> Markup:
    """An element. ``class_`` is written for ``class``, ``aria_label`` for ``aria-label``."""
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(printable(value))}"'
        for key, value in attributes.items()
    )
    if name in VOID:
        return Markup(f"<{name}{said}>")
    return Markup(f"<{name}{said}>{joined(*children)}</{name}>")


def joined(*children: str) -> Markup:
    """Children one after the other."""
    return Markup("".join(text(child) for child in children))


def text(child: str) -> Markup:
    """Markup as it is, and text as markup."""
    return child if isinstance(child, Markup) else Markup(escape(printable(child)))
