"""RouterArena's cached results: a folder with one JSONL file a model, or one such file.

Every line has global_index (TASK_NUMBER), question, llm_selected (the model), token_usage
``{input_tokens, output_tokens}`` and evaluation_result ``{score, inference_cost}``, null where
the answer was not evaluated: such an outcome was not observed. Verified against cached_results
of the repository RouteWorks/RouterArena; of a copy of that repository, that folder is read.
Its router_inference/predictions hold the answer of one model alone and cannot be used.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from banditroute.datasets.gathering import Gathering
from banditroute.datasets.rows import Row, jsonl_rows
from banditroute.datasets.table import Table

NAMES = {
    "quality": "evaluation_result.score",
    "cost_usd": "evaluation_result.inference_cost",
    "input_tokens": "token_usage.input_tokens",
    "output_tokens": "token_usage.output_tokens",
}


def fits(record: Mapping[str, Any]) -> bool:
    """Whether a record is one of this format."""
    return {"global_index", "llm_selected"} <= record.keys()


def read(path: Path) -> Table:
    """The table of one file, or of all in a folder."""
    held = Gathering(str(path), NAMES)
    for file in _files(path):
        for row in jsonl_rows(file):
            _add(held, row)
    return held.table()


def _add(held: Gathering, row: Row) -> None:
    row.need("evaluation_result")
    index = row.text("global_index")
    prompt = held.prompt(index, row.text("question"), index.rpartition("_")[0] or None)
    result, usage = row.record("evaluation_result"), row.record("token_usage")
    held.outcome(
        row,
        prompt,
        row.text("llm_selected"),
        quality=result.amount("score"),
        cost_usd=result.amount("inference_cost"),
        input_tokens=usage.amount("input_tokens"),
        output_tokens=usage.amount("output_tokens"),
    )


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    cached = path / "cached_results"
    return sorted((cached if cached.is_dir() else path).glob("*.jsonl"))
