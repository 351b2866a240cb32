"""What an upstream's answer becomes on its way to the caller.

The completion's id becomes the feedback handle, ``model`` the arm's id, and a ``banditroute``
object says what was decided. Everything else passes through as it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from banditroute.providers.base import Usage, usage_of
from banditroute.values import COMPLETION_PREFIX, Decision


def identity(decision: Decision) -> dict[str, Any]:
    """The fields by which a caller recognises the answer."""
    return {"id": COMPLETION_PREFIX + decision.id, "model": decision.arm_id}


def signature(decision: Decision, cost_usd: float | None) -> dict[str, Any]:
    """The ``banditroute`` object: what was decided, and what it cost."""
    return {
        "banditroute": {
            "decision_id": decision.id,
            "router": decision.router,
            "model": decision.arm_id,
            "policy": decision.policy,
            "propensity": decision.propensity,
            "cost_usd": cost_usd,
        }
    }


def wants_usage(body: Mapping[str, Any]) -> bool:
    """Whether a streaming caller asked for the usage chunk."""
    options = body.get("stream_options")
    return isinstance(options, Mapping) and options.get("include_usage") is True


class ChunkRewriter:
    """Rewrites a stream chunk by chunk, and keeps the last one back to be signed.

    Usage is always asked of the upstream, because cost needs it; a caller who did not ask
    does not see it, for many clients trip over its chunk without choices. So the chunk that
    is kept back is the usage chunk for those who asked, else the one with the finish_reason.
    """

    def __init__(self, decision: Decision, *, wants_usage: bool) -> None:
        self.usage = Usage()
        self._identity = identity(decision)
        self._wants_usage = wants_usage
        self._kept: dict[str, Any] | None = None

    def feed(self, chunk: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Take in a chunk; returns those that may be sent now."""
        rewritten = {**chunk, **self._identity}
        if isinstance(chunk.get("usage"), Mapping):
            self.usage = usage_of(chunk)
        if not self._wants_usage:
            rewritten.pop("usage", None)
        if not chunk.get("choices"):
            if not self._wants_usage and self._kept is not None:
                # What a hidden usage chunk says besides usage goes along with the one kept back.
                self._kept = {**rewritten, **self._kept}
                return []
            return self._keep(rewritten)
        if _finishes(chunk):
            return self._keep(rewritten)
        return [*self._release(), rewritten]

    def last(self, signed: Mapping[str, Any]) -> dict[str, Any]:
        """The chunk that was kept back, with ``signed`` added."""
        kept = self._kept or {"object": "chat.completion.chunk", "choices": [], **self._identity}
        self._kept = None
        return {**kept, **signed}

    def _keep(self, chunk: dict[str, Any]) -> list[dict[str, Any]]:
        released = self._release()
        self._kept = chunk
        return released

    def _release(self) -> list[dict[str, Any]]:
        released = [] if self._kept is None else [self._kept]
        self._kept = None
        return released


def _finishes(chunk: Mapping[str, Any]) -> bool:
    choices = chunk.get("choices")
    return isinstance(choices, list) and any(
        isinstance(choice, Mapping) and choice.get("finish_reason") for choice in choices
    )


def has_content(chunk: Mapping[str, Any]) -> bool:
    """Whether a chunk carries any of the answer itself (text, a tool call, a refusal)."""
    choices = chunk.get("choices")
    if not isinstance(choices, list):
        return False
    deltas = [choice.get("delta") for choice in choices if isinstance(choice, Mapping)]
    return any(
        isinstance(delta, Mapping) and any(delta.get(key) for key in delta if key != "role")
        for delta in deltas
    )
