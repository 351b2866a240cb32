"""The columns of a decision log in Parquet: the keys of a row, typed.

Texts by name (``excluded``) and words by source are maps; the metadata of a word is JSON text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from arro3.core import DataType, Field, Schema

from banditroute.evaluation.rows import Contents, Row

_TEXT, _NUMBER, _COUNT = DataType.string(), DataType.float64(), DataType.int64()
_CANDIDATE = (
    *("probability", "quality", "quality_sd", "sampling_sd", "cost_usd", "latency_s"),
    *("error_rate", "utility", "input_usd_per_mtok", "output_usd_per_mtok"),
)


def schema(contents: Contents) -> Schema:
    """The columns of rows with such contents, in their order."""
    return Schema([*_decision(), *_calls(contents), *_asked_for(contents)])


def is_arrow(error: BaseException) -> bool:
    """Whether arro3 raised it: a Rust panic is a BaseException that no module exports."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def to_columns(row: Row) -> Any:
    """A row in the form that the columns have."""
    feedback = row["feedback"]
    if feedback is None or "payers" not in row:
        return row
    words = {
        source: {**word, "metadata": orjson.dumps(word["metadata"]).decode()}
        for source, word in feedback["sources"].items()
    }
    return {**row, "feedback": {**feedback, "sources": words}}


def from_columns(plain: dict[str, Any]) -> dict[str, Any]:
    """The row of such columns, whose maps come as pairs. Raises ValueError for bad metadata."""
    row = {**plain, "excluded": dict(plain["excluded"])}
    if row["feedback"] is not None:
        sources = {source: _word(word) for source, word in row["feedback"]["sources"]}
        row["feedback"] = {**row["feedback"], "sources": sources}
    return row


def _word(word: dict[str, Any]) -> dict[str, Any]:
    if "metadata" not in word:
        return word
    return {**word, "metadata": orjson.loads(word["metadata"])}


def _decision() -> list[Field]:
    return [
        *(_field("schema", DataType.int32()), *_fields(_TEXT, "id", "router")),
        *(_field("made_at_s", _NUMBER), _field("position", _COUNT), _field("arm", _TEXT)),
        *(_field("propensity", _NUMBER), _field("policy", _TEXT), _field("floor", _NUMBER)),
        _field("seed", DataType.uint64()),
        *_fields(_NUMBER, "answer_value_usd", "patience_s", "budget_price", "noise"),
        *(_field("judged_share", _NUMBER), _maybe("usual_cost_usd", _NUMBER)),
        *(_field("input_tokens", _COUNT), _maybe("max_output_tokens", _COUNT)),
        *(_maybe("task", _TEXT), _field("tags", _list(_TEXT))),
        *_fields(DataType.bool(), "explored", "degraded"),
        *(_maybe("parent_id", _TEXT), _field("fingerprint", _TEXT)),
        _field("x", _list(DataType.float32())),  # which x is exactly
    ]


def _calls(contents: Contents) -> list[Field]:
    candidate = DataType.struct([_field("arm", _TEXT), *_fields(_NUMBER, *_CANDIDATE)])
    counts = ("input_tokens", "output_tokens", "cached_input_tokens")
    numbers = ("cost_usd", "latency_s", "ttft_s")
    outcome = [
        *(_maybe(name, _COUNT) for name in counts),
        *(_maybe(name, _NUMBER) for name in numbers),
        _maybe("error", _TEXT),
    ]
    feedback = [*_fields(_NUMBER, "quality", "weight"), _field("sources", _map(_word_of(contents)))]
    return [
        _field("candidates", _list(candidate)),
        _field("excluded", _map(_TEXT)),
        _maybe("outcome", DataType.struct(outcome)),
        _maybe("feedback", DataType.struct(feedback)),
    ]


def _word_of(contents: Contents) -> DataType:
    said = [_field("score", _NUMBER), _field("kind", _TEXT), _field("weight", _NUMBER)]
    private = [_maybe("comment", _TEXT), _field("metadata", _TEXT)] if contents.private else []
    return DataType.struct([*said, *private])


def _asked_for(contents: Contents) -> list[Field]:
    prompt = [_maybe("prompt", _TEXT)] if contents.prompts else []
    private = [_maybe("session_id", _TEXT), _field("payers", _list(_TEXT))]
    return [*prompt, *(private if contents.private else [])]


def _field(name: str, of: DataType) -> Field:
    return Field(name, of, nullable=False)


def _maybe(name: str, of: DataType) -> Field:
    return Field(name, of, nullable=True)


def _fields(of: DataType, *names: str) -> Sequence[Field]:
    return [_field(name, of) for name in names]


def _list(of: DataType) -> DataType:
    return DataType.list(_field("item", of))


def _map(of: DataType) -> DataType:
    return DataType.map(_field("key", _TEXT), _field("value", of), False)
