"""Finished runs as small files, so that a study that was stopped goes on where it was.

A run's file is named by a digest of everything that determines the run. Numbers are written to
``DIGITS`` significant digits, and a run is rounded to them before anything is made of it: a run
that was kept and one that was just played say the same.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import orjson

import banditroute
from banditroute.errors import ConfigError
from banditroute.simulation.problem import Problem
from banditroute.simulation.results import Curves, Means, Run
from banditroute.simulation.studies.jobs import PARTS

DIGITS = 12


@dataclass(frozen=True, slots=True)
class Shelf:
    """A folder of finished runs; without a folder nothing is kept."""

    folder: Path | None

    @classmethod
    def at(cls, folder: Path | None) -> Shelf:
        """Make the folder. Raises ConfigError where that cannot be."""
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                problem = f"cannot be written to: {error.strerror}; name another folder"
                raise ConfigError([problem], str(folder)) from None
        return cls(folder)

    def find(self, key: str) -> Run | None:
        """The run that was kept under a key; a file that is damaged is none."""
        if self.folder is None:
            return None
        try:
            return unpacked(orjson.loads((self.folder / f"{key}.json").read_bytes()))
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
            return None

    def keep(self, key: str, run: Run) -> None:
        """Write a run whole, or not at all."""
        if self.folder is None:
            return
        written = self.folder / f"{key}.{os.getpid()}"
        written.write_bytes(orjson.dumps(packed(run)))
        written.replace(self.folder / f"{key}.json")


def key_of(parts: dict[str, Any]) -> str:
    """The name of a run that is determined by ``parts``, this code and its curves' size."""
    whole = parts | {"code": _code(), "parts": PARTS}
    text = orjson.dumps(whole, option=orjson.OPT_SORT_KEYS, default=str)
    return sha256(text).hexdigest()[:32]


@cache
def _code() -> str:
    """A digest of the package's own code: a run of another one is played anew."""
    root = Path(banditroute.__file__).parent
    digest = sha256()
    for room in ("core", "engine", "simulation"):
        for file in sorted((root / room).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def fingerprint(problem: Problem) -> str:
    """A digest of all that a problem consists of."""
    digest = sha256(repr((problem.groups, problem.roster, problem.tasks)).encode())
    for context in problem.contexts:
        digest.update(context.x.tobytes())
        digest.update(context.input_tokens.to_bytes(8, "big"))
    numbers = (problem.quality, problem.cost_usd, problem.output_tokens, problem.latency_s)
    for matrix in (*numbers, problem.truth):
        digest.update(np.ascontiguousarray(matrix).tobytes())
    return digest.hexdigest()


def packed(run: Run) -> dict[str, Any]:
    """A run as JSON."""
    curves = run.curves
    return {
        "policy": run.policy,
        "seed": run.seed,
        "quality": rounded(run.means.quality),
        "cost_usd": rounded(run.means.cost_usd),
        "utility": rounded(run.means.utility),
        "quality_first_500": rounded(run.quality_first_500),
        "quality_last_half": rounded(run.quality_last_half),
        "regret": rounded(run.regret),
        "failed": run.failed,
        "curves": {
            name: _rounded_all(getattr(curves, name))
            for name in ("utility", "quality", "cost_usd", "best_arm", "shares", "expected")
        },
    }


def unpacked(view: dict[str, Any]) -> Run:
    """A run from its JSON. Raises KeyError or TypeError for anything else."""
    curves = {name: np.array(values) for name, values in view["curves"].items()}
    return Run(
        policy=view["policy"],
        seed=view["seed"],
        means=Means(view["quality"], view["cost_usd"], view["utility"]),
        quality_first_500=view["quality_first_500"],
        quality_last_half=view["quality_last_half"],
        regret=view["regret"],
        failed=view["failed"],
        curves=Curves(**curves),
    )


def rounded(value: float) -> float:
    """To ``DIGITS`` significant digits."""
    return float(f"{value:.{DIGITS}g}")


def _rounded_all(values: np.ndarray) -> list[Any]:
    if values.ndim > 1:
        return [_rounded_all(row) for row in values]
    return [rounded(value) for value in values.tolist()]
