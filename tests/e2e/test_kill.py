"""A server that is killed in the middle keeps all that it acknowledged, once."""

import asyncio
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager

import httpx
import pytest
from loopback import shipped_text

from banditroute.stores import SQLiteStore
from banditroute.values import QualityEvidence

pytestmark = pytest.mark.anyio

FEEDBACKS = 200
CLIENTS = 10
KILL_AFTER = 70  # acknowledged feedbacks; the others are on their way, or not yet sent


@contextmanager
def serving(folder):
    """The command line's server in a process of its own; gives the process and its URL."""
    config = folder / "config.toml"
    config.write_text(shipped_text("sqlite:///unused.db"))
    command = [sys.executable, "-m", "banditroute", "serve", "--config", str(config)]
    command += ["--port", "0", "--store", f"sqlite:///{folder / 'log.db'}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder) as process:
        try:
            said = process.stdout.readline()
            url = re.search(r"http://127\.0\.0\.1:\d+", said)
            assert url, said
            _wait_until_ready(url.group())
            yield process, url.group()
        finally:
            process.kill()


def _wait_until_ready(url):
    with httpx.Client() as client:
        for _ in range(2000):
            try:
                if client.get(f"{url}/readyz").json()["status"] == "ready":
                    return
            except httpx.TransportError:
                time.sleep(0.01)
    raise AssertionError("the server did not become ready")


async def decide(client, _):
    body = {"messages": [{"role": "user", "content": "Hello!"}]}
    return (await client.post("/v1/route", json=body)).json()["decision_id"]


async def learned_in(path):
    """How often the log took in feedback on each decision."""
    store = SQLiteStore(path, decision_ttl_s=1e6, clock=time.time)
    await store.open()
    entries = await store.evidence("auto", 0, 10_000)
    await store.close()
    return Counter(e.decision_id for e in entries if isinstance(e, QualityEvidence))


async def test_what_was_acknowledged_before_a_kill_is_in_the_log_exactly_once(tmp_path):
    acknowledged = set()
    with serving(tmp_path) as (process, url):
        clients = [httpx.AsyncClient(base_url=url, timeout=30.0) for _ in range(CLIENTS)]
        decided = (decide(clients[n % CLIENTS], n) for n in range(FEEDBACKS))
        ids = await asyncio.gather(*decided)

        async def post(client, mine):
            for id_ in mine:
                response = await client.post("/feedback", json={"id": id_, "score": 0.5})
                if response.status_code == 200:
                    acknowledged.add(id_)
                if len(acknowledged) >= KILL_AFTER:
                    process.send_signal(signal.SIGKILL)

        parts = [ids[n::CLIENTS] for n in range(CLIENTS)]
        posts = (post(client, mine) for client, mine in zip(clients, parts, strict=True))
        ends = await asyncio.gather(*posts, return_exceptions=True)
        process.wait()
        for client in clients:
            await client.aclose()
    assert any(isinstance(end, httpx.TransportError) for end in ends), "killed in the middle"
    assert KILL_AFTER <= len(acknowledged) < FEEDBACKS

    learned = await learned_in(tmp_path / "log.db")
    assert acknowledged <= learned.keys() <= set(ids)
    assert set(learned.values()) == {1}

    with serving(tmp_path) as (process, url):
        async with httpx.AsyncClient(base_url=url, timeout=30.0) as client:
            items = [{"id": id_, "score": 0.5} for id_ in ids]
            answers = (await client.post("/feedback", json=items)).json()
            statuses = {one["id"]: one["status"] for one in answers}
            assert {i for i, s in statuses.items() if s == "unchanged"} == learned.keys()
            arms = (await client.get("/v1/arms")).json()["data"]
            assert sum(arm["feedback_n"] for arm in arms) == FEEDBACKS
        process.terminate()
        assert process.wait() == 0
    assert await learned_in(tmp_path / "log.db") == Counter(dict.fromkeys(ids, 1))
