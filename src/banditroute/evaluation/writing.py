"""A decision log on its way into a file, which may be cut off and gone on with at any moment.

Rows go to ``FILE.partial`` as lines of JSON, whole pages of them at a time, compressed page by
page for ``.jsonl.gz``; it becomes FILE once all are there. A Parquet file is made of those lines
at the end. So an export that was killed loses no more than a page, and the one that goes on
with it comes to the same bytes. One page is held in memory.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import arro3.io
import orjson

from banditroute.errors import BanditrouteError, DataError
from banditroute.evaluation.columns import is_arrow, schema, to_columns
from banditroute.evaluation.reading import PACKED, read_rows
from banditroute.evaluation.rows import SCHEMA, Contents, Row
from banditroute.evaluation.tails import packed_tail, tail
from banditroute.values import DecisionId

PAGE = 500
PAGE_BYTES = 1 << 22  # prompts can be long
SYNC_EVERY = 32  # pages: so much is written again after a power cut, at most
ROW_GROUP = 10_000
"""Rows of a Parquet file that are packed together, and held in memory for that."""

ROW_GROUP_BATCH = 500
COMPRESSION = "zstd(3)"


class Form(StrEnum):
    """How a decision log is written."""

    JSONL = "jsonl"
    PARQUET = "parquet"


class Lines:
    """Rows as lines of JSON, handed on in pages whose bounds depend on the rows alone."""

    last: DecisionId = ""
    """The last decision that is in the file already; none at the start."""

    def __init__(
        self,
        write: Callable[[bytes], object],
        contents: Contents = Contents(),  # noqa: B008 - it is frozen
        form: Form = Form.JSONL,
    ) -> None:
        self.contents = contents
        self._write = write
        self._form = form
        self._page: list[bytes] = []
        self._page_bytes = 0
        self._bytes = 0

    def add(self, row: Row) -> None:
        """Write a row, sooner or later."""
        line = _line(row if self._form is Form.JSONL else to_columns(row), row["id"])
        self._page.append(line)
        self._page_bytes += len(line)
        if len(self._page) == PAGE or self._page_bytes >= PAGE_BYTES:
            self._flush()

    def finish(self) -> int:
        """Write what was not written yet. Returns how many bytes were written in all."""
        self._flush()
        return self._bytes

    def _flush(self) -> None:
        if self._page:
            self._write(b"".join(self._page))
        self._bytes += self._page_bytes
        self._page, self._page_bytes = [], 0


class Draft(Lines):
    """The file of an export. :meth:`finish` it inside ``with``; else it stays ``FILE.partial``."""

    def __init__(self, target: Path, form: Form, contents: Contents, begun: Begun) -> None:
        super().__init__(self._put, contents, form)
        self.path = begun.path
        self.last = begun.last
        self._target = target
        self._is_packed = target.name.endswith(PACKED) and form is Form.JSONL
        self._size = begun.size
        self._pages = 0
        self._file = _opened(begun)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        if self.path != self._target and not self.has_begun:
            self.path.unlink(missing_ok=True)

    @property
    def has_begun(self) -> bool:
        """Whether there is something of it in a file."""
        return self._size > 0

    def finish(self) -> int:
        """Give the file its name, now that it is whole. Returns how many bytes it has."""
        self._flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if self._form is Form.PARQUET:
            whole = self._target.with_name(f"{self._target.name}.whole")
            _pack_columns(self.path, whole, self.contents)
            whole.replace(self._target)
            self.path.unlink()
        elif self.path != self._target:
            self.path.replace(self._target)
        return self._target.stat().st_size

    def _put(self, page: bytes) -> None:
        if os.fstat(self._file.fileno()).st_size != self._size:
            raise DataError(f"{self.path}: something else writes to it; let it end first")
        data = gzip.compress(page, compresslevel=6, mtime=0) if self._is_packed else page
        _write_all(self._file, data)
        self._size += len(data)
        self._pages += 1
        if self._pages % SYNC_EVERY == 0:
            os.fsync(self._file.fileno())


@dataclass(frozen=True, slots=True)
class Begun:
    """Where an export goes on: its file, how much of it is whole, the last decision in that."""

    path: Path
    size: int = 0
    last: DecisionId = ""


def open_draft(
    target: Path, form: Form, contents: Contents, *, resume: bool = False, force: bool = False
) -> Draft:
    """The draft of a file, at its beginning, or with ``resume`` where an earlier one ended.

    A JSON file that is whole is then added to; ``force`` replaces what is there. Raises
    DataError where neither was asked for and something is there, and for what cannot be gone
    on with.
    """
    partial = target.with_name(f"{target.name}.partial")
    found = [path for path in (partial, target) if path.exists()]
    if not resume or not found:
        if found and not force:
            raise _in_the_way(found[0], partial)
        return Draft(target, form, contents, Begun(partial))
    if found[0] == target and form is Form.PARQUET:
        raise _is_whole(target)
    if force != (len(found) == 2):
        raise _ambiguous(target, partial, found)
    is_packed = target.name.endswith(PACKED) and form is Form.JSONL
    size, line = (packed_tail if is_packed else tail)(found[0])
    last = _last(line, found[0], contents) if line else ""
    return Draft(target, form, contents, Begun(found[0], size, last))


def _in_the_way(path: Path, partial: Path) -> DataError:
    if path == partial:
        return DataError(
            f"{path} is of an export that did not end: go on with it with --resume, or start over "
            "with --force"
        )
    return DataError(
        f"{path} exists; name another file, replace it with --force, or add to it with --resume"
    )


def _is_whole(target: Path) -> DataError:
    last = ""
    for row in read_rows(target):
        last = max(last, row["id"])
    return DataError(
        f"{target} is whole, and nothing can be added to a Parquet file: name a new file for what "
        f"came since, with --after {last}"
        if last
        else f"{target} is whole and empty; replace it with --force"
    )


def _ambiguous(target: Path, partial: Path, found: list[Path]) -> DataError:
    if len(found) == 2:
        return DataError(
            f"{target} and {partial} exist: to go on with the second and replace the first, give "
            f"--force as well; to add to the first, delete {partial}"
        )
    return DataError(f"{found[0]}: --resume goes on with it and --force starts over; give only one")


def _last(line: bytes, path: Path, contents: Contents) -> DecisionId:
    try:
        row: Row = orjson.loads(line)
        last, held = row["id"], Contents.of(row)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise DataError(f"{path}: its last line is no decision; start over with --force") from None
    if held != contents:
        raise DataError(
            f"{path} was begun {_options(held)}: go on with it like that, or start over with "
            "--force"
        )
    return last


def _options(held: Contents) -> str:
    given = [("--prompts", held.prompts), ("--private", held.private)]
    return " and ".join(f"{'with' if on else 'without'} {name}" for name, on in given)


def _opened(begun: Begun) -> BinaryIO:
    file = begun.path.open("r+b" if begun.size else "w+b", buffering=0)
    file.truncate(begun.size)
    file.seek(begun.size)
    return file


def _write_all(file: BinaryIO, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _line(plain: Any, decision_id: DecisionId) -> bytes:
    try:
        return orjson.dumps(plain, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError as error:
        raise DataError(f"decision {decision_id} has what JSON cannot hold: {error}") from None


def _pack_columns(lines: Path, whole: Path, contents: Contents) -> None:
    """Make a Parquet file of lines of JSON, in row groups. Raises OSError, BanditrouteError."""
    try:
        rows = arro3.io.read_json(str(lines), schema(contents), batch_size=ROW_GROUP_BATCH)
        arro3.io.write_parquet(
            rows,
            str(whole),
            compression=COMPRESSION,
            max_row_group_size=ROW_GROUP,
            key_value_metadata={"banditroute.schema": str(SCHEMA)},
        )
        with whole.open("r+b") as file:
            os.fsync(file.fileno())
    except OSError:
        raise
    except BaseException as error:
        whole.unlink(missing_ok=True)
        if not is_arrow(error):
            raise
        raise BanditrouteError(
            f"{whole} cannot be made of {lines}; is there room on the disk? Go on with --resume"
        ) from error
