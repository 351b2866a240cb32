import asyncio
import json
import traceback

import httpx
import pytest
from fake_upstream import FIN, RST, WAIT, answer, completion, fake_upstream, unused_url

from banditroute.errors import ConfigError, UpstreamError, UpstreamFault
from banditroute.providers import client, reading
from banditroute.providers.base import usage_of
from banditroute.providers.openai import OpenAIProvider
from banditroute.values import Arm

pytestmark = pytest.mark.anyio

KEY = "sk-CANARY-key"
SECRET_PATH = "/CANARY-path"
BODY = {"model": "auto", "messages": [{"role": "user", "content": "hi"}], "odd_field": [1]}


def arm(timeout_s=5.0):
    return Arm("gpt-small", "up", "m-1", 1.0, 2.0, timeout_s=timeout_s)


def provider(base_url, **options):
    return OpenAIProvider("up", base_url=base_url, api_key=KEY, **options)


async def complete(base_url, timeout_s=5.0, body=BODY, **options):
    one = provider(base_url, **options)
    try:
        return await one.complete(arm(timeout_s), body)
    finally:
        await one.close()


async def failure(script, timeout_s=5.0):
    async with fake_upstream(script) as upstream:
        with pytest.raises(UpstreamError) as caught:
            await complete(upstream.base_url + SECRET_PATH, timeout_s)
    assert caught.value.arm_id == "gpt-small"
    shown = "".join(traceback.format_exception(caught.value))
    assert "CANARY" not in shown
    assert "127.0.0.1" not in shown
    return caught.value


async def test_the_answer_comes_back_as_the_upstream_sent_it():
    async with fake_upstream([answer(200, completion())]) as upstream:
        got = await complete(upstream.base_url)
    assert got.body == completion()
    assert got.latency_s is None
    assert usage_of(got.body).output_tokens == 2


async def test_the_request_carries_the_arms_model_and_every_unknown_field():
    body = BODY | {"stream": True, "stream_options": {"include_usage": True}}
    async with fake_upstream([answer(200, completion())]) as upstream:
        await complete(upstream.base_url + "/", body=body, headers={"X-Title": " mine "})
    head, sent = upstream.requests[0]
    assert sent == BODY | {"model": "m-1"}
    assert head.startswith("POST /v1/chat/completions HTTP/1.1\r\n")
    lowered = head.lower()
    assert f"authorization: bearer {KEY.lower()}\r\n" in lowered
    assert "x-title: mine\r\n" in lowered
    assert "accept-encoding: identity\r\n" in lowered


async def test_a_query_in_the_base_url_is_kept():
    async with fake_upstream([answer(200, completion())]) as upstream:
        await complete(upstream.base_url + "?api-version=v1")
    assert upstream.requests[0][0].startswith("POST /v1/chat/completions?api-version=v1 ")


async def test_an_operators_own_header_replaces_the_bearer_key():
    async with fake_upstream([answer(200, completion())]) as upstream:
        await complete(upstream.base_url, headers={"Authorization": "Token abc"})
    head = upstream.requests[0][0].lower()
    assert "authorization: token abc\r\n" in head
    assert "bearer" not in head


async def test_connections_are_reused_and_cookies_are_not_kept():
    script = [answer(200, completion(), set_cookie="sid=1; Path=/")]
    async with fake_upstream(script) as upstream:
        one = provider(upstream.base_url)
        for _ in range(3):
            await one.complete(arm(), BODY)
        await one.close()
    assert upstream.connections == 1
    assert all("cookie" not in head.lower() for head, _ in upstream.requests)


async def test_proxies_of_the_environment_are_not_used(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", unused_url())
    async with fake_upstream([answer(200, completion())]) as upstream:
        assert (await complete(upstream.base_url)).body == completion()


async def test_a_closed_provider_opens_new_connections():
    async with fake_upstream([answer(200, completion())]) as upstream:
        one = provider(upstream.base_url)
        await one.complete(arm(), BODY)
        await one.close()
        await one.close()
        assert (await one.complete(arm(), BODY)).body == completion()
        await one.close()


async def test_another_transport_can_be_handed_in():
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=completion()))
    assert (await complete("http://up.invalid/v1", transport=transport)).body == completion()


