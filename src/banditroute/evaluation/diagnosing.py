"""What a log cannot say, and what it says with a doubt: refusals and warnings, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from banditroute.core.offpolicy import Rounds, support
from banditroute.core.offpolicy.support import LEAST_PROBABILITY
from banditroute.evaluation.log import Log
from banditroute.evaluation.modelling import Sample
from banditroute.evaluation.weighing import QUALITY, UTILITY
from banditroute.values import Matrix

MOST_IMPOSSIBLE = 0.01
LEAST_ESS = 100.0
LEAST_ESS_SHARE = 0.01
LEAST_ROUNDS = 2
POOR = 1.05  # times the variance: what a regression that learned nothing hardly exceeds
ROUNDING = 1e-9
MENTIONED = 1e-3  # of its choices; what is below is no news
NEVER_DRAWN = (
    "no arm that it chooses was ever drawn where it chooses it: log on, with a higher floor"
)
CHANCE = 1e-3  # a difference that chance explains less often than so is warned of


def refusal(log: Log, measure: str, known: Sample, target: Matrix) -> str | None:
    """Why a measure of a target (T, K) cannot be estimated at all; None where it can."""
    if len(known) < LEAST_ROUNDS:
        return _nothing_known(log, measure, len(known))
    rounds = known.rounds(target)
    share, named = _impossible(log, rounds)
    if share <= MOST_IMPOSSIBLE:
        return None if support(rounds).ess > 0.0 else NEVER_DRAWN
    return (
        f"{share:.1%} of its choices fall where the arm could not be drawn: {named}; nobody knows "
        "what would have come of them: give the router a floor and log on, or judge a policy "
        "without them"
    )


def _impossible(log: Log, rounds: Rounds) -> tuple[float, str]:
    """The share of a target's choices that could not be drawn, and the arms in words."""
    shares = np.where(rounds.probabilities > 0.0, 0.0, rounds.target).mean(axis=0)
    return float(shares.sum()), _most_first(log, dict(enumerate(shares.tolist())))


def _most_first(log: Log, shares: Mapping[int, float]) -> str:
    """Arms with their shares of a target's choices, those that have any."""
    some = sorted((one for one in shares.items() if one[1] > 0.0), key=lambda one: -one[1])
    return ", ".join(f"{log.arms[row]} ({share:.1%})" for row, share in some)


def _nothing_known(log: Log, measure: str, count: int) -> str:
    if not len(log):
        return "there are no rounds in which a policy chose: see what was left out, and why"
    if measure in {QUALITY, UTILITY} and np.count_nonzero(log.judged) < LEAST_ROUNDS:
        return (
            f"{np.count_nonzero(log.judged)} of {len(log)} answers were judged: post feedback to "
            "/feedback, or let a [judge] speak"
        )
    return f"{count} of {len(log)} rounds know it: record the outcomes of calls"


def answerable(rounds: Rounds) -> Rounds:
    """The target without what could not be drawn: at most 1% of its choices.

    Each round's rest is scaled up; a round of which nothing is left keeps the logged choice.
    """
    chances, target = rounds.probabilities, rounds.target
    kept = np.where(chances > 0.0, target, 0.0)
    total = kept.sum(axis=1, keepdims=True)
    moved = np.where(total > 0.0, kept / np.where(total > 0.0, total, 1.0), chances)
    return replace(rounds, target=moved)


