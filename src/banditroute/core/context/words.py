"""The words of a text, hashed.

Everything is 32-bit arithmetic on bytes, so a text has the same hashes on every platform and
in every process. Case is folded, white space is collapsed, and every digit becomes a 0, since
48 apples and 52 apples make the same question.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from banditroute.core.context.characters import DIGIT, WORD

Bytes: TypeAlias = NDArray[np.uint8]
Hashes: TypeAlias = NDArray[np.uint32]

LONGEST = 8192  # bytes of normalised text; 2,000 characters of UTF-8 hardly ever exceed it

FOLDED = np.where(DIGIT, ord("0"), np.arange(256)).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Words:
    """A normalised text as bytes, from a space to a space, and one hash for each of its words.

    ``starts`` holds the place before each word's first byte.
    """

    data: Bytes
    hashes: Hashes
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, text: str) -> Words:
        """Hash a text: Σ cᵢ baseⁱ over a word's bytes, i = 1 at the first, then mixed.

        One cumulative sum serves all words; what a word owes to its place in the text is
        divided out again.
        """
        data = FOLDED[np.frombuffer(normalised(text), dtype=np.uint8)]
        inside = WORD[data]
        edges = (inside[1:] != inside[:-1]).nonzero()[0]
        starts, ends = edges[::2], edges[1::2]
        sums = np.cumsum(data * _POWERS[: len(data)], dtype=np.uint32)
        return cls(data, mixed((sums[ends] - sums[starts]) * _INVERSES[starts]), starts)

    def bytes_without(self, unwanted: NDArray[np.bool_]) -> bytes:
        """The text without some of its words and what follows each up to the next word."""
        if not unwanted.any():
            return self.data.tobytes()
        lengths = np.empty_like(self.starts)
        lengths[:-1] = self.starts[1:] - self.starts[:-1]
        lengths[-1] = len(self.data) - self.starts[-1]
        return self.data[self.starts[0] :][np.repeat(~unwanted, lengths)].tobytes()


def normalised(text: str) -> bytes:
    """Case-folded, with one space between words, before and after, as UTF-8."""
    folded = " ".join(text.casefold().split()).encode("utf-8", "replace")
    return b" %b " % folded[: LONGEST - 2]


def mixed(hashes: Hashes) -> Hashes:
    """Every bit of a hash spread over all 32 (the finaliser "lowbias32" of C. Wellons)."""
    hashes = (hashes ^ (hashes >> np.uint32(16))) * np.uint32(0x7FEB352D)
    hashes = (hashes ^ (hashes >> np.uint32(15))) * np.uint32(0x846CA68B)
    return hashes ^ (hashes >> np.uint32(16))


def _powers(base: int) -> Hashes:
    """baseⁱ modulo 2³², for i = 0 … LONGEST."""
    factors = np.full(LONGEST + 1, base, dtype=np.uint32)
    factors[0] = 1
    return np.multiply.accumulate(factors, dtype=np.uint32)


_BASE = 0x01000193  # odd, and so invertible modulo 2³²
_POWERS = _powers(_BASE)
_INVERSES = _powers(pow(_BASE, -1, 2**32))
