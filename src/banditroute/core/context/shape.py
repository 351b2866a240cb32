"""The shape of a request: its structure, and lexical numbers of its text.

Counts enter as log(1 + n) and shares as square roots, so that a number ten times larger moves
a feature by a step and not by a leap. Shares are of the bytes that are no white space, and
words are looked for in case-folded text, so extra spaces and capitals move little.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log1p, sqrt

import numpy as np
from numpy.typing import NDArray

from banditroute.core.context.request import Prompt
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
    "urls",
)
SHAPE = (*STRUCTURE, *LEXICAL)

TYPICAL_LIMIT = 1024  # max_tokens that counts as neither short nor long
MOST_UPPERCASE = 0.25  # a text in capitals says no more than one with many acronyms

CODE_MARKS = (
    *(b"```", b"def ", b"import ", b"return", b"class ", b"function", b"#include", b"print"),
    *(b"();", b"=>", b"</", b"select ", b"==", b"++", b" code", b"python", b"javascript", b"sql"),
    *(b"const ", b"void ", b"algorithm", b"compile"),
)
MATHS_MARKS = (
    *(b"\\", b"^", b"$", b"how many", b"how much", b"equation", b"calculate", b"solve", b"sum "),
    *(b"percent", b"integral", b"probability", b"total", b"average", b"number of", b"value of"),
)
LIST_MARKS = (b"\n- ", b"\n* ", b"\n\xe2\x80\xa2", b"\n1. ", b"\n2. ", b"\n3. ", b"\n1) ", b"\n2) ")
URL_MARKS = (b"http://", b"https://", b"www.")
QUESTION_MARKS = (b"?", "？".encode(), "؟".encode())


def _among(characters: bytes) -> NDArray[np.bool_]:
    """A table of 256 answers: is this byte one of those characters?"""
    table = np.zeros(256, dtype=np.bool_)
    table[list(characters)] = True
    return table


SPACE = _among(b" \t\r\n\x0b\x0c")
DIGIT = _among(b"0123456789")
UPPER = _among(bytes(range(ord("A"), ord("Z") + 1)))
LETTER = UPPER | _among(bytes(range(ord("a"), ord("z") + 1)))
NON_ASCII = _among(bytes(range(128, 256)))
WORD = LETTER | DIGIT | NON_ASCII
CHOICE = _among(b"abcdefghijABCDEFGHIJ")
CLASSES = np.stack(
    [
        ~SPACE,
        LETTER,
        UPPER,
        NON_ASCII,
        DIGIT,
        _among(b".,;:!'"),
        _among(b'"`'),
        _among(b"()[]{}<>"),
        _among(b"+-*/=^\\$%|&_#@~"),
        _among(b"\n"),
        WORD,
    ]
).astype(np.float64)


def shape(prompt: Prompt) -> Vector:
    """The raw numbers of SHAPE, in that order; finite for every prompt."""
    return np.array([*_structure(prompt), *_lexical(prompt.text)], dtype=np.float64)


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


def _lexical(text: str) -> list[float]:
    data = np.frombuffer(text.encode("utf-8", "replace"), dtype=np.uint8)
    folded = text.casefold().encode("utf-8", "replace")
    sizes = CLASSES @ np.bincount(data, minlength=256)
    filled, letters, upper, other, digits, points, quotes, brackets, signs, lines, inside = sizes
    share = _share_of(max(filled, 1.0))
    return [
        sqrt(min(upper / max(letters, 1.0), MOST_UPPERCASE)),
        share(other),
        share(digits),
        share(points),
        log1p(quotes),
        share(brackets),
        share(signs),
        log1p(inside / max(_runs(WORD[data]), 1)),
        log1p(_runs(DIGIT[data])),
        log1p(lines),
        log1p(_count(folded, QUESTION_MARKS)),
        log1p(_count(folded, LIST_MARKS)),
        log1p(_choices(data)),
        log1p(_count(folded, CODE_MARKS)),
        log1p(_count(folded, MATHS_MARKS)),
        log1p(_count(folded, URL_MARKS)),
    ]


def _share_of(whole: float) -> Callable[[float], float]:
    return lambda part: sqrt(part / whole)


def _count(text: bytes, marks: tuple[bytes, ...]) -> int:
    return sum(map(text.count, marks))


def _runs(inside: NDArray[np.bool_]) -> int:
    """How many stretches of consecutive True there are."""
    if not len(inside):
        return 0
    return int(inside[0]) + int(np.count_nonzero(inside[1:] & ~inside[:-1]))


def _choices(data: NDArray[np.uint8]) -> int:
    """How many labels of answers there are, such as ``A.``, ``(b)`` or ``c)``."""
    if len(data) < 3:
        return 0
    before = SPACE[data] | (data == ord("("))
    after = (data == ord(".")) | (data == ord(")")) | (data == ord(":"))
    return int(np.count_nonzero(before[:-2] & CHOICE[data[1:-1]] & after[2:]))
