"""A second opinion on what should have been learned: plain loops over plain numbers.

It shares no code with banditroute; it reads the clients' journal and the packed log, and does
the arithmetic of ALGORITHM.md in the documented order. msgpack and numpy only read bytes.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

Say = dict[str, Any] | None
Reading = tuple[float, float] | None  # quality and weight
Voices = tuple[tuple[str, float, float], ...]  # source, score and weight of each

PRIOR_VARIANCE = 0.20
KIND_SD = {"score": 0.05, "thumbs": 0.45}
SOURCE_SD = {"user": 0.0, "judge": 0.15}


@dataclass(slots=True)
class Spoken:
    """What clients know of a decision: the arm, and by source all words in their order.

    ``heard`` is the number of a source's last acknowledged word; words after it were said, and
    nobody knows what became of them.
    """

    arm: str
    words: dict[str, list[Say]] = field(default_factory=dict)
    heard: dict[str, int] = field(default_factory=dict)

    @property
    def final(self) -> dict[str, Say]:
        """The last acknowledged word of each source."""
        return {source: self.words[source][number] for source, number in self.heard.items()}

    @property
    def certain(self) -> bool:
        """Whether every word that was said was acknowledged."""
        return all(len(words) == self.heard.get(s, -1) + 1 for s, words in self.words.items())


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the log; ``old`` and ``new`` are only of quality.

    ``voices`` are the sources, scores and weights that the two are made of. An operator's news
    names no arm.
    """

    position: int
    quality: bool
    decision_id: str
    arm: str
    x: list[float]
    old: Reading
    new: Reading
    voices: tuple[Voices, Voices] = ((), ())


@dataclass(slots=True)
class Sums:
    """n, G (its lower triangle, row by row), b and s of one arm."""

    n: float
    gram: list[list[float]]
    moment: list[float]
    square: float
    taught: int = 0

    @classmethod
    def empty(cls, d: int) -> "Sums":
        return cls(0.0, [[0.0] * (row + 1) for row in range(d)], [0.0] * d, 0.0)

    def add(self, x: list[float], quality: float, weight: float, square: float) -> None:
        """Zeros of x are left out: they would add ±0 to what is never -0."""
        places = [place for place, value in enumerate(x) if value]
        self.n += weight
        for i in places:
            row = self.gram[i]
            for j in places:
                if j > i:
                    break
                row[j] += weight * (x[i] * x[j])
            self.moment[i] += weight * quality * x[i]
        self.square += square


def spoken(journal: Path) -> dict[str, Spoken]:
    """What the clients' journal says, by decision."""
    found: dict[str, Spoken] = {}
    with journal.open(encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            if line["event"] == "decided":
                found[line["id"]] = Spoken(line["arm"])
            elif line["event"] == "said":
                words = found[line["id"]].words.setdefault(line["source"], [])
                if line["number"] == len(words):
                    words.append(line["say"])
                assert words[line["number"]] == line["say"], "a source said two things at once"
            elif line["event"] == "heard":
                found[line["id"]].heard[line["source"]] = line["number"]
    return found


def value(say: dict[str, Any]) -> tuple[str, float]:
    """The kind and the score of a word."""
    if "thumbs" in say:
        return "thumbs", 1.0 if say["thumbs"] == "up" else 0.0
    return "score", float(say["score"])


def reading(words: dict[str, Say]) -> Reading:
    """What words amount to: the mean of the scores around the first, and the largest weight."""
    scores, weights = [], []
    for source in sorted(words):
        say = words[source]
        if say is not None:
            kind, score = value(say)
            sd = max(KIND_SD[kind], SOURCE_SD[source])
            scores.append(score)
            weights.append(1.0 * PRIOR_VARIANCE / (PRIOR_VARIANCE + sd * sd))
    if not scores:
        return None
    total = shift = 0.0
    for weight in weights:
        total += weight
    for score, weight in zip(scores, weights, strict=True):
        shift += weight * (score - scores[0])
    return min(max(scores[0] + shift / total, 0.0), 1.0), max(weights)


def possible_readings(said: Spoken) -> set[Reading]:
    """Everything that the words of a decision could ever have amounted to."""
    sources = list(said.words)
    choices = [[None, *said.words[source]] for source in sources]
    return {reading(dict(zip(sources, each, strict=True))) for each in product(*choices)}


def entries(packed: Iterable[tuple[int, bytes]]) -> Iterator[Entry]:
    """The log, unpacked: a version byte, four of a checksum, and a msgpack array."""
    for position, data in packed:
        kind, x, *rest = msgpack.unpackb(data[5:])
        if kind == 2:
            yield Entry(position, False, "", "", [], None, None)
            continue
        vector = np.frombuffer(x, dtype="<f4").astype(float).tolist()
        _, decision_id, arm = rest[:3]
        if kind == 1:
            yield Entry(position, False, decision_id, arm, vector, None, None)
            continue
        old, new = (tuple(r[:2]) if r else None for r in rest[-2:])
        before, after = (tuple(map(tuple, r[2])) if r else () for r in rest[-2:])
        yield Entry(position, True, decision_id, arm, vector, old, new, (before, after))


def square(voices: Voices) -> float:
    """Σ w y² of some voices."""
    total = 0.0
    for _, score, weight in voices:
        total += weight * score * score
    return total


def sums(log: Iterable[Entry]) -> dict[str, Sums]:
    """What the log teaches of each arm: take the old reading back, add the new one."""
    arms: dict[str, Sums] = {}
    for entry in log:
        if not entry.arm:
            continue
        arm = arms.setdefault(entry.arm, Sums.empty(len(entry.x)))
        if not entry.quality:
            continue
        sides = zip((entry.old, entry.new), entry.voices, (-1, +1), strict=True)
        for known, voices, sign in sides:
            if known is not None:
                arm.add(entry.x, known[0], sign * known[1], sign * square(voices))
                arm.taught += sign
        if arm.taught == 0:
            arms[entry.arm] = Sums.empty(len(entry.x))
    return arms


def totals(said: Iterable[Spoken]) -> dict[str, tuple[float, float, int]]:
    """n, mean quality and decisions taught of each arm, from the accepted words alone."""
    found: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0])
    for one in said:
        known = reading(one.final)
        if known is not None:
            quality, weight = known
            arm = found[one.arm]
            arm[0] += weight
            arm[1] += weight * quality
            arm[2] += 1
    return {arm: (n, total / n, int(taught)) for arm, (n, total, taught) in found.items()}
