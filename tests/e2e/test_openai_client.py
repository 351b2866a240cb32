"""OpenAI's own client against a real server of the shipped configuration."""

from collections.abc import Iterator

import openai
import pytest
from loopback import routing, shipped_text
from openai import OpenAI

from banditroute.bootstrap import build
from banditroute.config import parse

HELLO = [{"role": "user", "content": "Hello! Write a Python function that adds two numbers."}]
ARMS = {"sim-small", "sim-general", "sim-code", "sim-strong"}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


@pytest.fixture(scope="module")
def client(tmp_path_factory) -> Iterator[OpenAI]:
    path = tmp_path_factory.mktemp("shipped") / "log.db"
    settings = parse(shipped_text(f"sqlite:///{path}"), {})
    with (
        routing(build(settings)) as url,
        OpenAI(base_url=url, api_key="none", max_retries=0) as client,
    ):
        yield client


def ask(client, **more):
    return client.chat.completions.create(**{"model": "auto", "messages": HELLO, **more})


def feedback(client, body):
    url = str(client.base_url).replace("/v1/", "/feedback")
    return client.post(url, body=body, cast_to=object)


def test_a_completion(client):
    response = ask(client)
    assert response.model in ARMS
    assert response.id == f"chatcmpl-{response.banditroute['decision_id']}"
    assert response.choices[0].message.content
    assert response.choices[0].finish_reason == "stop"
    assert response.usage.completion_tokens > 0


def test_a_stream_says_what_a_completion_of_the_same_arm_says(client):
    whole = ask(client, model="sim-code").choices[0].message.content
    chunks = list(ask(client, model="sim-code", stream=True))
    said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert said == whole
    assert len({c.id for c in chunks}) == 1
    assert {c.model for c in chunks} == {"sim-code"}
    assert [hasattr(c, "banditroute") for c in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert not any(c.usage for c in chunks)


def test_a_stream_with_usage_ends_with_it(client):
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].usage.completion_tokens > 0
    assert chunks[-1].choices == []
    assert chunks[-1].banditroute["cost_usd"] > 0


@pytest.mark.parametrize("stream", [False, True])
def test_tools_pass_through(client, stream):
    answer = ask(client, tools=TOOLS, stream=stream)
    if stream:
        chunks = list(answer)
        calls = [c.choices[0].delta.tool_calls for c in chunks if c.choices]
        name = next(call[0].function.name for call in calls if call)
        model = chunks[0].model
    else:
        name = answer.choices[0].message.tool_calls[0].function.name
        model = answer.model
    assert name == "weather"
    assert model in ARMS


def test_an_arms_id_as_model(client):
    assert ask(client, model="sim-small").model == "sim-small"


def test_extensions_travel_as_extra_body(client):
    extra = {"banditroute": {"candidates": ["sim-strong"], "task": "code"}}
    assert ask(client, extra_body=extra).model == "sim-strong"


def test_an_unknown_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as caught:
        ask(client, model="gpt-nope")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert caught.value.request_id


def test_a_bad_request_says_what_to_change(client):
    with pytest.raises(openai.BadRequestError, match="remove it or check its spelling"):
        ask(client, extra_body={"banditroute": {"tsak": "code"}})


def test_models(client):
    first, *others = [model.id for model in client.models.list()]
    assert first == "auto"
    assert set(others) == ARMS


def test_feedback_by_the_answers_id(client):
    answer = ask(client)
    for score, status in [(0.5, "learned"), (0.5, "unchanged"), (1.0, "amended")]:
        assert feedback(client, {"id": answer.id, "score": score}) == {
            "id": answer.id,
            "status": status,
        }


def test_feedback_by_a_streams_id(client):
    chunks = list(ask(client, stream=True))
    assert feedback(client, {"id": chunks[0].id, "thumbs": "up"})["status"] == "learned"


def test_an_answer_tells_its_headers(client):
    raw = client.chat.completions.with_raw_response.create(model="auto", messages=HELLO)
    assert raw.headers["x-banditroute-model"] == raw.parse().model
    assert float(raw.headers["x-banditroute-cost-usd"]) > 0
