"""Tiny files of every format, and the complaint about one."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from banditroute.datasets import load
from banditroute.errors import DataError


@pytest.fixture
def lines(tmp_path) -> Callable[..., Path]:
    """Write objects, one a line."""

    def write(name: str, records: list) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
        return path

    return write


@pytest.fixture
def document(tmp_path) -> Callable[..., Path]:
    """Write one JSON document."""

    def write(name: str, content: object) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
        return path

    return write


@pytest.fixture
def complaint() -> Callable[..., str]:
    """What loading a file or folder is refused with."""

    def refused(path: Path, *args: object, **options: object) -> str:
        with pytest.raises(DataError) as caught:
            load(path, *args, **options)
        return str(caught.value)

    return refused
