import asyncio

import aiohttp
import httpx
import orjson
import pytest

from banditroute.errors import UpstreamError, UpstreamFault
from banditroute.providers.faults import (
    Refusal,
    error_object,
    in_band_error,
    retry_after_s,
    translated,
)
from banditroute.values import Arm

ARM = Arm("gpt-small", "up", "m-1", 1.0, 2.0)
NOW_S = 1_445_412_420.0  # Wed, 21 Oct 2015 07:27:00 GMT


def refused(status, body):
    return Refusal(status, httpx.Headers(), orjson.dumps(body)).error(ARM, NOW_S)


@pytest.mark.parametrize("status", [400, 402, 403, 429])
@pytest.mark.parametrize(
    "details",
    [
        {"code": "insufficient_quota", "message": "You exceeded your current quota"},
        {"type": "insufficient_quota"},
        {"code": "billing_hard_limit_reached"},
        {"details": {"error_code": "enforced_spend_limit_reached"}, "type": "rate_limit_error"},
        {"message": "Your credit balance is too low to access the API."},
        {"message": "You have reached your specified API usage limits. Wait."},
    ],
)
def test_money_gone_is_a_quota_fault_whatever_its_status(status, details):
    assert refused(status, {"error": details}).fault is UpstreamFault.QUOTA


def test_a_message_that_only_quotes_the_magic_words_takes_no_arm_out():
    details = {"message": "Invalid tool name: 'your credit balance is too low'"}
    assert refused(400, {"error": details}).fault is UpstreamFault.BAD_REQUEST


@pytest.mark.parametrize(
    ("status", "details", "fault"),
    [
        (400, {"code": "model_not_found"}, UpstreamFault.NOT_FOUND),
        (403, {"code": "model_not_found"}, UpstreamFault.NOT_FOUND),
        (400, {"message": "API key not valid. Please pass one."}, UpstreamFault.AUTH),
        (400, {"code": 400, "status": "INVALID_ARGUMENT"}, UpstreamFault.BAD_REQUEST),
        (418, {}, UpstreamFault.UNAVAILABLE),
    ],
)
def test_a_decisive_code_says_more_than_the_status(status, details, fault):
    for body in ({"error": details}, [{"error": details}]):
        assert refused(status, body).fault is fault


@pytest.mark.parametrize("code", ["has spaces", "a" * 65, "ünï", "a/b", "", None, ["x"], 400, True])
def test_only_a_short_plain_code_is_repeated(code):
    assert str(refused(400, {"error": {"code": code, "message": "m"}})).endswith("(HTTP 400)")


@pytest.mark.parametrize("param", ["a b", "x" * 129, 7, "a\nb", "<x>"])
def test_only_a_short_plain_param_is_repeated(param):
    assert refused(400, {"error": {"param": param}}).param is None


@pytest.mark.parametrize(
    ("body", "details"),
    [
        ({"error": {"code": 1}}, {"code": 1}),
        ([{"error": {"code": 1}}], {"code": 1}),
        ({"error": "text"}, {"message": "text"}),
        ({"object": "error", "code": 1}, {"object": "error", "code": 1}),
        ({"error": None, "choices": []}, None),
        ({"error": {}}, None),
        ({}, None),
        ([], None),
        ("error", None),
        (None, None),
    ],
)
def test_errors_are_found_in_every_dialect(body, details):
    assert error_object(body) == details


def test_an_error_without_a_clue_inside_an_answer_is_the_arms():
    error = in_band_error(ARM, {"message": "CANARY"})
    assert error.fault is UpstreamFault.UNAVAILABLE
    assert "CANARY" not in str(error)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "1e9"}, 3600.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 60.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 -0000"}, 60.0),
        ({"retry-after": "Wed, 99 Oct 2015"}, None),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "x", "retry-after": "9"}, 9.0),
    ],
)
def test_retry_after_is_read_in_every_form_and_capped(headers, seconds):
    assert retry_after_s(headers, NOW_S) == seconds


@pytest.mark.parametrize(
    ("error", "before", "after"),
    [
        (TimeoutError(), UpstreamFault.TIMEOUT, UpstreamFault.TIMEOUT),
        (httpx.ReadTimeout("x"), UpstreamFault.TIMEOUT, UpstreamFault.TIMEOUT),
        (httpx.ConnectError("x"), UpstreamFault.CONNECTION, UpstreamFault.INTERRUPTED),
        (ConnectionResetError(), UpstreamFault.CONNECTION, UpstreamFault.INTERRUPTED),
        (aiohttp.ClientPayloadError(), UpstreamFault.CONNECTION, UpstreamFault.INTERRUPTED),
        (httpx.RemoteProtocolError("x"), UpstreamFault.MALFORMED, UpstreamFault.INTERRUPTED),
        (aiohttp.ClientResponseError(None, ()), UpstreamFault.MALFORMED, UpstreamFault.INTERRUPTED),
    ],
)
def test_a_transport_error_is_judged_by_how_far_the_call_had_come(error, before, after):
    for answering, fault in ((False, before), (True, after)):
        with pytest.raises(UpstreamError) as caught, translated(ARM, answering=answering):
            raise error
        assert caught.value.fault is fault
        assert caught.value.__suppress_context__


def test_cancellation_is_not_translated():
    with pytest.raises(asyncio.CancelledError), translated(ARM, answering=False):
        raise asyncio.CancelledError
