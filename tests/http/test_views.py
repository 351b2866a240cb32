"""What can be looked up: receipts, arms, models, health, and the API's own description."""

import re
from dataclasses import replace

import pytest
from doubles import asking, grow
from starlette.exceptions import HTTPException
from wire import CONFIG, chat, shaped
from wire import served as serve

from banditroute.errors import BanditrouteError, CheckpointInvalid
from banditroute.http.errors import error_body, status_of
from banditroute.http.keyring import Keyring
from banditroute.http.parts import Parts, Place
from banditroute.http.views import receipt as receipt_of

pytestmark = pytest.mark.anyio


async def test_a_routed_decision_shows_what_it_was_drawn_from(served):
    body = (await served.post("/v1/route", chat(banditroute={"exclude": ["small"]}))).json()
    assert body["object"] == "decision"
    assert body["id"] == f"chatcmpl-{body['decision_id']}"
    assert body["arm"] == body["model"] == "large"
    assert (body["policy"], body["propensity"], body["degraded"]) == ("thompson", 1.0, False)
    (candidate,) = body["candidates"]
    assert candidate.keys() >= {"quality", "quality_sd", "cost_usd", "latency_s", "utility"}
    assert (candidate["arm"], candidate["chosen"], candidate["probability"]) == ("large", True, 1.0)
    assert body["excluded"] == [
        {
            "arm": "small",
            "reason": "excluded_by_caller",
            "explanation": "named in the request's banditroute.exclude",
        }
    ]


