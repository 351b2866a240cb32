import asyncio
import traceback
from contextlib import aclosing

import pytest
from fake_upstream import (
    DONE,
    FIN,
    RST,
    STREAM_END,
    STREAM_HEAD,
    USAGE,
    WAIT,
    WHOLE_STREAM,
    answer,
    completion,
    delta,
    event,
    events,
    fake_upstream,
    piece,
    unused_url,
)

from banditroute.errors import UpstreamError, UpstreamFault
from banditroute.providers import reading
from banditroute.providers.openai import OpenAIProvider
from banditroute.values import Arm

pytestmark = pytest.mark.anyio

KEY = "sk-CANARY"
SECRET_PATH = "/CANARY-path"
BODY = {"model": "auto", "messages": [{"role": "user", "content": "hi"}], "odd_field": [1]}
STOP = delta(finish_reason="stop")


def arm(timeout_s=5.0):
    return Arm("gpt-small", "up", "m-1", 1.0, 2.0, timeout_s=timeout_s)


async def streamed(base_url, timeout_s=5.0, body=BODY):
    """The chunks, and the error that ended them or None."""
    provider = OpenAIProvider("up", base_url=base_url, api_key=KEY)
    chunks, error = [], None
    try:
        async for chunk in provider.stream(arm(timeout_s), body):
            chunks.append(chunk)  # noqa: PERF401 — what came before an error counts
    except UpstreamError as caught:
        error = caught
        shown = "".join(traceback.format_exception(caught))
        assert "CANARY" not in shown
        assert "127.0.0.1" not in shown
    await provider.close()
    return chunks, error


async def played(*script, timeout_s=5.0, body=BODY):
    async with fake_upstream(list(script)) as upstream:
        return await streamed(upstream.base_url + SECRET_PATH, timeout_s, body)


async def test_a_stream_comes_as_parsed_chunks_without_done():
    chunks, error = await played(*WHOLE_STREAM)
    assert error is None
    assert chunks == [delta("hel"), delta("lo"), STOP, USAGE]


async def test_usage_is_always_asked_for_and_other_options_are_kept():
    body = BODY | {"stream_options": {"include_usage": False, "include_obfuscation": False}}
    async with fake_upstream(WHOLE_STREAM) as upstream:
        await streamed(upstream.base_url, body=BODY)
        await streamed(upstream.base_url, body=body)
    plain, rich = upstream.bodies
    asked = {"stream": True, "stream_options": {"include_usage": True}}
    assert plain == BODY | {"model": "m-1"} | asked
    assert rich["stream_options"] == {"include_usage": True, "include_obfuscation": False}


async def test_a_finished_stream_leaves_its_connection_for_the_next(monkeypatch):
    monkeypatch.setattr(reading, "DRAIN_S", 5.0)
    late_end = [*WHOLE_STREAM[:-1], 0.01, STREAM_END]
    async with fake_upstream(late_end) as upstream:
        provider = OpenAIProvider("up", base_url=upstream.base_url)
        for _ in range(3):
            assert [chunk async for chunk in provider.stream(arm(), BODY)]
        await provider.close()
    assert upstream.connections == 1


async def test_an_event_may_arrive_byte_by_byte_and_cut_inside_a_character():
    whole = b": ping\r\n\r\n" + event(delta("žluťoučký 🐎")).replace(b"\n", b"\r\n") + event(STOP)
    single = [piece(whole[at : at + 1]) for at in range(len(whole))]
    chunks, error = await played(STREAM_HEAD, *single, STREAM_END)
    assert error is None
    assert chunks == [delta("žluťoučký 🐎"), STOP]


async def test_a_stream_without_done_but_with_finish_reason_is_a_success():
    chunks, error = await played(STREAM_HEAD, *events(delta("a"), STOP), STREAM_END)
    assert (chunks, error) == ([delta("a"), STOP], None)


async def test_a_last_event_without_its_empty_line_counts():
    last = event(STOP).rstrip(b"\n")
    chunks, error = await played(STREAM_HEAD, *events(delta("a")), piece(last), STREAM_END)
    assert (chunks, error) == ([delta("a"), STOP], None)


@pytest.mark.parametrize(
    "ending",
    [
        [STREAM_END],
        [0.1, FIN],
        [0.05, RST],
        [*events(DONE), STREAM_END],
        [piece(b'data: {"cho'), 0.1, FIN],
        [piece(b'data: {"cho'), STREAM_END],
    ],
    ids=["clean end", "FIN", "RST", "DONE", "FIN inside an event", "clean end inside an event"],
)
async def test_a_stream_that_ends_before_finish_reason_is_interrupted(ending):
    chunks, error = await played(STREAM_HEAD, *events(delta("a")), *ending)
    assert chunks == [delta("a")]
    assert error.fault is UpstreamFault.INTERRUPTED


