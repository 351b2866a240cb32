"""What targets would have earned, in every measure, by every estimator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from banditroute.core.offpolicy import ESTIMATORS, support
from banditroute.core.policies import Policy
from banditroute.errors import DataError
from banditroute.evaluation.diagnosing import doubts, doubts_of_log, refusal
from banditroute.evaluation.log import Log
from banditroute.evaluation.measuring import DOUBLY_ROBUST, always, measured
from banditroute.evaluation.modelling import LOGGED, MODELS, Sample, sample
from banditroute.evaluation.results import Evaluation, Judgement, Measured
from banditroute.evaluation.saving import Overhead, savings
from banditroute.evaluation.targets import InForce, Target, target_of
from banditroute.evaluation.verdict import verdict
from banditroute.evaluation.weighing import AS_LOGGED, MEASURES, UTILITY, Weights
from banditroute.values import Matrix

TASK, TAG = "task", "tag"
GROUPED_BY = (TASK, TAG)
LEAST_GROUP = 50


@dataclass(frozen=True, slots=True)
class Ways:
    """How to estimate. ``estimator`` is the one that counts, for groups and where one is shown.

    ``model`` predicts rewards: "logged" for the router's own predictions, "ridge". ``by`` groups
    by "task" and "tag" those that have ``least_group`` judged rounds.
    """

    weights: Weights = AS_LOGGED
    model: str = LOGGED
    estimator: str = DOUBLY_ROBUST
    level: float = 0.95
    by: tuple[str, ...] = ()
    least_group: int = LEAST_GROUP

    def __post_init__(self) -> None:
        for name, value, known in (
            ("model", self.model, MODELS),
            ("estimator", self.estimator, tuple(ESTIMATORS)),
            *(("by", one, GROUPED_BY) for one in self.by),
        ):
            if value not in known:
                raise DataError(f"{name}: there is no {value!r}; name one of {', '.join(known)}")
        if not 0.5 < self.level < 1.0:
            raise DataError("level: give a number between 0.5 and 1, such as 0.95")


def evaluate(
    log: Log,
    targets: Iterable[Target | Policy | str] = (),
    *,
    baseline: str | None = None,
    overhead: Overhead | None = None,
    ways: Ways | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> Evaluation:
    """What a log says of the policy that made it, and of what others would have chosen there.

    Targets may be policies or their specs. With a ``baseline``, also what routing saved, as by
    :func:`~banditroute.evaluation.savings`. What cannot be said is refused, with the reason,
    target by target. ``progress`` is called with the number of targets done. Raises DataError for
    a target, a baseline or a way that does not fit the log.
    """
    how = ways or Ways()
    samples = {name: sample(log, name, how.weights, how.model) for name in MEASURES}
    asked = [target_of(target) for target in targets]
    challengers = sum(not isinstance(target, InForce) for target in asked)
    judge = _Judge(log, samples, how, challengers)
    judged = []
    for target in asked:
        judged.append(judge(target))
        progress(len(judged))
    saved = None
    if baseline is not None and len(log):
        saved = savings(
            log,
            baseline,
            weights=how.weights,
            overhead=overhead,
            model=how.model,
            level=how.level,
        )
    return Evaluation(
        rounds=len(log),
        judged=int(np.count_nonzero(log.judged)),
        arms=log.arms,
        begin_s=float(log.made_at_s.min(initial=np.inf)),
        end_s=float(log.made_at_s.max(initial=-np.inf)),
        left_out=log.left_out,
        level=how.level,
        estimator=how.estimator,
        warnings=doubts_of_log(log, samples[UTILITY]),
        in_force=judge(InForce()),
        targets=tuple(judged),
        savings=saved,
    )


@dataclass(frozen=True, slots=True)
class _Judge:
    """Judges one target after the other by the same log.

    ``challengers`` is how many of them are not the policy in force.
    """

    log: Log
    samples: Mapping[str, Sample]
    ways: Ways
    challengers: int

    def __call__(self, target: Target) -> Judgement:
        lifted, counted = not isinstance(target, InForce), self.samples[UTILITY]
        chances = target.probabilities(self.log) if len(self.log) else self.log.probabilities
        refusals = {
            name: why
            for name, known in self.samples.items()
            if (why := refusal(self.log, name, known, chances))
        }
        measures = {
            name: self._measured(name, known, chances, lifted=lifted)
            for name, known in self.samples.items()
            if name not in refusals
        }
        return Judgement(
            target=target.name,
            measures=measures,
            refusals=refusals,
            support=support(counted.rounds(chances)) if len(counted) else None,
            warnings=doubts(self.log, counted.rounds(chances)) if UTILITY in measures else (),
            groups={by: self._groups(by, chances, lifted=lifted) for by in self.ways.by},
            verdict=verdict(measures, refusals, self.ways.level, self.challengers),
        )

    def _groups(self, by: str, chances: Matrix, *, lifted: bool) -> dict[str, dict[str, Measured]]:
        """What can be said of each group that is large enough."""
        found = {}
        for group, part in groups(self.log, by).items():
            if np.count_nonzero(part & self.log.judged) >= self.ways.least_group:
                found[group] = self._group(part, chances, lifted=lifted)
        return found

    def _group(
        self, part: NDArray[np.bool_], chances: Matrix, *, lifted: bool
    ) -> dict[str, Measured]:
        inside = {name: known.within(part) for name, known in self.samples.items()}
        estimators = (self.ways.estimator,)
        return {
            name: measured(known, chances, estimators, self.ways.level, lifted=lifted)
            for name, known in inside.items()
            if not refusal(self.log, name, known, chances)
        }

    def _measured(self, name: str, known: Sample, chances: Matrix, *, lifted: bool) -> Measured:
        level = self.ways.level
        found = measured(known, chances, ESTIMATORS, level, lifted=lifted)
        challengers = self.challengers if lifted else 0
        return always(found, name, known, chances, level, challengers=challengers)


def groups(log: Log, by: str) -> dict[str, NDArray[np.bool_]]:
    """The rounds (T,) of every task, or of every tag; the largest group first."""
    words = [tags if by == TAG else (task,) for task, tags in zip(log.tasks, log.tags, strict=True)]
    count = Counter(word for said in words for word in set(said) if word is not None)
    return {
        word: np.array([word in said for said in words], dtype=np.bool_)
        for word, _ in count.most_common()
    }
