"""What happens on the way: which requests come, what is said of the answers, what changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from banditroute.simulation.problem import Problem

Change = Callable[[Problem], Problem]


@dataclass(frozen=True, slots=True)
class Scenario:
    """The course of a run; the defaults are the plainest one.

    ``answer_value_usd`` is what a perfect answer is worth (infinite: quality alone counts);
    ``feedback_rate`` the share of answers that are ever judged; ``feedback_delay`` after how
    many requests a judgement arrives. ``changes`` maps a request's number to what is
    different from it on. ``arrivals`` maps an arm's id to the request from which it is there.
    ``poison`` turns a true quality into what is said instead, for a share of the answers.
    """

    answer_value_usd: float = float("inf")
    feedback_rate: float = 1.0
    feedback_delay: int = 0
    changes: Mapping[int, Change] = field(default_factory=dict)
    arrivals: Mapping[str, int] = field(default_factory=dict)
    poison_rate: float = 0.0
    poison: Callable[[int, float], float] | None = None

    def barred(self, ids: Sequence[str], at: int) -> frozenset[str]:
        """The arms that are not there yet."""
        return frozenset(arm for arm in ids if self.arrivals.get(arm, 0) > at)