STATUS_FAULTS = [
    (301, UpstreamFault.NOT_FOUND),
    (400, UpstreamFault.BAD_REQUEST),
    (401, UpstreamFault.AUTH),
    (402, UpstreamFault.QUOTA),
    (403, UpstreamFault.AUTH),
    (404, UpstreamFault.NOT_FOUND),
    (408, UpstreamFault.TIMEOUT),
    (409, UpstreamFault.UNAVAILABLE),
    (413, UpstreamFault.BAD_REQUEST),
    (422, UpstreamFault.BAD_REQUEST),
    (429, UpstreamFault.RATE_LIMIT),
    (500, UpstreamFault.UNAVAILABLE),
    (503, UpstreamFault.UNAVAILABLE),
    (504, UpstreamFault.TIMEOUT),
    (529, UpstreamFault.UNAVAILABLE),
]


@pytest.mark.parametrize(("status", "fault"), STATUS_FAULTS)
async def test_a_status_becomes_its_fault_and_nothing_of_the_body_is_shown(status, fault):
    details = {
        "message": "CANARY-body quotes your prompt",
        "type": "CANARY TYPE",
        "param": "CANARY param with spaces",
        "code": f"{KEY} CANARY",
    }
    error = await failure([answer(status, {"error": details}, location="http://CANARY/")])
    assert (error.fault, error.status) == (fault, status)
    assert f"HTTP {status}" in str(error)
    assert error.param is None


async def test_a_refusal_that_is_not_json_keeps_its_status():
    error = await failure([answer(503, b"<html>CANARY</html>", content_type="text/html")])
    assert error.fault is UpstreamFault.UNAVAILABLE


async def test_a_refusal_that_breaks_off_keeps_its_status():
    error = await failure([b"HTTP/1.1 401 No\r\ncontent-length: 999\r\n\r\nCANARY", FIN])
    assert error.fault is UpstreamFault.AUTH


async def test_a_bad_request_names_the_code_and_param_of_the_upstream():
    details = {"message": "CANARY", "code": "context_length_exceeded", "param": "messages[0].role"}
    error = await failure([answer(400, {"error": details})])
    assert error.fault is UpstreamFault.BAD_REQUEST
    assert error.param == "messages[0].role"
    assert "context_length_exceeded" in str(error)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after_ms": "250", "retry_after": "9"}, 0.25),
        ({"retry_after": "Fri, 31 Dec 9999 23:59:59 GMT"}, 3600.0),
        ({"retry_after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry_after": "soon"}, None),
        ({}, None),
    ],
)
async def test_a_rate_limit_says_when_to_come_back(headers, seconds):
    error = await failure([answer(429, {"error": {"message": "slow"}}, **headers)])
    assert error.fault is UpstreamFault.RATE_LIMIT
    assert error.retry_after_s == seconds


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"<html>CANARY</html>", UpstreamFault.MALFORMED),
        (b"", UpstreamFault.MALFORMED),
        (b'"CANARY"', UpstreamFault.MALFORMED),
        (b"[]", UpstreamFault.MALFORMED),
        (b'{"choices": []}', UpstreamFault.MALFORMED),
        (b'{"choices": ["CANARY"]}', UpstreamFault.MALFORMED),
        (b'{"choices": {"0": 1}}', UpstreamFault.MALFORMED),
        (b"\x1f\x8bCANARY", UpstreamFault.MALFORMED),
        (b'{"error": "CANARY"}', UpstreamFault.UNAVAILABLE),
        (b'{"error": {"message": "CANARY", "code": 429}}', UpstreamFault.RATE_LIMIT),
        (b'{"error": {"type": "invalid_request_error"}}', UpstreamFault.BAD_REQUEST),
        (b'{"error": {"code": "insufficient_quota"}}', UpstreamFault.QUOTA),
    ],
)
async def test_a_200_that_is_no_completion_is_never_a_success(content, fault):
    error = await failure([answer(200, content)])
    assert error.fault is fault


async def test_an_answer_beyond_the_size_cap_is_refused(monkeypatch):
    monkeypatch.setattr(reading, "MAX_BODY_BYTES", 1000)
    error = await failure([answer(200, completion("x" * 1000))])
    assert error.fault is UpstreamFault.MALFORMED
    assert "too long" in str(error)


