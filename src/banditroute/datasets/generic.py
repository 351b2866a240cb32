"""The two generic forms, for CSV, JSONL, Parquet and DataFrames.

Long: one row a prompt and arm, with prompt, arm, quality, and where known prompt_id, task,
cost_usd, latency_s, input_tokens, output_tokens. Without prompt_id the text is the prompt.

Wide: one row a prompt, with prompt, ``quality:ARM`` for every arm, and where known prompt_id,
task, and ``cost_usd:ARM`` and so on. Without prompt_id every row is a prompt of its own.

An outcome whose quality is not given was not observed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from banditroute.datasets.dataset import AMOUNTS
from banditroute.datasets.gathering import Gathering
from banditroute.datasets.rows import Row, csv_rows, jsonl_rows, parquet_rows
from banditroute.datasets.table import Table
from banditroute.errors import DataError

WIDE = "quality:"  # begins the name of every column of qualities of the wide form


def read_csv(path: Path) -> Table:
    """The table of a CSV file with a header, in UTF-8."""
    return read_rows(str(path), csv_rows(path))


def read_jsonl(path: Path) -> Table:
    """The table of a file with one JSON object a line."""
    return read_rows(str(path), jsonl_rows(path))


def read_parquet(path: Path) -> Table:
    """The table of a Parquet file."""
    return read_rows(str(path), parquet_rows(path))


def read_rows(source: str, rows: Iterable[Row]) -> Table:
    """The table of rows in either form, told by the names in the first of them."""
    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        raise DataError(f"{source}: it has no row; write one for each prompt and arm")
    every = chain([first], rows)
    if any(name.startswith(WIDE) for name in first.values):
        return _wide(source, every)
    if not {"arm", "quality"} <= first.values.keys():
        raise DataError(
            f"{source}: neither the long form (prompt, arm, quality) nor the wide one (prompt,"
            f" quality:ARM for every arm); it has {', '.join(first.values) or 'none'}"
        )
    return _long(source, every)


def _long(source: str, rows: Iterator[Row]) -> Table:
    held = Gathering(source)
    ids: dict[str, str] = {}
    for row in rows:
        text = row.text("prompt")
        prompt_id = row.label("prompt_id") or ids.setdefault(text, str(len(ids)))
        if held.text(prompt_id) not in {None, text}:
            raise row.error("prompt", f"is another prompt than the one of {prompt_id!r} before")
        prompt = held.prompt(prompt_id, text, row.label("task"))
        row.need("quality")
        amounts = {name: row.amount(name) for name in ("quality", *AMOUNTS)}
        held.outcome(row, prompt, row.text("arm"), **amounts)
    return held.table()


def _wide(source: str, rows: Iterator[Row]) -> Table:
    held = Gathering(source, {name: f"{name}:{{arm}}" for name in ("quality", *AMOUNTS)})
    for row in rows:
        prompt_id = row.label("prompt_id") or str(row.number)
        if held.text(prompt_id) is not None:
            raise row.error("prompt_id", f"repeats {prompt_id!r}; keep one of them")
        prompt = held.prompt(prompt_id, row.text("prompt"), row.label("task"))
        for arm in (name.removeprefix(WIDE) for name in row.values if name.startswith(WIDE)):
            amounts = {name: row.amount(f"{name}:{arm}") for name in ("quality", *AMOUNTS)}
            held.outcome(row, prompt, arm, **amounts)
    return held.table()
