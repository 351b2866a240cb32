"""Kinds of bytes as tables, and bytes taken several at a time."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

ByteSet: TypeAlias = NDArray[np.bool_]  # shape (256,)


def among(characters: bytes) -> ByteSet:
    """For every byte: is it one of those?"""
    table = np.zeros(256, dtype=np.bool_)
    table[list(characters)] = True
    return table


SPACE = among(b" \t\r\n\x0b\x0c")
DIGIT = among(b"0123456789")
UPPER = among(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
LETTER = UPPER | among(b"abcdefghijklmnopqrstuvwxyz")
NON_ASCII = among(bytes(range(128, 256)))
WORD = LETTER | DIGIT | NON_ASCII  # what is not ASCII counts as letters


def overlapping(data: bytes, dtype: str) -> NDArray[Any]:
    """The number that begins at every byte of ``data`` and fits; a view, not a copy."""
    count = max(len(data) - np.dtype(dtype).itemsize + 1, 0)
    return np.ndarray((count,), dtype=dtype, buffer=data if count else None, strides=(1,))
