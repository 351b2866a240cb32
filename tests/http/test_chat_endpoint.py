"""Chat over the wire: answers, streams, headers, what providers see, and how their errors look."""

import asyncio
import json
import logging

import httpx
import pytest
from doubles import completion, soon, until
from wire import CANARY, KEY, SECOND, UPSTREAM, chat, events, shaped
from wire import served as serve

from banditroute.http import chat as chat_module

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"


async def test_an_answer_is_openais_with_the_decision_beside_it(served):
    response = await served.post(CHAT, chat())
    assert response.status_code == 200
    body = response.json()
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"]["content"]
    about = body["banditroute"]
    assert body["id"] == f"chatcmpl-{about['decision_id']}"
    assert body["model"] == about["model"] in {"small", "large"}
    assert (about["router"], about["policy"]) == ("auto", "thompson")
    assert 0.0 < about["propensity"] <= 1.0
    headers = response.headers
    assert headers["content-type"] == "application/json"
    assert headers["x-banditroute-decision-id"] == about["decision_id"]
    assert headers["x-banditroute-model"] == body["model"]
    assert float(headers["x-banditroute-cost-usd"]) == pytest.approx(about["cost_usd"], abs=1e-8)
    assert headers["x-banditroute-attempts"] == "1"
    assert float(headers["x-banditroute-overhead-ms"]) >= 0.0
    assert "x-banditroute-degraded" not in headers


async def test_an_arms_id_as_model_is_that_arm(served):
    response = await served.post(CHAT, chat(model="local"))
    assert response.json()["model"] == "local"
    assert response.json()["banditroute"]["propensity"] == 1.0
    receipt = await served.get(f"/v1/decisions/{response.json()['id']}")
    assert receipt.json()["explored"] is False
    assert "asked for local by name" in receipt.json()["summary"]


async def test_wishes_are_listened_to(served):
    wishes = {"candidates": ["large"], "task": "code", "tags": ["a"], "session_id": "s"}
    response = await served.post(CHAT, chat(banditroute={**wishes, "patience_s": 7}))
    assert response.json()["model"] == "large"
    receipt = (await served.get(f"/v1/decisions/{response.json()['id']}")).json()
    assert (receipt["task"], receipt["tags"], receipt["session_id"]) == ("code", ["a"], "s")
    assert receipt["objective"]["patience_s"] == 7
    assert [e["arm"] for e in receipt["excluded"]] == ["small"]


async def test_what_is_not_wished_is_looked_up_in_openais_metadata(served):
    metadata = {"task": "maths", "tags": "a, b,,c", "session_id": "s", "other": 1}
    response = await served.post(CHAT, chat(metadata=metadata))
    receipt = (await served.get(f"/v1/decisions/{response.json()['id']}")).json()
    assert (receipt["task"], receipt["tags"]) == ("maths", ["a", "b", "c"])
    assert receipt["session_id"] == "s"
    odd = {"task": 5, "tags": ["a"], "session_id": ""}
    response = await served.post(CHAT, chat(metadata=odd, banditroute={"task": "code"}))
    receipt = (await served.get(f"/v1/decisions/{response.json()['id']}")).json()
    assert (receipt["task"], receipt["tags"], receipt["session_id"]) == ("code", [], None)


async def test_a_stream_ends_with_the_decision_and_done(served):
    response = await served.post(CHAT, chat(stream=True))
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    *chunks, done = events(response)
    assert done == "[DONE]"
    chunks = [json.loads(one) for one in chunks]
    decision_id = response.headers["x-banditroute-decision-id"]
    assert {c["id"] for c in chunks} == {f"chatcmpl-{decision_id}"}
    assert {c["model"] for c in chunks} == {response.headers["x-banditroute-model"]}
    assert ["banditroute" in c for c in chunks] == [False] * (len(chunks) - 1) + [True]
    assert "x-banditroute-cost-usd" not in response.headers, "not known yet"
    assert chunks[-1]["banditroute"]["cost_usd"] > 0
    receipt = (await served.get(f"/v1/decisions/{decision_id}")).json()
    assert receipt["outcome"]["error"] is None
    assert receipt["outcome"]["ttft_s"] is not None


async def test_a_silent_arm_is_covered_by_comments(served, monkeypatch):
    monkeypatch.setattr(chat_module, "KEEPALIVE_S", 0.001)
    provider = served.application.dispatcher._providers["simulated"]
    monkeypatch.setattr(provider, "_time_scale", 0.05)
    response = await served.post(CHAT, chat(stream=True))
    assert ": keepalive\n\n" in response.text
    assert response.text.endswith("data: [DONE]\n\n")
    chunks = [json.loads(one) for one in events(response)[:-1]]
    said = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
    assert said.startswith("a simulated answer")


# ── providers ────────────────────────────────────────────────────────────────────────────────


