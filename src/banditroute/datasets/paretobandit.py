"""ParetoBandit's rewards: JSONL with one prompt a line.

Its files ``val_k4.jsonl``, ``test_k4.jsonl`` and the like have the keys prompt, source (the
task), and arms: ``{ARM: {reward, cost, …}}``, reward in [0, 1] by a judge, cost in dollars.
Verified against data_collection/rewards of the repository ParetoBandit/ParetoBandit.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from banditroute.datasets.gathering import Gathering
from banditroute.datasets.rows import jsonl_rows
from banditroute.datasets.table import Table

NAMES = {"quality": "arms.{arm}.reward", "cost_usd": "arms.{arm}.cost"}


def fits(record: Mapping[str, Any]) -> bool:
    """Whether a record is one of this format."""
    return {"prompt", "arms"} <= record.keys() and isinstance(record["arms"], dict)


def read(path: Path) -> Table:
    """The table of one file."""
    held = Gathering(str(path), NAMES)
    for row in jsonl_rows(path):
        prompt = held.prompt(str(row.number), row.text("prompt"), row.label("source"))
        row.need("arms")
        arms = row.record("arms")
        for arm in arms.values:
            cell = arms.record(arm)
            cell.need("reward")
            held.outcome(
                row, prompt, arm, quality=cell.amount("reward"), cost_usd=cell.amount("cost")
            )
    return held.table()
