"""The Dataset: prompts with every arm's observed answer, scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from banditroute.values import Matrix

Indices: TypeAlias = NDArray[np.int64]

AMOUNTS = ("cost_usd", "latency_s", "input_tokens", "output_tokens")  # what a call consumes


@dataclass(frozen=True, slots=True)
class Dataset:
    """N prompts × K arms, every cell of ``quality`` observed.

    The matrices have shape (N, K), rows in the order of ``prompts`` and columns in that of
    ``arms``. Single unknown numbers are NaN; a matrix of which nothing is known is None.
    """

    name: str
    prompts: tuple[str, ...]
    prompt_ids: tuple[str, ...]
    tasks: tuple[str | None, ...]
    arms: tuple[str, ...]
    quality: Matrix
    cost_usd: Matrix | None = None
    latency_s: Matrix | None = None
    input_tokens: Matrix | None = None
    output_tokens: Matrix | None = None
