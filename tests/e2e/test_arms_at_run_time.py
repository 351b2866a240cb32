"""Arms that change while the real OpenAI client is asking: at once, on every worker, for good."""

import threading
import time

import httpx
import openai
import pytest
from e2e_server import ARMS, asking, fast_config
from patience import PATIENCE_S
from serving import served

from banditroute.http.keyring import hash_of

ADMIN, CLIENT = "br-operator", "br-application"
KEYS = f"""
[[keys]]
name = "ops"
hash = "{hash_of(ADMIN)}"
roles = ["admin"]

[[keys]]
name = "app"
hash = "{hash_of(CLIENT)}"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.toml").write_text(fast_config() + KEYS, encoding="utf-8")
    return tmp_path


def operator(url):
    return httpx.Client(
        base_url=url, headers={"authorization": f"Bearer {ADMIN}"}, timeout=PATIENCE_S
    )


def application(url, key=CLIENT):
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)


def prices_of(http, completion_id):
    """The output price of every arm as a decision saw it."""
    receipt = http.get(f"/v1/decisions/{completion_id}").raise_for_status().json()
    return {c["arm"]: c["output_usd_per_mtok"] for c in receipt["candidates"]}


def ask(client, model="auto"):
    return client.chat.completions.create(model=model, messages=asking("Hello there!"))


def test_a_price_that_changes_while_requests_flow_is_in_the_next_receipt(folder):
    with served(folder) as (url, _), operator(url) as http, application(url) as client:
        stop, failures = threading.Event(), []

        def keep_asking():
            while not stop.is_set():
                try:
                    ask(client)
                except openai.OpenAIError as error:
                    failures.append(error)

        crowd = [threading.Thread(target=keep_asking) for _ in range(3)]
        for thread in crowd:
            thread.start()
        try:
            assert prices_of(http, ask(client).id)["sim-small"] == 0.4
            for price in (0.8, 1.6, 3.2):
                change = {"output_usd_per_mtok": price}
                http.patch("/admin/arms/sim-small", json=change).raise_for_status()
                assert prices_of(http, ask(client).id)["sim-small"] == price
        finally:
            stop.set()
            for thread in crowd:
                thread.join()
        assert failures == []
        answer = ask(client, "sim-small")
        cost = answer.model_extra["banditroute"]["cost_usd"]
        spent = answer.usage.prompt_tokens * 0.1 + answer.usage.completion_tokens * 3.2
        assert cost == pytest.approx(spent / 1e6)


def test_what_was_changed_is_still_so_after_a_restart(folder):
    with served(folder) as (url, _), operator(url) as http:
        http.patch("/admin/arms/sim-code", json={"status": "paused"}).raise_for_status()
        http.delete("/admin/arms/sim-strong").raise_for_status()
    with served(folder) as (url, _), operator(url) as http, application(url) as client:
        listed = {arm["id"]: arm["status"] for arm in http.get("/admin/arms").json()["data"]}
        assert listed == {"sim-small": "active", "sim-general": "active", "sim-code": "paused"}
        assert [model.id for model in client.models.list()] == ["auto", *ARMS[:3]]
        with pytest.raises(openai.InternalServerError, match="paused by an operator"):
            ask(client, "sim-code")
        with pytest.raises(openai.NotFoundError):
            ask(client, "sim-strong")


def test_a_reload_on_one_worker_reaches_the_others(folder):
    with served(folder, "--workers", "2") as (url, _), operator(url) as http:
        text = (folder / "config.toml").read_text(encoding="utf-8")
        dearer = text.replace("output_usd_per_mtok = 0.40", "output_usd_per_mtok = 0.75", 1)
        (folder / "config.toml").write_text(dearer, encoding="utf-8")
        answer = http.post("/admin/reload").raise_for_status().json()
        assert answer["changed"] == {"auto": ["sim-small"]}
        seen = []
        deadline = time.monotonic() + PATIENCE_S
        while seen[-10:] != [0.75] * 10:  # each on new connections, so of either worker
            assert time.monotonic() < deadline, seen
            with application(url) as client, operator(url) as other:
                seen.append(prices_of(other, ask(client).id)["sim-small"])
        assert set(seen) <= {0.4, 0.75}


def test_a_wrong_key_is_what_openais_client_calls_an_authentication_error(folder):
    with served(folder) as (url, _), application(url, "br-wrong") as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            ask(client)
        assert caught.value.code == "invalid_api_key"
        assert "br-wrong" not in caught.value.message
