"""The long table between every format and a Dataset. All checks of outcomes are made here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from banditroute.datasets.dataset import AMOUNTS, Dataset, Indices
from banditroute.errors import DataError
from banditroute.values import Matrix, Vector

# Cell and amount → where it was read: "FILE: column cost_usd, row 3".
Where: TypeAlias = Callable[[int, str], str]

LARGEST = float(np.finfo(np.float64).max)


@dataclass(frozen=True, slots=True)
class Table:
    """Prompts, and outcomes one entry a cell in any order, as a source holds them.

    ``amounts`` has "quality" and, of ``AMOUNTS``, those the source knows. Of no outcome is
    anything known to be right before :meth:`dataset` has returned.
    """

    source: str  # the file or folder that errors name
    prompt_ids: Sequence[str]
    prompts: Sequence[str]
    tasks: Sequence[str | None]
    arms: Sequence[str]  # those that have an outcome
    prompt: Indices  # of each outcome; −1 where the source has no such prompt
    arm: Indices  # of each outcome
    amounts: Mapping[str, Vector]
    where: Where

    def only(self, kept: Indices) -> Table:
        """The same table with the named outcomes alone."""
        return replace(
            self,
            prompt=self.prompt[kept],
            arm=self.arm[kept],
            amounts={name: values[kept] for name, values in self.amounts.items()},
            where=lambda cell, amount: self.where(int(kept[cell]), amount),
        )

    def dataset(self, name: str, arms: Sequence[str] | None = None) -> Dataset:
        """The prompts that have an outcome of every arm, or of every one of the named arms.

        Raises DataError where a used outcome is repeated or out of its range, where a named
        arm has no outcome, and where no prompt is complete.
        """
        chosen = distinct(self.arms if arms is None else arms, f"{self.source}: the named arms")
        cells = _Cells(self, chosen)
        keep = cells.complete_prompts()
        return Dataset(
            name=name,
            prompts=tuple(self.prompts[row] for row in keep),
            prompt_ids=tuple(self.prompt_ids[row] for row in keep),
            tasks=tuple(self.tasks[row] for row in keep),
            arms=chosen,
            quality=cells.quality(keep),
            **{amount: cells.amount(amount, keep) for amount in AMOUNTS},
        )


def distinct(arms: Sequence[str], where: str) -> tuple[str, ...]:
    """The arms; at least one, none of them twice."""
    if not arms:
        raise DataError(f"{where}: no arm at all; name at least one")
    if len(set(arms)) < len(arms):
        raise DataError(f"{where}: an arm is named twice; name each once")
    return tuple(arms)


def places(values: Sequence[str], known: Sequence[str]) -> Indices:
    """The index of each value in ``known``, −1 where it is not there."""
    index = {value: place for place, value in enumerate(known)}
    return np.fromiter((index.get(value, -1) for value in values), np.int64, len(values))


class _Cells:
    """The outcomes of the chosen arms, each at its place prompt · K + arm."""

    def __init__(self, table: Table, arms: tuple[str, ...]) -> None:
        _refuse_unknown_arms(table, arms)
        self._table = table
        self._arms = arms
        self._shape = (len(table.prompt_ids), len(arms))
        columns = places(table.arms, arms)[table.arm]
        self._source: Indices = np.flatnonzero((table.prompt >= 0) & (columns >= 0))
        self._target: Indices = (table.prompt * len(arms) + columns)[self._source]
        self._refuse_repetition()

    def complete_prompts(self) -> Indices:
        """The prompts for which every arm has an outcome. Raises DataError if there are none."""
        seen = np.bincount(self._target // len(self._arms), minlength=self._shape[0])
        keep = np.flatnonzero(seen == len(self._arms))
        if not keep.size:
            each = np.bincount(self._target % len(self._arms), minlength=len(self._arms))
            raise DataError(
                f"{self._table.source}: no prompt has an outcome of every arm ({len(self._arms)}"
                f" arms; {self._arms[int(each.argmin())]} has {each.min()} of {self._shape[0]});"
                " name fewer arms, or check prompt_id"
            )
        return keep

    def quality(self, keep: Indices) -> Matrix:
        """Every observed quality of the kept prompts, (len(keep), K)."""
        values = self._table.amounts["quality"][self._source]
        good = (values >= 0) & (values <= 1)
        self._refuse("quality", values, good, "between 0 and 1: rescale the scores to it")
        return self._matrix(values)[keep]

    def amount(self, name: str, keep: Indices) -> Matrix | None:
        """What the calls consumed, (len(keep), K); None where nothing is known."""
        if name not in self._table.amounts:
            return None
        values = self._table.amounts[name][self._source]
        good = ((values >= 0) & (values <= LARGEST)) | np.isnan(values)
        self._refuse(name, values, good, "finite and not negative, or left out where unknown")
        matrix = self._matrix(values)[keep]
        return None if np.isnan(matrix).all() else matrix

    def _matrix(self, values: Vector) -> Matrix:
        matrix = np.full(self._shape, np.nan)
        matrix.flat[self._target] = values
        return matrix

    def _refuse(self, name: str, values: Vector, good: np.ndarray, bounds: str) -> None:
        if not good.all():
            at = int(np.argmin(good))
            where = self._table.where(int(self._source[at]), name)
            raise DataError(f"{where} is {values[at]:g}; it must be {bounds}")

    def _refuse_repetition(self) -> None:
        _, first = np.unique(self._target, return_index=True)
        if first.size < self._target.size:
            again = int(np.setdiff1d(np.arange(self._target.size), first)[0])
            prompt, arm = divmod(int(self._target[again]), len(self._arms))
            raise DataError(
                f"{self._table.where(int(self._source[again]), 'quality')} repeats the outcome of"
                f" prompt {self._table.prompt_ids[prompt]!r} and arm {self._arms[arm]!r};"
                " keep one of them"
            )


def _refuse_unknown_arms(table: Table, arms: Sequence[str]) -> None:
    present = {table.arms[index] for index in np.unique(table.arm)}
    unknown = ", ".join(arm for arm in arms if arm not in present)
    if unknown:
        found = ", ".join(sorted(present)) or "none"
        raise DataError(f"{table.source}: no outcome of {unknown}; it has {found}")