async def test_a_receipt_tells_everything_about_a_decision(served):
    answer = (await served.post("/v1/chat/completions", chat("How many legs?"))).json()
    await served.post("/feedback", {"id": answer["id"], "score": 0.5, "source": "ann"})
    receipt = (await served.get(f"/v1/decisions/{answer['id']}")).json()
    about = answer["banditroute"]
    assert receipt["decision_id"] == about["decision_id"]
    assert receipt["propensity"] == about["propensity"]
    assert receipt["made_at"] == "2027-01-15T08:00:00.000Z"
    assert (receipt["position"], receipt["explored"], receipt["parent_id"]) == (0, True, None)
    assert receipt["features"]["bias"] == 1.0
    assert all(value != 0.0 for value in receipt["features"].values())
    assert set(receipt["features"]) <= set(served.application.engine.featurizer.names)
    assert receipt["outcome"]["error"] is None
    assert receipt["outcome"]["cost_usd"] == about["cost_usd"]
    assert [(f["source"], f["score"]) for f in receipt["feedback"]] == [("ann", 0.5)]
    assert receipt["quality"] == 0.5
    probabilities = [c["probability"] for c in receipt["candidates"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1.0)
    assert re.match(
        rf"{answer['model']} was drawn with probability 0\.\d+ by policy thompson, as one of 2 "
        r"arms\. Expected utility -?\d\.\d+: quality 0\.\d+ ± 0\.\d+, less 0\.\d+ for "
        r"\$0\.\d+ and 0\.\d+ for \d\.\d\d s\.",
        receipt["summary"],
    )


async def test_a_receipt_before_anything_came_of_it(served):
    decision_id = await served.decide()
    receipt = (await served.get(f"/v1/decisions/{decision_id}")).json()
    assert (receipt["outcome"], receipt["feedback"], receipt["quality"]) == (None, [], None)
    assert "replay" not in receipt


async def test_a_summary_says_when_the_best_was_not_drawn_and_who_was_left_out(served):
    said = ""
    for _ in range(200):  # the floor of 0.2 draws the second best one time in ten
        decision_id = await served.decide()
        said = (await served.get(f"/v1/decisions/{decision_id}")).json()["summary"]
        if "looked best" in said:
            break
    assert re.search(r"(small|large) looked best \(utility 0\.\d+\) but the router still", said)
    decision_id = await served.decide(exclude=["large"])
    said = (await served.get(f"/v1/decisions/{decision_id}")).json()["summary"]
    assert "as the only arm left" in said
    assert "Not considered: large: named in the request's banditroute.exclude." in said


async def test_a_decision_made_again_is_the_same(served):
    engine = served.application.engine
    for seed in range(3):
        await grow(engine, engine.store, 30, seed=seed)
        await engine.arms("auto")
        decision_id = await served.decide()
        replay = (await served.get(f"/v1/decisions/{decision_id}", replay=True)).json()["replay"]
        assert replay["same"] is True
        assert replay["probabilities"].keys() == {"small", "large"}


async def test_a_decision_that_comes_out_otherwise_is_not_called_the_same(served):
    engine = served.application.engine
    decision = engine.decide("auto", asking())
    await grow(engine, engine.store, 10)
    engine.remember(replace(decision, position=20))  # as if it had been made of all that
    receipt = (await served.get(f"/v1/decisions/{decision.id}", replay=True)).json()
    assert receipt["replay"]["same"] is False


async def test_features_that_were_made_differently_are_shown_by_number(served):
    record = await served.application.engine.receipt(await served.decide())
    features = receipt_of(record, ["one", "two"])["features"]
    assert features["x0"] == 1.0


async def test_arms_show_what_was_learned(served):
    for score in (0.25, 0.75):
        decision_id = await served.decide(candidates=["small"])
        await served.post("/v1/outcomes", {"id": decision_id, "cost_usd": 0.1, "latency_s": 2})
        await served.post("/feedback", {"id": decision_id, "score": score})
    body = (await served.get("/v1/arms", router="auto")).json()
    assert (body["object"], body["router"], body["position"]) == ("list", "auto", 4)
    small, large = body["data"]
    assert small["quality"] == pytest.approx(0.5)
    assert small["quality_sd"] > 0
    assert (small["id"], small["feedback_n"], small["requests_n"]) == ("small", 2, 2)
    assert small["cost_usd"] == pytest.approx(0.1)
    assert 1.0 < small["latency_s"] < 3.0
    assert (small["error_rate"], small["share"]) == (0.0, 1.0)
    assert large == {
        "id": "large",
        "feedback_n": 0,
        "requests_n": 0,
        "quality": None,
        "quality_sd": None,
        "cost_usd": None,
        "latency_s": None,
        "error_rate": 0.0,
        "share": 0.0,
    }
    assert (await served.get("/v1/arms")).json() == body, "the first router, if none is named"


async def test_models_are_routers_and_arms(served):
    body = (await served.get("/v1/models")).json()
    assert body["object"] == "list"
    assert [(m["id"], m["owned_by"]) for m in body["data"]] == [
        ("auto", "banditroute"),
        ("private", "banditroute"),
        ("small", "simulated"),
        ("large", "simulated"),
        ("local", "simulated"),
    ]
    assert {m["object"] for m in body["data"]} == {"model"}
    assert {m["created"] for m in body["data"]} == {int(served.clock.now_s)}


async def test_health_and_readiness(served):
    assert (await served.get("/healthz")).json() == {"status": "ok"}
    ready = {"status": "ready", "learning": True, "waiting": 0, "dropped": 0}
    assert (await served.get("/readyz")).json() == ready
    served.application.engine._followers["auto"].away = True
    response = await served.get("/readyz")
    assert response.status_code == 200, "it still answers"
    assert response.json() == {**ready, "status": "degraded", "learning": False}


async def test_the_description_is_complete(served):
    document = (await served.get("/openapi.json")).json()
    assert document["info"]["title"] == "banditroute"
    paths = document["paths"]
    assert {"/v1/chat/completions", "/v1/route", "/feedback", "/v1/outcomes"} <= paths.keys()
    for path, methods in paths.items():
        for method, operation in methods.items():
            assert operation.get("summary"), (path, method)
            assert operation.get("description"), (path, method)
            assert operation["responses"], (path, method)
            if method == "post" and path != "/admin/reload":  # which is sent nothing
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                assert schema, path
                assert "$ref" not in repr(schema), path


async def test_a_described_chat_is_what_is_accepted(served):
    document = (await served.get("/openapi.json")).json()
    for path in ("/v1/chat/completions", "/v1/route"):
        content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        wishes = content["schema"]["properties"]["banditroute"]
        assert "patience_s" in repr(wishes)
        assert (await served.post(path, content["example"])).status_code == 200


async def test_the_docs_need_no_other_server(served):
    page = await served.get("/docs")
    assert page.status_code == 200
    assert not re.search(r"(src|href)=.https?://", page.text)
    for url in re.findall(r"(?:src|href)=.(/[^\"']+\.(?:js|css))", page.text):
        assert (await served.get(url)).status_code == 200
    assert (await served.get("/redoc")).status_code == 404


async def test_the_application_starts_and_stops_its_engine():
    async with serve(CONFIG) as running:
        engine = running.application.engine
        assert engine._tasks
    assert not engine._tasks


async def test_what_is_no_http_is_left_to_the_framework(served):
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message["type"])

    scope = {"type": "websocket", "path": "/v1/chat/completions", "headers": []}
    await served.application.http(scope, receive, send)
    assert sent == ["websocket.close"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (BanditrouteError("?"), 500, "internal_error"),
        (CheckpointInvalid("?"), 503, "store_unavailable"),
    ],
)
def test_an_error_that_is_nobodys_fault_out_there_is_ours(error, status, code):
    assert status_of(error) == status
    assert error_body(error)["error"]["code"] == code


async def test_any_other_http_error_is_told_by_its_name(served):
    def teapot():
        raise HTTPException(418)

    served.application.http.add_api_route("/tea", teapot)
    response = await served.get("/tea")
    assert response.status_code == 418
    assert shaped(response)["message"] == "I'm a Teapot"


def test_a_place_is_given_back_once(served_parts):
    first, second = Place(served_parts), Place(served_parts)
    first.leave()
    first.leave()
    assert served_parts.running == 1
    second.leave()
    assert served_parts.running == 0


@pytest.fixture
def served_parts():
    return Parts(None, lambda: 0.0, 0, 1000, 5, Keyring(), None)