async def test_a_stream_without_any_choice_is_interrupted():
    chunks, error = await played(STREAM_HEAD, *events(USAGE, DONE), STREAM_END)
    assert chunks == [USAGE]
    assert error.fault is UpstreamFault.INTERRUPTED


async def test_every_choice_needs_its_own_finish_reason():
    two = [delta("a"), delta("b", index=1), STOP]
    _, error = await played(STREAM_HEAD, *events(*two, DONE), STREAM_END, body=BODY | {"n": 2})
    assert error.fault is UpstreamFault.INTERRUPTED
    both = events(*two, delta(finish_reason="stop", index=1), DONE)
    _, error = await played(STREAM_HEAD, *both, STREAM_END, body=BODY | {"n": 2})
    assert error is None


@pytest.mark.parametrize("ending", [[0.1, FIN], [0.05, RST], [WAIT]], ids=["FIN", "RST", "stall"])
async def test_what_breaks_after_a_complete_answer_spoils_nothing(ending, monkeypatch):
    monkeypatch.setattr("banditroute.providers.openai.TAIL_S", 0.1)
    chunks, error = await played(STREAM_HEAD, *events(delta("a"), STOP), *ending)
    assert (chunks, error) == ([delta("a"), STOP], None)


async def test_a_second_choice_may_be_slower_than_the_tail(monkeypatch):
    monkeypatch.setattr("banditroute.providers.openai.TAIL_S", 0.05)
    second = events(delta("b", finish_reason="stop", index=1), DONE)
    chunks, error = await played(
        STREAM_HEAD, *events(STOP), 0.3, *second, STREAM_END, body=BODY | {"n": 2}
    )
    assert error is None
    assert len(chunks) == 2


@pytest.mark.parametrize(
    ("details", "fault"),
    [
        ({"message": "CANARY"}, UpstreamFault.UNAVAILABLE),
        ({"message": "CANARY", "code": 502}, UpstreamFault.UNAVAILABLE),
        ({"message": "CANARY", "code": 429}, UpstreamFault.RATE_LIMIT),
        ({"type": "overloaded_error"}, UpstreamFault.UNAVAILABLE),
        ({"code": "insufficient_quota"}, UpstreamFault.QUOTA),
    ],
)
async def test_an_error_inside_the_stream_is_raised_as_its_fault(details, fault):
    for before in ([], [delta("a")]):
        chunks, error = await played(
            STREAM_HEAD, *events(*before, {"error": details}, DONE), STREAM_END
        )
        assert chunks == before
        assert error.fault is fault


@pytest.mark.parametrize(
    "bad",
    [b"data: {CANARY\n\n", b"data: 7\n\n", b'data: {"choices": "CANARY"}\n\n', b"data: \xff\n\n"],
)
async def test_an_event_that_is_no_chunk_is_malformed(bad):
    _, error = await played(STREAM_HEAD, *events(delta("a")), piece(bad), STREAM_END)
    assert error.fault is UpstreamFault.MALFORMED


async def test_an_endless_event_is_cut_off(monkeypatch):
    monkeypatch.setattr(reading, "MAX_BODY_BYTES", 1000)
    endless = [piece(b"data: " + b"x" * 400)] * 5
    _, error = await played(STREAM_HEAD, *endless, WAIT)
    assert error.fault is UpstreamFault.MALFORMED


async def test_a_choice_with_a_strange_index_does_no_harm():
    strange = {"choices": [{"index": ["x"], "delta": {}, "finish_reason": "stop"}]}
    chunks, error = await played(STREAM_HEAD, *events(strange, DONE), STREAM_END)
    assert (chunks, error) == ([strange], None)


@pytest.mark.parametrize(
    "script",
    [
        [WAIT],
        [STREAM_HEAD, WAIT],
        [STREAM_HEAD, *events(delta("a")), WAIT],
        [STREAM_HEAD, *events(delta("a")), *[piece(b": ping\n\n"), 0.05] * 100, WAIT],
        [STREAM_HEAD, *events(delta("a")), *[piece(b"x"), 0.05] * 100, WAIT],
    ],
    ids=["silence", "no first chunk", "stall", "only comments", "drip"],
)
async def test_a_stream_that_stops_giving_chunks_times_out(script):
    _, error = await played(*script, timeout_s=0.3)
    assert error.fault is UpstreamFault.TIMEOUT


async def test_a_slow_stream_may_take_longer_than_the_timeout_as_long_as_chunks_come():
    slow = [step for one in events(*[delta("a")] * 6) for step in (one, 0.5)]
    chunks, error = await played(STREAM_HEAD, *slow, *events(STOP, DONE), STREAM_END, timeout_s=2.5)
    assert error is None
    assert len(chunks) == 7


