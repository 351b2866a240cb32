"""kill -9 in the middle of the work: what was acknowledged is there, once, and nothing twice."""

import asyncio
import math
import random
import time
from collections import defaultdict
from itertools import count

import httpx
import pytest
from e2e_server import asking, fast_server
from patience import PATIENCE_S

from banditroute.stores import SQLiteStore
from banditroute.values import QualityEvidence

pytestmark = pytest.mark.anyio

COUNT = 200
CLIENTS = 4
IN_FLIGHT = 10  # of each client; so 40 posts at once, and most of the others are still to come


class Killer:
    """Kills a server at the n-th acknowledgement; until then it counts them."""

    def __init__(self, process, at=math.inf):
        self.process = process
        self.left = at

    def count(self):
        self.left -= 1
        if self.left == 0:
            self.process.kill()


def client_of(url):
    limits = httpx.Limits(max_connections=IN_FLIGHT)
    # No certificates are read: that is the slowest part of a client, and nothing is encrypted.
    return httpx.AsyncClient(base_url=url, limits=limits, timeout=PATIENCE_S, verify=False)


async def work_off(url, jobs, killer):
    """Run jobs, each called with a client, from several clients at once until the server is gone.

    Whatever was acknowledged is counted.
    """
    jobs = iter(jobs)

    async def work(client):
        for job in jobs:
            try:
                await job(client)
            except httpx.TransportError:
                return
            killer.count()

    clients = [client_of(url) for _ in range(CLIENTS)]
    try:
        await asyncio.gather(*(work(client) for client in clients for _ in range(IN_FLIGHT)))
    finally:
        for client in clients:
            await client.aclose()


async def decided(url, process):
    """A score for each of many new decisions, all different and all exact in binary."""
    ids = []

    async def route(client):
        body = {"model": "auto", "messages": asking("Hello!")}
        response = await client.post("/v1/route", json=body)
        ids.append(response.raise_for_status().json()["decision_id"])

    await work_off(url, [route] * COUNT, Killer(process))
    assert len(set(ids)) == COUNT
    return {decision_id: (at + 1) / 256 for at, decision_id in enumerate(ids)}


async def tell(url, words, killer, seed=0):
    """Post every score twice, in any order; returns the statuses acknowledged per decision."""
    posts = [*words.items()] * 2
    random.Random(seed).shuffle(posts)
    acknowledged = defaultdict(list)

    def job(decision_id, score):
        async def post(client):
            response = await client.post("/feedback", json={"id": decision_id, "score": score})
            acknowledged[decision_id].append(response.raise_for_status().json()["status"])

        return post

    await work_off(url, [job(*word) for word in posts], killer)
    return acknowledged


async def log_of(folder):
    """What the log says of each decision, in order: (quality before, quality after)."""
    store = SQLiteStore(folder / "banditroute.db", decision_ttl_s=1e6, clock=time.time)
    await store.open()
    try:
        entries = await store.evidence("auto", 0, 10 * COUNT)
    finally:
        await store.close()
    said = defaultdict(list)
    for entry in entries:
        assert isinstance(entry, QualityEvidence)
        old, new = (reading and reading.quality for reading in (entry.old, entry.new))
        said[entry.decision_id].append((old, new))
    return said


@pytest.mark.parametrize(("kill_at", "seed"), [(1, 1), (90, 2), (290, 3)])
async def test_a_killed_server_has_learned_what_it_acknowledged_once_and_the_rest_when_told_again(
    tmp_path, kill_at, seed
):
    with fast_server(tmp_path) as (url, process):
        words = await decided(url, process)
        acknowledged = await tell(url, words, Killer(process, kill_at), seed)
    assert kill_at <= sum(map(len, acknowledged.values())) < 2 * COUNT  # in the middle
    assert all(statuses.count("learned") <= 1 for statuses in acknowledged.values())

    with fast_server(tmp_path) as (url, process):
        kept = await log_of(tmp_path)
        assert acknowledged.keys() <= kept.keys() <= words.keys()
        assert kept == {decision_id: [(None, words[decision_id])] for decision_id in kept}

        again = await tell(url, words, Killer(process))
        new = words.keys() - kept.keys()
        assert again.keys() == words.keys()
        for decision_id, statuses in again.items():
            first = "learned" if decision_id in new else "unchanged"
            assert sorted(statuses) == sorted([first, "unchanged"])
        assert await log_of(tmp_path) == {id_: [(None, score)] for id_, score in words.items()}
        async with client_of(url) as client:
            arms = (await client.get("/v1/arms")).json()
        assert sum(arm["feedback_n"] for arm in arms["data"]) == arms["position"] == COUNT
        process.kill()  # nothing depends on a shutdown in good order, and it takes its time


async def test_decisions_answered_before_a_kill_are_known_after_it(tmp_path):
    answered = {}
    number = count()

    async def ask(client):
        path = ("/v1/route", "/v1/chat/completions")[next(number) % 2]
        response = await client.post(path, json={"model": "auto", "messages": asking("Hello!")})
        body = response.raise_for_status().json()
        answered[body["id"]] = body["model"]

    with fast_server(tmp_path) as (url, process):
        await work_off(url, [ask] * COUNT, Killer(process, COUNT // 2))
    assert COUNT // 2 <= len(answered) < COUNT
    with fast_server(tmp_path) as (url, process):
        async with client_of(url) as client:
            receipts = {id_: await client.get(f"/v1/decisions/{id_}") for id_ in answered}
        process.kill()
    assert {id_: receipt.json().get("arm") for id_, receipt in receipts.items()} == answered
