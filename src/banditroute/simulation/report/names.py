"""Names of arms, policies and scenarios as pictures, pages and files can bear them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

LONGEST = 34  # letters of a name in a picture
UNBROKEN = "\u00a0"  # a space at which no line ends


def printable(text: str) -> str:
    """``text`` on one line, without control characters: SVG and HTML cannot hold them."""
    return "".join(letter if letter.isprintable() or letter == UNBROKEN else " " for letter in text)


def clipped(text: str, longest: int = LONGEST) -> str:
    """A long name with its middle left out: beginning and end tell names apart."""
    clean = printable(text)
    if len(clean) <= longest:
        return clean
    half = longest // 2
    return f"{clean[: longest - half - 1]}…{clean[-half:]}"


def short(arms: Sequence[str]) -> dict[str, str]:
    """Every arm without its provider's prefix, unless two would then be called the same."""
    tails = [arm.rpartition("/")[2] or arm for arm in arms]
    plain = len(set(tails)) == len(set(arms))
    return {arm: clipped(tail if plain else arm) for arm, tail in zip(arms, tails, strict=True)}


def slugs(names: Iterable[str]) -> list[str]:
    """A name for files and anchors for each of ``names``: lower case, no two the same."""
    made: list[str] = []
    for name in names:
        base = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:48] or "scenario"
        slug, number = base, 2
        while slug in made:
            slug, number = f"{base}-{number}", number + 1
        made.append(slug)
    return made
