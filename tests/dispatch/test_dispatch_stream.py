"""Streams: fall back before the first chunk, tell in the stream after it, leave nothing open."""

import asyncio

import pytest
from doubles import (
    STREAM,
    ScriptedProvider,
    arm,
    asking,
    chunk,
    fault,
    router,
    soon,
    until,
    usage_chunk,
)
from test_dispatch_complete import FIRST_A, RETRYABLE, kept

from banditroute.errors import NoEligibleArm, UpstreamError, UpstreamFault
from banditroute.values import Request

pytestmark = pytest.mark.anyio


def text(chunks):
    deltas = [choice["delta"] for c in chunks for choice in c.get("choices", [])]
    return "".join(delta.get("content") or "" for delta in deltas)


async def whole(streamed):
    return [one async for one in streamed.chunks]


def with_usage(wanted=True):
    body = {"messages": [{"role": "user", "content": "hi"}], "stream": True}
    return Request({**body, "stream_options": {"include_usage": wanted}})


async def test_every_chunk_carries_our_id_and_the_last_one_the_decision(dispatching):
    dispatcher = await dispatching(ScriptedProvider(), router("a"))
    streamed = await dispatcher.stream("auto", asking())
    chunks = await whole(streamed)
    assert {c["id"] for c in chunks} == {f"chatcmpl-{streamed.decision.id}"}
    assert {c["model"] for c in chunks} == {"a"}
    assert text(chunks) == "hello"
    assert ["banditroute" in c for c in chunks] == [False] * 3 + [True]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["banditroute"]["decision_id"] == streamed.decision.id
    assert chunks[-1]["banditroute"]["cost_usd"] == 0.003
    assert not any("usage" in c for c in chunks), "nobody asked for it"


async def test_usage_comes_last_for_those_who_asked(dispatching):
    dispatcher = await dispatching(ScriptedProvider(), router("a"))
    chunks = await whole(await dispatcher.stream("auto", with_usage()))
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["prompt_tokens"] == 1000
    assert "banditroute" in chunks[-1]
    assert text(chunks) == "hello"


async def test_what_a_stream_did_is_recorded(dispatching, ticks):
    script = [
        lambda: ticks.advance(1.0),
        chunk(""),
        lambda: ticks.advance(0.5),
        *STREAM[1:3],
        lambda: ticks.advance(2.0),
        *STREAM[3:],
    ]
    dispatcher = await dispatching(ScriptedProvider({"a": [script]}), router("a"))
    streamed = await dispatcher.stream("auto", asking())
    assert streamed.upstream_s == 1.0, "until the first chunk"
    await whole(streamed)
    (record,) = await kept(dispatcher)
    found = record.outcome
    assert (found.ttft_s, found.latency_s) == (1.5, 3.5), "the first chunk had no content"
    assert (found.input_tokens, found.output_tokens) == (1000, 500)
    assert (found.cost_usd, found.error) == (0.003, None)


async def test_a_slow_store_is_not_taken_for_a_slow_arm(dispatching, ticks, monkeypatch):
    dispatcher = await dispatching(ScriptedProvider(), router("a"))

    async def settled(decision):
        ticks.advance(50.0)

    monkeypatch.setattr(dispatcher.engine, "settled", settled)
    await whole(await dispatcher.stream("auto", asking()))
    (record,) = await kept(dispatcher)
    assert record.outcome.latency_s == 0.0


@pytest.mark.parametrize("word", RETRYABLE)
async def test_before_the_first_chunk_a_stream_falls_back(dispatching, word):
    provider = ScriptedProvider({"a": [fault("a", word)]})
    dispatcher = await dispatching(provider, router("a", "b", **FIRST_A))
    streamed = await dispatcher.stream("auto", asking())
    assert (streamed.decision.arm_id, streamed.attempts) == ("b", 2)
    assert text(await whole(streamed)) == "hello"
    first, second = await kept(dispatcher)
    assert second.decision.parent_id == first.decision.id
    assert second.decision.propensity == 1.0
    assert (first.outcome.error, second.outcome.error) == (word.value, None)


async def test_a_stream_of_a_bad_request_is_not_tried_elsewhere(dispatching):
    provider = ScriptedProvider({"a": [fault("a", UpstreamFault.BAD_REQUEST)]})
    dispatcher = await dispatching(provider, router("a", "b", **FIRST_A))
    with pytest.raises(UpstreamError):
        await dispatcher.stream("auto", asking())
    assert provider.called == ["a"]


