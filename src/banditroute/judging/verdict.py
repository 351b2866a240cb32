"""What a judge's reply amounts to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from banditroute.judging.hearing import Hearing

BEST = 10.0  # the scale that the judge is asked to use begins at 0
_FENCES = ("```json\n", "```\n")


def score_of(body: Mapping[str, Any]) -> float | None:
    """The score in [0, 1] of a judge's completion; None where it does not say one plainly.

    Taken is one JSON object with a number ``score`` from 0 to 10, bare or alone in a code
    fence. Nothing is guessed: no number is looked for in prose, none is clipped.
    """
    hearing = Hearing()
    hearing.add(body)
    try:
        verdict = orjson.loads(_bare(hearing.text or ""))
    except orjson.JSONDecodeError:
        return None
    score = verdict.get("score") if isinstance(verdict, dict) else None
    if isinstance(score, bool) or not isinstance(score, int | float):
        return None
    return score / BEST if 0.0 <= score <= BEST else None


def _bare(reply: str) -> str:
    """The reply without a code fence around all of it: some upstreams know no JSON mode."""
    text = reply.strip()
    for opening in _FENCES:
        if text.startswith(opening) and text.endswith("```"):
            return text[len(opening) : -len("```")]
    return text
