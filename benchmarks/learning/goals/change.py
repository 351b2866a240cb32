"""G5, G7: an arm changes silently, a new arm comes, a rare one becomes better unseen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from lab import SETS, Lab, Table, problem, router, shown, shuffled

from banditroute.simulation import Problem, Scenario, Trace, play
from banditroute.values import Tuning

AFTER = 1_500
LATE_ARM = "google/gemini-2.5-flash"
ARRIVES = 600
BAD, RARE = 0.3, 0.25


@dataclass(frozen=True, slots=True)
class Swapped:
    """Two arms with each other's quality."""

    first: int
    second: int

    def __call__(self, posed: Problem) -> Problem:
        """The problem from the change on."""
        return posed.swapped(self.first, self.second)


@dataclass(frozen=True, slots=True)
class Job:
    """One shuffle of a set, with or without the change, with or without the detector."""

    lab: Lab
    data: str
    seed: int
    changes: bool
    detect: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """Mean quality before, after and over all; the alarms that were raised."""

    before: float
    after: float
    mean: float
    alarms: int


def swapped(job: Job) -> tuple[Trace, int]:
    """Swap the best arm with a median one halfway; the course of it, and how many alarms rose."""
    posed = problem(job.lab.data, job.data)
    order = shuffled(posed, job.seed)
    half = len(order) // 2
    rank = np.argsort(posed.quality.mean(axis=0))
    swap = Swapped(int(rank[-1]), int(rank[len(rank) // 2]))
    course = Scenario(changes={half: swap} if job.changes else {})
    player = router(posed, job.seed)
    player.state.quality.tune(Tuning("", 0.0, detect_drift=job.detect))
    trace = play(player, posed, order, job.seed, course)
    return trace, len(player.state.quality.drift.alarms)


def run(job: Job) -> Seen:
    """Mean quality around the swap."""
    trace, alarms = swapped(job)
    quality, half = trace.quality, len(trace.quality) // 2
    return Seen(
        before=float(quality[half - AFTER // 3 : half].mean()),
        after=float(quality[half : half + AFTER].mean()),
        mean=float(quality.mean()),
        alarms=alarms,
    )


def g5(lab: Lab) -> Table:
    """Recovery after the best arm was swapped, false alarms, and what detection costs."""
    rows = []
    for data in SETS:
        cells = {
            (changes, detect): lab.map(
                run, [Job(lab, data, seed, changes, detect) for seed in lab.seeds]
            )
            for changes in (True, False)
            for detect in (True, False)
        }
        fall, blind = (
            np.array([s.before - s.after for s in cells[True, detect]]) for detect in (True, False)
        )
        count = len(problem(lab.data, data))
        false = float(np.mean([s.alarms for s in cells[False, True]])) * 10_000 / count
        cost = np.array([s.mean for s in cells[False, False]]) - np.array(
            [s.mean for s in cells[False, True]]
        )
        met = fall.mean() <= 0.03 and false <= 1.0 and cost.mean() <= 0.001
        rows.append(
            (
                data,
                shown(fall),
                shown(blind),
                f"{false:.2f}",
                shown(cost),
                "met" if met else "not met",
            )
        )
    columns = (
        *("set", "fall over 1,500 requests", "without detection"),
        *("false alarms per 10,000", "stationary cost", ""),
    )
    return Table("G5: the best arm is swapped with a median one", columns, tuple(rows))


@dataclass(frozen=True, slots=True)
class Arrival:
    """One shuffle with an arm that comes late, as it is or made bad."""

    lab: Lab
    seed: int
    bad: bool


@dataclass(frozen=True, slots=True)
class Upgraded:
    """One arm becomes the best: right wherever any arm is."""

    row: int

    def __call__(self, posed: Problem) -> Problem:
        """The problem from the change on."""
        quality = posed.quality.copy()
        quality[:, self.row] = quality.max(axis=1)
        return _with(posed, quality)


def _with(posed: Problem, quality: np.ndarray) -> Problem:
    return replace(posed, quality=quality)


def arrive(job: Arrival) -> tuple[float, float]:
    """Requests until the newcomer had 5% of the last 50, and its share of the rest."""
    posed = problem(job.lab.data, "paretobandit_val")
    row = posed.roster.ids.index(LATE_ARM)
    quality = posed.quality.copy()
    quality[:, row] = quality[:, row] * BAD if job.bad else quality.max(axis=1)
    posed = _with(posed, quality)
    player = router(posed, job.seed)
    course = Scenario(arrivals={LATE_ARM: ARRIVES})
    arm = play(player, posed, shuffled(posed, job.seed), job.seed, course).arm[ARRIVES:]
    shares = np.convolve(arm == row, np.ones(50) / 50.0, mode="full")[: len(arm)]
    reached = np.flatnonzero(shares >= 0.05)
    first = float(reached[0] + 1) if reached.size else float("inf")
    return first, float(np.mean(arm == row))


def upgrade(job: Job) -> float:
    """Requests after a silent upgrade of a rare arm until it has a quarter of the last 100."""
    posed = problem(job.lab.data, job.data)
    order = shuffled(posed, job.seed)
    at = len(order) // 3
    row = int(np.argsort(posed.quality.mean(axis=0))[len(posed.roster) // 2])
    course = Scenario(changes={at: Upgraded(row)})
    arm = play(router(posed, job.seed), posed, order, job.seed, course).arm[at:]
    shares = np.convolve(arm == row, np.ones(100) / 100.0, mode="full")[: len(arm)]
    found = np.flatnonzero(shares >= RARE)
    return float(found[0] + 1) if found.size else float("inf")


def g7(lab: Lab) -> Table:
    """How soon a good newcomer is used, how much a bad one is, and whether an upgrade is seen."""
    good = [first for first, _ in lab.map(arrive, [Arrival(lab, s, False) for s in lab.seeds])]
    bad = [share for _, share in lab.map(arrive, [Arrival(lab, s, True) for s in lab.seeds])]
    found = lab.map(upgrade, [Job(lab, "mmlu_pro", s, True, True) for s in lab.seeds])
    seen = sum(delay <= 2_000 for delay in found)
    rows = (
        (
            *("a new best arm has 5% of 50 requests", "≤ 50 requests"),
            f"median {np.median(good):.0f}, worst {max(good):.0f}",
            "met" if max(good) <= 50 else "not met",
        ),
        (
            *("a new bad arm's share of all that follows", "≤ 0.2%"),
            shown(bad),
            "met" if np.mean(bad) <= 0.002 else "not met",
        ),
        (
            *("a rare arm becomes the best, silently (mmlu_pro)", "≤ 2,000 requests"),
            f"{seen} of {len(found)} shuffles, median {np.median(found):.0f}",
            "met" if seen == len(found) else "not met",
        ),
    )
    return Table("G7: newcomers and upgrades", ("what", "goal", "measured", ""), rows)
