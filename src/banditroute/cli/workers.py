"""Several processes on one listening socket: each a whole router, all with one store.

What one of them learns, the others read from the store's log; nothing else passes between them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import parent_process, resource_tracker
from multiprocessing.process import BaseProcess
from threading import Thread
from types import FrameType

from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from banditroute.bootstrap import build
from banditroute.cli import logs
from banditroute.config import Settings


def worker(settings: Settings, reread: Callable[[], Settings] | None = None) -> FastAPI:
    """The application of one worker, in a process that was handed nothing but the settings, and
    how to read them again.

    The process stops in good order when its parent is gone, however that ended: without it
    nobody could, and the port would stay taken.
    """
    logs.configure(settings.logging.level, settings.logging.format)
    _end_at_a_second_ctrl_c()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # the web server listens for it now
    if (parent := parent_process()) is not None:
        Thread(target=_end_with, args=(parent,), daemon=True).start()
    return build(settings, reread=reread).http


def _end_at_a_second_ctrl_c() -> None:
    """The first is the web server's; since Python 3.12 that would not end at the second."""
    stop = signal.getsignal(signal.SIGINT)

    def stop_once(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        if callable(stop):
            stop(number, frame)

    signal.signal(signal.SIGINT, stop_once)


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Who is born here hears of Ctrl-C once it can stop in good order; this process, afterwards."""
    resource_tracker.ensure_running()  # who starts it later takes the block away
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


class Supervisor(Multiprocess):
    """Starts the workers, replaces one that dies, and stops them all when told to stop.

    A worker that cannot even start stops them all: its successors would fare no better.
    """

    @property
    def failed(self) -> bool:
        """Whether a worker could not start."""
        return any(process.exitcode == STARTUP_FAILURE for process in self.processes)

    def init_processes(self) -> None:
        """Start the workers."""
        with _undisturbed():
            super().init_processes()

    def keep_subprocess_alive(self) -> None:
        """Replace every worker that is dead, or has not answered for too long."""
        for process in self.processes:
            # The worker's end of the pipe: as long as it is open here too, one that dies while
            # it is asked for a sign of life is waited for like one that is slow.
            process.child_conn.close()
        with _undisturbed():
            super().keep_subprocess_alive()

    def terminate_all(self) -> None:
        """Tell every worker to finish what it is doing, and to take on nothing more."""
        for listener in self.sockets:
            listener.close()  # open anywhere, it lets clients in for whom nobody is left
        super().terminate_all()
