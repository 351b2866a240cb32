"""Tasks and tags that the application sends, as numbers.

A declared task has a slot of its own. Any other name is hashed to two distinct slots of
1/√2 each: with 32 slots there are 496 pairs, so two names seldom share both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from math import sqrt

import numpy as np

from banditroute.values import Vector, Wishes

MOST_TAGS = 32  # of one request; more are ignored, so that time and size stay bounded


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """A task that the operator declares, with prompts that are typical of it."""

    name: str
    examples: tuple[str, ...] = ()


class TaskSlots:
    """Names of tasks and tags as numbers. Case and outer white space of a name do not matter."""

    def __init__(self, declared: Sequence[str], hashed: int) -> None:
        self._own = {_key(name): slot for slot, name in enumerate(declared)}
        self._hashed = hashed
        if len(self._own) < len(declared):
            raise ValueError(f"task names must differ by more than case: {sorted(declared)}")
        if hashed < 0 or hashed == 1:
            raise ValueError(f"task_slots must be 0 or at least 2, not {hashed}")
        self.names = (
            *(f"task:{name}" for name in declared),
            *(f"task:#{slot:02d}" for slot in range(hashed)),
        )

    def vector(self, wishes: Wishes) -> Vector:
        """The task with weight 1, and all n tags together with weight 1: each 1/√n."""
        x = np.zeros(len(self.names))
        task = _key(wishes.task or "")
        tags = dict.fromkeys(_key(tag) for tag in islice(wishes.tags, MOST_TAGS))
        distinct = [tag for tag in tags if tag and tag != task]
        if task:
            self._add(x, task, 1.0)
        for tag in distinct:
            self._add(x, tag, 1 / sqrt(len(distinct)))
        return x

    def _add(self, x: Vector, key: str, weight: float) -> None:
        own = self._own.get(key)
        if own is not None:
            x[own] += weight
        elif self._hashed:
            for slot in _two_slots(key, self._hashed):
                x[len(self._own) + slot] += weight / sqrt(2)


def _key(name: str) -> str:
    return name.strip().casefold()


def _two_slots(key: str, slots: int) -> tuple[int, int]:
    """Two distinct slots, the same for a name everywhere and always."""
    digest = blake2b(key.encode("utf-8", "replace"), digest_size=8).digest()
    step, first = divmod(int.from_bytes(digest, "big"), slots)
    return first, (first + 1 + step % (slots - 1)) % slots
