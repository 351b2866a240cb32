"""LLMRouterBench's result files, and the sets that Avengers-Pro made of such.

* A folder of ``DATASET/SPLIT/MODEL/…-YYYYMMDD_HHMMSS.json``, or one such file: an object with
  dataset_name (the task), split, model_name, demo and records, each with index, origin_query,
  prompt, score, cost in dollars, prompt_tokens and completion_tokens. Of the files of one
  folder the newest that is no demo counts. Verified against data_collector/storage.py of the
  repository ynulihao/LLMRouterBench.
* A JSONL file with one prompt a line: query, dataset (the task), records ``{MODEL: score}`` and
  usages ``{MODEL: {cost}}``. Verified against baselines/AvengersPro/README.md there.

Not all scores of LLMRouterBench need be in [0, 1]; name the folder of one task where others stop.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from banditroute.datasets.gathering import Gathering
from banditroute.datasets.rows import Row, json_document, json_rows, jsonl_rows
from banditroute.datasets.table import Table
from banditroute.errors import DataError

RESULT = {
    "quality": "score",
    "cost_usd": "cost",
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
}
QUERY = {"quality": "records.{arm}", "cost_usd": "usages.{arm}.cost"}

_WRITTEN = re.compile(r"(\d{8}_\d{6})\.json$")  # when, at the end of a result file's name


def fits(record: Mapping[str, Any]) -> bool:
    """Whether a record is one of this format, a result file or a query."""
    return {"model_name", "records"} <= record.keys() or {"query", "records"} <= record.keys()


def read(path: Path) -> Table:
    """The table of one file, or of the newest result files in a folder."""
    return _queries(path) if path.suffix == ".jsonl" else _results(path)


def _results(path: Path) -> Table:
    held = Gathering(str(path), RESULT)
    for file in _folders(path):
        result = _newest(file)
        if result is not None:
            _add_result(held, result)
    return held.table()


def _add_result(held: Gathering, result: Row) -> None:
    task, arm = result.text("dataset_name"), result.text("model_name")
    result.need("records")
    for record in json_rows(result.source, result.values["records"]):
        record.need("index", "score")
        prompt_id = f"{task}/{result.label('split') or ''}/{record.label('index')}"
        held.outcome(
            record,
            held.prompt(prompt_id, _text(record), task),
            arm,
            quality=record.amount("score"),
            cost_usd=record.amount("cost"),
            input_tokens=record.amount("prompt_tokens"),
            output_tokens=record.amount("completion_tokens"),
        )


def _text(record: Row) -> str:
    """The question, or where there is none, the prompt that was made of it."""
    for name in ("origin_query", "prompt"):
        value = record.values.get(name)
        if value and not isinstance(value, str):
            return json.dumps(value, ensure_ascii=False)
        if value:
            return record.text(name)
    raise record.error("prompt", "is empty, and so is origin_query; every row needs a text")


def _folders(path: Path) -> Iterator[list[Path]]:
    """The result files, those of one folder together, newest first."""
    files = [path] if path.is_file() else sorted(path.rglob("*.json"))
    for folder in dict.fromkeys(file.parent for file in files):
        yield sorted((file for file in files if file.parent == folder), key=_age, reverse=True)


def _age(file: Path) -> tuple[str, str]:
    written = _WRITTEN.search(file.name)
    return (written[1] if written else "", file.name)


def _newest(files: list[Path]) -> Row | None:
    """The first result that is no demo."""
    for file in files:
        document = json_document(file)
        if not isinstance(document, dict):
            raise DataError(f"{file}: not a result; it must be an object with records")
        if not document.get("demo"):
            return Row(str(file), 0, document, "key")
    return None


def _queries(path: Path) -> Table:
    held = Gathering(str(path), QUERY)
    for row in jsonl_rows(path):
        prompt = held.prompt(str(row.number), row.text("query"), row.label("dataset"))
        row.need("records")
        scores, usages = row.record("records"), row.record("usages")
        for arm in scores.values:
            cost = usages.record(arm).amount("cost")
            held.outcome(row, prompt, arm, quality=scores.amount(arm), cost_usd=cost)
    return held.table()
