"""What routing saved: what was spent and achieved, against always asking one arm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from banditroute.core.offpolicy import Rounds, doubly_robust, support
from banditroute.core.policies import Greedy
from banditroute.errors import DataError
from banditroute.evaluation.diagnosing import LEAST_ESS, answerable, doubts, refusal
from banditroute.evaluation.intervals import estimate, foreseen_lift_variance
from banditroute.evaluation.log import Log
from banditroute.evaluation.modelling import LOGGED, Sample, sample
from banditroute.evaluation.results import Estimate, Savings
from banditroute.evaluation.targets import Instead
from banditroute.evaluation.weighing import AS_LOGGED, COST, QUALITY, UTILITY, Weights
from banditroute.values import Matrix

BEST_FIXED = "best-fixed"


@dataclass(frozen=True, slots=True)
class Overhead:
    """What routing costs besides the calls, in dollars: a request, an answer that a judge read."""

    router_usd_per_request: float = 0.0
    judge_usd_per_answer: float = 0.0


def savings(
    log: Log,
    baseline: str = BEST_FIXED,
    *,
    weights: Weights = AS_LOGGED,
    overhead: Overhead | None = None,
    model: str = LOGGED,
    level: float = 0.95,
) -> Savings:
    """What the router achieved and paid, less what always asking the ``baseline`` arm would have.

    ``best-fixed`` is the arm whose utility is estimated highest among those that the log says
    enough of. Doubly robust, on the differences round by round; where the arm was not eligible,
    the best of the others as predicted then stands in for it. Raises DataError for an unknown arm.
    """
    if baseline != BEST_FIXED and baseline not in log.arms:
        raise DataError(
            f"baseline: the log has no arm {baseline!r}; name {BEST_FIXED} or one of "
            f"{', '.join(log.arms)}"
        )
    arms = log.arms if baseline == BEST_FIXED else (baseline,)
    targets = {arm: _always(log, arm) for arm in arms}
    samples = {name: sample(log, name, weights, model) for name in (UTILITY, QUALITY, COST)}
    arm = _best(log, samples[UTILITY], targets)
    target = targets[arm]
    refusals = {
        name: why for name, known in samples.items() if (why := refusal(log, name, known, target))
    }
    found = {
        name: _difference(answerable(known.rounds(target)), level)
        for name, known in samples.items()
        if name not in refusals
    }
    costs, by_judge = overhead or Overhead(), int(np.count_nonzero(log.by_judge))
    return Savings(
        baseline=arm,
        chosen_on_this_log=baseline == BEST_FIXED,
        requests=len(log),
        usd=_negated(found.get(COST)),
        quality=found.get(QUALITY),
        utility=found.get(UTILITY),
        router_usd=costs.router_usd_per_request,
        judge_usd=costs.judge_usd_per_answer * by_judge / max(len(log), 1),
        judged_by_judge=by_judge,
        refusals=refusals,
        warnings=doubts(log, samples[UTILITY].rounds(target)) if UTILITY in found else (),
    )


def _always(log: Log, arm: str) -> Matrix:
    """(T, K) that arm; where it was not eligible, the best of the others as predicted."""
    row = log.arms.index(arm)
    absent = ~log.eligible[:, row]
    chances = np.zeros(log.probabilities.shape)
    chances[:, row] = ~absent
    chances[absent] = Instead(Greedy(), floor=0.0).probabilities(log.take(absent))
    return chances


def _best(log: Log, utility: Sample, targets: Mapping[str, Matrix]) -> str:
    """The arm of the highest estimated utility, of those with support."""
    able = [arm for arm in targets if not refusal(log, UTILITY, utility, targets[arm])]
    rounds = {arm: answerable(utility.rounds(targets[arm])) for arm in able}
    sure = [arm for arm in able if support(rounds[arm]).ess >= LEAST_ESS]
    worth = {arm: float(doubly_robust(one).mean()) for arm, one in rounds.items()}
    return max(sure or able, key=worth.__getitem__) if able else next(iter(targets))


def _difference(rounds: Rounds, level: float) -> Estimate:
    """What came, less what the target would have had."""
    outcomes = rounds.rewards - doubly_robust(rounds)
    return estimate(outcomes, level, foreseen_lift_variance(rounds))


def _negated(one: Estimate | None) -> Estimate | None:
    if one is None:
        return None
    return Estimate(-one.estimate, -one.high, -one.low, -one.bootstrap_high, -one.bootstrap_low)
