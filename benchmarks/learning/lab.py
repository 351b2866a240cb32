"""What every study shares: data sets as problems, shuffles, runs in parallel, and tables."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from banditroute.core.choice import Rules
from banditroute.core.pacing import Budget
from banditroute.core.policies import Thompson
from banditroute.datasets import load_dataset
from banditroute.simulation import Problem, RouterPlayer, problem_of

SETS = ("mmlu_pro", "llmrouter_ulab", "paretobandit_val", "bfcl_tools")
FLOOR = 0.005
PARETO_POOL = (
    "meta-llama/llama-3.1-8b-instruct",
    "mistralai/mistral-large-2512",
    "google/gemini-2.5-pro",
)

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Lab:
    """Where the data lies, how many shuffles to play, and on how many processes.

    ``kept`` is a folder for results that only other people's code can change.
    """

    data: Path
    shuffles: int = 20
    processes: int = 2
    kept: Path | None = None

    @property
    def seeds(self) -> range:
        """One seed a shuffle."""
        return range(self.shuffles)

    def map(self, work: Callable[[Job], Result], jobs: Iterable[Job]) -> list[Result]:
        """Do every job, in parallel, in the order given."""
        with ProcessPoolExecutor(self.processes) as pool:
            return list(pool.map(work, list(jobs)))

    def recall(self, work: Callable[[Job], Result], jobs: Iterable[Job]) -> list[Result]:
        """Do every job that was not done before, and keep what comes out."""
        if self.kept is None:
            return self.map(work, jobs)
        self.kept.mkdir(parents=True, exist_ok=True)
        return self.map(partial(_recalled, self.kept, work), jobs)


def _recalled(kept: Path, work: Callable[[Job], Result], job: Job) -> Result:
    file = kept / f"{sha256(repr(job).encode()).hexdigest()[:24]}.pickle"
    if file.exists():
        found: Result = pickle.loads(file.read_bytes())
        return found
    result = work(job)
    written = file.with_suffix(f".{os.getpid()}")
    written.write_bytes(pickle.dumps(result))
    written.rename(file)
    return result


@cache
def problem(
    data: Path, name: str, *, with_task: bool = True, arms: tuple[str, ...] | None = None
) -> Problem:
    """A data set as a problem, made once in each process."""
    return problem_of(load_dataset(data / name, arms), with_task=with_task)


def shuffled(problem: Problem, seed: int, requests: int | None = None) -> list[int]:
    """The order in which the prompts come."""
    order: list[int] = np.random.default_rng(seed).permutation(len(problem)).tolist()
    return order[:requests]


def router(problem: Problem, seed: int, budget: Budget | None = None) -> RouterPlayer:
    """The router with its defaults: one configuration for all sets."""
    return RouterPlayer(problem.groups, Rules(Thompson(), FLOOR, seed), budget)


def mean_error(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """The mean, and its standard error over shuffles."""
    array = np.asarray(values, dtype=float)
    error = array.std(ddof=1) / len(array) ** 0.5 if len(array) > 1 else float("nan")
    return float(array.mean()), float(error)


def shown(values: Sequence[float] | np.ndarray, digits: int = 4) -> str:
    """``0.7229 ± 0.0014``."""
    mean, error = mean_error(values)
    return f"{mean:.{digits}f} ± {error:.{digits}f}"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a title, and a verdict in words."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    verdict: str = ""

    def markdown(self) -> str:
        """The table as it stands in README.md."""
        lines = [
            f"**{self.title}**",
            "",
            "| " + " | ".join(self.columns) + " |",
            "| " + " | ".join("---" for _ in self.columns) + " |",
            *("| " + " | ".join(row) + " |" for row in self.rows),
        ]
        return "\n".join([*lines, "", self.verdict]) if self.verdict else "\n".join(lines)


def write(page: Path, name: str, text: str) -> None:
    """Put a result between its marks in a page."""
    written = page.read_text(encoding="utf-8")
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(written):
        raise SystemExit(f"{page} has no place for {name}: {begin} {end}")
    page.write_text(pattern.sub(lambda _: f"{begin}\n{text}\n{end}", written), encoding="utf-8")