async def test_the_readers_own_pauses_do_not_count_as_the_upstreams():
    async with fake_upstream(WHOLE_STREAM) as upstream:
        provider = OpenAIProvider("up", base_url=upstream.base_url)
        chunks = []
        async for chunk in provider.stream(arm(1.5), BODY):
            if not chunks:
                await asyncio.sleep(1.6)
            chunks.append(chunk)
        await provider.close()
    assert len(chunks) == 4


async def test_closing_the_iterator_closes_the_connection():
    async with fake_upstream([STREAM_HEAD, *events(delta("a")), WAIT]) as upstream:
        provider = OpenAIProvider("up", base_url=upstream.base_url)
        async with aclosing(provider.stream(arm(), BODY)) as chunks:
            assert await anext(chunks) == delta("a")
            assert not upstream.left.is_set()
        await upstream.left.wait()
        await provider.close()


async def test_cancelling_the_reader_closes_the_connection():
    async with fake_upstream([STREAM_HEAD, *events(delta("a")), WAIT]) as upstream:
        provider = OpenAIProvider("up", base_url=upstream.base_url)
        first = asyncio.Event()

        async def read():
            async for _ in provider.stream(arm(), BODY):
                first.set()

        task = asyncio.create_task(read())
        await first.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await upstream.left.wait()
        await provider.close()


REFUSED = [answer(400, {"error": {"message": "unknown field: stream_options CANARY"}})]


async def test_a_refused_stream_option_is_left_out_once_and_for_all():
    async with fake_upstream(REFUSED, WHOLE_STREAM) as upstream:
        provider = OpenAIProvider("up", base_url=upstream.base_url)
        for _ in range(2):
            assert len([chunk async for chunk in provider.stream(arm(), BODY)]) == 4
        await provider.close()
    assert ["stream_options" in body for body in upstream.bodies] == [True, False, False]
    assert upstream.bodies[1] == BODY | {"model": "m-1", "stream": True}


async def test_a_refusal_that_leaving_the_option_out_does_not_mend_is_not_remembered():
    async with fake_upstream(REFUSED, REFUSED, WHOLE_STREAM) as upstream:
        provider = OpenAIProvider("up", base_url=upstream.base_url)
        with pytest.raises(UpstreamError) as caught:
            await anext(provider.stream(arm(), BODY))
        assert caught.value.fault is UpstreamFault.BAD_REQUEST
        assert len([chunk async for chunk in provider.stream(arm(), BODY)]) == 4
        await provider.close()
    assert ["stream_options" in body for body in upstream.bodies] == [True, False, True]


async def test_a_refused_option_of_the_callers_own_is_the_callers_to_mend():
    body = BODY | {"stream_options": {"include_obfuscation": 7}}
    async with fake_upstream(REFUSED, WHOLE_STREAM) as upstream:
        chunks, error = await streamed(upstream.base_url, body=body)
    assert chunks == []
    assert error.fault is UpstreamFault.BAD_REQUEST
    assert len(upstream.requests) == 1


async def test_two_streams_that_are_refused_at_once_both_go_on():
    async with fake_upstream(REFUSED, REFUSED, WHOLE_STREAM) as upstream:
        provider = OpenAIProvider("up", base_url=upstream.base_url)

        async def count():
            return len([chunk async for chunk in provider.stream(arm(), BODY)])

        assert await asyncio.gather(count(), count()) == [4, 4]
        await provider.close()


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ([answer(401, {"error": {"message": "CANARY"}})], UpstreamFault.AUTH),
        ([answer(429, {})], UpstreamFault.RATE_LIMIT),
        ([answer(200, completion())], UpstreamFault.MALFORMED),
        ([answer(200, b"<html>CANARY", content_type="text/html")], UpstreamFault.MALFORMED),
        ([answer(200, {"error": {"code": 401}})], UpstreamFault.AUTH),
        ([FIN], UpstreamFault.CONNECTION),
        ([b"CANARY\r\n\r\n", FIN], UpstreamFault.MALFORMED),
    ],
)
async def test_a_call_that_never_becomes_a_stream_is_an_error_before_any_chunk(script, fault):
    chunks, error = await played(*script)
    assert chunks == []
    assert error.fault is fault


async def test_a_refused_port_is_a_connection_fault():
    _, error = await streamed(unused_url())
    assert error.fault is UpstreamFault.CONNECTION


async def test_an_event_stream_under_another_content_type_is_read():
    head = STREAM_HEAD.replace(b"text/event-stream", b"text/plain")
    chunks, error = await played(head, *WHOLE_STREAM[1:])
    assert error is None
    assert len(chunks) == 4
