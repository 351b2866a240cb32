"""Whether estimates of a log are right, and say rightly how sure they are.

Every log is made by the router itself, learning as it goes, in a world of its own that is drawn
with the log; so the true value of every policy at the contexts that came is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from lab import Lab, Table
from logs import Logged, World, logged, mostly

from banditroute.core.offpolicy import (
    ESTIMATORS,
    Interval,
    Rounds,
    bootstrap_interval,
    foreseen_variance,
    ips_sequence,
    lift_sequence,
    mean_interval,
    promoted,
    value_sequence,
)
from banditroute.values import Matrix, Vector

RESAMPLES = 500
GOAL, MOST_WRONG = 0.95, 0.05
DR, VALUE, LIFT, IPS = "dr", "value", "lift", "value, by ips and empirical Bernstein"
SHORT = (World(floor=0.2), World(floor=0.005))
LONG = (World(4_000, floor=0.2), World(4_000, 14, floor=0.005))
SHARE_OF_LONG = 10  # one log in so many is made long, too

TARGETS: Mapping[str, Callable[[Matrix], Matrix]] = {
    "mostly the best arm": lambda truth: mostly(int(truth.mean(axis=0).argmax()), truth.shape),
    "uniform": lambda truth: np.full(truth.shape, 1.0 / truth.shape[1]),
    "mostly the best for the context": lambda truth: mostly(truth.argmax(axis=1), truth.shape),
}


@dataclass(frozen=True, slots=True)
class Held:
    """Whether bounds held what is true, and how wide they are."""

    held: bool
    width: float


@dataclass(frozen=True, slots=True)
class Found:
    """What one log said of one target: by estimator its error and intervals; by sequence."""

    errors: Mapping[str, float]
    students: Mapping[str, Held]
    bootstrap: Mapping[str, Held]
    sequences: Mapping[str, Held]
    promoted: bool
    lift: float


def study(seed: int, world: World) -> dict[str, Found]:
    """Make a log, and ask it about every target."""
    log = logged(world, seed)
    return {name: _asked(log, of(log.truth), seed) for name, of in TARGETS.items()}


def opened(seed: int, world: World) -> dict[str, bool]:
    """Make a log, and see for which targets the gate opens."""
    log = logged(world, seed)
    return {
        name: promoted(replace(log.rounds, target=of(log.truth))) for name, of in TARGETS.items()
    }


def _asked(log: Logged, target: Matrix, seed: int) -> Found:
    rounds = replace(log.rounds, target=target)
    values = log.value(target)
    lifts = values - log.value(rounds.probabilities)
    value = float(values[-1])
    outcomes = {name: estimator(rounds) for name, estimator in ESTIMATORS.items()}
    return Found(
        errors={name: float(one.mean()) - value for name, one in outcomes.items()},
        students={
            name: _at_end(_students(name, one, rounds), value) for name, one in outcomes.items()
        },
        bootstrap={
            name: _at_end(bootstrap_interval(one, resamples=RESAMPLES, seed=seed), value)
            for name, one in outcomes.items()
        },
        sequences={
            VALUE: _always(value_sequence(rounds), values),
            IPS: _always(ips_sequence(rounds), values),
            LIFT: _always(lift_sequence(rounds), lifts),
        },
        promoted=promoted(rounds),
        lift=float(lifts[-1]),
    )


def _students(name: str, outcomes: Vector, rounds: Rounds) -> Interval:
    return mean_interval(outcomes, foreseen=foreseen_variance(rounds) if name == DR else 0.0)


def _at_end(interval: Interval, truth: float) -> Held:
    return Held(interval.low <= truth <= interval.high, interval.high - interval.low)


def _always(bounds: tuple[Vector, Vector], truth: Vector) -> Held:
    low, high = bounds
    return Held(bool(np.all((low <= truth) & (truth <= high))), float(high[-1] - low[-1]))


def coverage(lab: Lab, logs: int) -> list[Table]:
    """Bias, coverage and width of everything that is said of a log; the gate's errors and power."""
    tables, gates = [], []
    for world, count in [*((one, logs) for one in SHORT), *((one, _few(logs)) for one in LONG)]:
        found = lab.map(partial(study, world=world), range(count))
        alike = lab.map(partial(opened, world=replace(world, alike=True)), range(count))
        title = f"{count:,} logs of {world.rounds:,} rounds, {world.arms} arms, floor {world.floor}"
        tables += [_estimates(title, found), _sequences(title, found)]
        gates += _gate(title, found, alike)
    columns = ("logs", "target", "A/A runs promoted", "", "better by", "of these promoted")
    return [*tables, Table("The gate", columns, tuple(gates))]


