"""A demo as a picture: what was earned, and who answered, over time. Needs ``[plots]``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from banditroute.cli.demo.tally import Tally
from banditroute.errors import ConfigError
from banditroute.simulation.report.palette import COLOURS, require_matplotlib
from banditroute.values import Vector

SHOWN = 7
POINTS = 600
FORMATS = {".png", ".svg", ".pdf"}


def check(path: Path) -> None:
    """Refuse a picture that cannot be drawn, before the work begins. Raises ConfigError."""
    if path.suffix.lower() not in FORMATS:
        kinds = ", ".join(sorted(FORMATS))
        raise ConfigError([f"{path}: a picture is one of {kinds}"], "--picture")
    if not path.absolute().parent.is_dir():
        raise ConfigError([f"{path}: there is no such folder"], "--picture")
    require_matplotlib("--picture")


def draw(tally: Tally, path: Path) -> None:
    """Draw moving means of the reward and the arms' shares to a PNG, SVG or PDF file."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - an optional extra

    window = max(len(tally.rows) // 20, 10)
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    rewards, shares = figure.subplots(2, 1, sharex=True)
    cells, rows = tally.cells, np.array(tally.rows)
    lines = {
        "banditroute": tally.utility,
        f"always {cells.arm_ids[cells.best]} (best in hindsight)": cells.utility[rows, cells.best],
        f"always {cells.arm_ids[cells.cheapest]} (cheapest)": cells.utility[rows, cells.cheapest],
        "every arm equally often": cells.utility[rows].mean(axis=1),
    }
    for (name, values), colour in zip(lines.items(), COLOURS, strict=False):
        width = 2.2 if name == "banditroute" else 1.2
        rewards.plot(*_moving(values, window), label=name, color=colour, linewidth=width)
    rewards.set_ylabel(f"reward, mean of {window} requests")
    rewards.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize="small", frameon=False)
    rewards.grid(alpha=0.3)
    bands = _shares(tally, window)
    time = _moving(tally.utility, window)[0]
    shares.stackplot(time, *bands.values(), labels=list(bands), colors=COLOURS[: len(bands)])
    shares.set_ylabel("share of requests")
    shares.set_xlabel("requests answered")
    shares.set_xlim(float(time[0]), float(time[-1]))
    shares.set_ylim(0.0, 1.0)
    shares.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize="small", frameon=False)
    figure.savefig(path, dpi=144)


def _shares(tally: Tally, window: int) -> dict[str, Vector]:
    """The moving share of the arms used most, and of all others together."""
    columns, share = np.array(tally.columns), tally.share()
    order = [int(column) for column in np.argsort(-share, kind="stable")]
    bands = {
        tally.cells.arm_ids[column]: _moving((columns == column).astype(float), window)[1]
        for column in order[:SHOWN]
    }
    if order[SHOWN:]:
        bands["all others"] = _moving(np.isin(columns, order[SHOWN:]).astype(float), window)[1]
    return bands


def _moving(values: Vector, window: int) -> tuple[Vector, Vector]:
    """The means of ``window`` values in a row, and the request at which each row ends.

    At most ``POINTS`` of them, evenly spaced: more make the file larger and not clearer.
    """
    window = min(window, len(values))
    total = np.cumsum(np.concatenate([[0.0], values]))
    ends = np.unique(np.linspace(window, len(values), POINTS).astype(np.intp))
    means: Vector = (total[ends] - total[ends - window]) / window
    return ends.astype(np.float64), means
