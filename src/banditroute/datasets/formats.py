"""Every format by its name, and which one a file or folder has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from banditroute.datasets import (
    alpacaeval,
    embedllm,
    generic,
    llmrouterbench,
    paretobandit,
    routerarena,
    routerbench,
    sprout,
)
from banditroute.datasets.dataset import Dataset
from banditroute.datasets.folder import load_dataset
from banditroute.datasets.parquet import csv_header, parquet_batches
from banditroute.datasets.rows import json_document, jsonl_rows
from banditroute.datasets.table import Table
from banditroute.errors import DataError

FOLDER = "folder"  # the name of our own format
SAMPLE = 8  # files of a folder that are looked into: a JSON result can have megabytes


@dataclass(frozen=True, slots=True)
class Format:
    """How a format is read, what it holds in a few words, and the records that are its own."""

    holds: str
    read: Callable[[Path], Table]
    suffixes: frozenset[str]
    fits: Callable[[Mapping[str, Any]], bool] | None = None
    folders: bool = False  # whether it can be a folder of such files


def _format(
    holds: str,
    suffixes: str,
    read: Callable[[Path], Table],
    fits: Callable[[Mapping[str, Any]], bool] | None = None,
    *,
    folders: bool = False,
) -> Format:
    return Format(holds, read, frozenset(suffixes.split()), fits, folders)


FORMATS: Mapping[str, Format] = {
    "routerbench": _format("a pickled DataFrame", ".pkl .pickle", routerbench.read),
    "llmrouterbench": _format(
        "result files, or the JSONL of Avengers-Pro",
        ".json .jsonl",
        llmrouterbench.read,
        llmrouterbench.fits,
        folders=True,
    ),
    "routerarena": _format(
        "cached_results", ".jsonl", routerarena.read, routerarena.fits, folders=True
    ),
    "sprout": _format("Parquet", ".parquet", sprout.read, sprout.fits, folders=True),
    "embedllm": _format("CSV", ".csv", embedllm.read, embedllm.fits, folders=True),
    "alpacaeval": _format(
        "annotations.json", ".json", alpacaeval.read, alpacaeval.fits, folders=True
    ),
    "paretobandit": _format("JSONL of rewards", ".jsonl", paretobandit.read, paretobandit.fits),
    "csv": _format("long or wide", ".csv", generic.read_csv),
    "jsonl": _format("long or wide", ".jsonl", generic.read_jsonl),
    "parquet": _format("long or wide", ".parquet", generic.read_parquet),
}
FORMAT_NAMES = (FOLDER, *FORMATS)


def load(
    place: Path | str,
    format: str | None = None,  # noqa: A002
    arms: Sequence[str] | None = None,
) -> Dataset:
    """Read a data folder, or a public set or generic file, for all its arms or the named ones.

    Without the name of a format, what is there tells it. Keeps the prompts that have an outcome
    of every arm. Raises DataError naming the file, the column or key, the row and the remedy.
    """
    path = Path(place)
    if not path.exists():
        raise DataError(f"{path}: no such folder or file")
    if format is not None and format not in FORMAT_NAMES:
        raise DataError(f"{path}: no format is called {format!r}; {_known()}")
    name = format or guessed(path)
    if name == FOLDER:
        return load_dataset(path, arms)
    if path.is_dir() and not FORMATS[name].folders:
        raise DataError(f"{path}: {name} is one file; name it and not its folder")
    table = FORMATS[name].read(path)
    return table.dataset(path.resolve().name if path.is_dir() else path.stem, arms)


def guessed(path: Path) -> str:
    """The format of a file or folder. Raises DataError, with those known, if it cannot tell."""
    if not path.is_dir():
        found = {_guessed_file(path)}
    elif any((path / name).is_file() for name in ("prompts.parquet", "outcomes.parquet")):
        return FOLDER
    else:
        guesses = {_guessed_file(file) for file in islice(_known_files(path), SAMPLE)}
        found = {name for name in guesses if name and FORMATS[name].folders}
    if len(found) == 1 and (name := found.pop()) is not None:
        return name
    seen = f" ({' and '.join(sorted(filter(None, found)))} are there)" if found - {None} else ""
    raise DataError(f"{path}: cannot tell its format{seen}; name it, or one file; {_known()}")


def _guessed_file(path: Path) -> str | None:
    """The format that calls the first record its own, else the generic one of the suffix."""
    near = {name: form for name, form in FORMATS.items() if path.suffix in form.suffixes}
    if not near:
        return None
    first = _first(path)
    own = [name for name, form in near.items() if form.fits and form.fits(first)]
    rest = [name for name, form in near.items() if form.fits is None]
    return next(iter(own + rest), None)


def _first(path: Path) -> Mapping[str, Any]:
    """The first record of a file, or what its head says of that; {} where there is none."""
    match path.suffix:
        case ".csv":
            return dict.fromkeys(csv_header(path))
        case ".parquet":
            batch = next(parquet_batches(path), {})
            return {name: values[0] for name, values in batch.items() if values}
        case ".jsonl":
            return next((row.values for row in jsonl_rows(path)), {})
        case ".json":
            document = json_document(path)
            first = document[0] if isinstance(document, list) and document else document
            return first if isinstance(first, dict) else {}
    return {}


def _known_files(folder: Path) -> Iterator[Path]:
    suffixes = frozenset[str]().union(*(form.suffixes for form in FORMATS.values()))
    return (file for file in sorted(folder.rglob("*")) if file.suffix in suffixes)


def _known() -> str:
    held = "; ".join(f"{name} ({form.holds})" for name, form in FORMATS.items())
    return f"known are {FOLDER} (prompts.parquet and outcomes.parquet); {held}"
