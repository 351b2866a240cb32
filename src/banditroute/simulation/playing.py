"""One player over one order of requests."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from random import Random

import numpy as np

from banditroute.core.identity import decision_id, unit_interval
from banditroute.core.selection import draw
from banditroute.simulation.players import ROUTER, Ask, Cell, Player
from banditroute.simulation.problem import Problem
from banditroute.simulation.scenario import Scenario
from banditroute.simulation.trace import Trace

BEGIN_S = 1_750_000_000.0  # virtual time: one request a second


def play(
    player: Player,
    problem: Problem,
    order: Sequence[int],
    seed: int,
    scenario: Scenario | None = None,
    *,
    progress: Callable[[int], None] | None = None,
) -> Trace:
    """Play the prompts of ``order`` one after the other; T = len(order).

    The same seed draws the same random numbers for every player: they differ by what they do
    with them. ``progress`` is called with the number of requests done.
    """
    game = _Game(player, scenario or Scenario(), seed)
    trace = Trace.empty(order)
    for at, prompt in enumerate(order):
        problem = game.course.changes.get(at, _unchanged)(problem)
        game.request(problem, trace, at, prompt)
        game.deliver(at)
        if progress is not None:
            progress(at + 1)
    return trace


class _Game:
    """One run under way: who plays, and the words that are still to come."""

    def __init__(self, player: Player, course: Scenario, seed: int) -> None:
        self.course = course
        self._player = player
        self._seed = seed
        self._entropy = Random(seed)  # noqa: S311 - ids in a simulation need no secrecy
        self._waiting: deque[tuple[int, Ask, int, float, float]] = deque()

    def request(self, problem: Problem, trace: Trace, at: int, prompt: int) -> None:
        """Answer one request, if need be by a second arm."""
        absent = self.course.barred(problem.roster.ids, at)
        failed: frozenset[str] = frozenset()
        while True:
            ask = self._ask(problem, at, prompt, absent, failed)
            chances = self._player.probabilities(ask)
            row = draw(chances, ask.roster.ids, unit_interval(self._seed, ask.decision_id))
            cell = self._cell(problem, ask, row)
            self._player.called(ask, row, float(chances[row]), cell)
            failed |= {ask.roster.ids[row]} if cell.failed else set()
            if not cell.failed or len(absent | failed) == len(problem.roster):
                break
        trace.note(at, row, float(chances[row]), cell.quality, cell.cost_usd)
        trace.attempts[at] = len(failed) + (not cell.failed)
        if not cell.failed:
            self._judge(ask, row, float(chances[row]), cell)

    def deliver(self, at: int) -> None:
        """Tell the player what has been said by now."""
        while self._waiting and self._waiting[0][0] <= at:
            self._player.told(*self._waiting.popleft()[1:])

    def _ask(
        self,
        problem: Problem,
        at: int,
        prompt: int,
        absent: frozenset[str],
        failed: frozenset[str],
    ) -> Ask:
        made_at_ms = int((BEGIN_S + at) * 1000)
        return Ask(
            at=at,
            at_s=BEGIN_S + at,
            prompt=prompt,
            decision_id=decision_id(ROUTER, made_at_ms, self._entropy.randbytes(8)),
            context=problem.contexts[prompt],
            roster=problem.roster,
            answer_value_usd=self.course.answer_value_usd,
            barred=absent | failed,
            failed=failed,
            task=problem.tasks[prompt] if problem.task_sent else None,
        )

    def _cell(self, problem: Problem, ask: Ask, row: int) -> Cell:
        if self.course.fails(ask.roster.ids[row], ask.at):
            return Cell(0.0, 0.0, None, None, failed=True)
        tokens, latency = problem.output_tokens[ask.prompt, row], problem.latency_s[ask.prompt, row]
        return Cell(
            quality=float(problem.quality[ask.prompt, row]),
            cost_usd=float(problem.cost_usd[ask.prompt, row]),
            output_tokens=None if np.isnan(tokens) else int(tokens),
            latency_s=None if np.isnan(latency) else float(latency),
        )

    def _judge(self, ask: Ask, row: int, propensity: float, cell: Cell) -> None:
        if unit_interval(self._seed, ask.decision_id, "judged") < self.course.feedback_rate:
            due = ask.at + self.course.feedback_delay
            self._waiting.append((due, ask, row, propensity, self._said(ask, row, cell.quality)))

    def _said(self, ask: Ask, row: int, quality: float) -> float:
        """The feedback on an answer: the truth, unless it is poisoned."""
        if self.course.poison is None:
            return quality
        if unit_interval(self._seed, ask.decision_id, "poisoned") >= self.course.poison_rate:
            return quality
        return self.course.poison(row, quality)


def _unchanged(problem: Problem) -> Problem:
    return problem
