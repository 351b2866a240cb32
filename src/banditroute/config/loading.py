"""From a file, or its text, to settings that passed every check."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from banditroute.config.check import IMPLIED_ROUTER, check
from banditroute.config.draft import read
from banditroute.config.lines import Lines
from banditroute.config.problems import in_order
from banditroute.config.schema import Settings
from banditroute.errors import ConfigError

_HOW_TO_MAKE_ONE = (
    "make one from the shipped example: python -c "
    "\"from banditroute.config import default_text; print(default_text(), end='')\" > config.toml"
)


def load(path: Path, env: Mapping[str, str]) -> Settings:
    """The settings in a file. Raises ConfigError, listing every problem at once.

    ``env`` is where ``${NAME}`` is looked up: ``os.environ``, or anything else in a test.
    """
    return parse(_text_of(path), env, str(path))


def parse(text: str, env: Mapping[str, str], source: str = "config.toml") -> Settings:
    """The settings in a TOML text; ``source`` is what errors call it. Raises as ``load`` does."""
    raw = _toml(text, source)
    lines = Lines(text)
    tables, problems = read(raw, env)
    problems += check(raw, lines)
    if problems:
        raise ConfigError(in_order(problems, lines), source)
    return Settings(**tables | {"routers": tables["routers"] or (IMPLIED_ROUTER,)})


def default_text() -> str:
    """The shipped ``config.toml``: from the wheel, or from the root of a source checkout."""
    packaged = files("banditroute.config").joinpath("default.toml")
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return _text_of(Path(__file__).resolve().parents[3] / "config.toml")


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # editors on Windows put a mark in front
    except FileNotFoundError:
        problem = f"no such file: {path.absolute()}; {_HOW_TO_MAKE_ONE}"
    except IsADirectoryError:
        problem = f"is a folder: {path.absolute()}; name the file in it"
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 text (byte {error.start}); save it as UTF-8"
    except OSError as error:
        problem = f"cannot be read: {error.strerror}; check its permissions"
    raise ConfigError([problem], str(path))


def _toml(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        problem = "nested too deeply"
    except ValueError as error:  # TOMLDecodeError, or a number too long for Python
        problem = f"not valid TOML: {error}"
    raise ConfigError([problem], source)
