"""Records to make rows of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from doubles import Clock, asking, engine_on, memory, outcome, retraction, router, score

from banditroute.core.feedback import apply
from banditroute.values import Decision, DecisionRecord, Feedback, FeedbackKind, Retraction

TEXTS = ('"quoted", with \\ and \t', "two\nlines\u2028or three", "emoji 🎲 é ü", "", "null")


class Records:
    """Makes decisions with what became known of them; ids increase."""

    def __init__(self, *arms: str) -> None:
        clock = Clock()
        self.engine = engine_on(memory(clock), clock, router(*arms or ("a", "b")))

    def decision(self, **changes: Any) -> Decision:
        return replace(self.engine.decide("auto", asking()), **changes)

    def said(self, decision: Decision, value: float, **changes: Any) -> Feedback:
        return score(self.engine, decision, value, **changes)

    def taken_back(self, decision: Decision, source: str) -> Retraction:
        return retraction(self.engine, decision, source)

    def record(self, decision: Decision, *words: Feedback | Retraction) -> DecisionRecord:
        marks: Any = {}
        for word in words:
            marks = apply(marks, word).marks
        return DecisionRecord(decision, outcome(decision), marks)

    def told(self) -> DecisionRecord:
        """A decision of which all is known, the private things among it."""
        decision = self.decision(
            session_id="whisper",
            payers=("key:ann",),
            prompt='[{"role": "user", "content": "a prompt"}]',
            excluded={"dear": "budget"},
            tags=("blue",),
        )
        about = {"comment": "a comment", "metadata": {"who": "a person", "deep": [{"n": None}]}}
        return self.record(
            decision,
            self.said(decision, 0.25, **about),
            self.said(decision, 1.0, source="judge", kind=FeedbackKind.THUMBS, weight=0.5),
        )

    def varied(self, count: int) -> list[DecisionRecord]:
        """Records of all kinds: more or less known, with texts that are hard to write."""
        return [self._varied(n) for n in range(count)]

    def _varied(self, n: int) -> DecisionRecord:
        text = TEXTS[n % len(TEXTS)]
        told = self.told()
        decision = replace(
            told.decision,
            seed=2**64 - 1 - n,
            task=None if n % 3 else text,
            tags=(text, "plain")[: n % 3],
            excluded={text: "budget", "x": text} if n % 2 else {},
            session_id=text,
            prompt=None if n % 4 == 0 else text,
            max_output_tokens=None if n % 2 else n,
            noise=0.1 + n * 1e-17,
            made_at_s=told.decision.made_at_s + n / 3.0,
        )
        if n % 5 == 0:
            return DecisionRecord(decision)
        known = replace(told.outcome, error=None if n % 3 else "timeout", ttft_s=n * 1e-300)
        return DecisionRecord(decision, known, told.marks if n % 2 else {})
