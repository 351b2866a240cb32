"""Rows of a decision log, read back one by one from a file of ``banditroute export``.

Every row is checked before it is handed on. Lines and rows in errors count from 1; what they
say is never echoed, for it may be a prompt.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import arro3.io
import orjson
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from banditroute.errors import DataError
from banditroute.evaluation.columns import from_columns, is_arrow
from banditroute.evaluation.rows import SCHEMA, Row

JSONL, PACKED, PARQUET = ".jsonl", ".jsonl.gz", ".parquet"
"""How a decision log's name ends, by its form."""

MOST_LINE_BYTES = 1 << 28  # the longest prompt is far shorter: [server] max_body_bytes

_MAGIC = b"PAR1"  # the first and the last four bytes of every Parquet file
_SHOWN = 3


@with_config(ConfigDict(strict=True, allow_inf_nan=False))
class _Checked(Row):
    """A row as it must be; keys that nobody knows are dropped."""


_rows: TypeAdapter[_Checked] = TypeAdapter(_Checked)


def read_rows(file: Path | str) -> Iterator[Row]:
    """The rows of a ``.jsonl``, ``.jsonl.gz`` or ``.parquet`` file, in its order.

    Holds one row, or one batch of rows of a Parquet file, in memory. Raises DataError, once it
    gets there, for what is damaged, cut short, of a newer version, or not as ``Row`` says,
    naming the file, the place and the remedy.
    """
    path = Path(file)
    if not path.is_file():
        raise DataError(f"{path}: no such file; write it with `banditroute export --out {path}`")
    if path.name.endswith(PARQUET):
        yield from _parquet(path)
    elif path.name.endswith((JSONL, PACKED)):
        yield from _json_lines(path)
    else:
        raise DataError(f"{path}: its name must end in {JSONL}, {PACKED} or {PARQUET}")


def parse_line(line: bytes, place: str) -> Row:
    """The row that a line of JSON is. Raises DataError naming the ``place``."""
    try:
        plain = orjson.loads(line)
    except orjson.JSONDecodeError:
        if line.endswith(b"\n"):
            raise DataError(f"{place} is not JSON: the file is damaged; export it again") from None
        raise _cut_short(place) from None
    return _checked(plain, place)


def _json_lines(path: Path) -> Iterator[Row]:
    number = 0
    with _opened(path) as file:
        while True:
            number += 1
            place = f"{path}, line {number}"
            line = _line(file, place)
            if not line:
                return
            yield parse_line(line, place)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        if path.name.endswith(PACKED):
            with gzip.open(path) as packed:
                yield cast("BinaryIO", packed)
        else:
            with path.open("rb") as file:
                yield file
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None


def _line(file: BinaryIO, place: str) -> bytes:
    """The next line with its end; empty at the end of the file."""
    try:
        line = file.readline(MOST_LINE_BYTES)
    except EOFError:
        raise _cut_short(place) from None
    except (gzip.BadGzipFile, zlib.error):
        raise DataError(
            f"{place} cannot be unpacked: the file is damaged; export it again"
        ) from None
    if len(line) == MOST_LINE_BYTES:
        raise DataError(f"{place} is longer than {MOST_LINE_BYTES} bytes: this is no decision log")
    return line


def _cut_short(place: str) -> DataError:
    return DataError(
        f"{place} is cut short: the export did not end; go on with `banditroute export --resume`"
    )


def _parquet(path: Path) -> Iterator[Row]:
    _check_frame(path)
    number = 0
    with _refusing_damage(path):
        for batch in arro3.io.read_parquet(str(path)):
            for plain in batch.to_struct_array().to_pylist():
                number += 1
                yield _row_of_columns(plain, f"{path}, row {number}")


def _row_of_columns(plain: dict[str, Any], place: str) -> Row:
    try:
        return _checked(from_columns(plain), place)
    except KeyError as error:
        raise DataError(f"{place}: {error.args[0]} is missing; export it again") from None
    except (TypeError, ValueError):
        raise DataError(f"{place} is no decision; export it again") from None


def _check_frame(path: Path) -> None:
    """arro3 panics on a broken file, so its frame is looked at first."""
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(max(path.stat().st_size - 4, 0))
        if head != _MAGIC or file.read(4) != _MAGIC:
            raise DataError(f"{path}: not a complete Parquet file; export it again")


@contextmanager
def _refusing_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (DataError, GeneratorExit):
        raise
    except BaseException as error:
        if is_arrow(error):
            raise DataError(f"{path}: not a readable Parquet file; export it again") from None
        raise


def _checked(plain: Any, place: str) -> Row:
    if (
        isinstance(plain, dict)
        and isinstance(plain.get("schema"), int)
        and plain["schema"] > SCHEMA
    ):
        raise DataError(
            f"{place} was written by a newer banditroute (schema {plain['schema']}, this one reads "
            f"{SCHEMA}): upgrade banditroute"
        )
    try:
        row = _rows.validate_python(plain)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        raise DataError(f"{place}: {_said(problems)}; export it again") from None
    if row["arm"] not in {candidate["arm"] for candidate in row["candidates"]}:
        raise DataError(f"{place}: arm is none of the candidates; export it again")
    return row


def _said(problems: list[Any]) -> str:
    said = [f"{'.'.join(map(str, one['loc'])) or 'it'} {_say(one)}" for one in problems]
    more = f"; and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
    return "; ".join(said[:_SHOWN]) + more


def _say(problem: Any) -> str:
    if problem["type"] == "missing":
        return "is missing"
    message: str = problem["msg"]
    return f"is wrong ({message[:1].lower()}{message[1:]})"
