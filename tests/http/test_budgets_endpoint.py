"""Budgets over the wire: how they stand, who paid for a decision, and 429 when one is spent."""

from collections.abc import AsyncIterator

import pytest
from prometheus_client.parser import text_string_to_metric_families
from wire import CONFIG, Served, chat, shaped
from wire import served as serve

from banditroute.core.spending import DAY_S, day_of
from banditroute.http.keyring import hash_of

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"
KEYS = "".join(
    f'[[keys]]\nname = "{name}"\nhash = "{hash_of(name)}"\n' for name in ("team-a", "team-b")
)
BUDGETS = """
[[budgets]]
tag = "batch"
routers = ["auto"]
usd_per_day = 0.000001
when_spent = "refuse"

[[budgets]]
key = "team-a"
routers = ["auto"]
usd_per_month = 5.0
min_quality = 0.1
"""
OWN = 'name = "auto"\nbudget = {usd_per_request = 0.001}'
BOUGHT = CONFIG.replace('name = "auto"', OWN, 1) + KEYS + BUDGETS


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serve(BOUGHT) as running:
        running.client.headers["authorization"] = "Bearer team-a"
        yield running


async def bought(served: Served, **banditroute: object) -> dict[str, object]:
    """An answer whose cost is known everywhere."""
    answer = (await served.post(CHAT, chat(banditroute=banditroute))).json()
    decision_id = answer["banditroute"]["decision_id"]
    assert (await served.application.engine.receipt(decision_id)).decision.id == decision_id
    await served.get("/v1/budgets")
    return answer["banditroute"]


async def metric(served: Served, name: str) -> dict[tuple[str, str], float]:
    """The samples of a metric by router and payer."""
    families = text_string_to_metric_families((await served.get("/metrics")).text)
    (family,) = [family for family in families if family.name == f"banditroute_{name}"]
    return {(s.labels["router"], s.labels["payer"]): s.value for s in family.samples}


async def test_every_budget_shows_its_limits_and_how_it_stands(served):
    cost = (await bought(served))["cost_usd"]
    response = await served.get("/v1/budgets")
    own, tag, key = response.json()["data"]
    assert response.json()["object"] == "list"
    assert own == {
        "router": "auto",
        "payer": "router",
        "limits": {
            "usd_per_request": 0.001,
            "usd_per_day": None,
            "usd_per_month": None,
            "min_quality": None,
        },
        "when_spent": "cheapest",
        "spent_usd": cost,
        "spent_today_usd": cost,
        "spent_this_month_usd": cost,
        "requests": 1,
        "requests_today": 1,
        "price": 0.0,
        "reserved_usd": 0.0,
        "left_usd": own["left_usd"],
    }
    assert own["left_usd"] == pytest.approx(11 * 0.001 - cost)
    assert (tag["payer"], tag["when_spent"]) == ("tag:batch", "refuse")
    assert (tag["spent_usd"], tag["requests"], tag["left_usd"]) == (0.0, 0, 0.000001)
    assert (key["payer"], key["spent_usd"]) == ("key:team-a", cost)
    assert key["limits"]["min_quality"] == 0.1
    assert key["left_usd"] == pytest.approx(5.0 - cost)


async def test_a_day_and_a_month_end_and_what_was_spent_in_all_does_not(served):
    cost = (await bought(served))["cost_usd"]
    served.clock.advance(DAY_S)
    (own, *_) = (await served.get("/v1/budgets")).json()["data"]
    assert (own["spent_today_usd"], own["spent_this_month_usd"]) == (0.0, cost)
    assert (own["requests"], own["requests_today"]) == (1, 0)
    served.clock.advance(30 * DAY_S)
    (own, *_) = (await served.get("/v1/budgets")).json()["data"]
    assert (own["spent_usd"], own["spent_this_month_usd"]) == (cost, 0.0)


async def test_budgets_can_be_asked_for_by_router(served):
    assert len((await served.get("/v1/budgets", router="auto")).json()["data"]) == 3
    assert (await served.get("/v1/budgets", router="private")).json()["data"] == []
    response = await served.get("/v1/budgets", router="nobody")
    assert (response.status_code, shaped(response)["param"]) == (404, "router")


