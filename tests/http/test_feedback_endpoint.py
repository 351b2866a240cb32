"""Feedback and outcomes over the wire: learned once, changed, taken back, all or nothing."""

import asyncio

import pytest
from wire import CONFIG, chat, shaped
from wire import served as serve

from banditroute.errors import InvalidRequest, StoreUnavailable

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("path", ["/feedback", "/v1/feedback"])
@pytest.mark.parametrize("prefix", ["", "chatcmpl-"])
async def test_feedback_is_learned_then_unchanged_then_amended(served, path, prefix):
    sent = prefix + await served.decide()
    for score, status in [(0.5, "learned"), (0.5, "unchanged"), (0.75, "amended")]:
        response = await served.post(path, {"id": sent, "score": score})
        assert response.status_code == 200
        assert response.json() == {"id": sent, "status": status}
        assert await served.learned() == 1


@pytest.mark.parametrize(
    ("said", "quality"),
    [
        ({"score": 0}, 0.0),
        ({"score": 1}, 1.0),
        ({"score": 0.25}, 0.25),
        ({"thumbs": "up"}, 1.0),
        ({"thumbs": "down"}, 0.0),
        ({"rating": 1, "scale": 5}, 0.0),
        ({"rating": 4, "scale": 5}, 0.75),
        ({"rating": 5.5, "scale": 10}, 0.5),
        ({"rating": 5, "scale": 5}, 1.0),
    ],
)
async def test_whatever_is_said_becomes_a_quality(served, said, quality):
    decision_id = await served.decide()
    response = await served.post("/feedback", {"id": decision_id, **said})
    assert response.json()["status"] == "learned"
    receipt = (await served.get(f"/v1/decisions/{decision_id}")).json()
    assert receipt["quality"] == quality


async def test_a_list_is_answered_in_its_order(served):
    ids = [await served.decide() for _ in range(3)]
    await served.post("/feedback", {"id": ids[1], "score": 0.5})
    items = [
        {"id": ids[2], "score": 0.1},
        {"id": ids[1], "score": 0.5},
        {"id": f"chatcmpl-{ids[0]}", "score": 0.2},
        {"id": ids[2], "score": 0.3},
    ]
    response = await served.post("/feedback", items)
    assert [one["id"] for one in response.json()] == [one["id"] for one in items]
    statuses = [one["status"] for one in response.json()]
    assert statuses == ["learned", "unchanged", "learned", "amended"]
    assert await served.learned() == 3


async def test_a_list_of_a_thousand_is_fine(served):
    ids = [await served.decide() for _ in range(5)]
    items = [{"id": id_, "score": 0.5, "source": f"s{n}"} for id_ in ids for n in range(200)]
    response = await served.post("/feedback", items)
    assert {one["status"] for one in response.json()} == {"learned"}
    assert await served.learned() == 5


async def test_every_source_has_its_say_once(served):
    decision_id = await served.decide()
    for source in ("user", "judge:v1", "user"):
        await served.post("/feedback", {"id": decision_id, "score": 1, "source": source})
    receipt = (await served.get(f"/v1/decisions/{decision_id}")).json()
    assert [one["source"] for one in receipt["feedback"]] == ["judge:v1", "user"]
    assert await served.learned() == 1


@pytest.mark.parametrize("path", ["/feedback", "/v1/feedback"])
async def test_feedback_can_be_taken_back(served, path):
    decision_id = await served.decide()
    await served.post("/feedback", {"id": decision_id, "score": 1})
    await served.post("/feedback", {"id": decision_id, "score": 0, "source": "ann"})
    url = f"{path}/chatcmpl-{decision_id}"
    for source, status in [("ann", "retracted"), ("ann", "unchanged"), ("user", "retracted")]:
        response = await served.client.delete(url, params={"source": source})
        assert response.json() == {"id": f"chatcmpl-{decision_id}", "status": status}
    assert await served.learned() == 0
    receipt = (await served.get(f"/v1/decisions/{decision_id}")).json()
    assert receipt["quality"] is None
    assert await _status(served, {"id": decision_id, "score": 0.5}) == "learned"


async def _status(served, body):
    return (await served.post("/feedback", body)).json()["status"]


async def test_feedback_on_two_routers_goes_to_each(served):
    here = await served.decide()
    there = (await served.post("/v1/route", chat(model="private"))).json()["decision_id"]
    items = [{"id": there, "score": 1}, {"id": here, "score": 0}]
    assert (await served.post("/feedback", items)).status_code == 200
    assert await served.learned() == await served.learned("private") == 1


