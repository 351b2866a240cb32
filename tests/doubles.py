"""What tests of the engine and of everything above it share.

A clock that stands still, a store that can be taken away, a provider that plays a script, and
small worlds built from them.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, TypeVar

from patience import PATIENCE_S

from banditroute.core.beliefs import Objective
from banditroute.core.choice import Rules
from banditroute.core.context import Featurizer
from banditroute.core.identity import Mint
from banditroute.core.policies import Policy, Thompson
from banditroute.core.roster import Roster
from banditroute.engine import Engine, RouterSpec
from banditroute.errors import StoreUnavailable, UpstreamError, UpstreamFault
from banditroute.providers.base import Completion
from banditroute.stores import MemoryStore, Store
from banditroute.stores.base import Pending, Recorder
from banditroute.values import (
    Arm,
    Decision,
    Feedback,
    FeedbackKind,
    Outcome,
    Request,
    Retraction,
    Wishes,
)

T = TypeVar("T")

NOW_S = 1_800_000_000.0
TTL_S = 800_000.0


class Clock:
    """Seconds since the epoch; stands still until told to move."""

    def __init__(self, now_s: float = NOW_S) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        self.now_s += seconds


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition to come true."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - whatever it looks at has no event
            await asyncio.sleep(0.001)


async def soon(awaitable: Awaitable[T]) -> T:
    """What must come without anybody waiting for an event of the test's own."""
    async with asyncio.timeout(PATIENCE_S):
        return await awaitable


