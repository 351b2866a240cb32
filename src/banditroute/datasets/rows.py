"""Records of files and frames, one after the other. Their numbers count from 0."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from banditroute.datasets.parquet import csv_batches, parquet_batches
from banditroute.errors import DataError

Noun: TypeAlias = Literal["column", "key"]


@dataclass(frozen=True, slots=True)
class Row:
    """One record, its values by name. What cannot be used is a DataError that says where.

    In a CSV file every number is ``written`` as a text.
    """

    source: str
    number: int
    values: Mapping[str, Any]
    noun: Noun
    written: bool = False
    inside: str = ""  # the path of keys to a record inside of another

    def text(self, name: str) -> str:
        """A text that cannot be left out."""
        value = self._needed(name)
        if not isinstance(value, str):
            raise self.error(name, f"is {_seen(value)}; every row needs a text")
        if not value.isascii() and _halved(value):
            raise self.error(name, "has half a surrogate pair; write it as UTF-8")
        return value

    def label(self, name: str) -> str | None:
        """A text, or a number as text; None where it is unknown."""
        value = self.values.get(name)
        return None if _unknown(value) else str(value)

    def amount(self, name: str) -> float:
        """A number; NaN where it is unknown."""
        value = self.values.get(name)
        if _unknown(value):
            return math.nan
        if self.written or isinstance(value, Real | Decimal | np.bool_):
            try:
                return float(value)  # type: ignore[arg-type]
            except (ValueError, OverflowError):
                pass
        raise self.error(name, f"is {_seen(value)}; it must be a number")

    def record(self, name: str) -> Row:
        """The record inside this one; one without values where it is unknown."""
        value = self.values.get(name)
        if not (_unknown(value) or isinstance(value, Mapping)):
            raise self.error(name, f"is {_seen(value)}; it must be an object")
        inside = f"{self.inside}{name}."
        return Row(self.source, self.number, value or {}, self.noun, self.written, inside)

    def need(self, *names: str) -> None:
        """Raise DataError unless all of them are there, unknown or not."""
        for name in names:
            self._needed(name)

    def error(self, name: str, complaint: str) -> DataError:
        """What to raise about a value."""
        return DataError(f"{place(self, self.inside + name)} {complaint}")

    def _needed(self, name: str) -> Any:
        if name not in self.values:
            found = ", ".join(self.values) or "none"
            raise self.error(name, f"is missing; it has {found}")
        return self.values[name]


def place(row: Row, name: str) -> str:
    """Where a value of a row stands, as errors say it."""
    return f"{row.source}: {row.noun} {name}, row {row.number}"


def csv_rows(path: Path) -> Iterator[Row]:
    """The rows of a CSV file, its header not counted."""
    return _of_batches(path, csv_batches(path), written=True)


def parquet_rows(path: Path) -> Iterator[Row]:
    """The rows of a Parquet file; structs are objects."""
    return _of_batches(path, parquet_batches(path), written=False)


def jsonl_rows(path: Path) -> Iterator[Row]:
    """The object of every line that is not blank; the row is the line, counted from 0."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file):
                if not line.isspace():
                    yield Row(str(path), number, _object(path, number, line), "key")
    except UnicodeDecodeError:
        raise DataError(f"{path}: not a text in UTF-8; write it again") from None


def json_document(path: Path) -> Any:
    """What a JSON file holds."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise DataError(f"{path}: not JSON in UTF-8; write or copy it again") from None


def json_rows(source: str, records: Any) -> Iterator[Row]:
    """The objects of a JSON list."""
    if not isinstance(records, list):
        raise DataError(f"{source}: {_seen(records)}; it must be a list of objects")
    for number, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise DataError(f"{source}: row {number} is {_seen(record)}; it must be an object")
        yield Row(source, number, record, "key")


def frame_rows(source: str, frame: Any, columns: Iterable[Any] | None = None) -> Iterator[Row]:
    """The rows of anything with ``.columns`` and ``[column]``, such as a DataFrame."""
    names = list(frame.columns if columns is None else columns)
    values = [_listed(frame[name]) for name in names]
    keys = [str(name) for name in names]
    for number, record in enumerate(zip(*values, strict=True)):
        yield Row(source, number, dict(zip(keys, record, strict=True)), "column")


def _of_batches(
    path: Path, batches: Iterable[Mapping[str, list[Any]]], *, written: bool
) -> Iterator[Row]:
    number = 0
    for batch in batches:
        for record in zip(*batch.values(), strict=True):
            yield Row(str(path), number, dict(zip(batch, record, strict=True)), "column", written)
            number += 1


def _object(path: Path, number: int, line: str) -> Mapping[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise DataError(f"{path}: row {number} is not JSON; write one object a line") from None
    if not isinstance(record, dict):
        raise DataError(f"{path}: row {number} is {_seen(record)}; write one object a line")
    return record


def _listed(column: Any) -> list[Any]:
    return list(column.to_list() if hasattr(column, "to_list") else column)


def _unknown(value: Any) -> bool:
    """None and NaN, and what pandas puts in their place."""
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or type(value).__name__ in {"NAType", "NaTType"}


def _halved(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _seen(value: Any) -> str:
    """How an error shows a value: never a text, which may be a prompt."""
    return repr(value) if value is None or isinstance(value, Real) else f"a {type(value).__name__}"
