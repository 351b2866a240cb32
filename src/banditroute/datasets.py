"""Data folders: real prompts with every arm's observed answer, scored.

A folder holds ``prompts.parquet`` (prompt_id, prompt, and where known task),
``outcomes.parquet`` (prompt_id, arm, quality in [0, 1], and where known cost_usd,
latency_s, input_tokens, output_tokens) and ``pool.json`` (``{"pool": [arm, …]}``, the arms
to use unless others are named). Row numbers in errors count from 0.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import arro3.io
import numpy as np
from numpy.typing import NDArray

from banditroute.errors import DataError
from banditroute.values import Matrix, Vector

Indices: TypeAlias = NDArray[np.int64]

PARQUET_MAGIC = b"PAR1"  # the first and the last four bytes of every Parquet file


@dataclass(frozen=True, slots=True)
class Dataset:
    """N prompts × K arms, every cell of ``quality`` observed.

    The matrices have shape (N, K), rows in the order of ``prompts`` and columns in that of
    ``arms``. Single unknown numbers are NaN; a matrix of which nothing is known is None.
    """

    name: str
    prompts: tuple[str, ...]
    prompt_ids: tuple[str, ...]
    tasks: tuple[str | None, ...]
    arms: tuple[str, ...]
    quality: Matrix
    cost_usd: Matrix | None = None
    latency_s: Matrix | None = None
    input_tokens: Matrix | None = None
    output_tokens: Matrix | None = None


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
    cells = _Cells(_Sheet(folder / "outcomes.parquet"), ids, _chosen(folder, arms))
    keep = cells.complete_rows()
    texts, tasks = prompts.texts("prompt"), prompts.optional_texts("task")
    return Dataset(
        name=folder.resolve().name,
        prompts=tuple(texts[row] for row in keep),
        prompt_ids=tuple(ids[row] for row in keep),
        tasks=tuple(tasks[row] for row in keep),
        arms=cells.arms,
        quality=cells.quality()[keep],
        cost_usd=cells.amounts("cost_usd", keep),
        latency_s=cells.amounts("latency_s", keep),
        input_tokens=cells.amounts("input_tokens", keep),
        output_tokens=cells.amounts("output_tokens", keep),
    )


class _Sheet:
    """One Parquet file, read whole; its columns come as plain lists."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._table = _read(path)
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
        return DataError(f"{self.path}: column {column}, row {row} {complaint}")

    def _values(self, column: str) -> list[Any]:
        if column not in self.names:
            found = ", ".join(sorted(self.names)) or "none"
            raise DataError(f"{self.path}: column {column} is missing; it has {found}")
        values: list[Any] = self._table.column(column).to_pylist()
        return values


class _Cells:
    """The outcomes of the chosen arms, each at its place prompt · K + arm."""

    def __init__(self, sheet: _Sheet, prompt_ids: Sequence[str], arms: tuple[str, ...]) -> None:
        self.arms = arms
        self._sheet = sheet
        self._shape = (len(prompt_ids), len(arms))
        names = sheet.texts("arm")
        _refuse_unknown_arms(sheet.path, arms, names)
        rows = _places(sheet.texts("prompt_id"), prompt_ids)
        columns = _places(names, arms)
        self._source: Indices = np.flatnonzero((rows >= 0) & (columns >= 0))
        self._target: Indices = (rows * len(arms) + columns)[self._source]
        self._refuse_repeated_cells()

    def complete_rows(self) -> Indices:
        """The prompts for which every arm has an outcome. Raises DataError if there are none."""
        seen = np.bincount(self._target // len(self.arms), minlength=self._shape[0])
        keep = np.flatnonzero(seen == len(self.arms))
        if not keep.size:
            raise DataError(
                f"{self._sheet.path}: no prompt of prompts.parquet has an outcome of every arm"
                f" of the pool ({len(self.arms)} arms); name fewer arms, or check prompt_id"
            )
        return keep

    def quality(self) -> Matrix:
        """Every observed quality, (N, K), NaN where there is no outcome."""
        return self._matrix("quality", 0.0, 1.0, required=True)

    def amounts(self, column: str, keep: Indices) -> Matrix | None:
        """A column of what calls consumed, (len(keep), K); None where nothing is known."""
        if column not in self._sheet.names:
            return None
        matrix = self._matrix(column, 0.0, np.finfo(np.float64).max, required=False)[keep]
        return None if np.isnan(matrix).all() else matrix

    def _matrix(self, column: str, low: float, high: float, *, required: bool) -> Matrix:
        values = self._sheet.numbers(column)[self._source]
        good = (values >= low) & (values <= high)
        if not required:
            good |= np.isnan(values)
        if not good.all():
            at = int(np.argmin(good))
            bounds = f"between {low:g} and {high:g}" if required else "finite and not negative"
            complaint = f"is {values[at]:g}; it must be {bounds}"
            raise self._sheet.error(column, int(self._source[at]), complaint)
        matrix = np.full(self._shape, np.nan)
        matrix.flat[self._target] = values
        return matrix

    def _refuse_repeated_cells(self) -> None:
        _, first = np.unique(self._target, return_index=True)
        if first.size < self._target.size:
            again = np.setdiff1d(np.arange(self._target.size), first)
            row = int(self._source[again[0]])
            complaint = "repeats an outcome; keep one row for each prompt_id and arm"
            raise self._sheet.error("prompt_id", row, complaint)


def _read(path: Path) -> Any:
    """The whole table. arro3 panics on a broken file, so its frame is looked at first."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; a data folder needs it")
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(max(path.stat().st_size - 4, 0))
        tail = file.read(4)
    if head != PARQUET_MAGIC or tail != PARQUET_MAGIC:
        raise DataError(f"{path}: not a complete Parquet file; write or copy it again")
    try:
        return arro3.io.read_parquet(str(path)).read_all()
    except BaseException as error:
        # A Rust panic reaches Python as a BaseException that no module exports.
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise DataError(f"{path}: not a readable Parquet file; write it again") from None
        raise


def _chosen(folder: Path, arms: Sequence[str] | None) -> tuple[str, ...]:
    """The named arms, or the pool of the folder; at least one, none of them twice."""
    if arms is None:
        return _distinct(_pool(folder / "pool.json"), f"{folder / 'pool.json'}: pool")
    return _distinct(tuple(arms), f"{folder}: the named arms")


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


def _distinct(arms: tuple[str, ...], where: str) -> tuple[str, ...]:
    if not arms:
        raise DataError(f"{where}: no arm at all; name at least one")
    if len(set(arms)) < len(arms):
        raise DataError(f"{where}: an arm is named twice; name each once")
    return arms


def _places(values: Sequence[str], known: Sequence[str]) -> Indices:
    """The index of each value in ``known``, −1 where it is not there."""
    index = {value: place for place, value in enumerate(known)}
    return np.fromiter((index.get(value, -1) for value in values), np.int64, len(values))


def _refuse_repeated_ids(sheet: _Sheet, ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for row, prompt_id in enumerate(ids):
        if prompt_id in seen:
            raise sheet.error("prompt_id", row, f"repeats {prompt_id!r}; keep one of them")
        seen.add(prompt_id)


def _refuse_unknown_arms(path: Path, arms: Sequence[str], names: Sequence[str]) -> None:
    present = set(names)
    unknown = ", ".join(arm for arm in arms if arm not in present)
    if unknown:
        found = ", ".join(sorted(present)) or "none"
        raise DataError(f"{path}: column arm has no outcome of {unknown}; it has {found}")
