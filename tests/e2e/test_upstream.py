"""A real server between the real OpenAI client and an upstream that does what a script says."""

import asyncio
import re
from contextlib import contextmanager

import httpx
import openai
import pytest
from e2e_server import asking
from patience import PATIENCE_S
from providers.fake_upstream import (
    FIN,
    STREAM_HEAD,
    WAIT,
    WHOLE_STREAM,
    answer,
    completion,
    delta,
    events,
    fake_upstream,
    unused_url,
)
from serving import served

pytestmark = pytest.mark.anyio

KEY = "sk-CANARY-of-the-operator"
TEAM = "CANARY-team"
CLIENT_KEY = "sk-of-the-client"
PATH = "/CANARY-path"
ASK = asking("Good morning.")
WELL = (answer(200, completion()),)
CONFIG = """
[logging]
level = "debug"

[[routers]]
name = "auto"
arms = ["first", "second"]
policy = "fixed"
default_arm = "first"
floor = 0.0

[[routers]]
name = "alone"
arms = ["first"]

[[routers]]
name = "nowhere"
arms = ["gone"]

[[providers]]
name = "one"
kind = "openai"
base_url = "{one}"
api_key = "${{CANARY_KEY}}"
headers = {{ X-Team-Key = "${{CANARY_TEAM}}" }}

[[providers]]
name = "two"
kind = "openai"
base_url = "{two}"

[[providers]]
name = "nobody"
kind = "openai"
base_url = "{nobody}"

[[arms]]
id = "first"
provider = "one"
model = "vendor/first-2026"
input_usd_per_mtok = 1.0
output_usd_per_mtok = 2.0

[[arms]]
id = "second"
provider = "two"
model = "vendor/second-2026"
input_usd_per_mtok = 10.0
output_usd_per_mtok = 20.0

[[arms]]
id = "gone"
provider = "nobody"
input_usd_per_mtok = 1.0
output_usd_per_mtok = 2.0
"""


@pytest.fixture(scope="module")
def anyio_backend():
    """One loop for the whole module, for the upstreams live as long."""
    return "asyncio"


@pytest.fixture(scope="module")
async def upstreams(anyio_backend):
    async with fake_upstream([]) as one, fake_upstream([]) as two:
        yield one, two