def doubts(log: Log, rounds: Rounds) -> tuple[str, ...]:
    """Warnings on what the estimates of one target rest on."""
    said, (share, named) = [], _impossible(log, rounds)
    if share > MENTIONED:
        said.append(
            f"{share:.2%} of its choices could not be drawn ({named}), and are judged as if they "
            "fell on the other arms"
        )
    rounds = answerable(rounds)
    known = support(rounds)
    if known.unsupported > MENTIONED:
        said.append(
            f"{known.unsupported:.2%} of its choices fall where the arm was as good as never "
            f"possible (probability below {LEAST_PROBABILITY:g}): "
            f"{_most_first(log, known.unsupported_arms)}; the log hardly knows what would have "
            "come of them, and the intervals are as wide as that makes them: raise the router's "
            "floor and log on, or judge a policy without them"
        )
    if known.rounds < LEAST_ESS:
        said.append(f"it rests on {known.rounds} rounds: log on, and read the intervals")
    elif known.ess < LEAST_ESS or known.ess_share < LEAST_ESS_SHARE:
        said.append(
            f"its {known.rounds} rounds count as {known.ess:.0f} (effective sample size), one of "
            f"them {known.largest_weight:.3g} times: read the intervals, not the numbers; log on, "
            "or with a higher floor"
        )
    if (off := abs(known.mean_weight - 1.0)) > _mean_weight_error(rounds):
        said.append(
            f"its mean weight is {known.mean_weight:.3f} instead of 1, which chance does not "
            f"explain (off by {off:.3f}): the propensities are not those that were drawn with, or "
            "whether an answer is judged depends on the arm"
        )
    return tuple(said)


def _mean_weight_error(rounds: Rounds) -> float:
    """How far from 1 chance lets the mean weight be, foreseen from the probabilities."""
    target, chances = rounds.target, rounds.probabilities
    square = np.where(target > 0.0, target**2 / np.where(target > 0.0, chances, 1.0), 0.0)
    variance = max(float(square.sum(axis=1).mean()) - 1.0, 0.0)
    return _sds(1) * float(np.sqrt(variance / len(rounds))) + 1e-6


def doubts_of_log(log: Log, counted: Sample) -> tuple[str, ...]:
    """Warnings that hold for every target."""
    said = list(log.notes)
    everywhere = _unlike_chance(log, np.ones(len(log), dtype=np.bool_))
    if everywhere:
        said.append(
            f"arms were not drawn as often as their probabilities say ({everywhere}): calls of "
            "some fail more often, or the propensities are wrong; the estimates are of the rest"
        )
    elif unlike := _unlike_chance(log, log.judged):
        said.append(
            f"answers of some arms are judged more often than of others ({unlike}): feedback is "
            "not missing at random, so every estimate of quality may be off; ask for it "
            "independently of the arm, or let a judge take a random sample"
        )
    policies = sorted(set(log.policies))
    if len(policies) > 1:
        said.append(f"several policies made the log: {', '.join(policies)}")
    said += [_poor_model(counted)] if _is_poor(counted) else []
    return tuple(said)


def _unlike_chance(log: Log, among: NDArray[np.bool_]) -> str:
    """The arms drawn unlike their probabilities among some rounds, with both shares; "" if none.

    Σ (drawn − π) has mean 0 and variance Σ π (1 − π) whatever the contexts, as long as whether a
    round is among them does not depend on the arm.
    """
    chances, count = log.probabilities[among], int(np.count_nonzero(among))
    if not count:
        return ""
    drawn = np.bincount(log.arm[among], minlength=len(log.arms))
    foreseen = chances.sum(axis=0)
    error = np.sqrt((chances * (1.0 - chances)).sum(axis=0))
    far = np.abs(drawn - foreseen) > _sds(len(log.arms)) * error + 1.0
    return ", ".join(
        f"{log.arms[row]} {drawn[row] / count:.1%} instead of {foreseen[row] / count:.1%}"
        for row in np.flatnonzero(far)
    )


def _sds(comparisons: int) -> float:
    """How many standard errors chance explains in one of so many comparisons."""
    return float(ndtri(1.0 - CHANCE / 2.0 / comparisons))


def _is_poor(one: Sample) -> bool:
    return len(one) >= LEAST_ESS and _squares(one) > POOR * float(one.rewards.var()) + ROUNDING


def _squares(one: Sample) -> float:
    errors = one.rewards - one.predictions[np.arange(len(one)), one.arm]
    return float((errors**2).mean())


def _poor_model(one: Sample) -> str:
    whose = "the router's predictions are" if one.model == "logged" else "ridge regression is"
    return (
        f"{whose} worse than the mean of what came (squared error {_squares(one):.4g}, variance "
        f"{float(one.rewards.var()):.4g}): dm and switch-dr mislead, and dr is wide; try the other "
        "model"
    )
