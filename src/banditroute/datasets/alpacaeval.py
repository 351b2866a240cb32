"""AlpacaEval: the ``annotations.json`` of several models, found anywhere in a folder, or one.

Each is a list of objects with instruction, dataset (the task), generator_2 (the model) and
preference, by a judge, between 1 (the reference's answer is better) and 2 (the model's is); 0 is
an old way to say 1.5, a draw. The quality is preference − 1, the chance to beat the reference.
The price in these files is the judge's, so no costs are known. Where several annotators
have judged, those of AlpacaEval 2.0 count. Verified against results of the repository
tatsu-lab/alpaca_eval.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from math import isnan
from pathlib import Path
from typing import Any

from banditroute.datasets.gathering import Gathering
from banditroute.datasets.rows import Row, json_document, json_rows
from banditroute.datasets.table import Table
from banditroute.errors import DataError

ANNOTATOR = "weighted_alpaca_eval_gpt4_turbo"  # of AlpacaEval 2.0
DRAW = 1.5


def fits(record: Mapping[str, Any]) -> bool:
    """Whether a record is one of this format."""
    return {"instruction", "generator_2", "preference"} <= record.keys()


def read(path: Path) -> Table:
    """The table of one file, or of all in a folder."""
    by_annotator: dict[str, Gathering] = {}
    ids: dict[tuple[str, int], str] = {}
    for file in [path] if path.is_file() else sorted(path.rglob("annotations.json")):
        for row, occurrence in _counted(file):
            held = by_annotator.setdefault(
                row.label("annotator") or "", Gathering(str(path), {"quality": "preference"})
            )
            text = row.text("instruction")
            prompt_id = ids.setdefault((text, occurrence), str(len(ids)))
            prompt = held.prompt(prompt_id, text, row.label("dataset"))
            held.outcome(row, prompt, row.text("generator_2"), quality=_quality(row))
    return _chosen(path, by_annotator).table()


def _counted(file: Path) -> Iterator[tuple[Row, int]]:
    """The rows of a file, each with how often its instruction and model came before."""
    seen: Counter[tuple[str, str]] = Counter()
    for row in json_rows(str(file), json_document(file)):
        key = (row.text("instruction"), row.text("generator_2"))
        yield row, seen[key]
        seen[key] += 1


def _quality(row: Row) -> float:
    row.need("preference")
    preference = row.amount("preference") or DRAW
    if not (1 <= preference <= 2 or isnan(preference)):
        raise row.error("preference", f"is {preference:g}; AlpacaEval's is between 1 and 2")
    return preference - 1


def _chosen(path: Path, by_annotator: Mapping[str, Gathering]) -> Gathering:
    if len(by_annotator) == 1:
        return next(iter(by_annotator.values()))
    if ANNOTATOR in by_annotator:
        return by_annotator[ANNOTATOR]
    found = ", ".join(sorted(by_annotator)) or "none"
    raise DataError(f"{path}: needs annotations of one annotator; it has those of {found}")