async def test_a_compressed_answer_that_is_not_compressed_is_an_error():
    error = await failure([answer(200, b"CANARY", content_encoding="gzip")])
    assert error.fault is UpstreamFault.INTERRUPTED


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ([FIN], UpstreamFault.CONNECTION),
        ([RST], UpstreamFault.CONNECTION),
        ([b"CANARY nonsense\r\n\r\n", FIN], UpstreamFault.MALFORMED),
        ([b"HTTP/1.1 200 OK\r\nx: " + b"C" * 70_000 + b"\r\n\r\n", FIN], UpstreamFault.MALFORMED),
        ([answer(200, completion())[:-9], FIN], UpstreamFault.INTERRUPTED),
        ([answer(200, completion())[:-9], 0.05, RST], UpstreamFault.INTERRUPTED),
    ],
)
async def test_a_broken_connection_is_named_by_how_far_the_call_had_come(script, fault):
    error = await failure(script)
    assert error.fault is fault
    assert error.status is None


async def test_a_refused_port_is_a_connection_fault_not_a_timeout():
    with pytest.raises(UpstreamError) as caught:
        await complete(unused_url())
    assert caught.value.fault is UpstreamFault.CONNECTION
    assert "127.0.0.1" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "script",
    [
        [WAIT],
        [answer(200, completion())[:-9], WAIT],
        [answer(200, completion())[:-100], *[b" ", 0.05] * 100, WAIT],
        [b"HTTP/1.1 500 No\r\ncontent-length: 9\r\n\r\n", WAIT],
    ],
    ids=["silence", "stall", "drip", "stalled refusal"],
)
async def test_the_timeout_of_the_arm_ends_every_call(script):
    error = await failure(script, timeout_s=0.3)
    assert error.fault is UpstreamFault.TIMEOUT


async def test_a_timeout_closes_the_connection():
    async with fake_upstream([WAIT]) as upstream:
        one = provider(upstream.base_url)
        with pytest.raises(UpstreamError):
            await one.complete(arm(0.1), BODY)
        await upstream.left.wait()
        await one.close()


async def test_a_host_that_never_connects_is_given_up_early(monkeypatch):
    monkeypatch.setattr(client, "CONNECT_S", 1e-9)
    async with fake_upstream([answer(200, completion())]) as upstream:
        with pytest.raises(UpstreamError) as caught:
            await complete(upstream.base_url)
    assert caught.value.fault is UpstreamFault.TIMEOUT


async def test_cancellation_passes_through_and_closes_the_connection():
    async with fake_upstream([WAIT]) as upstream:
        one = provider(upstream.base_url)
        task = asyncio.create_task(one.complete(arm(), BODY))
        await upstream.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await upstream.left.wait()
        await one.close()


async def test_a_request_that_is_not_json_is_the_callers_to_mend():
    with pytest.raises(UpstreamError) as caught:
        await complete("http://127.0.0.1:9/v1", body=BODY | {"x": object()})
    assert caught.value.fault is UpstreamFault.BAD_REQUEST


@pytest.mark.parametrize("base_url", ["", "api.example.com/v1", "ftp://host/v1", "http://", "h\n"])
def test_a_base_url_that_is_none_is_refused_at_once(base_url):
    with pytest.raises(ConfigError, match="provider up: base_url"):
        provider(base_url)


def test_a_header_that_cannot_be_sent_is_named_without_its_value():
    with pytest.raises(ConfigError) as caught:
        OpenAIProvider(
            "up", base_url="http://host/v1", api_key="CANARY\nx", headers={"a b": "CANARY"}
        )
    assert len(caught.value.problems) == 2
    assert "CANARY" not in str(caught.value)


async def test_a_key_read_from_a_file_loses_its_newline():
    async with fake_upstream([answer(200, completion())]) as upstream:
        one = OpenAIProvider("up", base_url=upstream.base_url, api_key="abc\n")
        await one.complete(arm(), BODY)
        await one.close()
    assert "authorization: bearer abc\r\n" in upstream.requests[0][0].lower()


def test_the_fake_speaks_valid_json():
    assert json.loads(answer(200, completion()).partition(b"\r\n\r\n")[2]) == completion()
