"""What of a page is made: the tables between its marks, and the pictures that it shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile

from tables import table

from banditroute.simulation import Results

# <!-- table SCENARIO: COLUMN, COLUMN --> … <!-- /table -->
MARKS = re.compile(r"(<!-- table ([\w-]+): ([^>]+?) -->\n).*?(<!-- /table -->)", re.DOTALL)
PICTURE = re.compile(r"pictures/[\w-]+\.svg")


def filled(page: str, results: Results) -> str:
    """A page with its tables as they came out."""
    chapters = {chapter.scenario: chapter for chapter in results.chapters}

    def made(mark: re.Match[str]) -> str:
        chapter, columns = chapters[mark[2]], [part.strip() for part in mark[3].split(",")]
        seeds = len(chapter.of(chapter.policies[0]))
        under = f"{chapter.requests:,} requests, {seeds} seeds; ± is a 95 % interval over seeds."
        return f"{mark[1]}\n{table(chapter, columns)}\n\n{under}\n\n{mark[4]}"

    return MARKS.sub(made, page)


def pictures(page: str) -> Iterator[str]:
    """The pictures that a page shows, each once."""
    yield from dict.fromkeys(PICTURE.findall(page))


def bring(page: str, report: Path, folder: Path) -> None:
    """Copy a page's pictures from a report, and drop those that it no longer shows."""
    place = folder / "pictures"
    place.mkdir(exist_ok=True)
    shown = {folder / name for name in pictures(page)}
    for old in set(place.iterdir()) - shown:
        old.unlink()
    for file in shown:
        copyfile(report / "pictures" / file.name, file)
