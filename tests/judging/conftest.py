"""Fixtures for the judge: an engine on a store in memory, and an arm that plays the judge."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from doubles import (
    Clock,
    FlakyStore,
    ScriptedProvider,
    arm,
    completion,
    engine_on,
    memory,
    router,
    running,
)
from patience import PATIENCE_S

from banditroute.dispatch import Dispatcher
from banditroute.engine import engine as engine_module
from banditroute.judging import Budget, Judge, JudgeSpec


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine makes nobody give up waiting for the store."""
    monkeypatch.setattr(engine_module, "SETTLE_S", PATIENCE_S)
    monkeypatch.setattr(engine_module, "LEVEL_S", PATIENCE_S)


@dataclass
class Court:
    """A dispatcher with a judge, and what is behind them."""

    dispatcher: Dispatcher
    judge: Judge
    provider: ScriptedProvider
    store: FlakyStore
    ticks: Clock

    @property
    def asked(self) -> list[Any]:
        """What the judge was asked."""
        return [body for arm_id, body in self.provider.calls if arm_id == "judge"]

    async def learned(self) -> int:
        """How many decisions have feedback."""
        _, reports = await self.dispatcher.engine.arms("auto")
        return sum(report.feedback_n for report in reports)


@pytest.fixture
async def court() -> AsyncIterator[Callable[..., Any]]:
    """Makes a court: ``await court(*verdicts, **spec)``; its budget begins at a million dollars."""
    async with AsyncExitStack() as stack:

        async def make(*verdicts: Any, usd_per_day: float = 1e6, **changes: Any) -> Court:
            script = [completion(v) if isinstance(v, str) else v for v in verdicts]
            provider = ScriptedProvider({"judge": script or [completion('{"score": 8}')]})
            clock, ticks = Clock(), Clock(100.0)
            store = FlakyStore(memory(clock))
            engine = engine_on(store, clock, router("a", "b"))
            await stack.enter_async_context(running(engine))
            values: dict[str, Any] = {"arm": arm("judge"), "rubric": "Be strict.", "share": 1.0}
            spec = JudgeSpec(**{**values, "routers": frozenset({"auto"}), **changes})
            budget = Budget(usd_per_day, ticks)
            ticks.advance(86_400.0)
            judge = Judge(spec, provider, engine, budget, lambda count: b"\7" * count)
            dispatcher = Dispatcher(engine, {"scripted": provider}, ticks, judge)
            stack.push_async_callback(dispatcher.close)
            return Court(dispatcher, judge, provider, store, ticks)

        yield make
