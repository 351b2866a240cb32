"""What every provider offers: a chat completion, whole or as a stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from banditroute.values import Arm


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer: the OpenAI-shaped body as the upstream sent it.

    ``latency_s`` is set only by a provider that simulates time; everyone else's is measured.
    """

    body: dict[str, Any]
    latency_s: float | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a call consumed, as the upstream reports it. Unknown is None, never 0."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    cost_usd: float | None = None

    def cost_at(self, arm: Arm) -> float | None:
        """What the call cost: as billed where the upstream says, else by the price list."""
        if self.cost_usd is not None:
            return self.cost_usd
        if self.input_tokens is None or self.output_tokens is None:
            return None
        cached = self.cached_input_tokens or 0
        return arm.cost_usd(self.input_tokens, self.output_tokens, cached)


class Provider(Protocol):
    """One upstream. Every failure leaves it as an UpstreamError that names the arm."""

    async def complete(self, arm: Arm, body: Mapping[str, Any]) -> Completion:
        """Answer ``body`` (an OpenAI chat request without our own fields) with ``arm``.

        Sends ``arm.model`` as the model. Ends within ``arm.timeout_s`` in every case.
        """

    def stream(self, arm: Arm, body: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """The answer as parsed ``chat.completion.chunk`` objects, without ``[DONE]``.

        Usage is always asked for, and comes as the upstream sends it. Raises UpstreamError
        with INTERRUPTED when the stream ends before every choice had a finish_reason.
        Closing the iterator closes the upstream connection.
        """

    async def close(self) -> None:
        """Let go of every connection."""


def usage_of(body: Mapping[str, Any]) -> Usage:
    """Read ``usage`` from a completion or a chunk; tolerant of whatever providers send.

    ``usage.cost`` (OpenRouter's field, dollars) is taken as the cost where it is a number.
    """
    usage = body.get("usage")
    if not isinstance(usage, Mapping):
        return Usage()
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, Mapping) else None
    return Usage(
        input_tokens=_count(usage.get("prompt_tokens")),
        output_tokens=_count(usage.get("completion_tokens")),
        cached_input_tokens=_count(cached),
        cost_usd=_dollars(usage.get("cost")),
    )


def _count(value: object) -> int | None:
    """A token count, or None for anything that is not one."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1e9:
        return None
    return value


def _dollars(value: object) -> float | None:
    """A cost in dollars, or None for anything that is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
        return None
    return float(value)
