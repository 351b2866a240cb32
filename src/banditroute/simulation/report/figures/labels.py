"""Names beside points, so that no name covers a point or another name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from banditroute.simulation.report.palette import Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

Place: TypeAlias = tuple[float, float]
Spot: TypeAlias = tuple[float, float, str, str]

SIZE = 8.0  # points
NEAR, FAR = 6.0, 13.0  # points from a point to its name
POINT = 5.0  # pixels around a point that stay free
# Where a name may stand, best first: (right, up, horizontal and vertical alignment).
SPOTS: tuple[Spot, ...] = (
    *((NEAR, 0.0, "left", "center"), (-NEAR, 0.0, "right", "center")),
    *((0.0, NEAR, "center", "bottom"), (0.0, -NEAR, "center", "top")),
    *((NEAR, NEAR, "left", "bottom"), (NEAR, -NEAR, "left", "top")),
    *((-NEAR, NEAR, "right", "bottom"), (-NEAR, -NEAR, "right", "top")),
    *((NEAR, FAR, "left", "bottom"), (NEAR, -FAR, "left", "top")),
    *((-NEAR, FAR, "right", "bottom"), (-NEAR, -FAR, "right", "top")),
)


@dataclass(frozen=True, slots=True)
class Label:
    """A name, and the point that it belongs to."""

    text: str
    x: float
    y: float


def place(
    axes: Axes,
    labels: Sequence[Label],
    points: Sequence[Place],
    lines: Sequence[Place],
    theme: Theme,
) -> None:
    """Write the labels in their order; one for which there is no room is left out.

    None covers one of ``points``, and none one of ``lines`` while there is another spot.
    """
    figure: Any = axes.figure
    figure.draw_without_rendering()
    taken = _around(axes, [*((label.x, label.y) for label in labels), *points])
    crossed = _around(axes, lines)
    for label in labels:
        box = _written(axes, label, [*taken, *crossed], theme)
        box = box or _written(axes, label, taken, theme)
        taken += [box] if box else []


def _around(axes: Axes, places: Sequence[Place]) -> list[Bbox]:
    """The pixels around each place."""
    from matplotlib.transforms import Bbox  # noqa: PLC0415 - an optional extra

    pixels = axes.transData.transform(places) if places else ()
    return [Bbox.from_extents(x - POINT, y - POINT, x + POINT, y + POINT) for x, y in pixels]


def _written(axes: Axes, label: Label, taken: Sequence[Bbox], theme: Theme) -> Bbox | None:
    """Write one label at the first free spot; where it stands, if there is one."""
    frame = axes.get_window_extent()
    for spot in SPOTS:
        note = _note(axes, label, spot, theme)
        box = note.get_window_extent()
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1
        inside = inside and frame.y0 <= box.y0 and box.y1 <= frame.y1
        if inside and not any(box.overlaps(other) for other in taken):
            return box
        note.remove()
    return None


def _note(axes: Axes, label: Label, spot: Spot, theme: Theme) -> Annotation:
    right, up, across, along = spot
    return axes.annotate(
        label.text,
        (label.x, label.y),
        (right, up),
        textcoords="offset points",
        ha=across,
        va=along,
        fontsize=SIZE,
        color=theme.ink,
    )
