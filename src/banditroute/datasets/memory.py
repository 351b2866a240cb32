"""Datasets of what a notebook already holds: arrays, or a DataFrame of any library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from banditroute.datasets.dataset import AMOUNTS, Dataset
from banditroute.datasets.generic import read_rows
from banditroute.datasets.rows import frame_rows
from banditroute.datasets.table import Table, distinct
from banditroute.errors import DataError
from banditroute.values import Matrix


def from_arrays(
    quality: ArrayLike,
    arms: Sequence[str],
    *,
    prompts: Sequence[str] | None = None,
    prompt_ids: Sequence[str] | None = None,
    tasks: Sequence[str | None] | None = None,
    cost_usd: ArrayLike | None = None,
    latency_s: ArrayLike | None = None,
    input_tokens: ArrayLike | None = None,
    output_tokens: ArrayLike | None = None,
    name: str = "arrays",
) -> Dataset:
    """The Dataset of a quality (N, K) in [0, 1], NaN where it was not observed.

    The other amounts have that shape or one that broadcasts to it, such as (K,). Prompts that
    are not given are empty texts. A prompt without a quality of every arm is left out.
    """
    scores = _matrix(quality, "quality", name)
    given = zip(AMOUNTS, (cost_usd, latency_s, input_tokens, output_tokens), strict=True)
    amounts = {
        amount: _spread(_matrix(values, amount, name, least=0), scores, amount, name)
        for amount, values in given
        if values is not None
    }
    count = len(scores)
    ids = _each(prompt_ids, [str(row) for row in range(count)], "prompt_ids", name)
    if len(set(ids)) < count:
        raise DataError(f"{name}: a prompt_id is named twice; name each once")
    return _table(
        name=name,
        ids=ids,
        prompts=_each(prompts, [""] * count, "prompts", name),
        tasks=_each(tasks, [None] * count, "tasks", name),
        arms=_named(arms, scores, name),
        amounts={"quality": scores, **amounts},
    ).dataset(name)


def from_frame(frame: Any, arms: Sequence[str] | None = None, name: str = "frame") -> Dataset:
    """The Dataset of a DataFrame in the long or the wide form of :mod:`.generic`.

    Takes anything with ``.columns`` and ``[column]``, such as those of pandas and polars.
    """
    return read_rows(name, frame_rows(name, frame)).dataset(name, arms)


def _table(
    *,
    name: str,
    ids: Sequence[str],
    prompts: Sequence[str],
    tasks: Sequence[str | None],
    arms: Sequence[str],
    amounts: dict[str, Matrix],
) -> Table:
    prompt, arm = np.nonzero(~np.isnan(amounts["quality"]))
    return Table(
        source=name,
        prompt_ids=ids,
        prompts=prompts,
        tasks=tasks,
        arms=arms,
        prompt=prompt,
        arm=arm,
        amounts={amount: values[prompt, arm] for amount, values in amounts.items()},
        where=lambda cell, amount: f"{name}: {amount}[{prompt[cell]}, {arm[cell]}]",
    )


def _matrix(values: ArrayLike, amount: str, name: str, least: int = 2) -> Matrix:
    try:
        matrix = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(
            f"{name}: {amount} must hold numbers alone, in rows of one length"
        ) from None
    if not least <= matrix.ndim <= 2:
        raise DataError(f"{name}: {amount} has shape {matrix.shape}; it must be prompts × arms")
    return matrix


def _spread(matrix: Matrix, scores: Matrix, amount: str, name: str) -> Matrix:
    try:
        return np.broadcast_to(matrix, scores.shape)
    except ValueError:
        shapes = f"{matrix.shape}; it must have that of quality, {scores.shape}"
        raise DataError(f"{name}: {amount} has shape {shapes}") from None


def _each(values: Sequence[Any] | None, default: list[Any], what: str, name: str) -> list[Any]:
    """One value for each prompt."""
    if values is not None and len(values) != len(default):
        raise DataError(f"{name}: {len(values)} {what} for {len(default)} rows of quality")
    return default if values is None else list(values)


def _named(arms: Sequence[str], scores: Matrix, name: str) -> tuple[str, ...]:
    if len(arms) != scores.shape[1]:
        raise DataError(f"{name}: {len(arms)} arms for {scores.shape[1]} columns of quality")
    return distinct(arms, f"{name}: arms")
