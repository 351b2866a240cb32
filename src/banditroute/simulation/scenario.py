"""What happens on the way: which requests come, what is said of the answers, what changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from banditroute.simulation.problem import Problem

Change = Callable[[Problem], Problem]


@dataclass(frozen=True, slots=True)
class Outage:
    """Calls to an arm fail from request ``begin`` to before request ``end``."""

    arm_id: str
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """The course of a run; the defaults are the plainest one.

    ``answer_value_usd`` is what a perfect answer is worth (infinite: quality alone counts);
    ``feedback_rate`` the share of answers that are ever judged; ``feedback_delay`` after how
    many requests a judgement arrives. ``changes`` maps a request's number to what is
    different from it on. ``arrivals`` maps an arm's id to the request from which it is there.
    ``poison`` turns a true quality into what is said instead, for a share of the answers.
    While there are ``outages``, a request whose call failed goes to another arm.
    """

    answer_value_usd: float = float("inf")
    feedback_rate: float = 1.0
    feedback_delay: int = 0
    changes: Mapping[int, Change] = field(default_factory=dict)
    arrivals: Mapping[str, int] = field(default_factory=dict)
    poison_rate: float = 0.0
    poison: Callable[[int, float], float] | None = None
    outages: tuple[Outage, ...] = ()

    def barred(self, ids: Sequence[str], at: int) -> frozenset[str]:
        """The arms that are not there yet."""
        return frozenset(arm for arm in ids if self.arrivals.get(arm, 0) > at)

    def fails(self, arm_id: str, at: int) -> bool:
        """Whether a call to an arm fails."""
        return any(one.arm_id == arm_id and one.begin <= at < one.end for one in self.outages)
