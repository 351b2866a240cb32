"""What contract checks share: broken promises, and a watch on shared random numbers."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from banditroute.errors import ContractBroken

PLACE = 20_260_706  # where shared generators are put, so that seeding them shows

Did = TypeVar("Did")


class BrokenPromise(Exception):
    """One promise, in words, and an example that it does not hold for."""

    def __init__(self, promise: str, example: str) -> None:
        super().__init__(f"{promise}: {example}")
        self.promise = promise
        self.example = example


class Findings:
    """Every broken promise that was found, once, with its first example."""

    def __init__(self) -> None:
        self._examples: dict[str, str] = {}

    def __contains__(self, promise: str) -> bool:
        return promise in self._examples

    def add(self, promise: str, example: str) -> None:
        """Note that a promise is broken, unless that is known."""
        self._examples.setdefault(promise, example)

    def of(self, check: Callable[[], None]) -> None:
        """Add the BrokenPromise that a check raises, if any."""
        try:
            check()
        except BrokenPromise as broken:
            self.add(broken.promise, broken.example)

    def refuse(self, name: str) -> None:
        """Raise ContractBroken if there are any."""
        if self._examples:
            lines = [f"{promise}: {example}" for promise, example in self._examples.items()]
            raise ContractBroken(name, lines)


def in_words(error: Exception) -> str:
    """An error's kind and message."""
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def watched(act: Callable[[], Did]) -> tuple[Did, bool]:
    """What ``act`` returns, and whether it drew from the generators that everybody shares.

    Those, :mod:`random`'s and numpy's, stand afterwards where they stood before.
    """
    here, numpys = random.getstate(), np.random.get_state()
    random.seed(PLACE)
    np.random.seed(PLACE)
    before = _place()
    try:
        did = act()
        return did, _place() != before
    finally:
        random.setstate(here)
        np.random.set_state(numpys)


def _place() -> tuple[object, ...]:
    numpys = np.random.get_state(legacy=False)
    stream = numpys["state"]
    place = (stream["key"].tobytes(), stream["pos"], numpys["has_gauss"], numpys["gauss"])
    return random.getstate(), *place