class Cloud:
    """Every OpenAI-compatible upstream, at the transport."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []
        self.hold = None

    async def __call__(self, request):
        self.requests.append(request)
        if self.hold is not None:
            await self.hold.wait()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        status, body, headers = answer
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": "application/json", **headers}
        return httpx.Response(status, content=content, headers=headers)

    @property
    def bodies(self):
        return [json.loads(request.content) for request in self.requests]


def ok(**changes):
    return 200, completion(**changes), {}


def refused(status, message="canary-body https://secret-host.example", **headers):
    return status, {"error": {"message": message, "code": "some_code"}}, headers


def through(cloud, config=UPSTREAM):
    return serve(config, transport=httpx.MockTransport(cloud))


async def test_unknown_fields_ride_along_and_ours_stay_here():
    cloud = Cloud(ok())
    async with through(cloud) as running:
        sent = chat("hi", invented={"a": [1]}, tools=[], metadata={"task": "x"}, temperature=0)
        response = await running.post(CHAT, {**sent, "banditroute": {"task": "code"}})
    assert response.json()["invented_tomorrow"] == {"kept": True}
    assert cloud.bodies == [{**sent, "model": "upstream-model"}]
    assert cloud.requests[0].headers["authorization"] == f"Bearer {KEY}"


SAME_CLASS = {400: 400, 413: 413, 422: 422, 429: 429, 500: 503, 503: 503, 529: 503, 504: 504}
OURS = {401: 502, 402: 502, 403: 502, 404: 502}


@pytest.mark.parametrize(("upstream", "status"), [*SAME_CLASS.items(), *OURS.items()])
async def test_a_providers_error_keeps_its_class_and_leaks_nothing(upstream, status, caplog):
    """A fault of ours with a provider, such as a wrong key, is never the caller's 4xx."""
    cloud = Cloud(refused(upstream))
    caplog.set_level(logging.DEBUG, "banditroute")
    async with through(cloud) as running:
        response = await running.post(CHAT, chat(CANARY))
    assert response.status_code == status
    error = shaped(response)
    assert error["code"].startswith("upstream_")
    assert "arm one" in error["message"]
    assert response.headers["x-should-retry"] == "false"
    for secret in (KEY, "secret-host", "canary-body", CANARY):
        assert secret not in response.text
        assert secret not in str(response.headers)
        assert secret not in caplog.text


async def test_how_long_a_provider_wants_to_be_left_alone_is_passed_on():
    async with through(Cloud(refused(429, **{"retry-after": "7"}))) as running:
        response = await running.post(CHAT, chat())
    assert response.status_code == 429
    assert shaped(response)["type"] == "rate_limit_error"
    assert response.headers["retry-after"] == "7"


async def test_a_provider_that_cannot_be_reached_is_a_bad_gateway():
    async with through(Cloud(httpx.ConnectError("https://secret-host.example"))) as running:
        response = await running.post(CHAT, chat())
    assert response.status_code == 502
    assert shaped(response)["code"] == "upstream_connection"
    assert "secret-host" not in response.text


async def test_the_answer_of_a_fallback_says_how_many_were_tried():
    cloud = Cloud(refused(500), ok())
    async with through(cloud, UPSTREAM + SECOND) as running:
        response = await running.post(CHAT, chat())
        assert response.status_code == 200
        assert response.headers["x-banditroute-attempts"] == "2"
        receipt = (await running.get(f"/v1/decisions/{response.json()['id']}")).json()
    assert receipt["parent_id"]
    assert f"fallback for decision {receipt['parent_id']}" in receipt["summary"]
    assert [e["reason"] for e in receipt["excluded"]] == ["failed"]


def stream_of(*chunks):
    data = b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in chunks)
    return 200, data, {"content-type": "text/event-stream"}


CHUNK = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "hel"}}]}


async def test_a_stream_that_breaks_off_says_so_in_the_stream():
    """A stream that just ends would pass for a whole answer."""
    async with through(Cloud(stream_of(CHUNK))) as running:
        response = await running.post(CHAT, chat(stream=True))
    assert response.status_code == 200
    first, error, done = events(response)
    assert json.loads(first)["choices"] == CHUNK["choices"]
    assert json.loads(error)["error"]["code"] == "upstream_interrupted"
    assert done == "[DONE]"


async def test_a_stream_that_never_begins_is_a_plain_error():
    async with through(Cloud(refused(503))) as running:
        response = await running.post(CHAT, chat(stream=True))
    assert response.status_code == 503
    assert shaped(response)["code"] == "upstream_unavailable"


