"""From a scenario's table to what happens in one run on one problem."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from banditroute.errors import ConfigError
from banditroute.simulation.problem import Problem
from banditroute.simulation.scenario import Change, Outage, Scenario
from banditroute.simulation.studies.changes import Against, Likened, Repriced, Scaled, Together
from banditroute.simulation.studies.roles import arm_named, mean_utility
from banditroute.simulation.studies.schema import (
    QUALITY_ALONE,
    Arrival,
    OutageEvent,
    PriceChange,
    Regression,
    ScenarioSpec,
    Study,
    TrafficShift,
)
from banditroute.simulation.studies.traffic import Mix, groups_of, order_of, shares_of


@dataclass(frozen=True, slots=True)
class Stakes:
    """What an answer is worth (infinite: quality alone counts), or the budget of a request."""

    answer_value_usd: float = QUALITY_ALONE
    budget_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Course:
    """A scenario on one problem, but for the order of its prompts."""

    problem: Problem
    requests: int
    stakes: Stakes
    scenario: Scenario
    mixes: tuple[Mix, ...]
    marks: tuple[tuple[int, str], ...]

    def order(self, seed: int) -> NDArray[np.int64]:
        """(T,) the prompts as they come at a seed."""
        return order_of(groups_of(self.problem), self.mixes, self.requests, seed)


def course_of(spec: ScenarioSpec, study: Study, problem: Problem, requests: int) -> Course:
    """The course of a scenario.

    Raises ConfigError for arms, tasks or requests that there are not, and for a scenario about
    money where the data has no costs.
    """
    stakes = stakes_of(spec, study, problem)
    return _Laying(spec, stakes, problem, requests).course()


def stakes_of(spec: ScenarioSpec, study: Study, problem: Problem) -> Stakes:
    """The study's stakes, or those of the scenario; without any costs quality alone counts."""
    budget = spec.budget_usd_per_request
    if budget is not None and not problem.priced:
        raise ConfigError(["needs costs, and the data has none; leave it out"], _where(spec))
    if not problem.priced:
        return Stakes()
    if budget == "middle":
        return Stakes(budget_usd=middle_budget(problem))
    if budget is not None:
        return Stakes(budget_usd=budget)
    if study.budget_usd_per_request is not None:
        return Stakes(budget_usd=study.budget_usd_per_request)
    return Stakes(study.answer_value_usd or QUALITY_ALONE)


def middle_budget(problem: Problem) -> float:
    """The geometric mean of what the cheapest and the best arm cost, and be it one arm.

    Where one of them is free, half the sum of both.
    """
    cost = problem.cost_usd.mean(axis=0)
    low, high = cost.min(), cost[int(mean_utility(problem, QUALITY_ALONE).argmax())]
    return float((low * high) ** 0.5 if low > 0.0 else (low + high) / 2.0) or float(cost.max())


