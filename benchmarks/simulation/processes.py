"""What a command takes together with all processes that it starts. Reads ``/proc``."""

from __future__ import annotations

import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

LOOK_S = 0.05  # between two looks: what a process takes in its very last moment is missed


@dataclass(frozen=True, slots=True)
class Used:
    """``peak_mb`` is the sum of every process's own peak, whether or not they came together.

    Memory that they share counts in each.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float
    processes: int


def used(command: Sequence[str | Path]) -> Used:
    """Run a command to its end. Raises SystemExit with its words if it fails."""
    peaks: dict[int, int] = {}
    began, cpu_before = time.perf_counter(), _children_cpu_s()
    with tempfile.TemporaryFile("w+") as said:
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said) as process:
            while process.poll() is None:
                for pid in _family(process.pid):
                    peaks[pid] = max(peaks.get(pid, 0), _peak_kb(pid))
                time.sleep(LOOK_S)
        if process.returncode != 0:
            said.seek(0)
            raise SystemExit(said.read())
    return Used(
        wall_s=time.perf_counter() - began,
        cpu_s=_children_cpu_s() - cpu_before,
        peak_mb=sum(peaks.values()) / 1024,
        processes=len(peaks),
    )


def _children_cpu_s() -> float:
    """Of all processes below this one that have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _family(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        children = " ".join((thread / "children").read_text() for thread in threads)
    except OSError:
        return  # it has just ended
    for child in children.split():
        yield from _family(int(child))


def _peak_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)
