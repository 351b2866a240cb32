"""The day one machine is no longer enough: from SQLite to Redis, and nothing is lost or doubled."""

import subprocess
import sys

import httpx
import pytest
from e2e_server import asking
from patience import PATIENCE_S
from redis_servers import a_binary, running, wait_until
from serving import served


def banditroute(folder, *arguments):
    command = [sys.executable, "-m", "banditroute", *arguments]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr


def tell(url, decision_id, score):
    response = httpx.post(
        f"{url}/feedback", json={"id": decision_id, "score": score}, timeout=PATIENCE_S
    )
    return response.raise_for_status().json()["status"]


def learned(url):
    """What was learned of every arm, where that stands in the log, and the digest of it all."""
    view = httpx.get(f"{url}/v1/arms", params={"digest": True}, timeout=PATIENCE_S).json()
    return view["position"], view["data"], view["digest"]


@pytest.fixture
def redis_url(tmp_path):
    with running(tmp_path / "redis", binary=a_binary()) as server:
        yield server.url


def test_a_router_goes_on_in_redis_as_if_nothing_had_happened(tmp_path, redis_url):
    with served(tmp_path) as (url, _):
        ids = []
        for number in range(12):
            body = {"model": "auto", "messages": asking(f"What is {number} + 1?")}
            answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=PATIENCE_S)
            ids.append(answer.json()["id"])
        for number, decision_id in enumerate(ids[:9]):
            assert tell(url, decision_id, number / 16) == "learned"
        wait_until(lambda: learned(url)[0] == 12 + 9, "every outcome and feedback is in the log")
        before = learned(url)
    banditroute(tmp_path, "export", "--out", "state.bin")
    banditroute(tmp_path, "import", "state.bin", "--store", redis_url)
    with served(tmp_path, "--store", redis_url) as (url, _):
        assert learned(url) == before
        assert tell(url, ids[3], 3 / 16) == "unchanged"
        assert tell(url, ids[4], 0.5) == "amended"
        assert tell(url, ids[10], 1.0) == "learned"
        first = f"{url}/v1/decisions/{ids[0].removeprefix('chatcmpl-')}"
        view = httpx.get(first, params={"replay": True}, timeout=PATIENCE_S)
        assert view.json()["replay"]["same"]
        assert learned(url)[0] == before[0] + 2
