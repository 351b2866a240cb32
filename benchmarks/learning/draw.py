"""The claims about learning as pictures, drawn into ``pictures/``.

    python benchmarks/learning/draw.py --data FOLDER [--shuffles 20] [--processes 2]

plays what it draws, on the same orders as ``run.py``. Needs ``banditroute[plots]``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from goals import change, money, quality
from lab import SETS, Lab, problem, shuffled
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from banditroute.simulation import Scenario, play
from banditroute.values import Matrix, Vector

FOLDER = Path(__file__).parent / "pictures"
# Okabe & Ito 2008: told apart by colour-blind readers.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
RED, GREY, BLACK = "#D55E00", "#777777", "#000000"
POINTS = 80
WINDOW = 12  # of the stream's parts that a moving mean spans
BEFORE, AFTER = 1_500, 3_000  # requests around a swap
SWAP_WINDOW = 300
BAND = 2.0  # standard errors to each side


@dataclass(frozen=True, slots=True)
class Pen:
    """How a line is drawn, and what it is called."""

    name: str
    colour: str
    style: str = "-"
    width: float = 1.4


PENS = {
    "banditroute": Pen("banditroute", BLUE, width=2.4),
    "banditroute without context": Pen("banditroute without context", ORANGE),
    "lints-textbook": Pen("textbook LinTS", GREEN),
    "linucb-tuned": Pen("LinUCB, tuned", PURPLE),
    "ridge-full": Pen("told every arm's score (ceiling)", BLACK, ":"),
    "best-fixed": Pen("best single arm, in hindsight", GREY, "--"),
}
DETECTORS = {True: Pen("with the detector", BLUE, width=2.4), False: Pen("without it", ORANGE)}


@dataclass(frozen=True, slots=True)
class Curve:
    """One policy on one shuffle of a set."""

    lab: Lab
    data: str
    policy: str
    seed: int


def learned(curve: Curve) -> Vector:
    """(POINTS,) moving means of quality over a stream."""
    posed = problem(curve.lab.data, curve.data)
    course = Scenario(answer_value_usd=quality.QUALITY_ALONE)
    player, seen = quality.player_of(curve.policy, posed, curve.seed, course)
    heard = play(player, seen, shuffled(posed, curve.seed), curve.seed, course).quality
    window = len(heard) // WINDOW
    return moving(heard, window, np.linspace(window, len(heard), POINTS).astype(int))


def moving(values: Vector, window: int, ends: np.ndarray) -> Vector:
    """The means of the ``window`` values that end at each of ``ends``."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    means: Vector = (total[ends] - total[ends - window]) / window
    return means


