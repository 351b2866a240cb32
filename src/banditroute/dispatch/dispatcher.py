"""Calls to arms: the first, and the fallbacks.

A failed call leads to a new decision without the arms that failed, linked to the one before.
A stream can fall back until its first chunk; after that the caller is told in the stream.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from banditroute.core.eligibility import FAILED, NO_PROVIDER, SATURATED
from banditroute.dispatch.rewrite import (
    ChunkRewriter,
    has_content,
    identity,
    signature,
    wants_usage,
)
from banditroute.dispatch.tally import Tally
from banditroute.engine import Engine, RouterSpec
from banditroute.errors import NoEligibleArm, UnknownModel, UpstreamError, UpstreamFault
from banditroute.judging import Hearing, Judge
from banditroute.providers.base import Completion, Provider, Usage, usage_of
from banditroute.values import Arm, Decision, Outcome, Request

logger = logging.getLogger(__name__)

ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. ``upstream_s`` is the time spent waiting for arms, failed ones included."""

    decision: Decision
    body: dict[str, Any]
    cost_usd: float | None
    attempts: int
    upstream_s: float


@dataclass(frozen=True, slots=True)
class StreamedAnswer:
    """An answer whose first chunk has arrived. ``chunks`` must be read to its end, or closed."""

    decision: Decision
    chunks: AsyncGenerator[dict[str, Any]]
    attempts: int
    upstream_s: float


@dataclass(slots=True)
class _Call:
    """One request on its way: the decision in force, and what went wrong before it.

    ``arm`` is as it was at the decision, whatever becomes of it while the call runs.
    """

    spec: RouterSpec
    request: Request
    decision: Decision
    arm: Arm
    named: bool
    attempts: int = 1
    upstream_s: float = 0.0
    failed: dict[str, str] = field(default_factory=dict)