async def test_without_a_limit_in_dollars_nothing_is_left_or_missing():
    text = CONFIG.replace('name = "auto"', 'name = "auto"\nbudget = {min_quality = 0.5}', 1)
    async with serve(text) as served:
        (own,) = (await served.get("/v1/budgets")).json()["data"]
        assert own["left_usd"] is None
        assert await metric(served, "budget_left_usd") == {}
        assert await metric(served, "budget_price") == {("auto", "router"): 0.0}


async def test_a_spent_budget_is_429_with_its_name_and_the_time_to_come_again(served):
    served.clock.advance(0.25)
    response = await served.post(CHAT, chat(banditroute={"tags": ["batch"]}))
    assert response.status_code == 429
    error = shaped(response)
    assert error["code"] == "budget_exhausted"
    assert "of the budget of tag:batch (usd_per_day = 1e-06) less is left" in error["message"]
    assert "retry-after" not in response.headers, "a day's dollars are too few for one call"


async def test_what_comes_again_at_midnight_is_told_in_seconds():
    budget = 'name = "auto"\nbudget = {usd_per_day = 0.0002, when_spent = "refuse"}'
    text = CONFIG.replace('name = "auto"', budget, 1)
    async with serve(text) as served:
        while (response := await served.post(CHAT, chat())).status_code == 200:
            await served.get("/v1/budgets")
        now_s = served.clock.now_s
        until_midnight_s = (day_of(now_s) + 1) * DAY_S - now_s
        assert response.status_code == 429
        assert response.headers["retry-after"] == str(round(until_midnight_s))
        assert "renewed at 2027-01-16T00:00Z" in shaped(response)["message"]
        for model in ("small", "large"):
            assert (await served.post(CHAT, chat(model=model))).status_code == 429
        assert (await served.post("/v1/route", chat())).status_code == 429
        assert (await served.post(CHAT, chat(model="private"))).status_code == 200
        served.clock.advance(until_midnight_s)
        assert (await served.post(CHAT, chat())).status_code == 200


async def test_a_receipt_shows_the_price_of_a_dollar_and_who_paid(served):
    for _ in range(12):
        await served.decide(max_cost_usd=1.0)
    decision_id = await served.decide(tags=["other"])
    receipt = (await served.get(f"/v1/decisions/{decision_id}")).json()
    assert receipt["payers"] == ["key:team-a"]
    assert receipt["budget_price"] > 0.0
    assert f"Budgets add {receipt['budget_price']:.4g} to what a dollar" in receipt["summary"]
    (replay,) = [(await served.get(f"/v1/decisions/{decision_id}", replay=True)).json()["replay"]]
    assert replay["same"] is True


async def test_prometheus_sees_what_was_spent_what_is_left_and_the_price(served):
    cost = (await bought(served))["cost_usd"]
    assert await metric(served, "spend_usd") == {
        ("auto", "router"): cost,
        ("auto", "key:team-a"): cost,
        ("private", "router"): 0.0,
    }
    for _ in range(12):
        await served.decide()
    prices, left = await metric(served, "budget_price"), await metric(served, "budget_left_usd")
    budgets = (await served.get("/v1/budgets")).json()["data"]
    assert prices == {("auto", b["payer"]): b["price"] for b in budgets}
    assert left == {("auto", b["payer"]): b["left_usd"] for b in budgets}
    assert prices["auto", "key:team-a"] > 0.0


async def test_of_two_budgets_of_one_payer_the_tighter_is_what_is_left():
    text = CONFIG + KEYS.replace('"team-a"', '"team-a"\nusd_per_day = 1', 1)
    text += '[[budgets]]\nkey = "team-a"\nusd_per_month = 0.5\n'
    async with serve(text) as served:
        assert await metric(served, "budget_left_usd") == {
            ("auto", "key:team-a"): 0.5,
            ("private", "key:team-a"): 0.5,
        }
