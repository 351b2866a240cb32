"""Hashed grams: the words, pairs of words and four-byte pieces of a text, as bucket numbers.

Everything is 32-bit arithmetic on bytes, so the same text has the same grams on every
platform and in every process. Texts are case-folded, runs of white space become one space and
every digit a 0, since 48 apples and 52 apples are the same question.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from banditroute.core.context.shape import DIGIT, WORD

BITS = 12
BUCKETS = 2**BITS
LONGEST = 8192  # bytes; 2,000 characters are at most that but for rare case foldings
_PRIME = 0x01000193  # odd, hence invertible modulo 2³²

FOLD = np.where(DIGIT, ord("0"), np.arange(256)).astype(np.uint8)

def normalise(text: str) -> bytes:
    """Case-folded, spaces collapsed, digits alike, with one space before and after."""
    return f" {' '.join(text.casefold().split())} ".encode("utf-8", "replace")[:LONGEST]


def _powers(base: int) -> NDArray[np.uint32]:
    out = np.full(LONGEST + 1, base, dtype=np.uint32)
    out[0] = 1
    return np.multiply.accumulate(out, dtype=np.uint32)


_POWER = _powers(_PRIME)
_INVERSE = _powers(pow(_PRIME, -1, 2**32))


def mix(h):
    h = h ^ (h >> np.uint32(15))
    h = h * np.uint32(0x2C1B3C6D)
    h = h ^ (h >> np.uint32(12))
    h = h * np.uint32(0x297A2D39)
    return h ^ (h >> np.uint32(15))


def words(data):
    """hash of every word."""
    inside = WORD[data]
    edges = np.flatnonzero(inside[1:] != inside[:-1])   # first and last are spaces
    starts, ends = edges[::2], edges[1::2]
    prefix = np.cumsum((data + np.uint32(1)) * _POWER[: len(data)], dtype=np.uint32)
    return (prefix[ends] - prefix[starts]) * _INVERSE[starts]

def pieces(data, n=4):
    k = len(data) - 3
    if k <= 0: return np.empty(0, np.uint32)
    return np.ndarray((k,), "<u4", data.tobytes(), strides=(1,)).astype(np.uint32)