class Dispatcher:
    """Answers chat requests through an engine and its providers, keyed by provider name.

    ``monotonic`` gives seconds for measuring how long calls take; ``tally`` counts them.
    ``judge`` is offered every complete answer that it draws.
    """

    def __init__(
        self,
        engine: Engine,
        providers: Mapping[str, Provider],
        monotonic: Callable[[], float],
        judge: Judge | None = None,
    ) -> None:
        self.engine = engine
        self.judge = judge
        self.tally = Tally()
        self._providers = providers
        self._monotonic = monotonic
        self._in_flight: Counter[str] = Counter()

    @property
    def providers(self) -> frozenset[str]:
        """The names of the providers that arms can be called at."""
        return frozenset(self._providers)

    async def complete(self, model: str, request: Request) -> Answer:
        """Answer a request whole.

        Raises UnknownModel, NoEligibleArm, and UpstreamError when every attempt failed or the
        upstream refused the request itself.
        """
        call = self._begin(model, request)
        while True:
            try:
                answer = await self._complete_once(call)
            except UpstreamError as error:
                self._fall_back(call, error)
            else:
                await self.engine.settled(answer.decision)
                if hearing := self._hearing(call):
                    hearing.add(answer.body)
                    self._offer(call, hearing)
                return answer

    async def stream(self, model: str, request: Request) -> StreamedAnswer:
        """Answer a request as a stream that has begun when this returns; raises as ``complete``.

        The chunks carry our completion id and the arm's id; the last one the ``banditroute``
        object. A failure midway is a last chunk ``{"error": UpstreamError}``.
        """
        call = self._begin(model, request)
        while True:
            chunks = self._stream_once(call)
            try:
                await anext(chunks)  # comes back when the upstream's first chunk is here
            except UpstreamError as error:
                self._fall_back(call, error)
            else:
                return StreamedAnswer(call.decision, chunks, call.attempts, call.upstream_s)

    async def route(self, model: str, request: Request) -> Decision:
        """Decide without a call: the caller makes it, and reports the outcome."""
        decision = self._begin(model, request).decision
        await self.engine.settled(decision)
        return decision

    async def close(self) -> None:
        """Stop the judge, and close every provider."""
        if self.judge is not None:
            await self.judge.stop()
        for provider in self._providers.values():
            await provider.close()

    def _begin(self, model: str, request: Request) -> _Call:
        engine = self.engine
        if model in engine.routers:
            spec, named = engine.routers[model], False
            decision = engine.decide(model, request, out=self._unusable(spec))
        else:
            spec, named = self._router_of(model), True
            decision = engine.decide_for_arm(model, request, out=self._unusable(spec))
        engine.remember(decision)
        return _Call(spec, request, decision, self._arm(decision), named)

    def _router_of(self, model: str) -> RouterSpec:
        try:
            return self.engine.router_of_arm(model)
        except UnknownModel:
            routers = ", ".join(sorted(self.engine.routers))
            raise UnknownModel(
                f"model {model!r} is neither a router ({routers}) nor an arm; "
                "GET /v1/models lists both"
            ) from None

    async def _complete_once(self, call: _Call) -> Answer:
        decision, arm = call.decision, call.arm
        began = self._monotonic()
        error: str | None = ABANDONED  # unless we get to know better
        completion: Completion | None = None
        try:
            with self._place(arm):
                completion = await self._providers[arm.provider].complete(arm, call.request.body)
            error = None
        except UpstreamError as upstream_error:
            error = str(upstream_error.fault)
            raise
        finally:
            elapsed_s = self._monotonic() - began
            call.upstream_s += elapsed_s
            usage = Usage() if completion is None else usage_of(completion.body)
            if completion is not None and completion.latency_s is not None:
                elapsed_s = completion.latency_s
            cost = usage.cost_at(arm)
            outcome = _outcome(decision, usage, cost_usd=cost, latency_s=elapsed_s, error=error)
            self._record(decision, outcome)
        body = {**completion.body, **identity(decision), **signature(decision, cost)}
        return Answer(decision, body, cost, call.attempts, call.upstream_s)

    async def _stream_once(self, call: _Call) -> AsyncGenerator[dict[str, Any]]:
        """Yields an empty chunk once the upstream has begun, then the rewritten chunks."""
        decision, arm = call.decision, call.arm
        rewriter = ChunkRewriter(decision, wants_usage=wants_usage(call.request.body))
        hearing = self._hearing(call)
        began = self._monotonic()
        ttft_s: float | None = None
        latency_s: float | None = None
        error: str | None = ABANDONED
        begun = False
        try:
            source = self._providers[arm.provider].stream(arm, call.request.body)
            with self._place(arm):
                async with aclosing(source):
                    async for chunk in source:
                        if not begun:
                            call.upstream_s += self._monotonic() - began
                            begun = True
                            yield {}
                        if ttft_s is None and has_content(chunk):
                            ttft_s = self._monotonic() - began
                        if hearing:
                            hearing.add(chunk)
                        for ready in rewriter.feed(chunk):
                            yield ready
            latency_s = self._monotonic() - began  # now: what follows is not the arm's time
            error = None
            if not begun:
                yield {}
            await self.engine.settled(decision)
            self._offer(call, hearing)
            yield rewriter.last(signature(decision, rewriter.usage.cost_at(arm)))
        except UpstreamError as upstream_error:
            error = str(upstream_error.fault)
            if not begun:
                call.upstream_s += self._monotonic() - began
                raise
            _log_failure(call, upstream_error)
            yield {"error": upstream_error}
        finally:
            cost = rewriter.usage.cost_at(arm)
            outcome = _outcome(
                decision,
                rewriter.usage,
                cost_usd=cost,
                latency_s=self._monotonic() - began if latency_s is None else latency_s,
                error=error,
                ttft_s=ttft_s,
            )
            self._record(decision, outcome)

    def _hearing(self, call: _Call) -> Hearing | None:
        """What listens to an answer that is drawn to be judged."""
        drawn = self.judge is not None and self.judge.draws(call.decision)
        return Hearing() if drawn else None

    def _offer(self, call: _Call, hearing: Hearing | None) -> None:
        """Hand a complete answer to the judge, which nobody waits for."""
        if self.judge is not None and hearing is not None:
            self.judge.offer(call.decision, call.request, hearing.text)

    def _record(self, decision: Decision, outcome: Outcome) -> None:
        self.tally.add(decision, outcome)
        self.engine.record(decision, outcome)

    def _fall_back(self, call: _Call, error: UpstreamError) -> None:
        """Decide again without the arm that failed; raise its error where that is no use."""
        _log_failure(call, error)
        spent = call.attempts >= call.spec.max_attempts
        if call.named or spent or error.fault is UpstreamFault.BAD_REQUEST:
            raise error
        call.failed[call.decision.arm_id] = FAILED
        out = self._unusable(call.spec) | call.failed
        try:
            call.decision = self.engine.decide(
                call.spec.name, call.request, out=out, parent=call.decision
            )
        except NoEligibleArm:
            raise error from None
        call.arm = self._arm(call.decision)
        call.attempts += 1
        self.engine.remember(call.decision)

    def _arm(self, decision: Decision) -> Arm:
        """The arm of a decision that was made just now."""
        return self.engine.in_force(decision.router).roster.by_id[decision.arm_id]

    def _unusable(self, spec: RouterSpec) -> dict[str, str]:
        """The arms that cannot be called now: no free place, or no way there from here."""
        roster = self.engine.in_force(spec.name).roster
        return {arm.id: reason for arm in roster if (reason := self._hindrance(arm))}

    def _hindrance(self, arm: Arm) -> str | None:
        if arm.provider not in self._providers:
            return NO_PROVIDER
        most = arm.max_concurrency
        return SATURATED if most is not None and self._in_flight[arm.id] >= most else None

    @contextmanager
    def _place(self, arm: Arm) -> Iterator[None]:
        """Count one call of an arm while it runs."""
        self._in_flight[arm.id] += 1
        try:
            yield
        finally:
            self._in_flight[arm.id] -= 1


def _log_failure(call: _Call, error: UpstreamError) -> None:
    fields = {"arm": error.arm_id, "fault": str(error.fault), "decision": call.decision.id}
    logger.warning("arm failed", extra=fields)


def _outcome(
    decision: Decision,
    usage: Usage,
    *,
    cost_usd: float | None,
    latency_s: float,
    error: str | None,
    ttft_s: float | None = None,
) -> Outcome:
    return Outcome(
        decision.id,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        cost_usd=cost_usd,
        latency_s=latency_s,
        ttft_s=ttft_s,
        error=error,
    )
