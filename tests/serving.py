"""A real ``banditroute serve`` in a process of its own, for tests that talk to it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
from patience import PATIENCE_S


@contextmanager
def served(folder: Path, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The url and the process of a router in ``folder`` that is ready; stopped after."""
    with launched(folder, *arguments) as (url, process):
        _await_ready(url)
        yield url, process


@contextmanager
def launched(folder: Path, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The url and the process of a router started in ``folder``; stopped by SIGTERM after."""
    command = [sys.executable, "-m", "banditroute", "serve", "--port", "0", *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            yield _announced(process), process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_S)


def _announced(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    said = b""
    for line in process.stdout:
        said += line
        found = re.search(rb"listens on (http://\S+)", line)
        if found:
            return found.group(1).decode()
    raise AssertionError(f"the server ended without saying where it listens: {said.decode()}")


def _await_ready(url: str) -> None:
    late = time.monotonic() + PATIENCE_S
    while time.monotonic() < late:
        with suppress(httpx.HTTPError):
            if httpx.get(f"{url}/readyz", timeout=PATIENCE_S).json()["status"] == "ready":
                return
        time.sleep(0.05)
    raise AssertionError("the server never became ready")
