"""What Prometheus reads: the state of the application, as numbers under the names of its parts."""

import asyncio

import httpx
import pytest
from doubles import FlakyStore, completion, soon
from prometheus_client import CONTENT_TYPE_LATEST
from prometheus_client.parser import text_string_to_metric_families
from wire import CANARY, KEY, SECOND, UPSTREAM, chat
from wire import served as serve

from banditroute import __version__, bootstrap
from banditroute.engine import backlog as backlog_module
from banditroute.engine import follower as follower_module

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"
TYPES = {
    "banditroute_build_info": "gauge",
    "banditroute_degraded": "gauge",
    "banditroute_store_up": "gauge",
    "banditroute_log_position": "gauge",
    "banditroute_backlog_waiting": "gauge",
    "banditroute_outbox_waiting": "gauge",
    "banditroute_outbox_parked": "gauge",
    "banditroute_dropped": "counter",
    "banditroute_requests": "counter",
    "banditroute_feedback": "counter",
    "banditroute_feedback_capped": "counter",
    "banditroute_cost_usd": "counter",
    "banditroute_spend_usd": "gauge",
    "banditroute_budget_price": "gauge",
    "banditroute_budget_left_usd": "gauge",
    "banditroute_guard_lead": "gauge",
    "banditroute_losing": "gauge",
    "banditroute_restrained": "gauge",
    "banditroute_drift_alarms": "counter",
}


async def families(served):
    response = await served.get("/metrics")
    assert response.status_code == 200
    return list(text_string_to_metric_families(response.text))


async def metric(served, name):
    """The samples of one metric: the value by those of its labels, in the labels' order."""
    return {
        tuple(label for _, label in sorted(sample.labels.items())): sample.value
        for family in await families(served)
        for sample in family.samples
        if sample.name == f"banditroute_{name}"
    }


async def reads(served, name, samples):
    """Wait for a metric to read as it must."""

    async def look():
        while await metric(served, name) != samples:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.001)

    await soon(look())


async def test_every_metric_says_what_it_is_in_prometheus_own_format(served):
    response = await served.get("/metrics")
    assert response.headers["content-type"] == CONTENT_TYPE_LATEST
    found = {family.name: family for family in text_string_to_metric_families(response.text)}
    assert {name: family.type for name, family in found.items()} == TYPES
    assert all(family.documentation for family in found.values())


async def test_the_labels_are_few_and_none_of_them_is_a_clients_word(served):
    await served.post(CHAT, chat())
    labels = {
        family.name.removeprefix("banditroute_"): sorted(sample.labels)
        for family in await families(served)
        for sample in family.samples
        if sample.labels
    }
    assert labels == {
        "build_info": ["version"],
        "store_up": ["router"],
        "log_position": ["router"],
        "requests": ["arm", "outcome", "router"],
        "feedback": ["status"],
        "cost_usd": ["arm"],
        "spend_usd": ["payer", "router"],
        "losing": ["router"],
        "restrained": ["router"],
    }


async def test_the_version_is_told(served):
    assert await metric(served, "build_info") == {(__version__,): 1.0}


async def test_feedback_is_counted_by_what_became_of_it(served):
    first, second = [await served.decide() for _ in range(2)]
    for score in (0.5, 0.5, 0.75):
        await served.post("/feedback", {"id": first, "score": score})
    await served.post("/feedback", [{"id": one, "score": 0.75} for one in (first, second)])
    await served.client.delete(f"/feedback/{first}")
    await served.post("/feedback", {"id": first, "score": "much"})
    await served.post("/feedback", {"id": "0" * 36, "score": 1})
    assert await metric(served, "feedback_total") == {
        ("learned",): 2.0,
        ("unchanged",): 2.0,
        ("amended",): 1.0,
        ("retracted",): 1.0,
        ("accepted",): 0.0,
    }


async def test_the_position_is_how_far_each_routers_log_is_learned(served):
    assert await metric(served, "log_position") == {("auto",): 0.0, ("private",): 0.0}
    decision_id = await served.decide()
    await served.post("/feedback", {"id": decision_id, "score": 0.5})
    await served.post("/feedback", {"id": decision_id, "score": 0.75})
    await reads(served, "log_position", {("auto",): 2.0, ("private",): 0.0})


async def test_requests_and_their_cost_are_counted_by_arm(served):
    costs = {"small": 0.0, "large": 0.0, "local": 0.0}
    for model in ("small", "large", "small"):
        answer = (await served.post(CHAT, chat(model=model))).json()
        costs[model] += answer["banditroute"]["cost_usd"]
    await served.post(CHAT, chat(model="local", stream=True))
    await served.post(CHAT, chat(model="unheard-of"))
    await served.decide()
    assert await metric(served, "requests_total") == {
        ("small", "ok", "auto"): 2.0,
        ("large", "ok", "auto"): 1.0,
        ("local", "ok", "private"): 1.0,
    }
    spent = await metric(served, "cost_usd_total")
    assert {arm: spent[arm,] for arm in costs} == pytest.approx(costs)
    assert costs["large"] > costs["small"] > 0.0