def draw_learning(lab: Lab) -> Figure:
    """Quality over the stream, beside others, on every set."""
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    for axes, data in zip(figure.subplots(2, 2).flat, SETS, strict=True):
        size = len(problem(lab.data, data))
        ends = np.linspace(size // WINDOW, size, POINTS)
        for policy, pen in PENS.items():
            runs = np.array(lab.map(learned, [Curve(lab, data, policy, s) for s in lab.seeds]))
            line(axes, ends, runs, pen)
        axes.set_title(data, fontsize="medium")
        axes.set_xlabel("requests answered")
        axes.set_ylabel(f"mean quality of {size // WINDOW:,} requests")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def line(axes: Axes, x: Vector, runs: Matrix, pen: Pen) -> None:
    """The mean over shuffles, and two standard errors to each side."""
    mean, error = runs.mean(axis=0), runs.std(axis=0, ddof=1) / len(runs) ** 0.5
    axes.plot(x, mean, pen.style, color=pen.colour, linewidth=pen.width, label=pen.name)
    low, high = mean - BAND * error, mean + BAND * error
    axes.fill_between(x, low, high, color=pen.colour, alpha=0.12, linewidth=0)
    axes.grid(alpha=0.3)


def draw_budgets(lab: Lab) -> Figure:
    """Quality against what was really spent, at seven budgets."""
    posed = money.pool(lab)
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    dollars = np.geomspace(min(money.PUBLISHED), max(money.PUBLISHED), 200)
    mixes = [money.static_mix(posed, usd) for usd in dollars]
    axes.plot(dollars, mixes, color=GREY, linestyle="--", label="best static mix, in hindsight")
    fixed = posed.cost_usd.mean(axis=0), posed.quality.mean(axis=0)
    axes.plot(*fixed, "s", color=GREY, label="one arm alone")
    for usd, score, arm in zip(*fixed, posed.roster.ids, strict=True):
        name = arm.rpartition("/")[2]
        axes.annotate(name, (usd, score), (0, -18), textcoords="offset points", ha="center")
    axes.margins(0.12)
    spent, mean, error = np.array([point(lab, usd) for usd in money.PUBLISHED]).T
    axes.errorbar(spent, mean, BAND * error, fmt="o", capsize=3, color=BLUE, label="banditroute")
    published = list(money.PUBLISHED.items())
    label = "ParetoBandit, published (its test split)"
    axes.plot(*zip(*published, strict=True), "^", color=RED, label=label)
    axes.set_xscale("log")
    axes.set_xlabel("dollars per request (log)")
    axes.set_ylabel("mean quality")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", frameon=False)
    return figure


def point(lab: Lab, budget_usd: float) -> tuple[float, float, float]:
    """Dollars spent per request, mean quality, and its standard error, at one budget."""
    runs = lab.map(money.run, [money.Job(lab, budget_usd, seed) for seed in lab.seeds])
    means = np.array([scores.mean() for scores, _ in runs])
    spent = float(np.mean([usd.mean() for _, usd in runs]))
    return spent, float(means.mean()), float(means.std(ddof=1) / len(means) ** 0.5)


def around_swap(job: change.Job) -> Vector:
    """(POINTS,) moving means of quality around the swap."""
    heard = change.swapped(job)[0].quality
    half = len(heard) // 2
    return moving(heard, SWAP_WINDOW, (half + swap_times()).astype(int))


def swap_times() -> Vector:
    """(POINTS,) the requests at which the means end, counted from the swap."""
    return np.linspace(-BEFORE, AFTER, POINTS)


def draw_drift(lab: Lab) -> Figure:
    """What happens after the best arm is swapped with a median one, with a detector and without."""
    figure = Figure(figsize=(11, 4), layout="constrained")
    for axes, data in zip(figure.subplots(1, 2), SETS[:2], strict=True):
        for detect, pen in DETECTORS.items():
            jobs = [change.Job(lab, data, seed, True, detect) for seed in lab.seeds]
            line(axes, swap_times(), np.array(lab.map(around_swap, jobs)), pen)
        axes.axvline(0.0, color=GREY, linewidth=1)
        axes.set_title(data, fontsize="medium")
        axes.set_xlabel("requests since the best arm was swapped with a median one")
        axes.set_ylabel(f"mean quality of {SWAP_WINDOW} requests")
        axes.legend(loc="lower right", frameon=False)
    return figure


PICTURES: dict[str, Callable[[Lab], Figure]] = {
    "learning": draw_learning,
    "budgets": draw_budgets,
    "drift": draw_drift,
}


def main() -> None:
    """Play and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("picture", nargs="?", choices=PICTURES, help="all, if left out")
    parser.add_argument("--data", type=Path, required=True, help="the folder with the data sets")
    parser.add_argument("--shuffles", type=int, default=20)
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    lab = Lab(asked.data, asked.shuffles, asked.processes)
    mpl.rcParams["svg.hashsalt"] = "banditroute"  # the same numbers make the same file
    FOLDER.mkdir(exist_ok=True)
    for name in [asked.picture] if asked.picture else PICTURES:
        file = FOLDER / f"{name}.svg"
        PICTURES[name](lab).savefig(file, metadata={"Date": None})
        print(file)


if __name__ == "__main__":
    main()
