"""How often somebody says what an answer was worth.

A choice that nobody judges teaches nothing: where feedback is sparse, an exploring request is
repeated many times before it is of use, so policies explore less.
"""

from __future__ import annotations

from dataclasses import dataclass

SPAN = 1_000.0  # answered requests that are looked back on
PRESUMED_N = 10.0  # requests that are taken to have been judged before any was seen


@dataclass(slots=True)
class FeedbackRate:
    """Recent requests that were ``answered``, and words on recent ones: sums decayed a request."""

    answered: float = 0.0
    judged: float = 0.0

    def answer(self) -> None:
        """A request was answered."""
        kept = 1.0 - 1.0 / SPAN
        self.answered = self.answered * kept + 1.0
        self.judged *= kept

    def judge(self) -> None:
        """One that nobody had spoken of is spoken of; its answer may never be reported."""
        self.judged = min(self.judged + 1.0, SPAN)

    @property
    def share(self) -> float:
        """The share of requests that get feedback, in (0, 1]."""
        return min((self.judged + PRESUMED_N) / (self.answered + PRESUMED_N), 1.0)
