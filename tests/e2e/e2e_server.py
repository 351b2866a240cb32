"""The shipped configuration as a real server that answers at once and never fails by chance."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

from serving import served

from banditroute.config import default_text

ARMS = ("sim-small", "sim-general", "sim-code", "sim-strong")


def fast_config(*routers: str) -> str:
    """The shipped config.toml without latency or failures, and with more routers if named."""
    text, at_once = re.subn(r"(?m)^#time_scale = 1\.0 ", "time_scale = 0 ", default_text())
    text, unfailing = re.subn(r"(?m)^(simulated\.failure_rate) = \S+$", r"\1 = 0.0", text)
    assert (at_once, unfailing) == (1, len(ARMS)), "the shipped config.toml reads differently now"
    return text + "".join(f'\n[[routers]]\nname = "{name}"\n' for name in routers)


@contextmanager
def fast_server(folder: Path, *routers: str) -> Iterator[tuple[str, Popen[bytes]]]:
    """The url and the process of a server with its store in ``folder``."""
    (folder / "config.toml").write_text(fast_config(*routers), encoding="utf-8")
    with served(folder) as (url, process):
        yield url, process


def asking(text: str) -> list[dict[str, str]]:
    """The messages of a request."""
    return [{"role": "user", "content": text}]
