"""Plays a schedule on a world. Different things may be broken at the same time."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from soak.schedule import Event, Kind
from soak.world import World, in_thread

MOST_AT_ONCE = 3


class Director:
    """Waits for each event's time, and writes a diary of what it did.

    ``progress`` says how far the run has come, from 0 to 1.
    """

    def __init__(
        self, world: World, events: Sequence[Event], progress: Callable[[], float], diary: Path
    ) -> None:
        self.played: Counter[str] = Counter()
        self.running: list[str] = []
        self._world, self._events, self._progress = world, events, progress
        self._diary = diary
        self._places = asyncio.Semaphore(MOST_AT_ONCE)
        self._redis = asyncio.Lock()
        self._replicas = [asyncio.Lock() for _ in world.replicas]
        self._lines = [asyncio.Lock() for _ in world.lines]

    async def run(self) -> None:
        """Play everything, and let all of it end."""
        async with asyncio.TaskGroup() as group:
            for event in self._events:
                while self._progress() < event.at:  # noqa: ASYNC110 - it moves with every word
                    await asyncio.sleep(0.02)
                await self._places.acquire()
                group.create_task(self._play(event))

    async def _play(self, event: Event) -> None:
        try:
            async with AsyncExitStack() as stack:
                for lock in self._concerned(event):
                    await stack.enter_async_context(lock)
                self._note("begins", event)
                self.running.append(event.kind)
                await in_thread(self._do, event)
                self.running.remove(event.kind)
                self.played[event.kind] += 1
                self._note("is over", event)
        finally:
            self._places.release()

    def _concerned(self, event: Event) -> list[asyncio.Lock]:
        match event.kind:
            case Kind.REPLICA_KILLED | Kind.REPLICA_STOPPED:
                return [self._replicas[event.replica]]
            case Kind.CUT_ALL | Kind.BLACKHOLE_ALL:
                return self._lines
            case Kind.CUT | Kind.BLACKHOLE | Kind.DELAY | Kind.REPLIES_LOST:
                return [self._lines[event.replica]]
            case _:
                return [self._redis]

    def _do(self, event: Event) -> None:
        world, line = self._world, self._world.lines[event.replica]
        replica = world.replicas[event.replica]
        match event.kind:
            case Kind.REPLICA_KILLED | Kind.REPLICA_STOPPED:
                (replica.kill if event.kind is Kind.REPLICA_KILLED else replica.stop)()
                time.sleep(event.lasts_s)
                replica.start()
            case Kind.FAILOVER:
                world.fail_over(event.lasts_s, wiped=event.wiped)
            case Kind.WIPE:
                world.wipe()
            case Kind.REDIS_KILLED:
                world.kill_redis(event.lasts_s)
            case Kind.REDIS_RESTARTED:
                world.restart_redis(event.lasts_s)
            case Kind.REPLIES_LOST:
                line.drop_replies(event.replies, to=b"EVALSHA")
            case Kind.DELAY:
                line.delay(event.delay_s)
                time.sleep(event.lasts_s)
                line.delay(0.0)
            case Kind.CUT | Kind.CUT_ALL | Kind.BLACKHOLE | Kind.BLACKHOLE_ALL:
                one = event.kind in {Kind.CUT, Kind.BLACKHOLE}
                hit = [line] if one else world.lines
                for each in hit:
                    (each.cut if event.kind in {Kind.CUT, Kind.CUT_ALL} else each.blackhole)()
                time.sleep(event.lasts_s)
                for each in hit:
                    each.heal()

    def _note(self, what: str, event: Event) -> None:
        line = {"t": time.time(), "what": what, **event.plain()}
        with self._diary.open("a", encoding="utf-8") as diary:
            diary.write(json.dumps(line) + "\n")
