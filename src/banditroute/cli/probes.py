"""Judged answers from elsewhere, as a probe file or a data folder holds them.

A probe file has one JSON object a line: ``messages`` or ``prompt``, where known ``task`` and
``tags``, then ``arm`` and ``score`` (or ``quality``), and where answers do not count alike
``weight``. Line numbers in errors count from 1; what a line says is never echoed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

import orjson
from pydantic import Field, model_validator

from banditroute.core.context import Featurizer
from banditroute.core.roster import Roster
from banditroute.datasets import load_dataset
from banditroute.errors import DataError, InvalidRequest
from banditroute.http.bodies import Message, Name, Strict
from banditroute.http.reading import check
from banditroute.values import Arm, Request, Vector, Wishes

MOST_SHOWN = 20

Score = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class Probe:
    """One judged answer: the context of what was asked, and how good the answer was."""

    x: Vector
    score: float
    weight: float


@dataclass(slots=True)
class Probes:
    """The judged answers of each arm, and the names of arms whose answers were left out."""

    by_arm: dict[str, list[Probe]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def add(self, arm_id: str, probe: Probe) -> None:
        """One more answer of an arm."""
        self.by_arm.setdefault(arm_id, []).append(probe)

    def skip(self, name: str) -> None:
        """An answer of an arm by that name is left out."""
        if name not in self.skipped:
            self.skipped.append(name)


class ProbeBody(Strict):
    """One line of a probe file."""

    messages: Annotated[list[Message], Field(min_length=1)] | None = None
    prompt: Annotated[str, Field(min_length=1)] | None = None
    task: Name | None = None
    tags: list[Name] = Field(default=[], max_length=16)
    arm: Name
    score: Score | None = None
    quality: Score | None = None
    weight: Annotated[float, Field(gt=0, le=1)] = 1.0

    @model_validator(mode="after")
    def _says_each_thing_once(self) -> Self:
        for one, other in (("messages", "prompt"), ("score", "quality")):
            if (getattr(self, one) is None) == (getattr(self, other) is None):
                raise ValueError(f"give exactly one of {one}, {other}")
        return self

    def value(self) -> float:
        """How good the answer was, by whichever name."""
        return next(given for given in (self.score, self.quality) if given is not None)


def read_probes(path: Path, featurizer: Featurizer, roster: Roster, asked: Sequence[str]) -> Probes:
    """The judged answers that a file or a folder holds of a router's arms, or of those asked for.

    Raises DataError with everything that is wrong, line by line, and where nothing is left.
    """
    arms = [arm for arm in roster if not asked or arm.id in asked]
    if path.is_dir():
        found = _read_folder(path, featurizer, arms)
    else:
        found = _read_lines(path, featurizer, arms, only=bool(asked))
    missing = [arm_id for arm_id in asked if arm_id not in found.by_arm]
    if missing or not found.by_arm:
        there = ", ".join([*found.by_arm, *found.skipped])
        wanted = ", ".join(missing or roster.ids)
        raise DataError(f"{path}: no judged answer of {wanted}; it has those of {there}")
    return found


def _read_folder(folder: Path, featurizer: Featurizer, arms: Sequence[Arm]) -> Probes:
    """The outcomes of a data folder; its arms go by the id or else by the model of ours."""
    data, found = load_dataset(folder), Probes()
    columns = {arm.id: _column(data.arms, arm) for arm in arms}
    for name in data.arms:
        if data.arms.index(name) not in columns.values():
            found.skip(name)
    for prompt, task, qualities in zip(data.prompts, data.tasks, data.quality, strict=True):
        x = featurizer.context(_prompting(prompt, Wishes(task=task))).x
        for arm_id, column in columns.items():
            if column is not None:
                found.add(arm_id, Probe(x, float(qualities[column]), 1.0))
    return found


def _column(names: Sequence[str], arm: Arm) -> int | None:
    return next((names.index(name) for name in (arm.id, arm.model) if name in names), None)


def _read_lines(path: Path, featurizer: Featurizer, arms: Sequence[Arm], *, only: bool) -> Probes:
    """The lines of a probe file; with ``only``, other arms' are left out instead of refused."""
    ids, found, problems = [arm.id for arm in arms], Probes(), []
    for number, line in _lines(path):
        try:
            raw, body = _parse(line)
            if body.arm in ids:
                x = featurizer.context(_asked(raw, body)).x
                found.add(body.arm, Probe(x, body.value(), body.weight))
            elif only:
                found.skip(body.arm)
            else:
                raise InvalidRequest(f"arm: the router has {', '.join(ids)}; name one")
        except InvalidRequest as error:
            problems.append(f"line {number}: {error}")
    if problems:
        raise _refusal(path, problems)
    if not (found.by_arm or found.skipped):
        raise DataError(f"{path}: it is empty; write one judged answer a line")
    return found


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that hold anything, with their numbers."""
    try:
        with path.open("rb") as file:
            yield from ((number, line) for number, line in enumerate(file, 1) if line.strip())
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None


def _parse(line: bytes) -> tuple[dict[str, Any], ProbeBody]:
    """A line as it came, and checked. Raises InvalidRequest."""
    try:
        raw = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"not valid JSON: {error.msg} at column {error.colno}") from None
    if not isinstance(raw, dict):
        raise InvalidRequest('must be a JSON object such as {"prompt": …, "arm": …, "score": …}')
    return raw, check(ProbeBody, raw)


def _asked(raw: dict[str, Any], body: ProbeBody) -> Request:
    """The request of a line, its messages as they came."""
    wishes = Wishes(task=body.task, tags=tuple(body.tags))
    if body.prompt is not None:
        return _prompting(body.prompt, wishes)
    return Request({"messages": raw["messages"]}, wishes)


def _prompting(prompt: str, wishes: Wishes) -> Request:
    return Request({"messages": [{"role": "user", "content": prompt}]}, wishes)


def _refusal(path: Path, problems: Sequence[str]) -> DataError:
    shown = [f"  - {problem}" for problem in problems[:MOST_SHOWN]]
    more = len(problems) - len(shown)
    noun = "problem" if len(problems) == 1 else "problems"
    head = f"{path}: {len(problems)} {noun}, so nothing of it is imported"
    return DataError("\n".join([head, *shown, *([f"  and {more} more"] if more else [])]))
