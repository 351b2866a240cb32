"""One server of several processes: each does everything, and what one learns all know."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import permutations
from multiprocessing import active_children
from pathlib import Path

import httpx
import pytest
from e2e_server import asking, fast_config
from patience import PATIENCE_S
from providers.fake_upstream import (
    DONE,
    STREAM_END,
    STREAM_HEAD,
    USAGE,
    WAIT,
    delta,
    events,
    fake_upstream,
)
from serving import served

from banditroute.cli import serve as serve_module
from banditroute.cli.app import run
from banditroute.cli.workers import Supervisor
from banditroute.stores import SQLiteStore

PROCESSES = Path("/proc")
COUNT = 40

pytestmark = pytest.mark.skipif(
    not (PROCESSES / "self" / "stat").exists(), reason="the workers are found in /proc"
)


def until(condition):
    """Wait for a condition to come true; returns what it came to."""
    late = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < late, "it never came true"
        time.sleep(0.01)
    return found


def status(pid):
    """The state and the parent of a process; a zombie is as good as gone."""
    try:
        state, parent, *_ = (PROCESSES / f"{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "gone", None
    return ("gone", None) if state == "Z" else (state, int(parent))


def workers_of(process):
    """The workers that are alive now."""
    pids = [int(path.name) for path in PROCESSES.iterdir() if path.name.isdecimal()]
    children = [pid for pid in pids if status(pid)[1] == process.pid]
    # A child that is none of them keeps track of what Python's multiprocessing shares.
    return {pid for pid in children if b"spawn_main" in (PROCESSES / f"{pid}/cmdline").read_bytes()}


def both_workers_of(process):
    return until(lambda: len(found := workers_of(process)) == 2 and found)


@contextmanager
def alone(pid, workers):
    """Meanwhile only one of the workers does anything."""
    others = workers - {pid}
    for other in others:
        os.kill(other, signal.SIGSTOP)
    try:
        until(lambda: all(status(other)[0] == "T" for other in others))
        yield
    finally:
        for other in others:
            os.kill(other, signal.SIGCONT)


def get(url, path, **params):
    return httpx.get(url + path, params=params, timeout=PATIENCE_S)


def decided(url, router):
    """The id of a decision that is written."""
    body = {"model": router, "messages": asking("Hello!")}
    made = httpx.post(f"{url}/v1/route", json=body, timeout=PATIENCE_S).raise_for_status().json()
    until(lambda: get(url, f"/v1/decisions/{made['id']}").is_success)
    return made["id"]


def tell(url, decision_id, score):
    """Post a score; returns what became of it."""
    body = {"id": decision_id, "score": score}
    response = httpx.post(f"{url}/feedback", json=body, timeout=PATIENCE_S)
    return response.raise_for_status().json()["status"]


def learned(url, router):
    """The position in the log that the answering worker knows, and how much feedback."""
    arms = get(url, "/v1/arms", router=router).raise_for_status().json()
    return arms["position"], sum(arm["feedback_n"] for arm in arms["data"])


@contextmanager
def two_workers(folder, *routers):
    """The url, the process and the workers of a server, each of which has answered and written."""
    (folder / "config.toml").write_text(fast_config(*routers), encoding="utf-8")
    with served(folder, "--workers", "2") as (url, process):
        workers = both_workers_of(process)
        for pid in workers:
            with alone(pid, workers):
                decided(url, "auto")
        yield url, process, workers


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    with two_workers(tmp_path_factory.mktemp("pair"), "turns", "crowd") as running:
        yield running


def test_every_worker_is_a_process_of_its_own_that_answers(pair):
    url, process, workers = pair
    assert len(workers) == 2
    assert process.pid not in workers
    for pid in workers:
        with alone(pid, workers):
            assert get(url, "/readyz").json()["status"] == "ready"


def test_what_one_worker_decides_another_learns_once_and_all_know(pair):
    url, _, workers = pair
    for asked, told in permutations(workers):
        with alone(asked, workers):
            decision_id = decided(url, "turns")
        with alone(told, workers):
            assert tell(url, decision_id, 0.5) == "learned"
        with alone(asked, workers):
            assert tell(url, decision_id, 0.5) == "unchanged"
    for pid in workers:
        with alone(pid, workers):
            until(lambda: learned(url, "turns") == (2, 2))


def test_feedback_posted_to_all_at_once_is_learned_exactly_once(pair):
    url, _, workers = pair
    ids = [decided(url, "crowd") for _ in range(COUNT)]

    async def crowd():
        fresh = httpx.Limits(max_keepalive_connections=0)  # whoever is free takes a connection
        async with httpx.AsyncClient(base_url=url, limits=fresh, timeout=PATIENCE_S) as client:
            bodies = [{"id": decision_id, "score": 0.5} for decision_id in ids * 2]
            posts = [client.post("/feedback", json=body) for body in bodies]
            return [post.raise_for_status().json() for post in await asyncio.gather(*posts)]

    statuses = [said["status"] for said in asyncio.run(crowd())]
    assert (statuses.count("learned"), statuses.count("unchanged")) == (COUNT, COUNT)
    for pid in workers:
        with alone(pid, workers):
            until(lambda: learned(url, "crowd") == (COUNT, COUNT))


@pytest.mark.parametrize("frozen", [False, True])
def test_a_worker_that_is_killed_is_replaced_and_the_other_goes_on(tmp_path, frozen):
    with two_workers(tmp_path) as (url, process, workers):
        decision_id = decided(url, "auto")
        assert tell(url, decision_id, 0.5) == "learned"
        victim, survivor = workers
        if frozen:
            os.kill(victim, signal.SIGSTOP)
            time.sleep(1.0)  # by now its parent has asked it for a sign of life, and waits for it
        os.kill(victim, signal.SIGKILL)
        until(lambda: status(victim)[0] == "gone")
        assert tell(url, decision_id, 0.5) == "unchanged"
        again = both_workers_of(process)
        assert survivor in again
        (new,) = again - {survivor}
        with alone(new, again):
            assert tell(url, decision_id, 0.75) == "amended"
            until(lambda: learned(url, "auto") == (2, 1))
    assert process.returncode == 0


def test_ctrl_c_while_the_workers_start_is_no_error(tmp_path):
    command = [sys.executable, "-m", "banditroute", "serve", "--port", "0", "--workers", "2"]
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        workers = both_workers_of(process)
        until(lambda: all(map(importing, workers)))
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to everybody
        said = process.communicate(timeout=PATIENCE_S)[1]
    assert process.returncode == 0
    assert b"Traceback" not in said, said.decode()


def importing(pid):
    """Whether a process has begun to import what a worker needs."""
    return "numpy" in (PROCESSES / f"{pid}/maps").read_text()


def test_workers_end_when_their_parent_was_killed(tmp_path):
    with two_workers(tmp_path) as (url, process, workers):
        process.kill()
        until(lambda: {status(pid)[0] for pid in workers} == {"gone"})
        with pytest.raises(httpx.ConnectError):
            get(url, "/healthz")


STREAMING = """
[server]
shutdown_grace_s = {grace_s}

