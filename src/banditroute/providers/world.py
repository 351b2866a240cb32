"""A made-up world of arms that differ by task, in price, length and speed.

An arm's ``settings`` say what it is like (every key is optional):

* ``skill``: mean quality per task, ``default`` for all others (0.6)
* ``output_tokens``: mean length of an answer (180)
* ``latency_s``: median time of an answer (0.4)
* ``failure_rate``: share of calls that fail (0)

Quality follows a one-factor Gaussian copula: every prompt has a difficulty that all arms
share, every arm its own luck with it, and the quality is the Beta(κ·skill, κ·(1 − skill))
quantile of the two together. So the mean over prompts is exactly the skill, and arms tend to
fail at the same prompts, as real ones do.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import cycle, islice
from statistics import NormalDist
from typing import Any

import orjson
from scipy.special import betaincinv

from banditroute.errors import ConfigError
from banditroute.providers.scene import Cell, estimated_tokens, last_role, last_user_text
from banditroute.providers.tasks import task_of
from banditroute.values import Arm

CONCENTRATION = 3.0  # κ: with a skill of 0.6 the quality has a standard deviation of 0.24
SHARED_DIFFICULTY = 0.5  # correlation between two arms' qualities at the same prompt
LENGTH_SPREAD = 0.4  # standard deviation of ln(length)
LATENCY_SPREAD = 0.25  # standard deviation of ln(latency)

# Each number of the settings: its default, its lowest and its highest value.
_NUMBERS = {
    "output_tokens": (180.0, 1.0, 100_000.0),
    "latency_s": (0.4, 0.0, 3600.0),
    "failure_rate": (0.0, 0.0, 1.0),
}

_NORMAL = NormalDist()
_ANSWER = (
    "a simulated answer worth {quality:.2f} says nothing in particular but it takes its time "
    "and costs its price so that a router can learn which arm is worth asking"
)
_WORTH = re.compile(r"a simulated answer worth (\d\.\d\d)")


@dataclass(frozen=True, slots=True)
class Persona:
    """What a simulated arm is like, as read from its settings."""

    skill: Mapping[str, float]
    output_tokens: float
    latency_s: float
    failure_rate: float

    @classmethod
    def of(cls, arm: Arm) -> Persona:
        """Read an arm's settings. Raises ConfigError listing all that is wrong with them."""
        skill = arm.settings.get("skill", {})
        if not isinstance(skill, Mapping):
            raise ConfigError([f"arm {arm.id}: skill must be a table of task = mean quality"])
        skill = {"default": 0.6} | dict(skill)
        numbers = {key: arm.settings.get(key, default) for key, (default, _, _) in _NUMBERS.items()}
        problems = [
            f"arm {arm.id}: {key} must be a number from {low:g} to {high:g}"
            for key, value, low, high in (
                *((f"skill.{task}", mean, 0.0, 1.0) for task, mean in skill.items()),
                *((key, numbers[key], low, high) for key, (_, low, high) in _NUMBERS.items()),
            )
            if not _is_number(value, low, high)
        ]
        if problems:
            raise ConfigError(problems)
        return cls(skill=skill, **numbers)

    def skill_at(self, task: str) -> float:
        """Mean quality at a task."""
        return self.skill.get(task, self.skill["default"])


