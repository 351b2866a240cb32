"""How much a prompt looks like the examples of each task, for requests that name no task.

Grams alone find only shared words, and two questions of one task share few. So three views
are compared together: the weighted grams (which words), their leading coordinates (which
subject) and the lexical numbers (which form: code, a reckoning, a list of answers). Each is
centred on prompts in general, so that what all prompts share counts for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from banditroute.core.context.constants import CONTRAST_SD, LIKENESS_MEAN, LIKENESS_SD
from banditroute.core.context.shape import LEXICAL
from banditroute.core.context.text import Spectrum
from banditroute.values import Vector

Look: TypeAlias = NDArray[np.float32]  # shape (buckets + coordinates + lexical numbers,)
Portraits: TypeAlias = NDArray[np.float32]  # shape (tasks, size of a look)

SHARES = (4 / 7, 1 / 7, 2 / 7)  # of words, subject and form; shares near these rank alike


def look(spectrum: Spectrum, coordinates: NDArray[np.float32], form: Vector) -> Look:
    """The three views of one prompt, each a unit vector (or 0) times the root of its share.

    ``form`` is the standardised shape of the prompt; its lexical numbers are used.
    """
    views = (spectrum, coordinates, form[-len(LEXICAL) :].astype(np.float32))
    return np.concatenate(
        [_scaled(view, share**0.5) for view, share in zip(views, SHARES, strict=True)]
    )


def portrait(looks: Sequence[Look]) -> Look:
    """What the examples of a task have in common: their mean, scaled to length 1."""
    return _scaled(np.mean(looks, axis=0, dtype=np.float32), 1.0)


def likeness(portraits: Portraits, seen: Look) -> Vector:
    """The cosine of a look with every portrait, in units of what is usual for prompts.

    Several tasks are told apart by their differences: what a prompt has in common with all of
    them (being short, say) is subtracted, as the shape group has it already. Scaled so that
    the squared length is 1 on average over prompts that have nothing to do with the tasks.
    """
    cosines = (portraits @ seen).astype(np.float64)
    usual, sd = LIKENESS_MEAN, LIKENESS_SD
    if len(cosines) > 1:
        usual, sd = float(cosines.mean()), CONTRAST_SD * (len(cosines) - 1) ** 0.5
    out: Vector = (cosines - usual) / sd
    return out


def _scaled(vector: NDArray[np.float32], length: float) -> NDArray[np.float32]:
    """The vector with another length; 0 stays 0."""
    present = float(vector @ vector) ** 0.5
    return vector * np.float32(length / present) if present > 1e-6 else vector
