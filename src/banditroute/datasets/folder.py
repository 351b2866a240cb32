"""Data folders: real prompts with every arm's observed answer, scored.

A folder holds ``prompts.parquet`` (prompt_id, prompt, and where known task),
``outcomes.parquet`` (prompt_id, arm, quality in [0, 1], and where known cost_usd,
latency_s, input_tokens, output_tokens) and ``pool.json`` (``{"pool": [arm, …]}``, the arms
to use unless others are named). Row numbers in errors count from 0. Every outcome needs its
quality; outcomes of prompts that are not in ``prompts.parquet`` are left out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from banditroute.datasets.dataset import AMOUNTS, Dataset
from banditroute.datasets.parquet import parquet_table
from banditroute.datasets.table import Table, distinct, places
from banditroute.errors import DataError
from banditroute.values import Vector


def load_dataset(folder: Path, arms: Sequence[str] | None = None) -> Dataset:
    """Read a data folder, for the arms of its pool or for the named ones.

    Keeps the prompts for which every one of those arms has an outcome, in the order of
    ``prompts.parquet``. Raises DataError naming the file, the column, the row and the remedy.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; name one that holds prompts.parquet")
    prompts = _Sheet(folder / "prompts.parquet")
    ids = prompts.texts("prompt_id")
    _refuse_repeated_ids(prompts, ids)
    chosen = _chosen(folder, arms)
    return _table(prompts, ids, _Sheet(folder / "outcomes.parquet")).dataset(
        folder.resolve().name, chosen
    )


class _Sheet:
    """One Parquet file, read whole; its columns come as plain lists."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise DataError(f"{path}: no such file; a data folder needs it")
        self.path = path
        self._table = parquet_table(path)
        self.names: frozenset[str] = frozenset(self._table.column_names)

    def texts(self, column: str) -> list[str]:
        """A column of texts, none of them missing."""
        values = self._values(column)
        for row, value in enumerate(values):
            if not isinstance(value, str):
                raise self.error(column, row, f"is {value!r}; every row needs a text")
        return values

    def optional_texts(self, column: str) -> list[str | None]:
        """A column of texts; None where a text, or the whole column, is missing."""
        if column not in self.names:
            return [None] * int(self._table.num_rows)
        return [None if value is None else str(value) for value in self._values(column)]

    def numbers(self, column: str) -> Vector:
        """A column of numbers as float64, NaN for null."""
        try:
            return np.array(self._values(column), dtype=np.float64)
        except (TypeError, ValueError):
            raise DataError(f"{self.path}: column {column} must hold numbers") from None

    def error(self, column: str, row: int, complaint: str) -> DataError:
        return DataError(f"{self.place(row, column)} {complaint}")

    def place(self, row: int, column: str) -> str:
        return f"{self.path}: column {column}, row {row}"

    def _values(self, column: str) -> list[Any]:
        if column not in self.names:
            found = ", ".join(sorted(self.names)) or "none"
            raise DataError(f"{self.path}: column {column} is missing; it has {found}")
        values: list[Any] = self._table.column(column).to_pylist()
        return values


def _table(prompts: _Sheet, ids: Sequence[str], outcomes: _Sheet) -> Table:
    names = outcomes.texts("arm")
    arms = sorted(set(names))
    known = ["quality", *(amount for amount in AMOUNTS if amount in outcomes.names)]
    return Table(
        source=str(outcomes.path),
        prompt_ids=ids,
        prompts=prompts.texts("prompt"),
        tasks=prompts.optional_texts("task"),
        arms=arms,
        prompt=places(outcomes.texts("prompt_id"), ids),
        arm=places(names, arms),
        amounts={amount: outcomes.numbers(amount) for amount in known},
        where=outcomes.place,
    )


def _chosen(folder: Path, arms: Sequence[str] | None) -> tuple[str, ...]:
    """The named arms, or the pool of the folder; at least one, none of them twice."""
    if arms is None:
        return distinct(_pool(folder / "pool.json"), f"{folder / 'pool.json'}: pool")
    return distinct(arms, f"{folder}: the named arms")


def _pool(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        raise DataError(f"{path}: no such file; write it, or name the arms to use")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise DataError(f'{path}: not JSON; it must read {{"pool": ["arm", …]}}') from None
    pool = content.get("pool") if isinstance(content, dict) else None
    if not isinstance(pool, list) or not all(isinstance(arm, str) for arm in pool):
        raise DataError(f'{path}: it must read {{"pool": ["arm", …]}}')
    return tuple(pool)


def _refuse_repeated_ids(sheet: _Sheet, ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for row, prompt_id in enumerate(ids):
        if prompt_id in seen:
            raise sheet.error("prompt_id", row, f"repeats {prompt_id!r}; keep one of them")
        seen.add(prompt_id)
