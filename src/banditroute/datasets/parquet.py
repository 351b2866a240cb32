"""Parquet and CSV files through arro3, whose panics become DataErrors."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import arro3.core
import arro3.io

from banditroute.errors import DataError

PARQUET_MAGIC = b"PAR1"  # the first and the last four bytes of every Parquet file


def parquet_table(path: Path) -> Any:
    """The whole table of a Parquet file."""
    reader = _parquet_reader(path)
    with _panics(f"{path}: not a readable Parquet file; write it again"):
        return reader.read_all()


def parquet_batches(path: Path) -> Iterator[dict[str, list[Any]]]:
    """A Parquet file piece by piece, its columns as plain lists."""
    return _batches(_parquet_reader(path), f"{path}: not a readable Parquet file; write it again")


def csv_batches(path: Path) -> Iterator[dict[str, list[Any]]]:
    """A CSV file with a header piece by piece, every value a text, None where it is empty."""
    names = csv_header(path)
    fields = [arro3.core.Field(name, arro3.core.DataType.utf8()) for name in names]
    broken = f"{path}: not a readable CSV file; write it again"
    with _panics(broken):
        reader = arro3.io.read_csv(str(path), arro3.core.Schema(fields), has_header=True)
    return _batches(reader, broken)


def csv_header(path: Path) -> list[str]:
    """The names of the columns; each of them once."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            names = next(csv.reader(file), [])
    except (UnicodeDecodeError, csv.Error):
        raise DataError(f"{path}: not a CSV file in UTF-8; write it again") from None
    if not names:
        raise DataError(f"{path}: an empty file; its first line must name the columns")
    if len(set(names)) < len(names):
        raise DataError(f"{path}: a column is named twice; name each once")
    return names


def _parquet_reader(path: Path) -> Any:
    """arro3 panics on a broken file, so its frame is looked at first."""
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(max(path.stat().st_size - 4, 0))
        tail = file.read(4)
    if head != PARQUET_MAGIC or tail != PARQUET_MAGIC:
        raise DataError(f"{path}: not a complete Parquet file; write or copy it again")
    with _panics(f"{path}: not a readable Parquet file; write it again"):
        return arro3.io.read_parquet(str(path))


def _batches(reader: Any, broken: str) -> Iterator[dict[str, list[Any]]]:
    while True:
        with _panics(broken):
            batch = next(reader, None)
        if batch is None:
            return
        yield {name: batch.column(name).to_pylist() for name in batch.schema.names}


@contextmanager
def _panics(broken: str) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        # A Rust panic reaches Python as a BaseException that no module exports.
        if type(error).__name__ == "PanicException":
            raise DataError(broken) from None
        if isinstance(error, Exception):
            said = str(error).rpartition("error: ")[2].split("\n")[0]
            raise DataError(f"{broken} ({said})") from None
        raise
