"""``/admin`` over the wire: what it changes, what it refuses, and who may use it."""

import re
from collections.abc import AsyncIterator

import pytest
from doubles import Clock, FlakyStore, memory
from wire import CONFIG, UPSTREAM, Served, chat, shaped
from wire import served as serve

from banditroute.config import parse
from banditroute.http.keyring import hash_of

pytestmark = pytest.mark.anyio

ADMIN, CLIENT = "br-admin-key", "br-client-key"
KEYS = f"""
[[keys]]
name = "ops"
hash = "{hash_of(ADMIN)}"
roles = ["admin", "client"]

[[keys]]
name = "app"
hash = "{hash_of(CLIENT)}"
"""
NEW = {"id": "new", "provider": "simulated", "input_usd_per_mtok": 2, "output_usd_per_mtok": 3.5}
BOT = "/admin/sources/bot/quarantine"


def as_admin(served: Served) -> Served:
    served.client.headers["authorization"] = f"Bearer {ADMIN}"
    return served


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """An application with keys, asked by an operator."""
    async with serve(CONFIG + KEYS) as running:
        yield as_admin(running)


async def arms(served, router="auto"):
    listed = (await served.get("/admin/arms", router=router)).json()["data"]
    return {arm["id"]: arm for arm in listed}


async def prices(served):
    """The output price of every arm in the next decision."""
    receipt = await served.get(f"/v1/decisions/{await served.decide()}")
    return {c["arm"]: c["output_usd_per_mtok"] for c in receipt.json()["candidates"]}


async def test_the_arms_in_force_are_listed_with_where_they_come_from(served):
    listed = (await served.get("/admin/arms")).json()
    assert (listed["object"], listed["router"], listed["position"]) == ("list", "auto", 0)
    small, large = listed["data"]
    assert (small["id"], small["status"], small["defined_by"]) == ("small", "active", "config")
    assert (small["input_usd_per_mtok"], small["context_window"]) == (0.1, 4000)
    assert large["capabilities"] == ["json", "tools", "vision"]
    assert large["simulated"] == {"output_tokens": 30}
    assert set(await arms(served, "private")) == {"local"}


async def test_an_arm_is_added_to_a_router_and_answers(served):
    response = await served.post("/admin/arms", {"router": "auto", **NEW})
    assert response.status_code == 200
    body = response.json()
    assert (body["router"], body["id"], body["change"]) == ("auto", "new", "applied")
    assert (body["arm"]["defined_by"], body["arm"]["status"]) == ("admin", "active")
    answer = await served.post("/v1/chat/completions", chat(model="new"))
    assert answer.json()["model"] == "new"
    assert (await prices(served))["new"] == 3.5
    listed = (await served.get("/v1/models")).json()["data"]
    assert {"id": "new", "owned_by": "simulated"}.items() <= listed[-2].items()
    assert "new" in [arm["id"] for arm in (await served.get("/v1/arms")).json()["data"]]
    assert 'banditroute_cost_usd_total{arm="new"}' in (await served.get("/metrics")).text
    routed = await served.post("/v1/route", chat(banditroute={"candidates": ["new"]}))
    assert routed.json()["arm"] == "new"
    assert "new" not in await arms(served, "private")
    assert (await served.post("/admin/arms", NEW)).json()["change"] == "unchanged"


async def test_a_price_changes_what_the_next_decision_sees(served):
    assert await prices(served) == {"small": 0.4, "large": 4.0}
    change = {"output_usd_per_mtok": 9, "cached_input_usd_per_mtok": 0.05}
    response = await served.client.patch("/admin/arms/small", json=change)
    assert response.json()["arm"]["output_usd_per_mtok"] == 9.0
    assert await prices(served) == {"small": 9.0, "large": 4.0}
    small = (await arms(served))["small"]
    assert (small["cached_input_usd_per_mtok"], small["input_usd_per_mtok"]) == (0.05, 0.1)
    response = await served.client.patch(
        "/admin/arms/small", json={"cached_input_usd_per_mtok": None}
    )
    assert response.json()["arm"]["cached_input_usd_per_mtok"] is None


