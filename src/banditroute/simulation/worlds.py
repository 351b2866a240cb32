"""Made-up worlds whose truth is known: prompts, arms, every answer, and what to expect of it.

Every prompt has a task, one of a few topics of that task, and a length; its text is made of the
words of all three, so that the features of a request tell them apart. With skill m of arm k at
the prompt's task, the expected quality of a cell is

    m + REACH · min(m, 1 − m) · (t + c·l) / 2

where t ∈ [−1, 1] is how the arm does at the topic (0 on average over topics), l ∈ [−1, 1] how
long the prompt is (0 on average), and c ∈ [−1, 1] what the arm makes of length. So the mean over
prompts is the skill. The quality itself follows the one-factor Gaussian copula of
:mod:`banditroute.providers.world`: all arms share a prompt's difficulty, which no policy sees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b

import numpy as np
from scipy.special import betaincinv, expit, ndtr

from banditroute.datasets import Dataset
from banditroute.providers.scene import CHARACTERS_PER_TOKEN, TOKENS_PER_MESSAGE
from banditroute.providers.world import (
    CONCENTRATION,
    LATENCY_SPREAD,
    LENGTH_SPREAD,
    SHARED_DIFFICULTY,
)
from banditroute.simulation.problem import Problem, problem_of
from banditroute.values import Matrix

TOPICS = 4  # of every task
REACH = 0.9  # how far topic and length can move a skill towards 0 or 1
SHORTEST, LONGEST = 8, 80  # words of a prompt
TASKS: Mapping[str, float] = {
    "chat": 0.3,
    "code": 0.2,
    "maths": 0.15,
    "summary": 0.15,
    "support": 0.1,
    "translation": 0.1,
}

_ONSETS = ("b", "ch", "d", "f", "gr", "h", "k", "l", "m", "n", "pl", "r", "s", "st", "t", "v", "z")
_RHYMES = ("a", "ai", "an", "e", "el", "er", "i", "in", "o", "on", "or", "u", "us")
_VOCABULARY = 30  # words of a topic, of a task, and of all prompts together


@dataclass(frozen=True, slots=True)
class WorldArm:
    """What an arm is like: mean quality at each task, ``default`` at all others, and its price."""

    id: str
    skill: Mapping[str, float]
    input_usd_per_mtok: float = 0.5
    output_usd_per_mtok: float = 2.0
    output_tokens: float = 300.0
    latency_s: float = 1.0

    def skill_at(self, task: str) -> float:
        """Mean quality at a task."""
        return self.skill.get(task, self.skill.get("default", 0.6))


@dataclass(frozen=True, slots=True)
class World:
    """A world to be made. ``tasks`` maps names to shares of the prompts, in any unit.

    ``arms`` is how many to draw (:func:`drawn_arms`), or what each is like.
    """

    prompts: int = 4000
    arms: int | Sequence[WorldArm] = 10
    tasks: Mapping[str, float] = field(default_factory=lambda: dict(TASKS))
    seed: int = 0
    name: str = "world"

    @property
    def pool(self) -> tuple[WorldArm, ...]:
        """The arms, drawn if need be."""
        if isinstance(self.arms, int):
            return drawn_arms(self.arms, tuple(self.tasks), self.seed)
        return tuple(self.arms)

    def made(self) -> tuple[Dataset, Matrix]:
        """The data, and the expected quality (N, K) of every cell. Same world, same numbers."""
        return _Making(self).done()

    def problem(self, *, with_task: bool = True) -> Problem:
        """The problem that the world poses, with its truth."""
        data, expected = self.made()
        return replace(problem_of(data, with_task=with_task), expected=expected)


def drawn_arms(count: int, tasks: Sequence[str], seed: int) -> tuple[WorldArm, ...]:
    """``count`` arms of a market: better ones tend to be dearer, slower and longer.

    An arm's ability a is standard normal. Its skill at a task is expit(0.7 + 0.6 a + 0.5 e), e
    standard normal for each task; log₁₀ of its dollars per million output tokens is
    normal(0.3 + 0.4 a, 0.4), input costs a quarter; its mean length is lognormal(300, 0.3), its
    latency lognormal(1 s, 0.4) times √(price/2). The first arms of a larger market are those of
    a smaller one.
    """
    return tuple(_drawn_arm(number, tasks, seed) for number in range(count))


def _drawn_arm(number: int, tasks: Sequence[str], seed: int) -> WorldArm:
    rng = _stream(seed, "arm", str(number))
    ability, price, length, latency = rng.standard_normal(4).tolist()
    skill = expit(0.7 + 0.6 * ability + 0.5 * rng.standard_normal(len(tasks)))
    usd = 10.0 ** (0.3 + 0.4 * ability + 0.4 * price)
    return WorldArm(
        id=f"arm-{number:02d}",
        skill={task: round(mean, 4) for task, mean in zip(tasks, skill.tolist(), strict=True)},
        input_usd_per_mtok=round(usd / 4.0, 4),
        output_usd_per_mtok=round(usd, 4),
        output_tokens=round(300.0 * float(np.exp(0.3 * length)), 1),
        latency_s=round(float(np.exp(0.4 * latency)) * (usd / 2.0) ** 0.5, 3),
    )


class _Making:
    """One world on its way from a description to numbers."""

    def __init__(self, world: World) -> None:
        self.world, self.arms = world, world.pool
        rng = _stream(world.seed, "prompts")
        size, names = world.prompts, tuple(world.tasks)
        shares = np.array(list(world.tasks.values()))
        self.task = rng.choice(len(names), size, p=shares / shares.sum())
        self.topic = rng.integers(TOPICS, size=size)
        self.length = rng.uniform(-1.0, 1.0, size)
        self.difficulty = rng.standard_normal(size)
        self.tasks = [names[task] for task in self.task.tolist()]

    def done(self) -> tuple[Dataset, Matrix]:
        """Everything, column by column."""
        texts = self._texts()
        read = np.array([-(-len(text) // CHARACTERS_PER_TOKEN) for text in texts], np.float64)
        read += TOKENS_PER_MESSAGE
        columns = [self._column(arm) for arm in self.arms]
        expected, quality, written, latency = (
            np.stack(parts, 1) for parts in zip(*columns, strict=True)
        )
        prices = np.array([[a.input_usd_per_mtok, a.output_usd_per_mtok] for a in self.arms])
        cost = (read[:, None] * prices[:, 0] + written * prices[:, 1]) / 1e6
        data = Dataset(
            name=self.world.name,
            prompts=tuple(texts),
            prompt_ids=tuple(f"{number:06d}" for number in range(len(texts))),
            tasks=tuple(self.tasks),
            arms=tuple(arm.id for arm in self.arms),
            quality=quality,
            cost_usd=cost,
            latency_s=latency,
            input_tokens=np.repeat(read[:, None], len(self.arms), axis=1),
            output_tokens=written,
        )
        return data, expected

    def _column(self, arm: WorldArm) -> tuple[Matrix, ...]:
        """What one arm does: expected quality, quality, tokens and seconds of every answer."""
        rng = _stream(self.world.seed, "answers", arm.id)
        lift = rng.uniform(-1.0, 1.0, (len(self.world.tasks), TOPICS))
        lift -= lift.mean(axis=1, keepdims=True)
        lift /= np.maximum(np.abs(lift).max(axis=1, keepdims=True), 1.0)
        longer = float(rng.uniform(-1.0, 1.0))
        skill = np.array([arm.skill_at(task) for task in self.world.tasks])[self.task]
        swing = (lift[self.task, self.topic] + longer * self.length) / 2.0
        mean = skill + REACH * np.minimum(skill, 1.0 - skill) * swing
        luck, length, latency = rng.standard_normal((3, len(self.task)))
        written = arm.output_tokens * np.exp(LENGTH_SPREAD * length - LENGTH_SPREAD**2 / 2)
        seconds = arm.latency_s * np.exp(LATENCY_SPREAD * latency)
        return mean, self._quality(mean, luck), np.maximum(np.round(written), 1.0), seconds

    def _quality(self, mean: Matrix, luck: Matrix) -> Matrix:
        """The Beta(κ·mean, κ·(1 − mean)) quantile of difficulty and luck together."""
        shared = np.sqrt(SHARED_DIFFICULTY) * self.difficulty
        rank = ndtr(shared + np.sqrt(1.0 - SHARED_DIFFICULTY) * luck)
        inside = np.clip(mean, 1e-9, 1.0 - 1e-9)  # the quantile has no value at skills 0 and 1
        drawn = betaincinv(CONCENTRATION * inside, CONCENTRATION * (1.0 - inside), rank)
        quality: Matrix = np.where((mean > 0.0) & (mean < 1.0), np.round(drawn, 4), mean)
        return quality

    def _texts(self) -> list[str]:
        """A third of a prompt's words are its topic's, a third its task's, a third anybody's."""
        rng = _stream(self.world.seed, "texts")
        common = _words("")
        by_task = {task: _words(task) for task in self.world.tasks}
        by_topic = {(t, n): _words(t, str(n)) for t in self.world.tasks for n in range(TOPICS)}
        ratio = (self.length + 1.0) / 2.0
        counts = np.round(SHORTEST * (LONGEST / SHORTEST) ** ratio).astype(int).tolist()
        texts = []
        for task, topic, count in zip(self.tasks, self.topic.tolist(), counts, strict=True):
            sources = (by_topic[task, topic], by_task[task], common)
            picks = rng.integers(_VOCABULARY, size=count).tolist()
            texts.append(" ".join(sources[at % 3][pick] for at, pick in enumerate(picks)))
        return texts


def _words(*parts: str) -> list[str]:
    """A vocabulary of made-up words, the same in every world."""
    rng = _stream(0, "words", *parts)
    syllables = rng.integers((len(_ONSETS), len(_RHYMES)), size=(_VOCABULARY, 3, 2)).tolist()
    return ["".join(_ONSETS[on] + _RHYMES[rhyme] for on, rhyme in word) for word in syllables]


def _stream(seed: int, *parts: str) -> np.random.Generator:
    """Random numbers of their own for every purpose, so that none depends on another's count."""
    digest = blake2b("\0".join(parts).encode(), digest_size=8).digest()
    return np.random.default_rng([seed, int.from_bytes(digest, "big")])
