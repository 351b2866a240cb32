"""What every player promises, whoever wrote it.

Players are put through short simulations, from the plainest to odd ones. Randomness or a clock
shows only where it changes an answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from banditroute.core.posterior import FeatureGroups
from banditroute.core.roster import Roster
from banditroute.plugins.distributions import POSITIVE, SUM, difference, wrongs
from banditroute.plugins.promises import BrokenPromise, Findings, in_words, watched
from banditroute.simulation.players import Ask, Cell, Player
from banditroute.simulation.playing import play
from banditroute.simulation.problem import Problem
from banditroute.simulation.rivals import Factory
from banditroute.simulation.rivals.baselines import Random
from banditroute.simulation.scenario import Outage, Scenario
from banditroute.values import Arm, Context, Vector

PLAIN = "feedback on every answer"
COPES = "it copes with {}"
BARRED = "an arm that is barred gets exactly 0"
ALIKE = "two players that are made alike and fed alike answer alike"
CHANCE = "no random numbers are drawn from the generators that everybody shares"
UNTOUCHED = "the context of a request is left as it was"

REQUESTS = 40
HELD = 5  # judgements that are told last first


Answers = list[tuple[int, Vector]]


@dataclass(frozen=True, slots=True)
class Course:
    """A short simulation, and what of the unusual happens in it."""

    what: str
    problem: Problem
    scenario: Scenario = field(default_factory=Scenario)
    backwards: bool = False


def check_player(make: Factory, problem: Problem | None = None, name: str = "the player") -> None:
    """Raise ContractBroken if there is a promise that the players of a factory do not keep.

    They play the first prompts of ``problem``, or a made-up one, and all that a
    :class:`Scenario` can bring. Takes a tenth of a second for players that answer in a tenth of
    a millisecond. One that does not cope with the plainest course is spared the others.
    ``name`` is what the error calls the player.
    """
    findings = Findings()
    for course in _courses(problem or example_problem()):
        findings.of(partial(_put_through, make, course, findings))
        if COPES.format(PLAIN) in findings:
            break
    findings.refuse(name)


def example_problem(prompts: int = REQUESTS) -> Problem:
    """Three arms, each ten times as dear as the one before; two tasks, and prompts without any."""
    rng = np.random.default_rng(20_260_705)
    x = np.concatenate([np.ones((prompts, 1)), rng.normal(size=(prompts, 3))], axis=1)
    unknown = np.full((prompts, 3), np.nan)
    prices = 10.0 ** np.arange(3)
    arms = [
        Arm(f"arm-{row}", "made-up", f"model-{row}", usd, usd)
        for row, usd in enumerate(prices.tolist())
    ]
    return Problem(
        name="made up",
        groups=FeatureGroups(("bias", "shape", "shape", "shape")),
        contexts=tuple(Context(row, 100) for row in x),
        tasks=tuple((None, "code", "chat")[at % 3] for at in range(prompts)),
        roster=Roster(tuple(arms)),
        quality=rng.uniform(size=(prompts, 3)).round(1),
        cost_usd=np.tile(3e-4 * prices, (prompts, 1)),
        output_tokens=unknown,
        latency_s=unknown,
    )


def _courses(problem: Problem) -> Iterator[Course]:
    """The plainest one, and then what can come on top of it."""
    ids, half = problem.roster.ids, REQUESTS // 2
    arrivals = {arm_id: 8 * row for row, arm_id in enumerate(reversed(ids))}
    outages = [Outage(arm_id, half, half + 3) for arm_id in ids]
    outages += [Outage(arm_id, half - 8, half) for arm_id in ids[:-1]]
    dearer = Scenario(answer_value_usd=0.05, changes={half: lambda now: now.repriced(0, 10.0)})
    yield Course(PLAIN, problem)
    yield Course("rare and late feedback", problem, Scenario(feedback_rate=0.5, feedback_delay=7))
    yield Course("no feedback", problem, Scenario(feedback_rate=0.0))
    yield Course("feedback in another order", problem, backwards=True)
    yield Course("costs that count, and change", problem, dearer)
    yield Course("arms that arrive", problem, Scenario(arrivals=arrivals))
    yield Course("calls that fail", problem, Scenario(outages=tuple(outages)))
    yield Course("a single arm", _of_one_arm(problem))


def _of_one_arm(problem: Problem) -> Problem:
    return replace(
        problem,
        roster=Roster(problem.roster.arms[:1]),
        quality=problem.quality[:, :1],
        cost_usd=problem.cost_usd[:, :1],
        output_tokens=problem.output_tokens[:, :1],
        latency_s=problem.latency_s[:, :1],
        expected=None,
    )


def _put_through(make: Factory, course: Course, findings: Findings) -> None:
    """Let two players that are made alike play the same course, one after the other."""
    twice = range(2)
    (first, second), drew = watched(lambda: [_played(make, course, findings) for _ in twice])
    if drew:
        findings.add(CHANCE, f"some were, with {course.what}")
    for (at, answer), (_, again) in zip(first, second, strict=False):
        if not np.array_equal(answer, again):
            example = difference(answer, again)
            findings.add(ALIKE, f"{example}, at request {at} with {course.what}")
            break


def _played(make: Factory, course: Course, findings: Findings) -> Answers:
    contexts = [replace(context, x=context.x.copy()) for context in course.problem.contexts]
    problem = replace(course.problem, contexts=tuple(contexts))
    player = make(problem, 0, course.scenario)
    watched = (_Backwards if course.backwards else _Watched)(player, course.what, findings)
    play(watched, problem, [at % len(problem) for at in range(REQUESTS)], 0, course.scenario)
    for given, context in zip(contexts, course.problem.contexts, strict=True):
        if not np.array_equal(given.x, context.x):
            findings.add(UNTOUCHED, f"context.x was written to, with {course.what}")
    return watched.answers


class _Watched:
    """Passes everything on to a player, and finds what it does not cope with."""

    def __init__(self, player: Player, what: str, findings: Findings) -> None:
        self.answers: Answers = []
        self._player = player
        self._what = what
        self._findings = findings

    def probabilities(self, ask: Ask) -> Vector:
        """The player's; where they are none, all open arms alike."""
        with self._coping(ask, "probabilities"):
            answer = self._player.probabilities(ask)
        wrong = list(_wrongs(answer, ask))
        for promise, example in wrong:
            self._findings.add(promise, f"{example}, at request {ask.at} with {self._what}")
        if wrong:
            answer = Random().probabilities(ask)
        self.answers.append((ask.at, answer.copy()))
        return answer

    def called(self, ask: Ask, row: int, propensity: float, cell: Cell) -> None:
        """As the player's."""
        with self._coping(ask, "called"):
            self._player.called(ask, row, propensity, cell)

    def told(self, ask: Ask, row: int, propensity: float, quality: float) -> None:
        """As the player's."""
        with self._coping(ask, "told"):
            self._player.told(ask, row, propensity, quality)

    @contextmanager
    def _coping(self, ask: Ask, method: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever a stranger's code may do
            example = f"{method}() of request {ask.at}: {in_words(error)}"
            raise BrokenPromise(COPES.format(self._what), example) from error


class _Backwards(_Watched):
    """Tells of every few judgements the last first."""

    def __init__(self, player: Player, what: str, findings: Findings) -> None:
        super().__init__(player, what, findings)
        self._held: list[tuple[Ask, int, float, float]] = []

    def told(self, ask: Ask, row: int, propensity: float, quality: float) -> None:
        """Later."""
        self._held.append((ask, row, propensity, quality))
        if len(self._held) == HELD:
            while self._held:
                super().told(*self._held.pop())


def _wrongs(answer: Vector, ask: Ask) -> Iterator[tuple[str, str]]:
    """The promises that an answer breaks, each with what it is instead."""
    wrong = list(wrongs(answer, len(ask.roster)))
    yield from wrong
    if not wrong or wrong[0][0] in {POSITIVE, SUM}:
        for arm_id, chance in zip(ask.roster.ids, answer.tolist(), strict=True):
            if arm_id in ask.barred and chance != 0.0:
                yield BARRED, f"{arm_id} gets {chance:.6g}"