[logging]
format = "json"

[[providers]]
name = "upstream"
kind = "openai"
base_url = "{url}"

[[arms]]
id = "only"
provider = "upstream"
input_usd_per_mtok = 1.0
output_usd_per_mtok = 2.0
"""


def refused(url):
    """Whether nobody listens there."""
    try:
        socket.create_connection((url.host, url.port)).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # let in, and then nobody was there
        return False
    return False


async def saved(folder):
    """The head of the log, and the position of the newest checkpoint."""
    store = SQLiteStore(folder / "banditroute.db", decision_ttl_s=1e6, clock=time.time)
    await store.open()
    try:
        checkpoint = await store.load_checkpoint("auto", None)
        return await store.head("auto"), checkpoint and checkpoint.position
    finally:
        await store.close()


@asynccontextmanager
async def streaming(folder, workers, *script, grace_s=60):
    """The url and the process of a server that knows of one feedback, and the lines of a stream.

    The stream's first word has come; the rest of the script is still to be played.
    """
    async with fake_upstream([STREAM_HEAD, *events(delta("hel")), *script]) as upstream:
        config = STREAMING.format(url=upstream.base_url, grace_s=grace_s)
        (folder / "config.toml").write_text(config, encoding="utf-8")
        with served(folder, "--workers", str(workers)) as (url, process):
            assert tell(url, decided(url, "auto"), 0.5) == "learned"
            until(lambda: learned(url, "auto") == (1, 1))
            ask = {"model": "auto", "messages": asking("Hello!"), "stream": True}
            async with (
                httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as client,
                client.stream("POST", "/v1/chat/completions", json=ask) as response,
            ):
                lines = response.aiter_lines()
                assert '"hel"' in await anext(lines)
                yield httpx.URL(url), process, lines


def assert_saved(head, position):
    assert head == 2  # the feedback, and the outcome of the stream
    assert position in (1, 2)  # a worker stops without waiting to read what it wrote last


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("workers", "stop"), [(1, signal.SIGTERM), (2, signal.SIGTERM), (2, signal.SIGINT)]
)
async def test_whoever_is_told_to_stop_lets_nobody_in_finishes_its_streams_and_saves(
    tmp_path, workers, stop
):
    go_on = asyncio.Event()
    rest = events(delta("lo"), delta(finish_reason="stop"), USAGE, DONE)
    async with streaming(tmp_path, workers, go_on, *rest, STREAM_END) as (url, process, lines):
        process.send_signal(stop)
        await asyncio.to_thread(until, lambda: refused(url))
        assert process.poll() is None
        go_on.set()
        *_, last, done = [line async for line in lines if line]
        assert await asyncio.to_thread(process.wait, PATIENCE_S) == 0
        logged = process.stdout.read().decode()
    assert "banditroute" in last
    assert done == "data: [DONE]"
    assert_saved(*await saved(tmp_path))
    records = [json.loads(line) for line in logged.splitlines() if line.startswith("{")]
    messages = [re.sub(r"\d+", "N", record["message"]) for record in records]
    assert messages.count("Started server process [N]") == workers
    assert messages.count("Finished server process [N]") == workers
    assert "INFO" not in logged  # so what is logged is logged as configured, by everybody


@pytest.mark.anyio
@pytest.mark.parametrize("workers", [1, 2])
async def test_a_stream_that_takes_longer_than_the_grace_is_cut_short(tmp_path, workers):
    async with streaming(tmp_path, workers, WAIT, grace_s=0) as (_, process, lines):
        process.terminate()
        assert await asyncio.to_thread(process.wait, PATIENCE_S) == 0
        with pytest.raises(httpx.RemoteProtocolError):
            [line async for line in lines]
    assert_saved(*await saved(tmp_path))


@pytest.mark.anyio
@pytest.mark.parametrize("workers", [1, 2])
async def test_a_second_ctrl_c_waits_for_nobody(tmp_path, workers):
    async with streaming(tmp_path, workers, WAIT, grace_s=3600) as (url, process, lines):
        pids = await asyncio.to_thread(both_workers_of, process) if workers == 2 else ()
        for _ in range(2):
            for pid in {process.pid, *pids}:  # as a terminal does
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGINT)
            await asyncio.to_thread(until, lambda: refused(url))
        assert await asyncio.to_thread(process.wait, PATIENCE_S) == 0
        with pytest.raises(httpx.RemoteProtocolError):
            [line async for line in lines]


def broken(_settings):
    """The application of a worker that cannot start."""
    raise TypeError


@pytest.fixture
def _same_handlers():
    """A server in this process takes its signals; afterwards they are the test run's again."""
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    yield
    for number, handler in before.items():
        if handler is not None and signal.getsignal(number) != handler:
            signal.signal(number, handler)


@pytest.mark.usefixtures("_same_handlers")
def test_a_worker_that_cannot_start_ends_the_server_with_1(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(serve_module, "worker", broken)
    assert run(["serve", "--port", "0", "--workers", "2"]) == 1
    said = capfd.readouterr()
    assert "listens on http://" in said.out
    assert said.err.count("a worker could not start") == 1


@pytest.mark.usefixtures("_same_handlers")
def test_no_worker_is_left_behind_when_the_supervisor_fails(tmp_path, monkeypatch):
    def fail(_):
        raise OSError("no more processes")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Supervisor, "keep_subprocess_alive", fail)
    with pytest.raises(OSError, match="no more processes"):
        run(["serve", "--port", "0", "--workers", "2"])
    until(lambda: not active_children())
