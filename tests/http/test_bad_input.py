"""Whatever is sent: the right status, OpenAI's shape, where it is wrong and what to change."""

import json

import httpx
import pytest
from wire import CONFIG, chat
from wire import served as serve

pytestmark = pytest.mark.anyio

CANARY = "canary-7f3a"


def bad(fields):
    """A chat request with the canary in its prompt, and something wrong."""
    return chat(CANARY, **fields)


def wishing(**wishes):
    return chat(CANARY, banditroute=wishes)


def item(**fields):
    return {"id": "{id}", **fields}


CHAT, ROUTE, FEEDBACK, OUTCOMES = "/v1/chat/completions", "/v1/route", "/feedback", "/v1/outcomes"

# name: (path, body, status, param, code, part of the message)
CASES = {
    "malformed JSON": (CHAT, b'{"model": "auto",', 400, None, "invalid_json", "at line 1 column"),
    "empty body": (CHAT, b"", 400, None, "invalid_json", "send a JSON object"),
    "NaN": (CHAT, b'{"model": NaN}', 400, None, "invalid_json", "not valid JSON"),
    "lone surrogate": (CHAT, b'{"model": "\\ud800"}', 400, None, "invalid_json", "surrogate"),
    "not UTF-8": (CHAT, b'{"model": "\xff"}', 400, None, "invalid_json", "not valid JSON"),
    "endless nesting": (CHAT, b"[" * 100_000, 400, None, "invalid_json", "not valid JSON"),
    "a list": (CHAT, [], 400, None, "invalid_request", "must be a JSON object"),
    "a string": (CHAT, "hi", 400, None, "invalid_request", "must be a JSON object"),
    "null": (CHAT, None, 400, None, "invalid_request", "must be a JSON object"),
    "no model": (CHAT, {"messages": []}, 400, "model", "invalid_request", "model: is required"),
    "model of the wrong type": (CHAT, bad({"model": 5}), 400, "model", "invalid_request", "string"),
    "no messages": (CHAT, {"model": "auto"}, 400, "messages", "invalid_request", "is required"),
    "empty messages": (
        CHAT,
        {"model": "auto", "messages": []},
        400,
        "messages",
        "invalid_request",
        "must not be empty",
    ),
    "messages of the wrong type": (
        CHAT,
        {"model": "auto", "messages": CANARY},
        400,
        "messages",
        "invalid_request",
        "list",
    ),
    "message of the wrong type": (
        CHAT,
        {"model": "auto", "messages": [CANARY]},
        400,
        "messages.0",
        "invalid_request",
        "messages.0",
    ),
    "message without a role": (
        CHAT,
        {"model": "auto", "messages": [{"role": "user"}, {"content": CANARY}]},
        400,
        "messages.1.role",
        "invalid_request",
        "messages.1.role: is required",
    ),
    "role of the wrong type": (
        CHAT,
        {"model": "auto", "messages": [{"role": 1, "content": CANARY}]},
        400,
        "messages.0.role",
        "invalid_request",
        "string",
    ),
    "stream of the wrong type": (
        CHAT,
        bad({"stream": "yes"}),
        400,
        "stream",
        "invalid_request",
        "boolean",
    ),
    "unknown model": (
        CHAT,
        bad({"model": "gpt-nope"}),
        404,
        "model",
        "model_not_found",
        "neither a router (auto, private) nor an arm; GET /v1/models",
    ),
    "unknown model to route": (
        ROUTE,
        bad({"model": "gpt-nope"}),
        404,
        "model",
        "model_not_found",
        "GET /v1/models",
    ),
    "unknown wish": (
        CHAT,
        wishing(tsak="code"),
        400,
        "banditroute.tsak",
        "invalid_request",
        "is not known here; remove it or check its spelling",
    ),
    "wishes of the wrong type": (
        CHAT,
        bad({"banditroute": "code"}),
        400,
        "banditroute",
        "invalid_request",
        "banditroute",
    ),
    "wish of the wrong type": (
        CHAT,
        wishing(explore="no"),
        400,
        "banditroute.explore",
        "invalid_request",
        "boolean",
    ),
    "patience of nothing": (
        CHAT,
        wishing(patience_s=0),
        400,
        "banditroute.patience_s",
        "invalid_request",
        "greater than 0",
    ),
    "no candidates at all": (
        CHAT,
        wishing(candidates=[]),
        400,
        "banditroute.candidates",
        "invalid_request",
        "must not be empty",
    ),
    "unknown candidate": (
        CHAT,
        wishing(candidates=["small", "tiny"]),
        400,
        "banditroute.candidates",
        "invalid_request",
        "names no arm of this server: tiny; GET /v1/models",
    ),
    "unknown exclusion": (
        ROUTE,
        wishing(exclude=["tiny"]),
        400,
        "banditroute.exclude",
        "invalid_request",
        "tiny",
    ),
    "a candidate of another router": (
        CHAT,
        wishing(candidates=["local"]),
        400,
        None,
        "no_eligible_arm",
        "large: not among the request's banditroute.candidates",
    ),
    "data that no arm may see": (
        CHAT,
        wishing(data=["medical"]),
        400,
        None,
        "no_eligible_arm",
        "its labels do not cover the request's banditroute.data (medical)",
    ),
    "a named arm that lacks a capability": (
        CHAT,
        bad({"model": "small", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
        400,
        None,
        "no_eligible_arm",
        "lacks a capability that the request needs (vision)",
    ),
    "everything wrong at once": (
        CHAT,
        {"model": 1, "stream": 2, "metadata": 3, "messages": [4, 5, 6]},
        400,
        "model",
        "invalid_request",
        "and 1 more",
    ),
    "score over 1": (FEEDBACK, item(score=1.5), 400, "score", "invalid_request", "equal to 1"),
    "score under 0": (FEEDBACK, item(score=-0.1), 400, "score", "invalid_request", "equal to 0"),
    "score true": (FEEDBACK, item(score=True), 400, "score", "invalid_request", "number"),
    "score as text": (FEEDBACK, item(score="0.7"), 400, "score", "invalid_request", "number"),
    "score NaN": (FEEDBACK, b'{"id": "x", "score": NaN}', 400, None, "invalid_json", "JSON"),
    "score Infinity": (FEEDBACK, b'{"id": "x", "score": Infinity}', 400, None, "invalid_json", ""),
    "score 1e400": (FEEDBACK, b'{"id": "x", "score": 1e400}', 400, None, "invalid_json", ""),
    "score 1e308": (FEEDBACK, item(score=1e308), 400, "score", "invalid_request", "equal to 1"),
    "nothing said": (FEEDBACK, item(), 400, None, "invalid_request", "exactly one of score"),
    "two things said": (
        FEEDBACK,
        item(score=0.5, thumbs="up"),
        400,
        None,
        "invalid_request",
        "found score and thumbs",
    ),
    "thumbs sideways": (FEEDBACK, item(thumbs="side"), 400, "thumbs", "invalid_request", "'up'"),
    "rating without scale": (
        FEEDBACK,
        item(rating=4),
        400,
        None,
        "invalid_request",
        "rating and scale go together",
    ),
    "scale without rating": (
        FEEDBACK,
        item(score=0.5, scale=5),
        400,
        None,
        "invalid_request",
        "rating and scale go together",
    ),
    "rating over scale": (
        FEEDBACK,
        item(rating=6, scale=5),
        400,
        None,
        "invalid_request",
        "between 1 and the scale, 5",
    ),
    "rating of 0": (FEEDBACK, item(rating=0, scale=5), 400, None, "invalid_request", "between 1"),
    "scale of 1": (FEEDBACK, item(rating=1, scale=1), 400, "scale", "invalid_request", "2"),
    "weight 0": (FEEDBACK, item(score=1, weight=0), 400, "weight", "invalid_request", "greater"),
    "weight 2": (FEEDBACK, item(score=1, weight=2), 400, "weight", "invalid_request", "equal to 1"),
    "odd source": (
        FEEDBACK,
        item(score=1, source="a b"),
        400,
        "source",
        "invalid_request",
        "pattern",
    ),
    "unknown field": (
        FEEDBACK,
        item(score=1, reward=1),
        400,
        "reward",
        "invalid_request",
        "not known here",
    ),
    "large metadata": (
        FEEDBACK,
        item(score=1, metadata={"a": "x" * 5000}),
        400,
        None,
        "invalid_request",
        "larger than 4096 bytes",
    ),
    "deep metadata": (
        FEEDBACK,
        b'{"id": "x", "score": 1, "metadata": {"a": ' + b"[" * 400 + b"]" * 400 + b"}}",
        400,
        None,
        "invalid_request",
        "nested too deeply",
    ),
    "garbage id": (
        FEEDBACK,
        {"id": "garbage", "score": 1},
        400,
        "id",
        "invalid_request",
        "send the id that the response carried",
    ),
    "id of another server": (
        FEEDBACK,
        {"id": "{other}", "score": 1},
        404,
        "id",
        "unknown_decision",
        "check that the id is whole",
    ),
    "unknown id": (
        FEEDBACK,
        {"id": "{unknown}", "score": 1},
        404,
        "id",
        "unknown_decision",
        "was never made here",
    ),
    "expired id": (
        FEEDBACK,
        {"id": "{expired}", "score": 1},
        404,
        "id",
        "decision_expired",
        "past its time to live",
    ),
    "id of the wrong type": (FEEDBACK, {"id": 7, "score": 1}, 400, "id", "invalid_request", ""),
    "feedback as text": (FEEDBACK, "good", 400, None, "invalid_request", "JSON object"),
    "empty list": (FEEDBACK, [], 400, None, "invalid_request", "1 to 1000 items, not 0"),
    "long list": (FEEDBACK, [1] * 1001, 400, None, "invalid_request", "1 to 1000 items, not 1001"),
    "list with a bad item": (
        FEEDBACK,
        [item(score=1), item(score=2)],
        400,
        "1.score",
        "invalid_request",
        "1.score",
    ),
    "list with no object": (FEEDBACK, [item(score=1), 3], 400, "1", "invalid_request", "1: must"),
    "list with garbage": (
        FEEDBACK,
        [item(score=1), {"id": "garbage", "score": 1}],
        400,
        "1.id",
        "invalid_request",
        "nothing of this list was learned",
    ),
    "list with an unknown id": (
        FEEDBACK,
        [item(score=1), {"id": "{unknown}", "score": 1}],
        404,
        "1.id",
        "unknown_decision",
        "nothing of this list was learned",
    ),
    "list with an item that says nothing": (
        FEEDBACK,
        [item(score=1), item()],
        400,
        "1",
        "invalid_request",
        "1: give exactly one of",
    ),
    "outcome of nothing": (OUTCOMES, item(), 400, None, "invalid_request", "at least one of"),
    "unknown error word": (
        OUTCOMES,
        item(error="oops"),
        400,
        None,
        "invalid_request",
        "error must be one of abandoned, auth",
    ),
    "negative cost": (OUTCOMES, item(cost_usd=-1), 400, "cost_usd", "invalid_request", "0"),
    "half a token": (
        OUTCOMES,
        item(output_tokens=1.5),
        400,
        "output_tokens",
        "invalid_request",
        "",
    ),
    "outcome of an unknown id": (
        OUTCOMES,
        {"id": "{unknown}", "latency_s": 1},
        404,
        "id",
        "unknown_decision",
        "",
    ),
    "outcome list": (OUTCOMES, [], 400, None, "invalid_request", "JSON object"),
}


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
async def world():
    """One application for the table: nothing that is refused changes it."""
    async with serve() as world:
        expired = await world.decide()
        world.clock.advance(3601.0)
        living = await world.decide()
        ids = {
            "{id}": living,
            "{expired}": expired,
            "{unknown}": living[:24] + f"{int(living[24:32], 16) ^ 1:08x}" + living[32:],
            "{other}": living[:-4] + f"{int(living[-4:], 16) ^ 1:04x}",  # another router's tag
        }
        yield world, ids


@pytest.mark.parametrize("case", CASES)
async def test_bad_input_is_told_where_it_is_wrong(world, case):
    running, ids = world
    path, body, status, param, code, said = CASES[case]
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    for name, value in ids.items():
        content = content.replace(name.encode(), value.encode())
    response = await running.client.post(path, content=content)
    assert response.status_code == status, response.text
    error = shaped(response)
    assert (error["param"], error["code"]) == (param, code)
    assert said in error["message"]
    assert CANARY not in response.text
    assert await running.learned() == 0


def shaped(response: httpx.Response):
    """The error of a response, which must be of OpenAI's shape and nothing besides."""
    body = response.json()
    assert body.keys() == {"error"}
    error = body["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["message"]
    kinds = {404: "not_found_error", 429: "rate_limit_error"}
    usual = "invalid_request_error" if response.status_code < 500 else "api_error"
    assert error["type"] == kinds.get(response.status_code, usual)
    assert "x-request-id" in response.headers
    return error


async def test_an_outcome_that_contradicts_the_first_is_a_conflict(served):
    decision_id = await served.decide()
    body = {"id": decision_id, "latency_s": 1.0}
    assert (await served.post(OUTCOMES, body)).json()["status"] == "learned"
    assert (await served.post(OUTCOMES, body)).json()["status"] == "unchanged"
    response = await served.post(OUTCOMES, {**body, "latency_s": 2.0})
    assert response.status_code == 409
    assert shaped(response)["code"] == "outcome_conflict"


@pytest.mark.parametrize("path", [CHAT, ROUTE, FEEDBACK, OUTCOMES])
@pytest.mark.parametrize("said", [True, False])
async def test_a_body_over_the_limit_is_refused(path, said):
    """With a length that says so, and without one."""
    config = CONFIG.replace("1_000_000", "2048")

    async def pieces():
        for _ in range(40):
            yield b" " * 100

    async with serve(config) as running:
        content = b" " * 4000 if said else pieces()
        response = await running.client.post(path, content=content)
        assert response.status_code == 413
        assert "max_body_bytes" in shaped(response)["message"]


async def test_a_path_that_is_nowhere(served):
    response = await served.get("/v1/embeddings")
    assert response.status_code == 404
    assert shaped(response)["message"] == (
        "there is no GET /v1/embeddings; GET /docs lists every endpoint"
    )


@pytest.mark.parametrize("path", [CHAT, "/healthz", "/v1/models"])
async def test_a_method_that_is_not_allowed(served, path):
    response = await served.client.put(path)
    assert response.status_code == 405
    assert "allow" in response.headers
    assert "not allowed" in shaped(response)["message"]


@pytest.mark.parametrize("path", ["/v1/decisions/garbage", "/v1/decisions/%00"])
async def test_a_garbage_id_in_a_path(served, path):
    response = await served.client.get(path)
    assert response.status_code == 400
    assert shaped(response)["param"] == "id"


async def test_taking_back_what_nobody_knows(served):
    assert (await served.client.delete("/feedback/garbage")).status_code == 400
    decision_id = await served.decide()
    served.clock.advance(3601.0)
    response = await served.client.delete(f"/feedback/{decision_id}")
    assert response.status_code == 404
    assert shaped(response)["code"] == "decision_expired"
    assert shaped(response)["param"] == "id"


async def test_taking_back_from_an_impossible_source(served):
    decision_id = await served.decide()
    url = f"/feedback/{decision_id}"
    response = await served.client.delete(url, params={"source": f"{CANARY} {'x' * 99}"})
    assert response.status_code == 400
    assert shaped(response)["param"] == "source"
    assert CANARY not in response.text


async def test_a_parameter_of_the_wrong_type(served):
    decision_id = await served.decide()
    response = await served.get(f"/v1/decisions/{decision_id}", replay=CANARY)
    assert response.status_code == 400
    assert shaped(response)["param"] == "replay"
    assert CANARY not in response.text


async def test_the_arms_of_an_unknown_router(served):
    response = await served.get("/v1/arms", router="nope")
    assert response.status_code == 404
    assert shaped(response)["param"] == "router"


async def test_what_nobody_foresaw_is_an_error_of_ours_that_says_nothing(served, monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError(CANARY)

    monkeypatch.setattr(served.application.engine, "decide", broken)
    response = await served.post(CHAT, chat())
    assert response.status_code == 500
    assert shaped(response)["code"] == "internal_error"
    assert CANARY not in response.text
