"""The world of one run: a Redis and its standby, a bad network, replicas that die and return."""

import asyncio
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import httpx
from chaos import ChaosProxy
from redis_servers import AOF_ALWAYS, RedisServer, free_port, wait_until

ROUTER = "auto"
ARMS = ("small", "middle", "large")
META, LOG = f"br1:{{{ROUTER}}}:meta", f"br1:{{{ROUTER}}}:log"
START_S = 60.0
STOP_S = 30.0
SYNC_S = 30.0

_ARM = """
[[arms]]
id = "{id}"
provider = "here"
input_usd_per_mtok = 0.1
output_usd_per_mtok = 0.4
simulated.failure_rate = 0.0
"""
CONFIG = f"""
[[routers]]
name = "{ROUTER}"
default_arm = "{ARMS[0]}"
floor = 0.2
drift_detection = false

[[providers]]
name = "here"
kind = "simulated"
time_scale = 0

[features]
text = "none"

[logging]
level = "warning"
format = "json"
""" + "".join(_ARM.format(id=arm) for arm in ARMS)


class Replica:
    """A ``banditroute serve`` that always comes back in its folder and on its port."""

    def __init__(self, folder: Path, store_url: str) -> None:
        folder.mkdir()
        (folder / "config.toml").write_text(CONFIG, encoding="utf-8")
        self.folder = folder
        self.log = folder / "replica.log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._store_url = store_url
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers; it may be degraded."""
        serve = [sys.executable, "-m", "banditroute", "serve", "--port", str(self.port)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*serve, "--store", self._store_url],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(self._answers, f"an answer of {self.folder.name}", START_S)

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL)."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in good order (SIGTERM)."""
        self._end(signal.SIGTERM)

    def look(self, path: str) -> Any:
        """What a GET answers; None if it does not answer."""
        try:
            with httpx.Client(base_url=self.url, verify=False, trust_env=False) as client:
                return client.get(path, timeout=10).raise_for_status().json()
        except httpx.HTTPError:
            return None

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            said = self.log.read_text(errors="replace")[-2000:]
            raise AssertionError(f"{self.folder.name} ended at its start: {said}")
        return self.look("/healthz") is not None

    def _end(self, by: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(by)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{by.name} did not end {self.folder.name}") from None


class World:
    """All that a run consists of but its clients. Its controls block: call them ``in_thread``.

    ``replicas[i]`` reaches Redis through ``lines[i]`` and in no other way. ``entries_lost``
    counts what Redis lost of the log; ``longest`` is how long that was before it lost some.
    """

    def __init__(self, folder: Path, *, binary: Path, replicas: int) -> None:
        self._folder, self._binary, self._size = folder, binary, replicas
        self._stack = ExitStack()
        self.entries_lost = self.longest = 0
        self.lines: list[ChaosProxy] = []
        self.replicas: list[Replica] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.primary = stack.enter_context(self._redis("redis-a"))
            self.standby = stack.enter_context(self._redis("redis-b"))
            self._follow()
            for number in range(self._size):
                line = stack.enter_context(ChaosProxy(self.primary.address))
                self.lines.append(line)
                self.replicas.append(Replica(self._folder / f"replica-{number}", line.url))
                stack.callback(self.replicas[-1].kill)
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(Replica.start, self.replicas))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def urls(self) -> list[str]:
        return [replica.url for replica in self.replicas]

    def head(self) -> int:
        """The position of the last entry of the log."""
        return int(self.primary.ask("HGET", META, "head") or 0)

    def kill_redis(self, pause_s: float) -> None:
        """Redis dies and comes back after a while with everything: its file is always synced."""
        self.primary.kill()
        time.sleep(pause_s)
        self.primary.start()

    def restart_redis(self, pause_s: float) -> None:
        """Redis ends in good order and comes back after a while."""
        self.primary.stop()
        time.sleep(pause_s)
        self.primary.start()

    def fail_over(self, pause_s: float, *, wiped: bool) -> None:
        """The standby takes over without the writes of the last ``pause_s`` seconds.

        It is told to while it sleeps, before those writes reach it: waking up, it takes over
        first. The old primary becomes its standby, with its folder ``wiped`` or not.
        """
        self.await_sync()
        with self.standby.client(timeout_s=SYNC_S) as client:
            line = client.connection_pool.get_connection()
            self.standby.pause()
            line.send_command("REPLICAOF", "NO", "ONE")
            time.sleep(pause_s)
            had = self.head()
            self.primary.kill()
            self.standby.resume()
            assert line.read_response() == b"OK"
            client.connection_pool.release(line)
        self.primary, self.standby = self.standby, self.primary
        self._lose(had, self.head())
        for line in self.lines:
            line.target(*self.primary.address)
            line.reset_connections()
        if wiped:
            shutil.rmtree(self.standby.folder / "appendonlydir")
        self.standby.start()
        self._follow()

    def wipe(self) -> None:
        """Redis loses everything it has."""
        had = self.head()
        self.primary.ask("FLUSHALL")
        self._lose(had, 0)

    def heal(self) -> None:
        """End whatever ails the network."""
        for line in self.lines:
            line.delay(0.0)
            line.drop_replies(0)
            line.heal()

    def await_sync(self) -> None:
        """Wait until the standby has everything that the primary has now."""
        wanted = self.primary.info("replication")["master_repl_offset"]

        def has_it() -> bool:
            said = self.standby.info("replication")
            return (
                said["master_link_status"] == "up"
                and not said["master_sync_in_progress"]
                and said["slave_repl_offset"] >= wanted
            )

        wait_until(has_it, "a standby in sync", SYNC_S)

    def _lose(self, had: int, left: int) -> None:
        self.entries_lost += max(had - left, 0)
        self.longest = max(self.longest, had)

    def _follow(self) -> None:
        self.standby.ask("REPLICAOF", *self.primary.address)
        self.await_sync()

    def _redis(self, name: str) -> RedisServer:
        return RedisServer(self._folder / name, binary=self._binary, options=AOF_ALWAYS)


async def in_thread(control: Callable[..., object], *arguments: object) -> None:
    """Call a control in a thread, and see it to its end even when cancelled: it would go on."""
    doing = asyncio.ensure_future(asyncio.to_thread(control, *arguments))
    try:
        await asyncio.shield(doing)
    finally:
        await asyncio.wait({doing})
        doing.exception()  # whoever is cancelled does not ask any more