class _Laying:
    """Lays out the events of one scenario."""

    def __init__(self, spec: ScenarioSpec, stakes: Stakes, problem: Problem, requests: int) -> None:
        self.spec, self.stakes, self.problem, self.requests = spec, stakes, problem, requests
        self.changes: dict[int, list[Change]] = {}
        self.arrivals: dict[str, int] = {}
        self.outages: list[Outage] = []
        self.mixes: list[Mix] = []
        self.marks: list[tuple[int, str]] = []

    def course(self) -> Course:
        """All of it."""
        for event in self.spec.events:
            self._lay(event)
        self._refuse_no_arms()
        changes = {at: Together(tuple(several)) for at, several in sorted(self.changes.items())}
        poison = self.spec.poison
        scenario = Scenario(
            answer_value_usd=self.stakes.answer_value_usd,
            feedback_rate=self.spec.feedback_rate,
            feedback_delay=self._delay(),
            changes=changes,
            arrivals=self.arrivals,
            outages=tuple(self.outages),
            poison_rate=poison.rate if poison else 0.0,
            poison=Against(frozenset(map(self._row, poison.against))) if poison else None,
        )
        mixes = tuple(sorted(self.mixes, key=lambda mix: mix.at))
        marks = tuple(sorted(self.marks, key=lambda mark: mark[0]))
        return Course(self.problem, self.requests, self.stakes, scenario, mixes, marks)

    def _lay(self, event: Regression | PriceChange | TrafficShift | Arrival | OutageEvent) -> None:
        match event:
            case Regression():
                self._regression(event)
            case PriceChange():
                self._price_change(event)
            case TrafficShift():
                self._traffic_shift(event)
            case Arrival():
                self._arrival(event)
            case OutageEvent():
                self._outage(event)

    def _regression(self, event: Regression) -> None:
        at, row = self._at(event.at), self._row(event.arm)
        if event.like is not None:
            like = self._row(event.like)
            self.changes.setdefault(at, []).append(Likened(row, like))
            self.marks.append((at, f"{self._id(row)} answers like {self._id(like)}"))
        if event.factor is not None:
            self.changes.setdefault(at, []).append(Scaled(row, event.factor))
            self.marks.append((at, f"{self._id(row)} answers {event.factor:g} times as well"))

    def _price_change(self, event: PriceChange) -> None:
        if not self.problem.priced:
            text = "changes a price, and the data has no costs; leave it out"
            raise ConfigError([text], _where(self.spec))
        at, row = self._at(event.at), self._row(event.arm)
        self.changes.setdefault(at, []).append(Repriced(row, event.factor))
        self.marks.append((at, f"{self._id(row)} costs {event.factor:g} times its price"))

    def _traffic_shift(self, event: TrafficShift) -> None:
        at, best = self._at(event.at), self._row("best")
        shares = shares_of(event.tasks, self.problem, best)
        self.mixes.append(Mix(at, shares))
        most = sorted(shares, key=lambda name: (-shares[name], name))
        led = [name for name in most if shares[name] > 0.5 / len(shares)][:3]
        if at > 0:
            self.marks.append((at, f"traffic shifts to {', '.join(led)}"))

    def _arrival(self, event: Arrival) -> None:
        at, row = self._at(event.at), self._row(event.arm)
        self.arrivals[self._id(row)] = at
        self.marks.append((at, f"{self._id(row)} is added"))

    def _outage(self, event: OutageEvent) -> None:
        begin, end, row = self._at(event.at), self._at(event.until), self._row(event.arm)
        self.outages.append(Outage(self._id(row), begin, end))
        self.marks += [(begin, f"{self._id(row)} is down"), (end, f"{self._id(row)} is back")]

    def _delay(self) -> int:
        """In requests; longer than the run means never."""
        delay = self.spec.feedback_delay
        return delay if isinstance(delay, int) else round(delay * self.requests)

    def _at(self, moment: float) -> int:
        at = moment if isinstance(moment, int) else round(moment * self.requests)
        if at > self.requests:
            text = f"request {at} is beyond the run's {self.requests}; use a share such as 0.5"
            raise ConfigError([text], _where(self.spec))
        return at

    def _row(self, name: str) -> int:
        return arm_named(name, self.problem, self.stakes.answer_value_usd, _where(self.spec))

    def _id(self, row: int) -> str:
        return self.problem.roster.ids[row]

    def _refuse_no_arms(self) -> None:
        for at in _beginnings(self.arrivals, self.outages):
            gone = {arm for arm, there in self.arrivals.items() if there > at}
            gone |= {one.arm_id for one in self.outages if one.begin <= at < one.end}
            if len(gone) == len(self.problem.roster):
                text = f"no arm is left at request {at}; let at least one answer all the time"
                raise ConfigError([text], _where(self.spec))


def _beginnings(arrivals: dict[str, int], outages: list[Outage]) -> Iterator[int]:
    yield 0
    yield from (outage.begin for outage in outages)
    yield from (at for at in arrivals.values())


def _where(spec: ScenarioSpec) -> str:
    return f'scenario "{spec.name}"'
