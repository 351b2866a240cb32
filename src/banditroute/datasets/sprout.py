"""SPROUT, the set of CARROT: Parquet with one row a prompt, in one file or a folder of them.

Columns are prompt, dataset (the task), and for every model one of structs with score in
[0, 1], num_input_tokens, num_output_tokens and response. It has no prices, so no costs. The
columns are those that the authors' code reads (somerstep/CARROT, carrot/gen_sprout.py); the
files themselves were not at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from banditroute.datasets.gathering import Gathering
from banditroute.datasets.rows import Row, parquet_rows
from banditroute.datasets.table import Table

NAMES = {
    "quality": "{arm}.score",
    "input_tokens": "{arm}.num_input_tokens",
    "output_tokens": "{arm}.num_output_tokens",
}


def fits(record: Mapping[str, Any]) -> bool:
    """Whether a record is one of this format."""
    return "prompt" in record and any(_is_outcome(value) for value in record.values())


def read(path: Path) -> Table:
    """The table of one file, or of all in a folder."""
    held = Gathering(str(path), NAMES)
    for file in [path] if path.is_file() else sorted(path.rglob("*.parquet")):
        for row in parquet_rows(file):
            _add(held, row, f"{file.stem}/{row.number}")
    return held.table()


def _add(held: Gathering, row: Row, prompt_id: str) -> None:
    prompt = held.prompt(prompt_id, row.text("prompt"), row.label("dataset"))
    for arm in (name for name, value in row.values.items() if _is_outcome(value)):
        cell = row.record(arm)
        held.outcome(
            row,
            prompt,
            arm,
            quality=cell.amount("score"),
            input_tokens=cell.amount("num_input_tokens"),
            output_tokens=cell.amount("num_output_tokens"),
        )


def _is_outcome(value: Any) -> bool:
    return isinstance(value, dict) and "score" in value
