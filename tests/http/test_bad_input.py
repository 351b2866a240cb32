"""Whatever is sent: the right status, OpenAI's shape, where it is wrong and what to change."""

import json

import pytest
from bad_bodies import CASES, CHAT, FEEDBACK, OUTCOMES, ROUTE
from wire import CANARY, CONFIG, chat, shaped
from wire import served as serve

pytestmark = pytest.mark.anyio


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


async def test_a_body_that_says_it_is_too_large_is_not_even_read(served):
    read = []

    async def pieces():
        read.append(1)
        yield b" "

    headers = {"content-length": "1000001"}
    response = await served.client.post(CHAT, content=pieces(), headers=headers)
    assert response.status_code == 413
    assert not read


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
