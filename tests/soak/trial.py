"""One run: a world, clients in it, whatever goes wrong, the calm after it, and the verdict."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from soak.clients import Clients, Journal
from soak.director import Director
from soak.schedule import schedule
from soak.verdict import calm, delivered, judge
from soak.world import World, in_thread

CALM_S = 75.0
NO_PATIENCE_S = 2.0
FEEDBACKS_PER_EVENT = 1_000
MARGIN = 32  # entries that may come between a look at the log and its loss

Watch = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Size:
    """How large a run is. ``lag_s`` is the mean time between two words on one decision."""

    feedbacks: int
    replicas: int
    clients: int
    events: int
    lag_s: float

    @property
    def limit_s(self) -> float:
        """When a run is stuck: it has been slower than ten feedbacks a second."""
        return 180.0 + self.feedbacks / 10


@dataclass
class Report:
    """What became of a run; without ``failures`` all is well."""

    seed: int
    size: Size
    counts: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    entries_lost: int = 0
    log_length: int = 0
    talk_s: float = 0.0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """For a file."""
        verdict = "failed" if self.failures else "ok"
        size = asdict(self.size)
        tallies = {"counts": dict(self.counts), "events": dict(self.events)}
        return {"seed": self.seed, "verdict": verdict} | vars(self) | {"size": size} | tallies


async def soak(seed: int, size: Size, folder: Path, binary: Path, watch: Watch) -> Report:
    """Run everything in ``folder``. ``watch`` is told the progress, and what is being done."""
    report, began = Report(seed, size), time.monotonic()
    try:
        async with asyncio.timeout(size.limit_s):
            watch(0.0, "starting")
            world = World(folder, binary=binary, replicas=size.replicas)
            try:
                await in_thread(world.__enter__)
                await _run(report, world, folder, watch)
            finally:
                await in_thread(world.__exit__)
    except Exception as error:  # noqa: BLE001 - whatever broke, the other seeds are run
        report.failures += _causes(error)
    report.seconds = time.monotonic() - began
    return report


async def _run(report: Report, world: World, folder: Path, watch: Watch) -> None:
    began = time.monotonic()
    with Journal(folder / "journal.jsonl") as journal:
        report.counts = journal.counts
        try:
            await _trouble(report, world, journal, watch)
            report.talk_s = time.monotonic() - began
            watch(1.0, "bringing over")
            patience_s = NO_PATIENCE_S
            if await delivered(world, CALM_S):
                patience_s = CALM_S
                watch(1.0, "growing the log again")
                await _regrow(report, world, journal)
        finally:
            report.entries_lost = world.entries_lost
    watch(1.0, "calming down")
    digests = await calm(world, patience_s)
    if isinstance(digests, str):
        report.failures.append(f"not calm within {CALM_S:.0f} s: {digests}")
        digests = {}
    watch(1.0, "judging")
    verdict = await judge(world, folder / "journal.jsonl", digests)
    report.log_length = verdict.log_length
    report.failures += verdict.failures
    if wrong := journal.counts["wrong"]:
        report.failures.append(f"{wrong} answers that nobody should get: see the journal")


async def _trouble(report: Report, world: World, journal: Journal, watch: Watch) -> None:
    """Clients talk while everything goes wrong that is on the schedule."""
    size = report.size
    clients = _clients(report, world, journal, report.seed, size.feedbacks)
    events = schedule(report.seed, size.events, size.replicas)
    director = Director(world, events, lambda: clients.progress, journal.path.with_name("diary"))
    report.events = director.played
    async with asyncio.TaskGroup() as group:
        talk = group.create_task(clients.run())
        chaos = group.create_task(director.run())
        while not (talk.done() and chaos.done()):
            watch(clients.progress, ", ".join(director.running) or "talking")
            await asyncio.sleep(0.1)
            if chaos.done() and clients.healed_s is None:
                await in_thread(world.heal)
                clients.healed_s = asyncio.get_running_loop().time()


async def _regrow(report: Report, world: World, journal: Journal) -> None:
    """Talk until the log is as long as it ever was.

    Given back, it may be shorter: a word that another has replaced since is no entry any more.
    And a replica that knew more is degraded until the log has grown, or for a minute.
    """
    lacks = world.longest - await asyncio.to_thread(world.head)
    if lacks > -MARGIN:
        clients = _clients(report, world, journal, -1 - report.seed, lacks + 2 * MARGIN)
        clients.healed_s = asyncio.get_running_loop().time()
        await clients.run()


def _clients(report: Report, world: World, journal: Journal, seed: int, words: int) -> Clients:
    return Clients(
        world.urls,
        journal,
        seed=seed,
        words=words,
        workers=report.size.clients,
        lag_s=report.size.lag_s,
    )


def _causes(error: BaseException) -> list[str]:
    if isinstance(error, BaseExceptionGroup):
        return [cause for one in error.exceptions for cause in _causes(one)]
    return [f"the run broke: {type(error).__name__}: {error}"]
