"""A table in the making: outcomes are added as they are read, from as many files as it takes."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from math import isnan, nan

import numpy as np

from banditroute.datasets.dataset import AMOUNTS
from banditroute.datasets.rows import Noun, Row, place
from banditroute.datasets.table import Table


class Gathering:
    """Outcomes of one source. ``names`` says how it calls an amount, {arm} standing for the arm.

    Keeps the numbers and one copy of each prompt, never the rows.
    """

    def __init__(self, source: str, names: Mapping[str, str] | None = None) -> None:
        self._source = source
        self._names = names or {}
        self._prompts: dict[str, tuple[int, str, str | None]] = {}
        self._arms: dict[str, int] = {}
        self._files: dict[tuple[str, Noun], int] = {}
        self._indices = {name: array("q") for name in ("prompt", "arm", "file", "row")}
        self._amounts = {name: array("d") for name in ("quality", *AMOUNTS)}

    def prompt(self, prompt_id: str, text: str, task: str | None) -> int:
        """The index of a prompt. A known one keeps the text that it came with first."""
        return self._prompts.setdefault(prompt_id, (len(self._prompts), text, task))[0]

    def text(self, prompt_id: str) -> str | None:
        """The text of a prompt that is known."""
        known = self._prompts.get(prompt_id)
        return known[1] if known else None

    def outcome(self, row: Row, prompt: int, arm: str, **amounts: float) -> None:
        """Add what a row says of a prompt and an arm, unless it does not know the quality."""
        if isnan(amounts["quality"]):
            return
        file = self._files.setdefault((row.source, row.noun), len(self._files))
        cell = (prompt, self._arms.setdefault(arm, len(self._arms)), file, row.number)
        for indices, index in zip(self._indices.values(), cell, strict=True):
            indices.append(index)
        for name, values in self._amounts.items():
            values.append(amounts.get(name, nan))

    def table(self) -> Table:
        """All that was added."""
        prompts = list(self._prompts.values())
        return Table(
            source=self._source,
            prompt_ids=list(self._prompts),
            prompts=[text for _, text, _ in prompts],
            tasks=[task for _, _, task in prompts],
            arms=list(self._arms),
            prompt=np.array(self._indices["prompt"], dtype=np.int64),
            arm=np.array(self._indices["arm"], dtype=np.int64),
            amounts={name: np.array(values) for name, values in self._amounts.items()},
            where=self._where,
        )

    def _where(self, cell: int, amount: str) -> str:
        source, noun = list(self._files)[self._indices["file"][cell]]
        arm = list(self._arms)[self._indices["arm"][cell]]
        name = self._names.get(amount, amount).replace("{arm}", arm)
        return place(Row(source, self._indices["row"][cell], {}, noun), name)