async def test_when_the_last_arm_is_paused_requests_are_told_so(served):
    for arm in ("small", "large"):
        assert (
            await served.client.patch(f"/admin/arms/{arm}", json={"status": "paused"})
        ).is_success
    response = await served.post("/v1/chat/completions", chat())
    assert response.status_code == 503
    assert "small: paused by an operator" in shaped(response)["message"]
    assert (await served.get("/readyz")).json()["status"] == "ready"
    named = await served.post("/v1/chat/completions", chat(model="large"))
    assert "paused" in shaped(named)["message"]
    await served.client.patch("/admin/arms/small", json={"status": "active"})
    decision_id = await served.decide()
    receipt = (await served.get(f"/v1/decisions/{decision_id}")).json()
    assert (receipt["arm"], receipt["excluded"][0]["reason"]) == ("small", "paused")


async def test_an_arm_is_removed_and_unknown_from_then_on(served):
    await served.post("/v1/chat/completions", chat(model="large"))
    answer = (await served.client.delete("/admin/arms/large")).json()
    assert answer == {"router": "auto", "id": "large", "change": "applied", "arm": None}
    assert (await served.client.delete("/admin/arms/large")).json()["change"] == "unchanged"
    assert 'banditroute_cost_usd_total{arm="large"}' in (await served.get("/metrics")).text
    gone = await served.post("/v1/chat/completions", chat(model="large"))
    assert (gone.status_code, shaped(gone)["code"]) == (404, "model_not_found")
    again = await served.client.patch("/admin/arms/large", json={"status": "active"})
    assert (again.status_code, shaped(again)["param"]) == (404, "id")
    await served.client.delete("/admin/arms/small")
    empty = await served.post("/v1/chat/completions", chat())
    assert (empty.status_code, shaped(empty)["code"]) == (503, "no_eligible_arm")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({**NEW, "provider": "nowhere"}, "provider"),
        ({**NEW, "input_usd_per_mtok": -1}, "input_usd_per_mtok"),
        ({**NEW, "output_usd_per_mtok": "3"}, "output_usd_per_mtok"),
        ({**NEW, "id": "auto"}, "id"),
        ({**NEW, "id": "two words"}, "id"),
        ({**NEW, "router": "nobody"}, "router"),
        ({**NEW, "router": 5}, "router"),
        ({**NEW, "price": 1}, "price"),
        ({"id": "new", "provider": "simulated"}, "input_usd_per_mtok"),
        ({**NEW, "simulated": {"skill": {"code": 2}}}, "simulated.skill.code"),
        (["new"], None),
    ],
)
async def test_an_arm_that_cannot_be_is_refused_with_what_to_change(served, body, param):
    response = await served.post("/admin/arms", body)
    assert response.status_code in {400, 404}
    assert shaped(response)["param"] == param
    assert set(await arms(served)) == {"small", "large"}


async def test_an_upstreams_arm_has_nothing_simulated():
    async with serve(UPSTREAM + KEYS) as served:
        body = {**NEW, "provider": "cloud", "simulated": {"latency_s": 1}}
        response = await as_admin(served).post("/admin/arms", body)
        assert shaped(response)["param"] == "simulated"
        assert (await served.post("/admin/arms", {**NEW, "provider": "cloud"})).is_success


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"status": "removed"},
        {"status": None},
        {"input_usd_per_mtok": -0.1},
        {"input_usd_per_mtok": None},
        {"output_usd_per_mtok": True},
        {"model": "another"},
        [],
    ],
)
async def test_a_change_that_cannot_be_is_refused(served, body):
    response = await served.client.patch("/admin/arms/small", json=body)
    assert response.status_code == 400
    assert shaped(response)["code"] == "invalid_request"
    assert (await served.get("/admin/arms")).json()["position"] == 0


async def test_arms_and_routers_that_are_not_there_are_404(served):
    for response in (
        await served.client.patch("/admin/arms/nobody", json={"status": "paused"}),
        await served.client.delete("/admin/arms/nobody"),
        await served.get("/admin/arms", router="nobody"),
        await served.client.delete("/admin/arms/small", params={"router": "private"}),
    ):
        assert response.status_code == 404
        shaped(response)


async def test_the_same_idempotency_key_counts_once(served):
    once = {"idempotency-key": "turn-1"}
    pause, resume = {"status": "paused"}, {"status": "active"}
    await served.client.patch("/admin/arms/small", json=pause, headers=once)
    await served.client.patch("/admin/arms/small", json=resume)
    again = await served.client.patch("/admin/arms/small", json=pause, headers=once)
    assert again.json()["change"] == "unchanged"
    assert again.json()["arm"]["status"] == "active"
    odd = await served.client.delete("/admin/arms/small", headers={"idempotency-key": "a b"})
    assert odd.status_code == 400


