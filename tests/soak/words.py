"""What clients say: every word of a conversation about one decision, drawn before the first."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

PROMPTS = (
    "Hello!",
    "What is 12 * 13, and why?",
    "Write a Python function `def f(xs): ...` that merges two sorted lists.\n\n```python\n```",
    "Übersetze das bitte ins Englische: Der Zug kommt später.",
)
TASKS = (None, None, "code", "maths")
SECOND_SOURCE, DUPLICATE, THUMBS, CHAT = 0.15, 0.2, 0.2, 0.25
AMENDED, RETRACTED, SAID_ANEW = 0.13, 0.07, 0.3

Say = dict[str, Any] | None  # the score or the thumb of a feedback; None takes it back


@dataclass(slots=True)
class Word:
    """One thing that one source says of a decision, and how often it is sent.

    ``together`` sends all copies at once, else each after the one before. ``timed_out`` says
    that a copy may still be under way somewhere: nothing newer may follow then.
    """

    source: str
    number: int
    say: Say
    copies: int
    together: bool
    acknowledged: int = 0
    given_up: bool = False
    timed_out: bool = False

    @property
    def kind(self) -> str:
        if self.say is None:
            return "retraction"
        return "amendment" if self.number else "first"

    @property
    def over(self) -> bool:
        return self.given_up or self.acknowledged >= self.copies


@dataclass(slots=True)
class Conversation:
    """Steps of words of different sources; a step follows when all words before it are over."""

    decision_id: str
    steps: list[list[Word]]
    silenced: set[str] = field(default_factory=set)
    first_missed_s: float | None = None

    def now(self) -> list[Word]:
        """The words of this step that are not over."""
        return [w for w in self.steps[0] if not w.over and w.source not in self.silenced]

    def move_on(self) -> bool:
        """Leave a step whose words are over; False at the end."""
        for word in self.steps.pop(0):
            if word.timed_out or word.given_up:
                self.silenced.add(word.source)
        self.first_missed_s = None
        return bool(self.steps)


def request(rng: random.Random) -> dict[str, Any]:
    """The body of a request for a decision."""
    body: dict[str, Any] = {
        "model": "auto",
        "messages": [{"role": "user", "content": rng.choice(PROMPTS)}],
    }
    if task := rng.choice(TASKS):
        body["banditroute"] = {"task": task}
    return body


def conversation(rng: random.Random, decision_id: str) -> Conversation:
    """A conversation about a decision."""
    sources = [list(_of_one_source(rng, "user"))]
    if rng.random() < SECOND_SOURCE:
        sources.append(list(_of_one_source(rng, "judge")))
        if rng.random() < 0.5:  # and not at the same time
            return Conversation(decision_id, [[word] for words in sources for word in words])
    longest = max(map(len, sources))
    steps = [[words[at] for words in sources if at < len(words)] for at in range(longest)]
    return Conversation(decision_id, steps)


def _of_one_source(rng: random.Random, source: str) -> Iterator[Word]:
    said: Say = None
    for number in range(6):
        if number == 0:
            said = _other(rng, said)
        elif said is None:
            if rng.random() > SAID_ANEW:
                return
            said = _other(rng, said)
        else:
            drawn = rng.random()
            if drawn > AMENDED + RETRACTED:
                return
            said = _other(rng, said) if drawn < AMENDED else None
        copies = 2 + (rng.random() < 0.1) if rng.random() < DUPLICATE else 1
        yield Word(source, number, said, copies, together=rng.random() < 0.5)


def _other(rng: random.Random, said: Say) -> dict[str, Any]:
    """Something else to say, exact in binary."""
    while True:
        thumbs = rng.random() < THUMBS
        new = (
            {"thumbs": rng.choice(("up", "down"))}
            if thumbs
            else {"score": rng.randint(0, 256) / 256}
        )
        if new != said:
            return new
