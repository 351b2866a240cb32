"""One measure of one target: its value and its lift, by several estimators."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from banditroute.core.offpolicy import ESTIMATORS, Rounds, foreseen_variance
from banditroute.evaluation.bounding import BOUNDED, Always
from banditroute.evaluation.diagnosing import answerable
from banditroute.evaluation.intervals import estimate, foreseen_lift_variance
from banditroute.evaluation.modelling import Sample
from banditroute.evaluation.results import Estimate, Measured
from banditroute.values import Matrix

DOUBLY_ROBUST = "dr"


def measured(
    known: Sample, target: Matrix, estimators: Iterable[str], level: float, *, lifted: bool
) -> Measured:
    """What two or more rounds that know a measure say of a target (T, K) that they support.

    ``lifted``: also against the policy in force. Values and lifts are estimated from the same
    rounds and predictions, so that what is uncertain of both alike is not uncertain of the lift.
    """
    rounds, names = answerable(known.rounds(target)), tuple(estimators)
    values = {name: _value(name, rounds, level) for name in names}
    lifts = {name: _lift(name, rounds, level) for name in names} if lifted else {}
    return Measured(len(rounds), known.model, values, lifts)


def always(
    found: Measured, measure: str, known: Sample, target: Matrix, level: float, *, challengers: int
) -> Measured:
    """What was found, with the bounds that hold at all times, where the measure has any.

    The gate's hold for all ``challengers`` of the policy in force together, of which the target
    is one; 0 if it is that policy itself.
    """
    if measure not in BOUNDED:
        return found
    rounds = Always.of(measure, answerable(known.rounds(target, onward=True)))
    return replace(
        found,
        always=rounds.value(level),
        lift_always=rounds.lift(level) if challengers else None,
        gate=rounds.gate(level, challengers) if challengers else None,
    )


def _value(name: str, rounds: Rounds, level: float) -> Estimate:
    foreseen = foreseen_variance(rounds) if name == DOUBLY_ROBUST else 0.0
    return estimate(ESTIMATORS[name](rounds), level, foreseen)


def _lift(name: str, rounds: Rounds, level: float) -> Estimate:
    """Less what the same estimator says of the policy in force, round by round."""
    in_force = replace(rounds, target=rounds.probabilities)
    foreseen = foreseen_lift_variance(rounds) if name == DOUBLY_ROBUST else 0.0
    return estimate(ESTIMATORS[name](rounds) - ESTIMATORS[name](in_force), level, foreseen)