async def test_with_the_store_away_nothing_is_changed_and_retry_is_asked_for(monkeypatch):
    stores = []

    def flaky(url, **kept):
        stores.append(FlakyStore(memory(Clock())))
        return stores[0]

    monkeypatch.setattr("banditroute.bootstrap.open_store", flaky)
    async with serve(CONFIG + KEYS) as served:
        stores[0].down = True
        client = as_admin(served).client
        for response in (
            await served.get("/admin/arms"),
            await served.post("/admin/arms", NEW),
            await client.patch("/admin/arms/small", json={"status": "paused"}),
            await client.delete("/admin/arms/small"),
            await served.client.post(BOT),
            await served.client.delete(BOT),
        ):
            assert (response.status_code, shaped(response)["code"]) == (503, "store_unavailable")
            assert int(response.headers["retry-after"]) >= 1
        stores[0].down = False
        assert set(await arms(served)) == {"small", "large"}


# reload


@pytest.fixture
async def filed() -> AsyncIterator[tuple[Served, list[str]]]:
    """An application, and the text of its configuration file."""
    text = [CONFIG + KEYS]
    async with serve(text[0], reread=lambda: parse(text[0], {})) as running:
        yield as_admin(running), text


async def test_a_file_that_was_edited_is_followed_in_its_arms(filed):
    served, text = filed
    assert (await served.client.post("/admin/reload")).json() == {
        "changed": {"auto": [], "private": []},
        "skipped": {"auto": [], "private": []},
        "needs_restart": [],
    }
    text[0] = text[0].replace("output_usd_per_mtok = 4.0", "output_usd_per_mtok = 5.0").replace(
        'arms = ["small", "large"]', 'arms = ["large", "fresh"]'
    ) + ('[[arms]]\nid = "fresh"\nprovider = "simulated"\n'
         "input_usd_per_mtok = 1.0\noutput_usd_per_mtok = 1.5\n")  # fmt: skip
    answer = (await served.client.post("/admin/reload")).json()
    assert answer["changed"] == {"auto": ["large", "fresh", "small"], "private": []}
    assert answer["needs_restart"] == []
    assert await prices(served) == {"large": 5.0, "fresh": 1.5}
    assert {arm["defined_by"] for arm in (await arms(served)).values()} == {"file"}
    text[0] = CONFIG + KEYS
    assert (await served.client.post("/admin/reload")).is_success
    assert await prices(served) == {"small": 0.4, "large": 4.0}


async def test_a_change_by_hand_outlives_a_reload_of_a_file_that_did_not_change_since(filed):
    served, text = filed
    text[0] = text[0].replace("output_usd_per_mtok = 4.0", "output_usd_per_mtok = 5.0")
    await served.client.post("/admin/reload")
    await served.client.patch("/admin/arms/large", json={"output_usd_per_mtok": 7.0})
    assert (await served.client.post("/admin/reload")).json()["changed"]["auto"] == []
    assert (await prices(served))["large"] == 7.0
    text[0] = text[0].replace("output_usd_per_mtok = 5.0", "output_usd_per_mtok = 6.0")
    assert (await served.client.post("/admin/reload")).json()["changed"]["auto"] == ["large"]
    assert (await prices(served))["large"] == 6.0


async def test_a_file_with_mistakes_changes_nothing_and_each_is_said(filed):
    served, text = filed
    text[0] = text[0].replace("4.0", '"4"').replace("floor = 0.2", "floor = 7")
    response = await served.client.post("/admin/reload")
    assert (response.status_code, shaped(response)["code"]) == (400, "config_invalid")
    message = shaped(response)["message"]
    assert re.search(r"line \d+: routers\[0\]\.floor", message)
    assert "arms[1].output_usd_per_mtok: must be a number" in message
    assert (await served.get("/admin/arms")).json()["position"] == 0