async def test_when_every_stream_failed_the_last_error_is_raised(dispatching):
    provider = ScriptedProvider({"a": [fault("a")], "b": [fault("b", UpstreamFault.AUTH)]})
    dispatcher = await dispatching(provider, router("a", "b", **FIRST_A))
    with pytest.raises(UpstreamError) as caught:
        await dispatcher.stream("auto", asking())
    assert caught.value.arm_id == "b"
    assert provider.closed_streams == 2


async def test_time_spent_on_a_failed_stream_is_upstream_time(dispatching, ticks):
    script = [lambda: ticks.advance(3.0), fault("a")]
    provider = ScriptedProvider({"a": [script], "b": [[lambda: ticks.advance(1.0), *STREAM]]})
    dispatcher = await dispatching(provider, router("a", "b", **FIRST_A))
    streamed = await dispatcher.stream("auto", asking())
    assert streamed.upstream_s == 4.0
    await streamed.chunks.aclose()


async def test_after_the_first_chunk_the_caller_is_told_in_the_stream(dispatching):
    error = fault("a", UpstreamFault.INTERRUPTED)
    provider = ScriptedProvider({"a": [[chunk("hel"), error]]})
    dispatcher = await dispatching(provider, router("a", "b", **FIRST_A))
    chunks = await whole(await dispatcher.stream("auto", asking()))
    assert text(chunks[:-1]) == "hel"
    assert chunks[-1] == {"error": error}
    assert provider.called == ["a"]
    (record,) = await kept(dispatcher)
    assert record.outcome.error == "interrupted"
    assert record.outcome.cost_usd is None
    assert provider.closed_streams == 1


async def test_an_abandoned_stream_leaves_nothing_behind(dispatching):
    provider = ScriptedProvider({"a": [[chunk("hel"), chunk("lo"), asyncio.Event()], STREAM]})
    dispatcher = await dispatching(provider, router(arm("a", max_concurrency=1)))
    streamed = await dispatcher.stream("auto", asking())
    assert (await anext(streamed.chunks))["choices"][0]["delta"] == {"content": "hel"}
    with pytest.raises(NoEligibleArm):
        await soon(dispatcher.stream("auto", asking()))
    await streamed.chunks.aclose()
    assert provider.closed_streams == 1
    (record,) = await kept(dispatcher)
    assert record.outcome.error == "abandoned"
    again = await dispatcher.stream("auto", asking())
    assert text(await whole(again)) == "hello"


async def test_a_stream_given_up_before_its_first_chunk_leaves_nothing_behind(dispatching):
    provider = ScriptedProvider({"a": [[asyncio.Event()]]})
    dispatcher = await dispatching(provider, router("a"))
    call = asyncio.create_task(dispatcher.stream("auto", asking()))
    await until(lambda: provider.called)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    (record,) = await kept(dispatcher)
    assert record.outcome.error == "abandoned"
    assert provider.closed_streams == 1


async def test_a_stream_closed_after_its_last_chunk_was_complete(dispatching):
    dispatcher = await dispatching(ScriptedProvider(), router("a"))
    streamed = await dispatcher.stream("auto", asking())
    async for one in streamed.chunks:
        if "banditroute" in one:
            break
    await streamed.chunks.aclose()
    (record,) = await kept(dispatcher)
    assert record.outcome.error is None


async def test_an_unforeseen_error_in_a_stream_is_no_answer(dispatching):
    provider = ScriptedProvider({"a": [[chunk("hel"), ZeroDivisionError()]]})
    dispatcher = await dispatching(provider, router("a"))
    streamed = await dispatcher.stream("auto", asking())
    with pytest.raises(ZeroDivisionError):
        await whole(streamed)
    (record,) = await kept(dispatcher)
    assert record.outcome.error == "abandoned"


async def test_a_stream_of_unknown_usage_costs_an_unknown_amount(dispatching):
    provider = ScriptedProvider({"a": [STREAM[:-1]]})
    dispatcher = await dispatching(provider, router("a"))
    chunks = await whole(await dispatcher.stream("auto", asking()))
    assert chunks[-1]["banditroute"]["cost_usd"] is None
    (record,) = await kept(dispatcher)
    assert (record.outcome.cost_usd, record.outcome.output_tokens) == (None, None)


async def test_a_stream_is_charged_as_billed(dispatching):
    provider = ScriptedProvider({"a": [[*STREAM[:-1], usage_chunk(cost=0.25)]]})
    dispatcher = await dispatching(provider, router("a"))
    chunks = await whole(await dispatcher.stream("auto", asking()))
    assert chunks[-1]["banditroute"]["cost_usd"] == 0.25


async def test_a_stream_of_nothing_is_signed_all_the_same(dispatching):
    dispatcher = await dispatching(ScriptedProvider({"a": [[]]}), router("a"))
    (only,) = await whole(await dispatcher.stream("auto", asking()))
    assert "banditroute" in only