class World:
    """Arms as their settings describe them; the same seed is the same world, anywhere.

    An answer depends on (seed, arm id, text of the last user message) alone, cut off at the
    request's ``max_tokens``: half an answer is worth half its quality.
    """

    def __init__(self, seed: int) -> None:
        self._key = seed.to_bytes(8, "big", signed=True)
        self._calls: Counter[str] = Counter()

    def answer(self, arm: Arm, body: Mapping[str, Any]) -> Cell:
        """The answer of ``arm``; see :class:`~banditroute.providers.scene.Scene`."""
        persona = Persona.of(arm)
        prompt = last_user_text(body)
        task = task_of(prompt)
        length = self._length(persona, arm, prompt)
        kept = min(length, _max_tokens(body) or length)
        quality = self._quality(persona.skill_at(task), arm, prompt) * kept / length
        return Cell(
            quality=quality,
            input_tokens=estimated_tokens(body),
            output_tokens=kept,
            latency_s=persona.latency_s
            * math.exp(LATENCY_SPREAD * self._normal("latency", arm.id, prompt)),
            cost_usd=None,
            fails=self._fails(persona, arm, prompt),
            text=_text(body, {"arm": arm.id, "task": task}, kept, quality),
            task=task,
            tool=_tool(body),
            truncated=kept < length,
        )

    def _quality(self, skill: float, arm: Arm, prompt: str) -> float:
        if skill in {0.0, 1.0}:
            return skill
        shared = math.sqrt(SHARED_DIFFICULTY) * self._normal("difficulty", prompt)
        own = math.sqrt(1 - SHARED_DIFFICULTY) * self._normal("luck", arm.id, prompt)
        rank = _NORMAL.cdf(shared + own)
        quality = betaincinv(CONCENTRATION * skill, CONCENTRATION * (1 - skill), rank)
        return round(float(quality), 4)

    def _length(self, persona: Persona, arm: Arm, prompt: str) -> int:
        # exp(σz − σ²/2) has mean 1
        z = self._normal("length", arm.id, prompt)
        factor = math.exp(LENGTH_SPREAD * z - LENGTH_SPREAD**2 / 2)
        return max(round(persona.output_tokens * factor), 1)

    def _fails(self, persona: Persona, arm: Arm, prompt: str) -> bool:
        if not persona.failure_rate:
            return False
        self._calls[arm.id] += 1
        return self._uniform("failure", arm.id, str(self._calls[arm.id]), prompt) < (
            persona.failure_rate
        )

    def _normal(self, *parts: str) -> float:
        return _NORMAL.inv_cdf(self._uniform(*parts))

    def _uniform(self, *parts: str) -> float:
        """A number in (0, 1) that depends on the seed and the parts alone."""
        text = "\0".join(parts).encode("utf-8", "surrogatepass")
        digest = blake2b(text, digest_size=8, key=self._key).digest()
        return ((int.from_bytes(digest, "big") >> 12) + 0.5) / 2**52


def _is_number(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _max_tokens(body: Mapping[str, Any]) -> int | None:
    limits = [body.get("max_completion_tokens"), body.get("max_tokens")]
    known = [n for n in limits if isinstance(n, int) and not isinstance(n, bool) and n > 0]
    return min(known, default=None)


def _text(body: Mapping[str, Any], facts: Mapping[str, Any], words: int, quality: float) -> str:
    """An answer of so many words, one a token; a JSON object where JSON is asked for.

    Its worth can be read off its words, as that of a real one can: by who has feedback to
    give, and by a judge, for a JSON object scores the last simulated answer that it is shown.
    """
    answer = " ".join(islice(cycle(_ANSWER.format(quality=quality).split()), words))
    wanted = body.get("response_format")
    if isinstance(wanted, Mapping) and wanted.get("type") in {"json_object", "json_schema"}:
        shown = _WORTH.findall(last_user_text(body))[-1:]
        score = {"score": 10.0 * float(shown[0])} if shown else {}
        return orjson.dumps({**facts, "answer": answer, **score}).decode()
    return answer


def _tool(body: Mapping[str, Any]) -> str | None:
    """The function to call: the chosen or the first one, but not right after a tool's result."""
    choice = body.get("tool_choice")
    if choice == "none" or last_role(body) == "tool":
        return None
    tools = body.get("tools")
    offered = [choice, *(tools if isinstance(tools, list) else [])] if tools else []
    return next((name for tool in offered if (name := _function_name(tool))), None)


def _function_name(tool: object) -> str | None:
    function = tool.get("function") if isinstance(tool, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    return name if isinstance(name, str) else None
