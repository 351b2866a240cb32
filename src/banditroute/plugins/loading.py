"""Classes by name: ``path/to/file.py:Class``, or ``package.module:Class``.

What follows a second colon is a parameter: ``my_policy.py:Mine:0.3`` hands ``"0.3"`` to the class
as its last argument. Loading runs what the file says, as ``import`` does.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from importlib import import_module, invalidate_caches
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
from pathlib import Path
from traceback import extract_tb, format_exception_only
from types import CodeType, ModuleType
from typing import Any

from banditroute.errors import PluginError

HERE = Path()  # the working directory
_SPEC = re.compile(r"(.+?\.py(?=:|$)|[^:]*)(?::([^:]*))?(?::(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Name:
    """A spec in its parts: the file or module, the class in it, and the parameter if any."""

    home: str
    cls: str
    parameter: str | None

    @classmethod
    def of(cls, spec: str) -> Name:
        """The parts of a spec; what is not there is empty."""
        home, name, parameter = re.fullmatch(_SPEC, spec).groups()  # type: ignore[union-attr]
        return cls(home, name or "", parameter)

    def file(self, folder: Path) -> Path | None:
        """The file, in ``folder`` unless its path is absolute; None for a module."""
        return (folder / self.home).resolve() if self.home.endswith(".py") else None


def load_class(spec: str, folder: Path = HERE) -> type:
    """The class that a spec names; paths are relative to ``folder``.

    One process gets the same class for the same file, until the file changes. Modules in the
    same folder can be imported by it while it is loaded. Raises PluginError.
    """
    name = Name.of(spec)
    module = _module(name, spec, folder)
    if not name.cls:
        raise PluginError(f"{spec}: names no class; say {name.home}:Class{_classes_of(module)}")
    found = getattr(module, name.cls, None)
    if found is None:
        raise PluginError(f"{spec}: no class {name.cls!r} in {name.home}{_classes_of(module)}")
    if not isinstance(found, type):
        kind = type(found).__name__
        raise PluginError(f"{spec}: is a {kind}, not a class{_classes_of(module)}")
    return found


def make(spec: str, folder: Path, *arguments: object) -> Any:
    """``Class(*arguments)``, and after them the parameter, if the spec has one.

    Raises PluginError.
    """
    cls, parameter = load_class(spec, folder), Name.of(spec).parameter
    given = arguments if parameter is None else (*arguments, parameter)
    try:
        return cls(*given)
    except Exception as error:
        call = f"{cls.__name__}({', '.join(map(repr, given))})"
        raise PluginError(f"{spec}: cannot be made by {call}: {_last_line(error)}") from error


def source_of(spec: str, folder: Path = HERE) -> bytes:
    """What the file or module of a spec says. Raises PluginError."""
    file = getattr(_module(Name.of(spec), spec, folder), "__file__", None)
    return Path(file).read_bytes() if file else b""


def _module(name: Name, spec: str, folder: Path) -> ModuleType:
    file = name.file(folder)
    with _on_path(file.parent if file else folder.resolve()):
        try:
            return _of_name(name.home) if file is None else _of_file(file, _stamp(file))
        except PluginError as error:
            raise PluginError(f"{spec}: {error}") from error
        except (Exception, SystemExit) as error:  # whatever a stranger's code may do
            raise PluginError(
                f"{spec}: importing it failed: {_where(error, file)}{_last_line(error)}"
            ) from error


def _stamp(file: Path) -> tuple[int, int]:
    """What changes when the file does."""
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "no such file"
        raise PluginError(f"{what}: {file}; say FILE.py:Class")
    about = file.stat()
    return about.st_mtime_ns, about.st_size


@lru_cache(maxsize=64)
def _of_file(file: Path, stamp: tuple[int, int]) -> ModuleType:  # noqa: ARG001 - a key
    """The module of a file, under a name that no other file's has."""
    name = f"{file.stem}_{blake2b(bytes(file), digest_size=8).hexdigest()}"
    loader = _Fresh(name, str(file))
    spec = ModuleSpec(name, loader, origin=str(file))
    spec.has_location = True
    module = module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look for what annotations mean
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


class _Fresh(SourceFileLoader):
    """Compiles what the file says now: bytecode kept of it may be of the same second."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _of_name(name: str) -> ModuleType:
    invalidate_caches()
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise PluginError(f"no module {error.name!r}; install it, or say FILE.py:Class") from None
    except ValueError:  # an empty name
        raise PluginError("names no module; say FILE.py:Class, or package.module:Class") from None


@contextmanager
def _on_path(folder: Path) -> Iterator[None]:
    """Let modules in a folder be imported."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _classes_of(module: ModuleType) -> str:
    """The classes that a module defines, for the end of a message."""
    own = [
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__
    ]
    return f"; there are {', '.join(own)}" if own else "; there are none"


def _where(error: BaseException, file: Path | None) -> str:
    """The last line of the file that was at work, for the beginning of a message."""
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return f"line {error.lineno}: "
    lines = [at.lineno for at in extract_tb(error.__traceback__) if at.filename == str(file)]
    return f"line {lines[-1]}: " if lines else ""


def _last_line(error: BaseException) -> str:
    return "".join(format_exception_only(error)).strip().splitlines()[-1]
