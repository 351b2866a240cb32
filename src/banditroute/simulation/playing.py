"""One player over one order of requests."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from random import Random

import numpy as np

from banditroute.core.identity import decision_id, unit_interval
from banditroute.core.selection import draw
from banditroute.simulation.players import Ask, Cell, Player
from banditroute.simulation.problem import Problem
from banditroute.simulation.scenario import Scenario
from banditroute.simulation.trace import Trace

BEGIN_S = 1_750_000_000.0  # virtual time: one request a second
ROUTER = "simulated"


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
    course = scenario or Scenario()
    entropy = Random(seed)  # noqa: S311 - ids in a simulation need no secrecy
    waiting: deque[tuple[int, Ask, int, float, float]] = deque()
    trace = _empty(order)
    for at, prompt in enumerate(order):
        if at in course.changes:
            problem = course.changes[at](problem)
        ask = Ask(
            at=at,
            at_s=BEGIN_S + at,
            prompt=prompt,
            decision_id=decision_id(ROUTER, int((BEGIN_S + at) * 1000), entropy.randbytes(8)),
            context=problem.contexts[prompt],
            roster=problem.roster,
            answer_value_usd=course.answer_value_usd,
            barred=course.barred(problem.roster.ids, at),
        )
        chances = player.probabilities(ask)
        row = draw(chances, ask.roster.ids, unit_interval(seed, ask.decision_id))
        cell = _cell(problem, prompt, row)
        _note(trace, at, row, float(chances[row]), cell)
        player.called(ask, row, float(chances[row]), cell)
        if unit_interval(seed, ask.decision_id, "judged") < course.feedback_rate:
            said = _said(course, seed, ask, row, cell.quality)
            waiting.append((at + course.feedback_delay, ask, row, float(chances[row]), said))
        while waiting and waiting[0][0] <= at:
            player.told(*waiting.popleft()[1:])
        if progress is not None:
            progress(at + 1)
    return trace


def _cell(problem: Problem, prompt: int, row: int) -> Cell:
    tokens, latency = problem.output_tokens[prompt, row], problem.latency_s[prompt, row]
    return Cell(
        quality=float(problem.quality[prompt, row]),
        cost_usd=float(problem.cost_usd[prompt, row]),
        output_tokens=None if np.isnan(tokens) else float(tokens),
        latency_s=None if np.isnan(latency) else float(latency),
    )


def _said(course: Scenario, seed: int, ask: Ask, row: int, quality: float) -> float:
    """The feedback on an answer: the truth, unless it is poisoned."""
    if course.poison is None:
        return quality
    if unit_interval(seed, ask.decision_id, "poisoned") >= course.poison_rate:
        return quality
    return course.poison(row, quality)


def _empty(order: Sequence[int]) -> Trace:
    size = len(order)
    return Trace(
        prompt=np.asarray(order, dtype=np.int64),
        arm=np.zeros(size, dtype=np.int64),
        propensity=np.zeros(size),
        quality=np.zeros(size),
        cost_usd=np.zeros(size),
    )


def _note(trace: Trace, at: int, row: int, propensity: float, cell: Cell) -> None:
    trace.arm[at] = row
    trace.propensity[at] = propensity
    trace.quality[at] = cell.quality
    trace.cost_usd[at] = cell.cost_usd