async def test_what_a_feedback_carries_is_kept(served):
    decision_id = await served.decide()
    deep = {"a": 1}
    for _ in range(200):
        deep = {"a": deep}
    body = {"id": decision_id, "thumbs": "up", "comment": "grand ☀", "metadata": deep}
    assert await _status(served, {**body, "weight": 0.5}) == "learned"
    (kept,) = (await served.get(f"/v1/decisions/{decision_id}")).json()["feedback"]
    assert kept == {
        "source": "user",
        "score": 1.0,
        "kind": "thumbs",
        "weight": 0.5,
        "comment": "grand ☀",
        "metadata": deep,
    }


async def test_a_257th_source_is_refused(served):
    decision_id = await served.decide()
    items = [{"id": decision_id, "score": 1, "source": f"s{n}"} for n in range(256)]
    assert (await served.post("/feedback", items)).status_code == 200
    response = await served.post("/feedback", {"id": decision_id, "score": 1})
    assert response.status_code == 400
    assert "256 sources" in shaped(response)["message"]


async def test_an_error_that_names_its_own_place_keeps_it(served, monkeypatch):
    decision_id = await served.decide()

    async def refuse(*args):
        raise InvalidRequest("too much", param="comment")

    monkeypatch.setattr(served.application.engine.store, "absorb", refuse)
    response = await served.post("/feedback", [{"id": decision_id, "score": 1}])
    assert response.status_code == 400
    assert (shaped(response)["param"], shaped(response)["message"]) == ("comment", "too much")


async def test_an_outcome_of_the_clients_own_call_is_learned(served):
    routed = (await served.post("/v1/route", {"messages": [{"role": "user"}]})).json()
    assert routed["router"] == "auto", "the first router, if none is named"
    body = {"id": routed["id"], "output_tokens": 50, "cost_usd": 0.5, "latency_s": 2.0}
    assert (await served.post("/v1/outcomes", body)).json() == {
        "id": routed["id"],
        "status": "learned",
    }
    assert (await served.post("/v1/outcomes", body)).json()["status"] == "unchanged"
    arms = (await served.get("/v1/arms")).json()["data"]
    (arm,) = [arm for arm in arms if arm["id"] == routed["arm"]]
    assert (arm["requests_n"], arm["cost_usd"], arm["share"]) == (1, 0.5, 1.0)


async def test_an_error_of_the_clients_own_call_is_learned(served):
    decision_id = await served.decide()
    body = {"id": decision_id, "error": "timeout", "latency_s": 60}
    assert (await served.post("/v1/outcomes", body)).json()["status"] == "learned"
    arms = (await served.get("/v1/arms")).json()["data"]
    assert max(arm["error_rate"] for arm in arms) > 0.0


@pytest.mark.parametrize("call", ["feedback", "outcome", "delete", "receipt", "arms"])
async def test_while_the_store_is_away_nothing_is_acknowledged(served, monkeypatch, call):
    decision_id = await served.decide()

    async def away(*args):
        raise StoreUnavailable("the store did not work: disk I/O error", retry_after_s=3.2)

    for method in ("absorb", "record", "find", "head"):
        monkeypatch.setattr(served.application.engine.store, method, away)
    response = await {
        "feedback": lambda: served.post("/feedback", {"id": decision_id, "score": 1}),
        "outcome": lambda: served.post("/v1/outcomes", {"id": decision_id, "latency_s": 1}),
        "delete": lambda: served.client.delete(f"/feedback/{decision_id}"),
        "receipt": lambda: served.get(f"/v1/decisions/{decision_id}"),
        "arms": lambda: served.get("/v1/arms"),
    }[call]()
    assert response.status_code == 503
    assert shaped(response)["code"] == "store_unavailable"
    assert response.headers["retry-after"] == "3"


async def test_feedback_of_many_at_once_is_counted_exactly(tmp_path):
    config = CONFIG.replace("memory://", f"sqlite:///{tmp_path}/log.db")
    async with serve(config) as running:
        ids = [await running.decide() for _ in range(20)]
        posts = [running.post("/feedback", {"id": id_, "score": 0.5}) for id_ in ids * 5]
        answers = await asyncio.gather(*posts)
        statuses = [answer.json()["status"] for answer in answers]
        assert statuses.count("learned") == await running.learned() == 20