@contextmanager
def serving(folder, upstreams):
    """The url and the process of a server that knows both upstreams, and one that is not there."""
    one, two = (upstream.base_url + PATH for upstream in upstreams)
    config = CONFIG.format(one=one, two=two, nobody=unused_url() + PATH)
    (folder / "config.toml").write_text(config, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CANARY_KEY", KEY)
        patch.setenv("CANARY_TEAM", TEAM)
        with served(folder) as running:
            yield running


@pytest.fixture(scope="module")
def server(upstreams, tmp_path_factory):
    with serving(tmp_path_factory.mktemp("upstream"), upstreams) as running:
        yield running


@pytest.fixture
def one(upstreams):
    """The upstream of the arm "first", which is asked first."""
    return fresh(upstreams[0])


@pytest.fixture
def two(upstreams):
    return fresh(upstreams[1])


@pytest.fixture(scope="module")
async def client(server, anyio_backend):
    """With the retries that applications have: none of them must reach an upstream."""
    base_url = f"{server[0]}/v1"
    async with openai.AsyncOpenAI(base_url=base_url, api_key=CLIENT_KEY, max_retries=2) as client:
        yield client


@pytest.fixture(scope="module")
async def http(server, anyio_backend):
    async with httpx.AsyncClient(base_url=server[0], timeout=PATIENCE_S) as http:
        yield http


def fresh(upstream, script=WELL):
    """An upstream that has seen nothing yet and plays one script from here on."""
    upstream.scripts = [list(script)]
    upstream.requests.clear()
    upstream.left.clear()
    return upstream


async def receipt_of(http, decision_id):
    return (await http.get(f"/v1/decisions/{decision_id}")).raise_for_status().json()


async def outcome_of(http, decision_id):
    """The outcome, as soon as there is one."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if outcome := (await receipt_of(http, decision_id))["outcome"]:
                return outcome
            await asyncio.sleep(0.01)


async def read_to_its_end(stream):
    """The chunks that came, and the error that ended them or None."""
    chunks = []
    try:
        async for chunk in stream:
            chunks.append(chunk)  # noqa: PERF401 - what came before an error counts
    except openai.APIError as error:
        return chunks, error
    return chunks, None


async def test_what_nobody_knows_yet_rides_along_to_the_upstream_and_back(client, one):
    message = {"role": "user", "content": [{"type": "text", "text": "hi", "cache": {"ttl": "1h"}}]}
    known = {"messages": [message], "temperature": 0.5, "metadata": {"task": "chat"}, "seed": None}
    unknown = {"thinking": {"budget": [1, None, 2.5], "ü": "☃"}, "top_k": 40}
    reply = await client.chat.completions.create(model="auto", **known, extra_body=unknown)
    assert one.bodies == [{**known, **unknown, "model": "vendor/first-2026"}]
    assert reply.model_extra["invented_tomorrow"] == {"kept": True}
    assert (reply.model, reply.choices[0].message.content) == ("first", "hello")


@pytest.mark.parametrize("stream", [False, True])
async def test_our_own_object_stays_here_and_the_model_is_the_arms(client, one, stream):
    fresh(one, WHOLE_STREAM if stream else WELL)
    wishes = {"banditroute": {"task": "CANARY", "session_id": "CANARY"}}
    reply = await client.chat.completions.create(
        model="auto", messages=ASK, stream=stream, extra_body=wishes
    )
    if stream:
        assert [chunk.model async for chunk in reply] == ["first"] * 3
    ours = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    assert one.bodies == [{"model": "vendor/first-2026", "messages": ASK} | ours]


async def test_the_upstream_gets_the_operators_key_and_nothing_of_the_clients(client, one):
    await client.chat.completions.create(
        model="auto", messages=ASK, extra_headers={"cookie": "a=b", "x-private": "p"}
    )
    ((head, _),) = one.requests
    request, *lines = head.lower().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines if line)
    assert request == f"post /v1{PATH}/chat/completions http/1.1".lower()
    assert headers["authorization"] == f"bearer {KEY}".lower()
    assert headers["x-team-key"] == TEAM.lower()
    assert CLIENT_KEY not in head
    assert headers["user-agent"] == "banditroute"
    assert not {name for name in headers if name.startswith(("x-stainless", "x-private", "cookie"))}


async def test_an_upstream_without_a_key_gets_none(client, two):
    await client.chat.completions.create(model="second", messages=ASK)
    ((head, _),) = two.requests
    assert "authorization" not in head.lower()


async def test_a_key_that_the_upstream_refuses_is_not_the_clients_fault(client, one):
    fresh(one, [answer(401, {"error": {"message": f"Incorrect API key {KEY}"}})])
    with pytest.raises(openai.InternalServerError) as failed:
        await client.chat.completions.create(model="alone", messages=ASK)
    assert failed.value.status_code == 502
    assert failed.value.code == "upstream_auth"
    assert len(one.requests) == 1


@pytest.mark.parametrize("model", ["alone", "first"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_rate_limit_of_the_only_arm_is_passed_on_with_its_wait(client, one, model, stream):
    fresh(one, [answer(429, {"error": {"message": "slow down"}}, retry_after="17")])
    with pytest.raises(openai.RateLimitError) as limited:
        await client.chat.completions.create(model=model, messages=ASK, stream=stream)
    assert limited.value.response.headers["retry-after"] == "17"
    assert limited.value.code == "upstream_rate_limit"
    assert len(one.requests) == 1


async def test_what_is_wrong_with_the_request_itself_is_said_and_not_tried_elsewhere(
    client, one, two
):
    wrong = {"message": "CANARY", "code": "context_length_exceeded", "param": "messages"}
    fresh(one, [answer(400, {"error": wrong})])
    with pytest.raises(openai.BadRequestError) as refused:
        await client.chat.completions.create(model="auto", messages=ASK)
    assert refused.value.param == "messages"
    assert "context_length_exceeded" in refused.value.message
    assert (len(one.requests), len(two.requests)) == (1, 0)


@pytest.mark.parametrize("status", [500, 401, 429])
@pytest.mark.parametrize("stream", [False, True])
async def test_an_arm_that_fails_is_replaced_by_one_that_answers(
    client, http, one, two, status, stream
):
    fresh(one, [answer(status, {"error": {"message": "CANARY"}}, retry_after="17")])
    fresh(two, WHOLE_STREAM if stream else WELL)
    raw = await client.chat.completions.with_raw_response.create(
        model="auto", messages=ASK, stream=stream
    )
    reply = raw.parse()
    if stream:
        *_, reply = [chunk async for chunk in reply]
    assert reply.model == raw.headers["x-banditroute-model"] == "second"
    assert raw.headers["x-banditroute-attempts"] == "2"
    assert (len(one.requests), len(two.requests)) == (1, 1)
    assert two.bodies[0]["model"] == "vendor/second-2026"

    receipt = await receipt_of(http, reply.id)
    failed = await receipt_of(http, receipt["parent_id"])
    assert (receipt["arm"], receipt["outcome"]["error"]) == ("second", None)
    assert [(away["arm"], away["reason"]) for away in receipt["excluded"]] == [("first", "failed")]
    faults = {500: "unavailable", 401: "auth", 429: "rate_limit"}
    assert (failed["arm"], failed["outcome"]["error"]) == ("first", faults[status])


async def test_when_every_arm_fails_each_was_asked_once(client, one, two):
    for upstream in (one, two):
        fresh(upstream, [answer(500, {})])
    with pytest.raises(openai.InternalServerError) as failed:
        await client.chat.completions.create(model="auto", messages=ASK)
    assert (failed.value.status_code, failed.value.code) == (503, "upstream_unavailable")
    assert (len(one.requests), len(two.requests)) == (1, 1)


async def test_a_client_that_leaves_a_stream_closes_it_upstream_and_is_recorded(client, http, one):
    fresh(one, [STREAM_HEAD, *events(delta("hel"), delta("lo")), WAIT])
    stream = await client.chat.completions.create(model="auto", messages=ASK, stream=True)
    chunk = await anext(stream)
    assert chunk.choices[0].delta.content == "hel"
    assert not one.left.is_set()
    await stream.close()
    async with asyncio.timeout(PATIENCE_S):
        await one.left.wait()
    outcome = await outcome_of(http, chunk.id)
    assert outcome["error"] == "abandoned"
    assert outcome["output_tokens"] is None  # not known is not zero


async def test_a_stream_that_breaks_off_ends_in_an_error_and_is_recorded(client, http, one):
    fresh(
        one, [STREAM_HEAD, *events(delta("hel"), delta("lo")), 0.3, FIN]
    )  # what comes with the end may be lost
    stream = await client.chat.completions.create(model="auto", messages=ASK, stream=True)
    chunks, error = await read_to_its_end(stream)
    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == "hello"
    assert error.code == "upstream_interrupted"
    assert (await outcome_of(http, chunks[0].id))["error"] == "interrupted"


LEAKY = b"CANARY in the body"
LEAKY_ERROR = {"error": {"message": f"no {KEY} at CANARY.example", "code": "CANARY code"}}
FAILURES = {
    "refused": [answer(401, LEAKY_ERROR, www_authenticate="CANARY")],
    "bad request": [answer(400, LEAKY_ERROR)],
    "limited": [answer(429, LEAKY_ERROR, retry_after="1")],
    "down": [answer(500, LEAKY, content_type="text/plain")],
    "moved": [answer(302, b"", location="http://CANARY.example/")],
    "no JSON": [answer(200, LEAKY)],
    "in band": [answer(200, LEAKY_ERROR)],
    "cut off": [answer(200, LEAKY)[:-5], FIN],
    "not even HTTP": [b"CANARY\r\n\r\n", FIN],
    "in a stream": [STREAM_HEAD, *events(delta("hel"), LEAKY_ERROR), FIN],
    "a broken stream": [STREAM_HEAD, *events(delta("hel"), "CANARY"), FIN],
}


async def test_no_key_url_body_or_prompt_is_ever_shown_or_logged(upstreams, tmp_path):
    """Whatever fails and however: not in an answer, its headers, a receipt, or the debug log."""
    ports = [upstream.base_url.split(":")[2].split("/")[0] for upstream in upstreams]
    secrets = ["CANARY", *(f":{port}" for port in ports)]
    shown = []

    async def ask(model, **more):
        body = {"model": model, "messages": asking("CANARY prompt"), **more}
        response = await http.post("/v1/chat/completions", json=body)
        decision_id = response.headers.get("x-banditroute-decision-id")
        receipt = await receipt_of(http, decision_id) if decision_id else None
        shown.append(f"{response.status_code} {response.headers} {response.text} {receipt}")

    with serving(tmp_path, upstreams) as (url, process):
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as http:
            for script in [*FAILURES.values(), WELL, WHOLE_STREAM]:
                for stream in (False, True):
                    fresh(upstreams[0], script)
                    await ask("first", stream=stream)
            await ask("gone")
            await ask("gone", stream=True)
        process.terminate()
        log = process.stdout.read().decode()
    faults = {"auth", "bad_request", "rate_limit", "unavailable", "not_found", "malformed"}
    assert set(re.findall(r"fault=(\w+)", log)) >= {*faults, "connection"}  # so it tells them all
    for text in [*shown, log]:
        assert not [secret for secret in secrets if secret in text], text