@pytest.mark.parametrize("stream", [False, True])
async def test_more_chats_than_are_allowed_are_told_to_come_back(stream):
    cloud = Cloud(ok() if not stream else stream_of(CHUNK))
    cloud.hold = asyncio.Event()
    async with through(cloud, "[server]\nmax_concurrency = 2\n" + UPSTREAM) as running:
        held = [asyncio.create_task(running.post(CHAT, chat(stream=stream))) for _ in range(2)]
        await until(lambda: len(cloud.requests) == 2)
        response = await soon(running.post(CHAT, chat()))
        assert response.status_code == 503
        assert shaped(response)["code"] == "overloaded"
        assert "max_concurrency" in shaped(response)["message"]
        assert response.headers["retry-after"] == "1"
        assert (await running.post("/v1/route", chat())).status_code == 200, "no call, no place"
        cloud.hold.set()
        await asyncio.gather(*held)
        assert running.application.http.state.parts.running == 0
        assert (await running.post(CHAT, chat(stream=stream))).status_code == 200


async def test_a_place_is_given_back_after_an_error():
    config = "[server]\nmax_concurrency = 1\n" + UPSTREAM
    async with through(Cloud(refused(500)), config) as running:
        for stream in (False, True, False):
            assert (await running.post(CHAT, chat(stream=stream))).status_code == 503
            assert (await running.post(CHAT, {"model": "nope"})).status_code == 400
        assert shaped(await running.post(CHAT, chat()))["code"] == "upstream_unavailable"


async def test_a_full_arm_is_told_to_come_back():
    cloud = Cloud(ok())
    cloud.hold = asyncio.Event()
    async with through(cloud, UPSTREAM + "max_concurrency = 1\n") as running:
        held = asyncio.create_task(running.post(CHAT, chat()))
        await until(lambda: cloud.requests)
        response = await soon(running.post(CHAT, chat()))
        assert response.status_code == 503
        assert shaped(response)["code"] == "no_eligible_arm"
        assert "already at its max_concurrency" in shaped(response)["message"]
        assert response.headers["retry-after"] == "1"
        cloud.hold.set()
        assert (await held).status_code == 200


async def test_while_the_store_is_away_answers_go_on_and_say_so(served, monkeypatch):
    engine = served.application.engine
    for follower in engine._followers.values():
        follower.away = True
    response = await served.post(CHAT, chat())
    assert response.status_code == 200
    assert response.headers["x-banditroute-degraded"] == "true"


@pytest.mark.parametrize("sent", ["req-1", "A.b:c_d-9"])
async def test_a_sane_request_id_comes_back(served, sent):
    response = await served.client.get("/healthz", headers={"x-request-id": sent})
    assert response.headers["x-request-id"] == sent


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, "ä".encode("latin-1")])
async def test_a_request_id_that_is_none_or_insane_is_replaced(served, sent):
    response = await served.client.get("/healthz", headers={"x-request-id": sent})
    assert len(response.headers["x-request-id"]) == 32


class Silent(httpx.AsyncByteStream):
    """The body of a stream that begins and then says nothing."""

    def __init__(self):
        self.left = asyncio.Event()

    async def __aiter__(self):
        yield b"data: " + json.dumps(CHUNK).encode() + b"\n\n"
        await asyncio.Event().wait()

    async def aclose(self):
        self.left.set()


SCOPE = {
    "type": "http",
    "method": "POST",
    "path": CHAT,
    "raw_path": CHAT.encode(),
    "query_string": b"",
    "headers": [],
    "asgi": {"version": "3.0", "spec_version": "2.3"},
}


@pytest.mark.parametrize("ending", ["disconnect", "no head can be sent", "no chunk can be sent"])
async def test_a_caller_who_leaves_a_stream_leaves_nothing_behind(ending):
    """As a server tells it, while the arm is silent."""
    silent = Silent()

    def upstream(request):
        headers = {"content-type": "text/event-stream"}
        return httpx.Response(200, stream=silent, headers=headers)

    async with serve(UPSTREAM, transport=httpx.MockTransport(upstream)) as running:
        parts = running.application.http.state.parts
        came = asyncio.Queue()
        body = json.dumps(chat(stream=True)).encode()
        came.put_nowait({"type": "http.request", "body": body, "more_body": False})
        sent = []

        async def send(message):
            sent.append(message)
            assert parts.running == 1, "a stream has its place until its end"
            if message["type"] == "http.response.start":
                if ending == "no head can be sent":
                    raise ConnectionResetError
            elif ending == "no chunk can be sent":
                raise ConnectionResetError
            else:
                came.put_nowait({"type": "http.disconnect"})

        call = running.application.http(dict(SCOPE), came.get, send)
        (end,) = await soon(asyncio.gather(call, return_exceptions=True))
        assert end is None or isinstance(end, ConnectionResetError)
        assert silent.left.is_set()
        assert parts.running == 0
        decision_id = dict(sent[0]["headers"])[b"x-banditroute-decision-id"].decode()
        receipt = (await running.get(f"/v1/decisions/{decision_id}")).json()
        assert receipt["outcome"]["error"] == "abandoned"
