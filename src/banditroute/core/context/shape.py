"""The shape of a request: its structure, and lexical numbers of its text.

Counts enter as log(1 + n) and shares as square roots, so that a number ten times larger moves
a feature by a step and not by a leap. Shares are of the bytes that are no white space, or of
the words, and words are looked for in case-folded text, so extra spaces and capitals move
little.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntFlag
from math import log1p, sqrt

import numpy as np
from numpy.typing import NDArray

from banditroute.core.context.characters import (
    DIGIT,
    LETTER,
    NON_ASCII,
    SPACE,
    UPPER,
    WORD,
    among,
    overlapping,
)
from banditroute.core.context.lexicon import Kind, kinds
from banditroute.core.context.request import Prompt
from banditroute.core.context.words import Words
from banditroute.values import Vector

STRUCTURE = (
    "length",
    "history",
    "turns",
    "system",
    "tools",
    "images",
    "json_mode",
    "max_tokens",
)
LEXICAL = (
    "uppercase",
    "non_ascii",
    "digits",
    "punctuation",
    "quotes",
    "brackets",
    "operators",
    "word_length",
    "numbers",
    "newlines",
    "questions",
    "list",
    "choices",
    "code",
    "maths",
    "writing",
    "urls",
)
SHAPE = (*STRUCTURE, *LEXICAL)

TYPICAL_LIMIT = 1024  # max_tokens that counts as neither short nor long
SEEN_BYTES, SEEN_SIGNS = 10, 0.2  # counted in advance: one sign in a short text moves little
SEEN_WORDS = 5  # likewise: one hint in a short text is not yet certainty
MOST_UPPERCASE = 0.25  # a text in capitals says no more than one with many acronyms

# Rows that are counted byte by byte, in the order in which _lexical takes them apart.
COUNTED = np.stack(
    [
        ~SPACE,
        LETTER,
        UPPER,
        NON_ASCII,
        DIGIT,
        WORD,
        among(b".,;:'"),  # no "!": enthusiasm is not structure
        among(b'"`'),
        among(b"()[]{}<>"),
        among(b"+-*/=^\\$%|&_#@~"),
        among(b"\n"),
        among(b"?"),
        among(b"\\^$=%"),
    ]
).astype(np.float64)


class Pair(IntFlag):
    """What two bytes in a row are a sign of."""

    NUMBER = 1  # a digit after something else
    LIST = 2  # a line that begins with a dash, a star or one of the first numbers
    CODE = 4
    URL = 8
    OPENS = 16  # a letter of an answer after a space or a bracket: " A", "(b"
    CLOSES = 32  # a letter of an answer before its mark: "A.", "b)"


def _pairs() -> NDArray[np.uint8]:
    """For two bytes as a little-endian number, their flags."""
    table = np.zeros((256, 256), dtype=np.uint8)  # [second, first]
    choice = among(b"abcdefghijABCDEFGHIJ")
    crossed = (
        (Pair.NUMBER, ~DIGIT, DIGIT),
        (Pair.LIST, among(b"\n"), among(b"-*123")),
        (Pair.OPENS, SPACE | among(b"("), choice),
        (Pair.CLOSES, choice, among(b".):")),
    )
    for flag, first, second in crossed:
        table[np.ix_(second, first)] |= flag.value
    for sign in (b"``", b"()", b"=>", b"->", b"</", b"==", b"++", b"#i", b"):", b"};", b"{\n"):
        table[sign[1], sign[0]] |= Pair.CODE.value
    table[ord("/"), ord(":")] |= Pair.URL.value
    return table.reshape(-1)


PAIRS = _pairs()
FLAGS = np.array([[value & flag.value > 0 for value in range(64)] for flag in Pair], dtype=np.int64)


def shape(prompt: Prompt, words: Words) -> Vector:
    """The raw numbers of SHAPE, in that order; finite for every prompt and its words."""
    return np.array([*_structure(prompt), *_lexical(prompt.text, words)])


def standardised(raw: Vector, means: Vector, sds: Vector, clip: float) -> Vector:
    """(raw − mean)/sd, cut at ±clip."""
    return np.minimum(np.maximum((raw - means) / sds, -clip), clip)


def _structure(prompt: Prompt) -> list[float]:
    limit = prompt.max_output_tokens
    return [
        log1p(prompt.text_length),
        log1p(prompt.total_length - prompt.text_length),
        log1p(max(prompt.turns - 1, 0)),
        float(prompt.system),
        log1p(prompt.tools),
        log1p(prompt.images),
        float(prompt.json_mode),
        log1p(limit) - log1p(TYPICAL_LIMIT) if limit else 0.0,
    ]


def _lexical(text: str, words: Words) -> list[float]:
    raw = b" %b" % text.encode("utf-8", "replace")
    sizes = (COUNTED @ np.bincount(np.frombuffer(raw, np.uint8), minlength=256)).tolist()
    filled, letters, upper, other, digits, inside, points, quotes, brackets, signs = sizes[:10]
    lines, questions, reckoning = sizes[10:]
    numbers, items, code, links, choices = _pairs_in(raw)
    share = _share_of(filled)
    hint = _hints_in(kinds(words.hashes))
    return [
        sqrt(min(upper / max(letters, 1.0), MOST_UPPERCASE)),
        share(other),
        share(digits),
        share(points),
        log1p(quotes),
        share(brackets),
        share(signs),
        log1p(inside / max(len(words.hashes), 1)),
        log1p(numbers),
        log1p(lines),
        log1p(questions),
        log1p(items),
        log1p(choices),
        hint(Kind.CODE, code),
        hint(Kind.MATHS, reckoning),
        hint(Kind.WRITING, 0),
        log1p(links),
    ]


def _pairs_in(raw: bytes) -> list[int]:
    """How many numbers, list items, signs of code, URLs and labels of answers there are."""
    flags = PAIRS[overlapping(raw, "<u2")]
    counts: list[int] = (FLAGS @ np.bincount(flags, minlength=64)).tolist()
    labels = flags[:-1] & (flags[1:] >> 1) & Pair.OPENS.value  # OPENS here, CLOSES one further
    return [*counts[:4], int(np.count_nonzero(labels))]


def _share_of(whole: float) -> Callable[[float], float]:
    return lambda part: sqrt((part + SEEN_SIGNS) / (whole + SEEN_BYTES))


def _hints_in(found: NDArray[np.uint8]) -> Callable[[Kind, float], float]:
    """The root of the share of words that hint at a kind; signs of it count as words."""
    return lambda kind, signs: sqrt(
        min((np.count_nonzero(found & kind.value) + signs) / (len(found) + SEEN_WORDS), 1.0)
    )