def _few(logs: int) -> int:
    return max(logs // SHARE_OF_LONG, 1)


def _estimates(title: str, found: Sequence[Mapping[str, Found]]) -> Table:
    rows = [
        _estimate(target, name, [one[target] for one in found])
        for target in TARGETS
        for name in ESTIMATORS
    ]
    columns = (
        *("target", "estimator", "bias", "RMSE"),
        *("t-interval covers", "width", "bootstrap covers", "width"),
        "goal",
    )
    return Table(f"Estimates: {title}", columns, tuple(rows))


def _estimate(target: str, name: str, found: Sequence[Found]) -> tuple[str, ...]:
    errors = np.array([one.errors[name] for one in found])
    held, width = _held([one.students[name] for one in found])
    again, spread = _held([one.bootstrap[name] for one in found])
    return (
        *(target, name, f"{errors.mean():+.4f}", f"{np.sqrt((errors**2).mean()):.4f}"),
        *(_share(held, len(found)), f"{width:.3f}", f"{again:.1%}", f"{spread:.3f}"),
        f"t ≥ 95%: {_met(held - GOAL, held, len(found))}" if name == DR else "",
    )


def _sequences(title: str, found: Sequence[Mapping[str, Found]]) -> Table:
    rows = []
    for target in TARGETS:
        for name in (VALUE, LIFT, IPS):
            held, width = _held([one[target].sequences[name] for one in found])
            met = _met(held - GOAL, held, len(found))
            rows.append((target, name, _share(held, len(found)), f"{width:.3f}", met))
    columns = ("target", "95% sequence of", "covers at all times", "width at the end", "≥ 95%")
    return Table(f"Sequences: {title}", columns, tuple(rows))


def _gate(
    title: str, found: Sequence[Mapping[str, Found]], alike: Sequence[Mapping[str, bool]]
) -> list[tuple[str, ...]]:
    rows = []
    for target in TARGETS:
        wrong = float(np.mean([one[target] for one in alike]))
        met = _met(MOST_WRONG - wrong, wrong, len(alike))
        row = (title, target, _share(wrong, len(alike)), f"≤ 5%: {met}")
        for least, most in ((0.0, 0.05), (0.05, 0.1), (0.1, 1.0)):
            better = [one[target] for one in found if least < one[target].lift <= most]
            if better:
                share = float(np.mean([one.promoted for one in better]))
                rows.append((*row, f"{least} to {most}", f"{share:.1%} of {len(better):,}"))
                row = ("", "", "", "")
        if row[0]:
            rows.append((*row, "never", "–"))
    return rows


def _held(found: Sequence[Held]) -> tuple[float, float]:
    """How often, and how wide on average; not of what could not be said."""
    said = [one for one in found if np.isfinite(one.width)]
    return float(np.mean([one.held for one in said])), float(np.mean([one.width for one in said]))


def _share(share: float, count: int) -> str:
    return f"{share:.1%} ± {_error(share, count):.1%}"


def _error(share: float, count: int) -> float:
    """The standard error of a share of so many logs."""
    return float(np.sqrt(share * (1.0 - share) / count))


def _met(spare: float, share: float, count: int) -> str:
    """Whether a goal is met, with ``spare`` to it; short by no more than two errors is as much."""
    if spare >= 0.0:
        return "met"
    return "met within error" if spare >= -2.0 * _error(share, count) else "not met"
