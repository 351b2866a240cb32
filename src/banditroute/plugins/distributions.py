"""What is wrong with an answer that should be K probabilities, in words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from banditroute.values import Vector

SHAPE = "each arm gets one probability, in a float array of shape (K,)"
FINITE = "every probability is a finite number"
POSITIVE = "no probability is below 0"
SUM = "the probabilities sum to 1 within 1e-9"

TOLERANCE = 1e-9
MOST_SHOWN = 4  # numbers of an array in a message


def wrongs(answer: object, count: int) -> Iterator[tuple[str, str]]:
    """The promises that an answer for ``count`` arms breaks, each with what it is instead."""
    if not isinstance(answer, np.ndarray):
        yield SHAPE, f"a {type(answer).__name__}"
    elif answer.shape != (count,) or answer.dtype.kind != "f":
        yield SHAPE, f"an array of {answer.dtype}, of shape {answer.shape}"
    elif not np.all(np.isfinite(answer)):
        yield FINITE, shown(answer)
    else:
        if np.any(answer < 0.0):
            yield POSITIVE, f"{shown(answer)}, the least {answer.min():.4g}"
        if abs(answer.sum() - 1.0) > TOLERANCE:
            yield SUM, f"{shown(answer)}, in all {answer.sum():.12g}"


def shown(values: Vector) -> str:
    """The first few numbers."""
    more = ["…"] if len(values) > MOST_SHOWN else []
    return f"[{', '.join([f'{value:.4g}' for value in values[:MOST_SHOWN]] + more)}]"


def difference(first: Vector, second: Vector) -> str:
    """The first arm that two answers differ at; nan differs from nothing."""
    same = (first == second) | np.isnan(first) | np.isnan(second)
    row = int(np.argmin(same))
    return f"the arm in row {row} gets {float(first[row])!r} and then {float(second[row])!r}"
