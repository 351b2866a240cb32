"""Runs in processes of their own, so that numbers do not depend on how many there are.

Every worker is spawned, does its linear algebra on one thread, and gets the courses once. It ends
with the process that started it, however that one ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for
from threading import Thread
from typing import Any, TypeAlias

from banditroute.errors import StudyError
from banditroute.simulation.results import Run
from banditroute.simulation.studies.courses import Course
from banditroute.simulation.studies.jobs import Job, played

THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
EVERY = 50  # requests between two looks at whether to stop
LOOK_S = 0.2  # between two reports of progress

Report = Callable[[int], None]


class Stopped(Exception):
    """The study was stopped in the middle of a run."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that raised; errors of a user's own classes need not survive a pickle."""

    job: Job
    words: str

    @classmethod
    def of(cls, job: Job, error: Exception) -> Failure:
        """The error, and the line that raised it."""
        *_, last = traceback.extract_tb(error.__traceback__)
        words = f"{type(error).__name__}: {error} ({last.filename}, line {last.lineno})"
        return cls(job, words)


Outcomes: TypeAlias = Generator[tuple[Job, Run | Failure], None, None]


@dataclass(frozen=True, slots=True)
class Desk:
    """What a run needs besides its job, and how it is stopped and reported."""

    courses: Sequence[Course]
    floor: float
    stopped: Callable[[], bool]
    tell: Report

    def play(self, job: Job) -> Run | Failure:
        """Play a job; whatever goes wrong in it is said of it."""
        try:
            return played(job, self.courses[job.chapter], self.floor, progress=self._progress)
        except Stopped:
            raise
        except Exception as error:  # noqa: BLE001 - the outermost edge of a run
            return Failure.of(job, error)

    def _progress(self, done: int) -> None:
        if done % EVERY == 0:
            self.tell(EVERY)
            if self.stopped():
                raise Stopped


def here(jobs: Sequence[Job], courses: Sequence[Course], floor: float, tell: Report) -> Outcomes:
    """Play jobs in this very process, one after the other."""
    desk = Desk(courses, floor, lambda: False, tell)
    for job in jobs:
        yield job, desk.play(job)


def elsewhere(
    jobs: Sequence[Job], courses: Sequence[Course], floor: float, tell: Report, processes: int
) -> Outcomes:
    """Play jobs in ``processes`` workers; they come back as they are done.

    Whoever stops listening stops the workers. Raises StudyError when one of them dies.
    """
    spawn = multiprocessing.get_context("spawn")
    counter, stop = spawn.Value("q", 0), spawn.Event()
    with (
        _one_thread_each(),
        ProcessPoolExecutor(
            min(processes, len(jobs)), spawn, _sit_down, (courses, floor, counter, stop)
        ) as pool,
    ):
        try:
            with _undisturbed():
                pending = {pool.submit(_play, job): job for job in jobs}
            yield from _as_done(pending, counter, tell)
        except BrokenProcessPool:
            raise StudyError(
                "a worker process ended before its run was done: it was killed, or memory ran "
                'out; a script must call simulate() under if __name__ == "__main__"'
            ) from None
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


def _as_done(pending: dict[Future[Run | Failure], Job], counter: Any, tell: Report) -> Outcomes:
    told, order = 0, {future: at for at, future in enumerate(pending)}
    while pending:
        done, _ = wait(pending, timeout=LOOK_S, return_when=FIRST_COMPLETED)
        now = counter.value
        tell(now - told)
        told = now
        for future in sorted(done, key=lambda future: order[future]):
            yield pending.pop(future), future.result()


_desks: list[Desk] = []  # the one of this worker


def _sit_down(courses: Sequence[Course], floor: float, counter: Any, stop: Any) -> None:
    """Begin as a worker. Ctrl-C is the parent's to hear."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()

    def tell(requests: int) -> None:
        with counter.get_lock():
            counter.value += requests

    _desks.append(Desk(courses, floor, stop.is_set, tell))


def _play(job: Job) -> Run | Failure:
    return _desks[0].play(job)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Who is born here does not hear of Ctrl-C while it starts; this process does, afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Workers that are spawned inside read these when they import numpy."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
