"""A data folder laid out for arithmetic: contexts, and every arm's outcome of every prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy

from banditroute.core.context import Featurizer, TaskSpec
from banditroute.core.posterior import FeatureGroups
from banditroute.core.roster import Roster
from banditroute.datasets import Dataset
from banditroute.values import Arm, Context, Matrix, Request, Wishes

TYPICAL_TOKENS = 300.0  # what recorded costs are spread over where no tokens were recorded


@dataclass(frozen=True, slots=True)
class Problem:
    """N prompts × K arms with every cell known; matrices have shape (N, K).

    ``contexts`` are what a policy sees of the prompts, ``tasks`` the data's labels;
    ``task_sent`` says whether the application names them.
    ``cost_usd`` is 0 where nothing is known of costs; ``output_tokens`` and ``latency_s`` are
    NaN where unknown. ``expected`` is the mean of ``quality`` given the prompt, known of
    made-up worlds only; None where one sample of each cell is all there is.
    """

    name: str
    groups: FeatureGroups
    contexts: tuple[Context, ...]
    tasks: tuple[str | None, ...]
    roster: Roster
    quality: Matrix
    cost_usd: Matrix
    output_tokens: Matrix
    latency_s: Matrix
    expected: Matrix | None = None
    task_sent: bool = True

    def __len__(self) -> int:
        return len(self.contexts)

    @property
    def priced(self) -> bool:
        """Whether anything costs anything."""
        return bool(np.any(self.cost_usd > 0.0))

    def utility(self, answer_value_usd: float) -> Matrix:
        """(N, K) quality − cost / value: what a policy is after where latency does not count."""
        worth: Matrix = self.quality - self.cost_usd / answer_value_usd
        return worth

    @property
    def truth(self) -> Matrix:
        """(N, K) the mean quality of every cell, where only samples are known the samples."""
        return self.quality if self.expected is None else self.expected

    def swapped(self, first: int, second: int) -> Problem:
        """Two arms with each other's quality, at their own prices: a silent change of models."""

        def changed(quality: Matrix) -> Matrix:
            quality[:, [first, second]] = quality[:, [second, first]]
            return quality

        return self.rated(changed)

    def rated(self, change: Callable[[Matrix], Matrix]) -> Problem:
        """Another quality of the answers: ``change`` of a copy of the samples and of their mean."""
        expected = None if self.expected is None else change(self.expected.copy())
        return replace(self, quality=change(self.quality.copy()), expected=expected)

    def repriced(self, row: int, factor: float) -> Problem:
        """One arm at ``factor`` times its price."""
        cost = self.cost_usd.copy()
        cost[:, row] *= factor
        arms = list(self.roster.arms)
        arms[row] = replace(
            arms[row],
            input_usd_per_mtok=arms[row].input_usd_per_mtok * factor,
            output_usd_per_mtok=arms[row].output_usd_per_mtok * factor,
        )
        return replace(self, cost_usd=cost, roster=Roster(tuple(arms)))


def problem_of(
    data: Dataset,
    *,
    with_task: bool = True,
    featurizer: Featurizer | None = None,
) -> Problem:
    """The problem that a data set poses, its tasks declared and sent unless ``with_task`` is off.

    ``featurizer`` replaces the default one.
    """
    names = sorted({task for task in data.tasks if task}) if with_task else []
    seen = featurizer or Featurizer(tasks=[TaskSpec(name) for name in names])
    contexts = tuple(
        seen.context(
            Request(
                {"messages": [{"role": "user", "content": prompt}]},
                Wishes(task=task if with_task else None),
            )
        )
        for prompt, task in zip(data.prompts, data.tasks, strict=True)
    )
    shape = data.quality.shape
    arms = _arms(data)
    return Problem(
        name=data.name,
        groups=FeatureGroups(seen.groups),
        contexts=contexts,
        tasks=data.tasks,
        roster=Roster(tuple(arms)),
        quality=data.quality,
        cost_usd=np.zeros(shape) if data.cost_usd is None else np.nan_to_num(data.cost_usd),
        output_tokens=np.full(shape, np.nan) if data.output_tokens is None else data.output_tokens,
        latency_s=np.full(shape, np.nan) if data.latency_s is None else data.latency_s,
        task_sent=with_task,
    )


def prices(data: Dataset, column: int) -> tuple[float, float]:
    """Dollars per million input and output tokens that explain an arm's recorded costs.

    Least squares where tokens are known; otherwise all of it on ``TYPICAL_TOKENS`` of output.
    """
    if data.cost_usd is None:
        return 0.0, 0.0
    cost = data.cost_usd[:, column]
    if data.input_tokens is not None and data.output_tokens is not None:
        tokens = np.stack([data.input_tokens[:, column], data.output_tokens[:, column]], axis=1)
        known = np.isfinite(cost) & np.all(np.isfinite(tokens), axis=1)
        if known.any():
            (price_in, price_out), _ = scipy.optimize.nnls(tokens[known] / 1e6, cost[known])
            return float(price_in), float(price_out)
    known = np.isfinite(cost)
    return 0.0, float(cost[known].mean() * 1e6 / TYPICAL_TOKENS) if known.any() else 0.0


def _arms(data: Dataset) -> Sequence[Arm]:
    priced = [prices(data, column) for column in range(len(data.arms))]
    return [
        Arm(name, "replay", name, price_in, price_out)
        for name, (price_in, price_out) in zip(data.arms, priced, strict=True)
    ]