class FlakyStore:
    """A store that can be taken away (``down``), or lose replies after having done the work."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.down = False
        self.broken: set[str] = set()
        self.loses_replies: set[str] = set()
        self.calls: Counter[str] = Counter()

    async def open(self) -> None:
        await self.store.open()

    async def close(self) -> None:
        await self.store.close()

    def recorder(self) -> Recorder:
        return self

    def pending(self) -> Pending:
        return self.store.pending()

    def mark(self, router: str) -> Any:
        return self.store.mark(router)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.store, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            if self.down or name in self.broken:
                raise StoreUnavailable("taken away by the test", retry_after_s=3.0)
            result = await method(*args, **kwargs)
            if name in self.loses_replies:
                raise StoreUnavailable("reply lost by the test")
            return result

        return call


def memory(clock: Clock, ttl_s: float = TTL_S) -> MemoryStore:
    return MemoryStore(decision_ttl_s=ttl_s, clock=clock)


@cache
def featurizer() -> Featurizer:
    return Featurizer(text="hashed", tasks=[], task_slots=32)


def arm(arm_id: str, **changes: Any) -> Arm:
    values: dict[str, Any] = {
        "id": arm_id,
        "provider": "scripted",
        "model": f"{arm_id}-model",
        "input_usd_per_mtok": 1.0,
        "output_usd_per_mtok": 4.0,
        "capabilities": frozenset({"tools", "json"}),
    }
    return Arm(**{**values, **changes})


def router(
    *arms: Arm | str,
    name: str = "auto",
    policy: Policy | None = None,
    floor: float = 0.05,
    **changes: Any,
) -> RouterSpec:
    made = tuple(arm(a) if isinstance(a, str) else a for a in arms or ("a", "b", "c"))
    rules = Rules(policy or Thompson(), floor=floor, seed=11)
    values: dict[str, Any] = {"objective": Objective(answer_value_usd=0.05, patience_s=120.0)}
    return RouterSpec(name=name, roster=Roster(made), rules=rules, **{**values, **changes})


def engine_on(store: Any, clock: Clock, *routers: RouterSpec, seed: int = 3) -> Engine:
    mint = Mint(lambda: int(clock() * 1000), random.Random(seed).randbytes)
    return Engine(routers or (router(),), featurizer(), store, mint, clock)


@asynccontextmanager
async def running(engine: Engine) -> AsyncIterator[Engine]:
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


def asking(text: str = "What is the capital of France?", **wishes: Any) -> Request:
    body = {"messages": [{"role": "user", "content": text}]}
    return Request(body, Wishes(**wishes))


def outcome(decision: Decision, **changes: Any) -> Outcome:
    values: dict[str, Any] = {
        "input_tokens": 20,
        "output_tokens": 100,
        "cost_usd": 0.00042,
        "latency_s": 1.5,
    }
    return Outcome(decision.id, **{**values, **changes})


def score(engine: Engine, decision: Decision | str, value: float, **changes: Any) -> Feedback:
    decision_id = decision if isinstance(decision, str) else decision.id
    values: dict[str, Any] = {"id": engine.mint.feedback_id(), "kind": FeedbackKind.SCORE}
    return Feedback(decision_id=decision_id, score=value, **{**values, **changes})


def retraction(engine: Engine, decision: Decision, source: str = "user") -> Retraction:
    return Retraction(engine.mint.feedback_id(), decision.id, source)


async def decided(engine: Engine, text: str = "Hello there", name: str = "auto") -> Decision:
    """A decision that is written."""
    decision = engine.decide(name, asking(text))
    engine.remember(decision)
    assert await engine.settled(decision)
    return decision


def fault(
    arm_id: str, word: UpstreamFault = UpstreamFault.UNAVAILABLE, **more: Any
) -> UpstreamError:
    return UpstreamError(f"arm {arm_id} failed as scripted", arm_id=arm_id, fault=word, **more)


def completion(content: str = "hello", **changes: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    body: dict[str, Any] = {
        "id": "chatcmpl-upstream",
        "object": "chat.completion",
        "created": 1,
        "model": "upstream-name",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500},
        "invented_tomorrow": {"kept": True},
    }
    return {**body, **changes}


def chunk(
    content: str | None = None, finish_reason: str | None = None, index: int = 0, **changes: Any
) -> dict[str, Any]:
    delta = {} if content is None else {"content": content}
    choice = {"index": index, "delta": delta, "finish_reason": finish_reason}
    head = {"id": "chatcmpl-upstream", "object": "chat.completion.chunk", "model": "upstream-name"}
    return {**head, "choices": [choice], **changes}


def usage_chunk(**usage: Any) -> dict[str, Any]:
    counts = {"prompt_tokens": 1000, "completion_tokens": 500, **usage}
    return {**chunk(), "choices": [], "usage": counts}


STREAM = (chunk(""), chunk("hel"), chunk("lo"), chunk(finish_reason="stop"), usage_chunk())


class ScriptedProvider:
    """Answers every arm by its script; one without a script answers well.

    A script is a list of steps, one per call; the last one is played again and again. A step
    is a completion's body, an exception to raise, an event to wait for, or a sequence of
    chunks, in which an exception is raised where it stands, an event waited for, and a
    function called.
    """

    def __init__(self, scripts: Mapping[str, Sequence[Any]] | None = None) -> None:
        self.scripts = {name: list(steps) for name, steps in (scripts or {}).items()}
        self.calls: list[tuple[str, Mapping[str, Any]]] = []
        self.closed_streams = 0
        self.closed = 0

    @property
    def called(self) -> list[str]:
        return [arm_id for arm_id, _ in self.calls]

    def _step(self, asked: Arm, body: Mapping[str, Any], usual: Any) -> Any:
        self.calls.append((asked.id, body))
        steps = self.scripts.get(asked.id) or [usual]
        return steps.pop(0) if len(steps) > 1 else steps[0]

    async def complete(self, arm: Arm, body: Mapping[str, Any]) -> Completion:
        step = self._step(arm, body, completion())
        if isinstance(step, asyncio.Event):
            await step.wait()
            step = completion()
        if callable(step):
            step = step()
        if isinstance(step, Exception):
            raise step
        return step if isinstance(step, Completion) else Completion(step)

    async def stream(self, arm: Arm, body: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        steps = self._step(arm, body, STREAM)
        try:
            for step in [steps] if isinstance(steps, Exception) else steps:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, asyncio.Event):
                    await step.wait()
                elif callable(step):
                    step()
                else:
                    yield step
        finally:
            self.closed_streams += 1

    async def close(self) -> None:
        self.closed += 1


async def grow(
    engine: Engine, store: Any, count: int, seed: int = 5, name: str = "auto"
) -> list[Decision]:
    """Make a log longer by ``count`` outcomes and as many feedbacks, past any backlog."""
    rng = random.Random(seed)
    decisions = [
        engine.decide(
            name, asking(rng.choice(["Write code", "How many?", "Hi"]) * rng.randint(1, 9))
        )
        for _ in range(count)
    ]
    await store.remember(decisions)
    await store.record(
        name,
        [outcome(d, output_tokens=rng.randint(1, 900), latency_s=rng.random()) for d in decisions],
    )
    await store.absorb(name, [score(engine, d, rng.random()) for d in decisions])
    return decisions
