import asyncio
import json

import pytest

from banditroute.errors import UpstreamError, UpstreamFault
from banditroute.providers.base import usage_of
from banditroute.providers.scene import Cell
from banditroute.providers.simulated import SimulatedProvider
from banditroute.providers.world import World
from banditroute.values import Arm

pytestmark = pytest.mark.anyio

TOOLS = [{"type": "function", "function": {"name": "look_up"}}]
ARM = Arm("a", "sim", "m-1", 1.0, 2.0, settings={"output_tokens": 60, "latency_s": 0.5})


def ask(prompt="hello", **fields):
    return {"messages": [{"role": "user", "content": prompt}], **fields}


class FixedScene:
    def __init__(self, **fields):
        known = {"quality": 0.5, "input_tokens": 3, "output_tokens": 2, "latency_s": 4.0}
        rest = {"cost_usd": None, "fails": False, "text": "one two"}
        self.cell = Cell(**(known | rest | fields))

    def answer(self, arm, body):
        return self.cell


def provider(scene=None, time_scale=0.0):
    return SimulatedProvider(scene or World(1), time_scale=time_scale, clock=lambda: 1700000000.9)


async def collected(one, body, arm=ARM):
    return [chunk async for chunk in one.stream(arm, body)]


def reassembled(chunks):
    """The message and finish_reason that the deltas amount to, as every client adds them up."""
    message = {"role": None, "content": None}
    finish_reason = None
    for chunk in chunks:
        for choice in chunk["choices"]:
            delta = choice["delta"]
            message["role"] = delta.get("role", message["role"])
            if delta.get("content") is not None:
                message["content"] = (message["content"] or "") + delta["content"]
            for call in delta.get("tool_calls", []):
                calls = message.setdefault("tool_calls", [])
                if call["index"] == len(calls):
                    calls.append({k: v for k, v in call.items() if k != "index"})
                else:
                    calls[call["index"]]["function"]["arguments"] += call["function"]["arguments"]
            finish_reason = choice["finish_reason"] or finish_reason
    return message, finish_reason


async def test_the_answer_is_a_whole_chat_completion():
    scene = FixedScene(cost_usd=0.25, task="code")
    got = await provider(scene).complete(ARM, ask())
    body = dict(got.body)
    assert body.pop("id").startswith("chatcmpl-")
    assert body == {
        "object": "chat.completion",
        "created": 1700000000,
        "model": "m-1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "one two"},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "cost": 0.25},
        "simulated": {"quality": 0.5, "task": "code", "latency_s": 4.0},
    }
    assert got.latency_s == 4.0
    assert usage_of(got.body).cost_usd == 0.25


async def test_a_cost_that_was_not_recorded_is_not_reported():
    got = await provider().complete(ARM, ask())
    assert "cost" not in got.body["usage"]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"max_tokens": 5},
        {"tools": TOOLS},
        {"tools": TOOLS, "tool_choice": "none"},
        {"response_format": {"type": "json_object"}},
    ],
)
async def test_a_stream_amounts_to_the_whole_answer(fields):
    one = provider()
    whole = (await one.complete(ARM, ask(**fields))).body
    chunks = await collected(one, ask(**fields))
    message, finish_reason = reassembled(chunks)
    choice = whole["choices"][0]
    wanted = choice["message"]
    for call in [*message.get("tool_calls", []), *wanted.get("tool_calls", [])]:
        assert call.pop("id").startswith("call_")
    assert (message, finish_reason) == (wanted, choice["finish_reason"])
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == whole["usage"]
    assert chunks[-1]["simulated"] == whole["simulated"]
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}


async def test_a_text_is_streamed_in_several_pieces():
    chunks = await collected(provider(), ask())
    pieces = [c for c in chunks if c["choices"] and c["choices"][0]["delta"].get("content")]
    assert len(pieces) == 8


async def test_tools_are_called_with_arguments_that_are_json():
    body = (await provider().complete(ARM, ask(tools=TOOLS))).body
    choice = body["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    (call,) = choice["message"]["tool_calls"]
    assert call["function"]["name"] == "look_up"
    assert json.loads(call["function"]["arguments"]) == {}


async def test_a_cut_answer_says_length():
    body = (await provider().complete(ARM, ask(max_tokens=5))).body
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 5


async def test_time_is_slept_at_its_scale_and_reported_unscaled(monkeypatch):
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    one = provider(FixedScene(latency_s=4.0), time_scale=0.5)
    assert (await one.complete(ARM, ask())).latency_s == 4.0
    assert slept == [2.0]
    slept.clear()
    await collected(one, ask())
    assert slept[0] == pytest.approx(0.3 * 2.0)
    assert sum(slept) == pytest.approx(2.0)


@pytest.mark.parametrize("time_scale", [-1.0, float("nan"), float("inf")])
def test_a_time_scale_that_is_none_is_refused(time_scale):
    with pytest.raises(ValueError, match="time_scale"):
        SimulatedProvider(World(1), time_scale=time_scale)


async def failures(scene, arm):
    one = provider(scene)
    faults = []
    for call in (one.complete(arm, ask()), anext(one.stream(arm, ask()))):
        with pytest.raises(UpstreamError) as caught:
            await call
        assert caught.value.arm_id == arm.id
        faults.append(caught.value.fault)
    return faults


async def test_a_failing_call_is_unavailable_whole_or_streamed():
    assert await failures(FixedScene(fails=True), ARM) == [UpstreamFault.UNAVAILABLE] * 2


async def test_an_answer_slower_than_the_arms_timeout_times_out():
    hasty = Arm("a", "sim", "m-1", 1.0, 2.0, timeout_s=1.0)
    assert await failures(FixedScene(latency_s=4.0), hasty) == [UpstreamFault.TIMEOUT] * 2


async def test_settings_that_cannot_be_used_are_the_arms_fault():
    broken = Arm("a", "sim", "m-1", 1.0, 2.0, settings={"skill": 3})
    assert await failures(World(1), broken) == [UpstreamFault.UNAVAILABLE] * 2


async def test_failures_come_at_their_rate():
    flaky = Arm("a", "sim", "m-1", 1.0, 2.0, settings={"failure_rate": 0.3})
    one, failed = provider(), 0
    for number in range(1000):
        try:
            await one.complete(flaky, ask(f"prompt {number}"))
        except UpstreamError:
            failed += 1
    assert abs(failed / 1000 - 0.3) < 5 * (0.3 * 0.7 / 1000) ** 0.5


async def test_closing_is_always_fine():
    one = provider()
    await one.close()
    await one.close()
