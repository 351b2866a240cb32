"""Hashed grams: the telling words of a text, and its four-byte pieces, counted in buckets.

Pieces are taken from what is left without the empty words, so that function words and
courtesies do not make two prompts alike; pieces survive a typo that spoils a word.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from banditroute.core.context.characters import overlapping
from banditroute.core.context.lexicon import Kind, kinds
from banditroute.core.context.words import Words

WORD_BUCKETS = 2048
PIECE_BUCKETS = 2048
BUCKETS = WORD_BUCKETS + PIECE_BUCKETS

_SHIFT = np.uint32(32 - 11)  # leaves the upper 11 bits, a bucket of 2048
_GOLDEN = np.uint32(0x9E3779B1)  # 2³² over the golden ratio: Fibonacci hashing (Knuth, vol. 3, 6.4)


def grams(words: Words) -> NDArray[np.int64]:
    """How often each bucket is hit, shape (BUCKETS,): first those of words, then of pieces."""
    empty = (kinds(words.hashes) & Kind.EMPTY.value).astype(np.bool_)
    telling = (words.hashes[~empty] * _GOLDEN) >> _SHIFT
    pieces = (overlapping(words.bytes_without(empty), "<u4") * _GOLDEN) >> _SHIFT
    hits = np.concatenate([telling, pieces + np.uint32(WORD_BUCKETS)], dtype=np.int64)
    return np.bincount(hits, minlength=BUCKETS)
