"""From a request to the context x: the groups, their scales and their fingerprint.

x is the concatenation of the groups

    bias      1
    shape     structure and lexical numbers, standardised by shipped constants, cut at ±4
    text      the words of the last user message in TEXT_DIMENSION directions
    task      what the application says: the task, and tags
    similar   likeness to the examples of each declared task that has some

each scaled so that E|x_group|² is about 1 over real prompts (the task group: over requests
that name a task), so that the prior width of a group reads in units of reward.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from typing import Literal

import numpy as np

from banditroute.core.context import constants
from banditroute.core.context.likeness import Look, Portraits, likeness, look, portrait
from banditroute.core.context.request import Prompt, read
from banditroute.core.context.shape import SHAPE, shape, standardised
from banditroute.core.context.tasks import TaskSlots, TaskSpec
from banditroute.core.context.text import TEXT_DIMENSION, shipped_projection
from banditroute.core.context.words import Words
from banditroute.values import Context, Request, Vector

LAYOUT = 2  # raised by hand when the code gives other numbers from the same constants
CLIP = 4.0

MEANS = np.array(constants.SHAPE_MEANS)
SDS = np.array(constants.SHAPE_SDS)
BIAS = np.ones(1)
NOTHING = np.empty(0)

TextMode = Literal["hashed", "none"]


class Featurizer:
    """Makes the context of requests. The same arguments give the same numbers everywhere.

    ``names`` and ``groups`` describe x feature by feature, readable, in order; features of a
    group stand together. ``fingerprint`` changes whenever the meaning of any feature does.
    Raises ValueError for task names that differ only by case, for ``task_slots`` of 1 or less
    than 0, and for an unknown ``text``.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    fingerprint: str
    dimension: int

    def __init__(
        self,
        *,
        text: TextMode = "hashed",
        tasks: Sequence[TaskSpec] = (),
        task_slots: int = 32,
    ) -> None:
        if text not in ("hashed", "none"):
            raise ValueError(f'text must be "hashed" or "none", not {text!r}')
        shown = [task for task in tasks if task.examples]
        self._text = text == "hashed"
        self._slots = TaskSlots([task.name for task in tasks], task_slots)
        self._portraits = _portraits(shown)
        by_group = {
            "bias": ("bias",),
            "shape": tuple(f"shape:{name}" for name in SHAPE),
            "text": tuple(f"text:{i:02d}" for i in range(TEXT_DIMENSION if self._text else 0)),
            "task": self._slots.names,
            "similar": tuple(f"similar:{task.name}" for task in shown),
        }
        self.names = tuple(name for names in by_group.values() for name in names)
        self.groups = tuple(group for group, names in by_group.items() for _ in names)
        self.fingerprint = _fingerprint(self.names, shown)
        self.dimension = len(self.names)

    def context(self, request: Request) -> Context:
        """What is seen of a request. Never raises, whatever the body holds.

        ``x`` has shape (dimension,), is finite, within ±4, float64 with values that float32
        holds exactly, and cannot be written to.
        """
        prompt = read(request.body)
        words, form = _form(prompt)
        text, similar = self._wording(words, form)
        task = self._slots.vector(request.wishes)
        x = np.concatenate((BIAS, form * constants.SHAPE_SCALE, text, task, similar))
        return Context(
            x=_settled(x),
            input_tokens=prompt.input_tokens,
            needs=prompt.needs,
            max_output_tokens=prompt.max_output_tokens,
        )

    def _wording(self, words: Words, form: Vector) -> tuple[Vector, Vector]:
        """The groups text and similar; the words are counted once for both."""
        if self._portraits is None and not self._text:
            return NOTHING, NOTHING
        spectrum, coordinates = shipped_projection().project(words)
        text = coordinates.astype(np.float64) if self._text else NOTHING
        if self._portraits is None:
            return text, NOTHING
        return text, likeness(self._portraits, look(spectrum, coordinates, form))


def _form(prompt: Prompt) -> tuple[Words, Vector]:
    """The words of a prompt, and its standardised shape."""
    words = Words.of(prompt.text)
    return words, standardised(shape(prompt, words), MEANS, SDS, CLIP)


def _settled(x: Vector) -> Vector:
    """The vector as it is logged: within ±CLIP, rounded once to float32, and read-only."""
    settled = np.minimum(np.maximum(x, -CLIP), CLIP).astype(np.float32).astype(np.float64)
    settled.setflags(write=False)
    return settled


def _portraits(tasks: Sequence[TaskSpec]) -> Portraits | None:
    if not tasks:
        return None
    return np.array([portrait([_look_of(text) for text in task.examples]) for task in tasks])


def _look_of(example: str) -> Look:
    """What a request with the example as its only message would look like."""
    words, form = _form(read({"messages": [{"role": "user", "content": example}]}))
    return look(*shipped_projection().project(words), form)


def _fingerprint(names: Sequence[str], shown: Sequence[TaskSpec]) -> str:
    """A digest of all that x depends on; the names tell the text mode and the slots."""
    spec = {
        "layout": LAYOUT,
        "constants": constants.VERSION,
        "names": list(names),
        "examples": [list(task.examples) for task in shown],
    }
    return blake2b(json.dumps(spec, sort_keys=True).encode(), digest_size=8).hexdigest()
