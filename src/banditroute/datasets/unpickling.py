"""Pickled DataFrames without the danger of pickles.

A pickle can name any function and have it called. Here it reaches only the names below: what
pandas 1.3 to 3 and numpy need to put together a DataFrame of numbers and texts, none of which
runs code of the file's choosing. A hostile file can still waste time and memory, and leave
pandas broken in this process.
"""

from __future__ import annotations

import pickle
from importlib import import_module
from pathlib import Path
from typing import Any

from banditroute.errors import DataError

_PANDAS = {
    "DataFrame": ("pandas", "pandas.core.frame"),
    "Index": ("pandas", "pandas.core.indexes.base"),
    "RangeIndex": ("pandas", "pandas.core.indexes.range"),
    "StringDtype": ("pandas", "pandas.core.arrays.string_"),
    "StringArray": ("pandas.arrays", "pandas.core.arrays.string_"),
    "BlockManager": ("pandas.core.internals.managers",),
    "_unpickle_block": ("pandas._libs.internals",),
    "_new_Index": ("pandas.core.indexes.base",),
    "__pyx_unpickle_NDArrayBacked": ("pandas._libs.arrays",),
}
_NUMPY = {
    "dtype": ("numpy",),
    "ndarray": ("numpy",),
    "_reconstruct": ("numpy._core.multiarray", "numpy.core.multiarray"),
    "scalar": ("numpy._core.multiarray", "numpy.core.multiarray"),
    "_frombuffer": ("numpy._core.numeric", "numpy.core.numeric"),
}
# (module, name) as a pickle says it → where that is today
_ADMITTED = {
    (module, name): (modules[0], name)
    for names in (_PANDAS, _NUMPY)
    for name, modules in names.items()
    for module in modules
} | {
    ("pandas.core.indexes.numeric", "Int64Index"): ("pandas", "Index"),  # before pandas 2
    ("pandas.core.indexes.numeric", "Float64Index"): ("pandas", "Index"),
    ("builtins", "slice"): ("builtins", "slice"),
    ("__builtin__", "slice"): ("builtins", "slice"),
}


def unpickled_frame(path: Path) -> Any:
    """The DataFrame of a pickle. Raises DataError for anything else, and without pandas."""
    try:
        frame = import_module("pandas").DataFrame
    except ImportError:
        raise DataError(f"{path}: needs pandas: pip install 'banditroute[data]'") from None
    found = _unpickled(path)
    if not isinstance(found, frame):
        raise DataError(f"{path}: holds no DataFrame; write one with DataFrame.to_pickle")
    return found


class _Refused(Exception):
    """A pickle names what no table of numbers and texts needs."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return _encode
        if (module, name) not in _ADMITTED:
            raise _Refused(f"{module}.{name}")
        place, known = _ADMITTED[module, name]
        return getattr(import_module(place), known)


def _encode(text: str, encoding: str) -> bytes:
    """How protocol 2 writes bytes; the encodings that it does not use stay out of reach."""
    if encoding not in {"latin1", "latin-1"}:
        raise _Refused(f"the encoding {encoding}")
    return text.encode("latin-1")


def _unpickled(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            return _Unpickler(file).load()
    except _Refused as refused:
        raise DataError(
            f"{path}: refused, for it asks for {refused}, which no DataFrame of numbers and texts"
            " needs; if you trust it, write it again as CSV"
        ) from None
    except Exception:  # noqa: BLE001  a broken pickle raises whatever its bytes happen to ask for
        raise DataError(f"{path}: not a readable pickle; write or copy it again") from None
