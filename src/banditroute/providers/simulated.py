"""A provider that needs no network: it plays a scene, in real, shortened or no time at all."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any
from uuid import uuid4

from banditroute.errors import ConfigError, UpstreamError, UpstreamFault
from banditroute.providers.answers import Answer
from banditroute.providers.base import Completion
from banditroute.providers.faults import upstream_error
from banditroute.providers.scene import Cell, Scene
from banditroute.values import Arm

FIRST_CHUNK_SHARE = 0.3  # of an answer's latency passes before its first chunk


class SimulatedProvider:
    """Plays a :class:`~banditroute.providers.scene.Scene`.

    An answer of latency L takes L · ``time_scale`` seconds; with 0 nothing sleeps. L itself is
    what ``Completion.latency_s`` and ``simulated.latency_s`` report, and what is held against
    ``arm.timeout_s``: timeouts are simulated, too.
    """

    def __init__(
        self, scene: Scene, *, time_scale: float = 1.0, clock: Callable[[], float] = time.time
    ) -> None:
        if not (math.isfinite(time_scale) and time_scale >= 0):
            raise ValueError("time_scale must be finite and not negative")
        self.scene = scene
        self._time_scale = time_scale
        self._clock = clock

    async def complete(self, arm: Arm, body: Mapping[str, Any]) -> Completion:
        """The whole answer, after its latency."""
        cell = self._cell(arm, body)
        await self._reach(arm, cell, cell.latency_s)
        return Completion(self._answer(arm, cell).body(), latency_s=cell.latency_s)

    async def stream(
        self, arm: Arm, body: Mapping[str, Any]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The answer's chunks, spread over its latency."""
        cell = self._cell(arm, body)
        first_s = FIRST_CHUNK_SHARE * cell.latency_s
        await self._reach(arm, cell, first_s)
        first, *others = self._answer(arm, cell).chunks()
        yield first
        for chunk in others:
            await self._sleep((cell.latency_s - first_s) / len(others))
            yield chunk

    async def close(self) -> None:
        """Nothing is held open."""

    def _cell(self, arm: Arm, body: Mapping[str, Any]) -> Cell:
        try:
            return self.scene.answer(arm, body)
        except ConfigError as error:
            raise UpstreamError(
                str(error), arm_id=arm.id, fault=UpstreamFault.UNAVAILABLE
            ) from error

    async def _reach(self, arm: Arm, cell: Cell, after_s: float) -> None:
        """Wait until the first byte comes, or what comes instead of it."""
        await self._sleep(min(after_s, arm.timeout_s))
        if after_s > arm.timeout_s:
            raise upstream_error(arm, UpstreamFault.TIMEOUT)
        if cell.fails:
            raise upstream_error(arm, UpstreamFault.UNAVAILABLE, status=503)

    async def _sleep(self, simulated_s: float) -> None:
        await asyncio.sleep(simulated_s * self._time_scale)

    def _answer(self, arm: Arm, cell: Cell) -> Answer:
        return Answer(f"chatcmpl-{uuid4().hex}", int(self._clock()), arm, cell)
