"""EmbedLLM: CSV with one row a prompt and model, in one file or a folder of splits.

Columns are prompt_id, prompt, model_name, label (1 where the answer is right), and category or
category_id (the task). Of a folder, ``train.csv``, ``val.csv`` and ``test.csv`` are read. It has
no costs. Where a prompt and model come more than once, the highest label counts, as in the
authors' own code (richardzhuang0412/EmbedLLM, algorithm/knn.py), from which the columns are
taken too; the files themselves were not at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from banditroute.datasets.gathering import Gathering
from banditroute.datasets.rows import Row, csv_rows
from banditroute.datasets.table import Table
from banditroute.errors import DataError

SPLITS = ("train.csv", "val.csv", "test.csv")


def fits(record: Mapping[str, Any]) -> bool:
    """Whether a record is one of this format."""
    return {"prompt_id", "model_name", "label"} <= record.keys()


def read(path: Path) -> Table:
    """The table of one file, or of the splits in a folder."""
    held = Gathering(str(path), {"quality": "label"})
    for file in _files(path):
        for row in csv_rows(file):
            _add(held, row)
    return _highest(held.table())


def _add(held: Gathering, row: Row) -> None:
    row.need("label")
    task = row.label("category") or row.label("category_id")
    prompt = held.prompt(row.text("prompt_id"), row.text("prompt"), task)
    held.outcome(row, prompt, row.text("model_name"), quality=row.amount("label"))


def _highest(table: Table) -> Table:
    """The table with one outcome, the one of the highest label, for each prompt and model."""
    cell = table.prompt * max(len(table.arms), 1) + table.arm
    order = np.lexsort((table.amounts["quality"], cell))
    last = np.ones(cell.size, dtype=bool)
    last[:-1] = cell[order][1:] != cell[order][:-1]
    return table.only(order[last])


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = [path / name for name in SPLITS if (path / name).is_file()]
    if not found:
        raise DataError(f"{path}: it has none of {', '.join(SPLITS)}; name the CSV file itself")
    return found