async def test_what_needs_a_restart_is_named_and_not_applied(filed):
    served, text = filed
    text[0] = (
        text[0]
        .replace('decision_ttl = "1h"', 'decision_ttl = "2h"')
        .replace("max_body_bytes = 1_000_000", "max_body_bytes = 2_000_000")
        .replace("floor = 0.2", "floor = 0.1")
        .replace('name = "private"', 'name = "secret"')
        .replace(
            "time_scale = 0", "time_scale = 0\n[[providers]]\nname = 'more'\nkind = 'simulated'"
        )
        .replace('id = "large"\nprovider = "simulated"', 'id = "large"\nprovider = "more"')
        + '[features]\ntext = "none"\n[[tasks]]\nname = "code"\n[logging]\nlevel = "debug"\n'
    )
    for _ in range(2):
        answer = (await served.client.post("/admin/reload")).json()
        assert answer["needs_restart"] == [
            *("features", "logging", "providers", "routers", "server", "store", "tasks")
        ]
        assert answer["changed"] == {"auto": []}
        assert answer["skipped"] == {"auto": ["large"]}
    receipt = (await served.get(f"/v1/decisions/{await served.decide()}")).json()
    assert receipt["floor"] == 0.2


async def test_without_a_file_there_is_nothing_to_read_again(served):
    response = await served.client.post("/admin/reload")
    assert (response.status_code, shaped(response)["code"]) == (400, "invalid_request")


# sources


async def test_a_source_in_quarantine_is_refused_and_taken_back(served):
    ids = [await served.decide() for _ in range(3)]
    for id_ in ids:
        await served.post("/feedback", {"id": id_, "score": 0.0, "source": "bot"})
    await served.post("/feedback", {"id": ids[0], "score": 0.75, "source": "ann"})
    answer = (await served.client.post(BOT)).json()
    assert answer == {"source": "bot", "quarantined": True, "retracted": 3}
    receipts = [(await served.get(f"/v1/decisions/{id_}")).json() for id_ in ids]
    assert [receipt["quality"] for receipt in receipts] == [0.75, None, None]
    assert await served.learned() == 1
    said = [{"id": ids[1], "score": 1.0}, {"id": ids[2], "score": 1.0, "source": "bot"}]
    refused = await served.post("/feedback", said)
    assert (refused.status_code, shaped(refused)["code"]) == (403, "source_quarantined")
    assert shaped(refused)["param"] == "1.source"
    assert await served.learned() == 1
    assert (await served.client.post(BOT)).json()["retracted"] == 0
    lifted = (await served.client.delete(BOT)).json()
    assert lifted == {"source": "bot", "quarantined": False, "change": "applied"}
    assert (await served.client.delete(BOT)).json()["change"] == "unchanged"
    served.clock.advance(1.0)
    assert (await served.post("/feedback", said[1])).json()["status"] == "learned"


@pytest.mark.parametrize("as_text", [True, False])
async def test_a_quarantine_reaches_back_to_a_time(served, as_text):
    early, late = await served.decide(), await served.decide()
    await served.post("/feedback", {"id": early, "score": 0.0, "source": "ci:bot"})
    served.clock.advance(60.0)
    since = "2027-01-15T09:01:00+01:00" if as_text else served.clock()
    await served.post("/feedback", {"id": late, "score": 0.0, "source": "ci:bot"})
    answer = await served.post("/admin/sources/ci:bot/quarantine", {"since": since})
    assert answer.json()["retracted"] == 1
    assert (await served.get(f"/v1/decisions/{early}")).json()["quality"] == 0.0


@pytest.mark.parametrize(
    ("since", "param"),
    [
        ("yesterday", "since"),
        ("2027-01-15T09:00:00", "since"),
        (True, "since.float"),
        ([], "since.float"),
    ],
)
async def test_a_time_that_is_none_is_refused(served, since, param):
    response = await served.post(BOT, {"since": since})
    assert (response.status_code, shaped(response)["param"]) == (400, param)
    assert (await served.client.delete(BOT)).json()["change"] == "unchanged"


# who may


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/admin/arms"),
        ("POST", "/admin/arms"),
        ("PATCH", "/admin/arms/small"),
        ("DELETE", "/admin/arms/small"),
        ("POST", "/admin/reload"),
        ("POST", BOT),
        ("DELETE", BOT),
    ],
)
async def test_only_an_admin_key_opens_it(served, method, path):
    served.client.headers["authorization"] = f"Bearer {CLIENT}"
    denied = await served.client.request(method, path)
    assert (denied.status_code, shaped(denied)["code"]) == (403, "access_denied")
    assert "lacks the role admin" in shaped(denied)["message"]
    del served.client.headers["authorization"]
    unknown = await served.client.request(method, path)
    assert (unknown.status_code, shaped(unknown)["code"]) == (401, "invalid_api_key")
    async with serve() as open_to_all:
        closed = await open_to_all.client.request(method, path)
        assert closed.status_code == 403
        assert "banditroute keys new ops --roles admin" in shaped(closed)["message"]
