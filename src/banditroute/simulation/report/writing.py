"""A report on the disk: the page, and every picture as a file of its own."""

from __future__ import annotations

from pathlib import Path

from banditroute.errors import ConfigError, DataError
from banditroute.simulation.report.figures import Picture, pictures
from banditroute.simulation.report.names import printable, slugs
from banditroute.simulation.report.page import Rendering, page
from banditroute.simulation.report.palette import DARK, LIGHT, require_matplotlib
from banditroute.simulation.report.rendering import png, svg
from banditroute.simulation.results import Chapter, Results

POINTS_PER_INCH = 72.0


def check(folder: Path, option: str = "--report") -> None:
    """Refuse a report that cannot be written, before the work begins. Raises ConfigError."""
    require_matplotlib(option)
    if folder.exists() and not folder.is_dir():
        raise ConfigError([f"{folder}: is a file, and a report is a folder"], option)


def write_report(results: Results, place: Path | str) -> list[Path]:
    """Write ``report.html`` and ``pictures/`` into a folder, and say which files those are.

    Everything is drawn before anything is written; the same results make the same bytes.
    Raises DataError where nothing was run, ConfigError without matplotlib.
    """
    folder = Path(place)
    check(folder)
    _require_runs(results)
    anchors = slugs(chapter.scenario for chapter in results.chapters)
    made: dict[str, bytes] = {}
    drawn: dict[str, tuple[Chapter, list[Rendering]]] = {}
    for anchor, chapter in zip(anchors, results.chapters, strict=True):
        drawn[anchor] = chapter, []
        for picture in pictures(chapter):
            rendering, files = _drawn(picture, chapter, f"pictures/{anchor}-{picture.name}")
            drawn[anchor][1].append(rendering)
            made |= files
    made = {"report.html": page(results, drawn).encode(), **made}
    return [_written(folder / name, content) for name, content in made.items()]


def _require_runs(results: Results) -> None:
    if not results.chapters:
        raise DataError(f"{results.name}: nothing was run, so there is nothing to report")
    for chapter in results.chapters:
        if not chapter.runs:
            raise DataError(
                f"{results.name}: no policy was run in {chapter.scenario!r}; run one, or leave the "
                "scenario out of the report"
            )


def _drawn(picture: Picture, chapter: Chapter, stem: str) -> tuple[Rendering, dict[str, bytes]]:
    """One picture in both themes, and its files by their names."""
    title = printable(f"{picture.title}: {chapter.scenario}")
    light, dark = picture.draw(chapter, LIGHT), picture.draw(chapter, DARK)
    wide, high = (POINTS_PER_INCH * float(inches) for inches in light.get_size_inches())
    rendering = Rendering(picture, svg(light, LIGHT, title), svg(dark, DARK, title), wide, high)
    files = {
        f"{stem}.svg": rendering.light.encode(),
        f"{stem}.png": png(light, LIGHT),
        f"{stem}-dark.svg": rendering.dark.encode(),
    }
    return rendering, files


def _written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