async def test_a_failed_call_is_counted_by_its_fault_and_so_is_the_fallback():
    answers = iter([httpx.Response(429), httpx.Response(200, json=completion())])
    transport = httpx.MockTransport(lambda _: next(answers))
    async with serve(UPSTREAM + SECOND, transport=transport) as running:
        answered = (await running.post(CHAT, chat())).json()["model"]
        (failed,) = {"one", "two"} - {answered}
        assert await metric(running, "requests_total") == {
            (failed, "rate_limit", "auto"): 1.0,
            (answered, "ok", "auto"): 1.0,
        }
        spent = await metric(running, "cost_usd_total")
        assert spent == {(failed,): 0.0, (answered,): pytest.approx(0.002)}


async def test_a_call_of_unknown_cost_adds_nothing_to_what_was_spent():
    answer = httpx.Response(200, json=completion(usage=None))
    async with serve(UPSTREAM, transport=httpx.MockTransport(lambda _: answer)) as running:
        assert (await running.post(CHAT, chat())).status_code == 200
        assert await metric(running, "requests_total") == {("one", "ok", "auto"): 1.0}
        assert await metric(running, "cost_usd_total") == {("one",): 0.0}


@pytest.fixture
def flaky(monkeypatch):
    """The stores that are opened from now on, all of which can be taken away."""
    opened = []
    really = bootstrap.open_store

    def open_store(*args, **kwargs):
        opened.append(FlakyStore(really(*args, **kwargs)))
        return opened[-1]

    monkeypatch.setattr(bootstrap, "open_store", open_store)
    monkeypatch.setattr(follower_module, "WAIT_S", 0.01)
    monkeypatch.setattr(follower_module, "PAUSE_S", 0.001)
    monkeypatch.setattr(backlog_module, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(backlog_module, "LONGEST_PAUSE_S", 0.002)
    return opened


async def test_a_store_that_goes_away_and_comes_back_shows(flaky):
    both = {("auto",): 1.0, ("private",): 1.0}
    async with serve() as running:
        assert await metric(running, "degraded") == {(): 0.0}
        assert await metric(running, "store_up") == both
        flaky[0].down = True
        await reads(running, "degraded", {(): 1.0})
        await reads(running, "store_up", dict.fromkeys(both, 0.0))
        flaky[0].down = False
        await reads(running, "degraded", {(): 0.0})
        await reads(running, "store_up", both)


async def test_what_cannot_be_written_waits_and_then_is_dropped(flaky, monkeypatch):
    monkeypatch.setattr(backlog_module.Backlog.__init__, "__defaults__", (1,))
    async with serve() as running:
        flaky[0].down = True
        await reads(running, "degraded", {(): 1.0})
        await running.post(CHAT, chat())  # a decision, and then its outcome, which is too much
        assert await metric(running, "backlog_waiting") == {(): 1.0}
        assert await metric(running, "dropped_total") == {(): 1.0}
        flaky[0].down = False
        await reads(running, "backlog_waiting", {(): 0.0})
        assert await metric(running, "dropped_total") == {(): 1.0}


async def test_nothing_private_is_shown():
    async with serve(UPSTREAM, transport=httpx.MockTransport(answer_with_canary)) as running:
        wishes = {"task": CANARY, "tags": [CANARY], "session_id": CANARY}
        body = chat(CANARY, user=CANARY, metadata={"a": CANARY}, banditroute=wishes)
        answer = (await running.post(CHAT, body)).json()
        await running.post(CHAT, body | {"model": CANARY})
        said = {"id": answer["id"], "score": 1, "source": CANARY, "comment": CANARY}
        assert (await running.post("/feedback", said)).status_code == 200
        shown = (await running.get("/metrics")).text
    assert 'banditroute_requests_total{arm="one",outcome="ok",router="auto"} 1.0' in shown
    assert 'banditroute_feedback_total{status="learned"} 1.0' in shown
    for private in (CANARY, KEY, "secret-host", "upstream-model", answer["id"]):
        assert private not in shown


def answer_with_canary(_):
    return httpx.Response(200, json=completion(CANARY))


async def test_every_application_counts_for_itself(served):
    await served.decide()
    async with serve() as other:
        decision_id = await other.decide()
        await other.post("/feedback", {"id": decision_id, "score": 0.5})
        assert (await metric(other, "feedback_total"))["learned",] == 1.0
    assert (await metric(served, "feedback_total"))["learned",] == 0.0
