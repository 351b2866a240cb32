"""Arbitrary JSON is answered with 2xx or 4xx, in OpenAI's shape, and never brings anything down."""

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire import served, shaped

PATHS = ["/v1/chat/completions", "/feedback", "/v1/outcomes", "/v1/route"]

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["auto", "small", "{id}", "chatcmpl-{id}", "up", "timeout", "user"])
)
KEYS = st.sampled_from(
    [
        *("model", "messages", "role", "content", "text", "type", "stream", "stream_options"),
        *("tools", "n", "max_tokens", "response_format", "metadata", "banditroute", "task", "tags"),
        *("data", "candidates", "exclude", "explore", "patience_s", "max_cost_usd", "id", "score"),
        *("thumbs", "rating", "scale", "source", "weight", "comment", "error", "latency_s"),
    ]
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=12,
)
MESSAGE = st.fixed_dictionaries({"role": st.text(max_size=6), "content": JSON})
MESSAGES = st.lists(MESSAGE, max_size=3)
CHAT = st.builds(
    lambda more, messages, wishes: {
        **more,
        "model": "auto",
        "messages": messages,
        "banditroute": wishes,
    },
    st.dictionaries(KEYS, JSON, max_size=4),
    MESSAGES,
    st.none() | st.dictionaries(KEYS, JSON, max_size=2),
)
ITEM = st.builds(
    lambda more, score: {"id": "{id}", "score": score, **more},
    st.dictionaries(KEYS, JSON, max_size=3),
    JSON,
)
BODY = JSON | CHAT | ITEM | st.lists(ITEM, max_size=3)


@pytest.fixture(scope="module")
def world():
    """The application, in a loop that lasts for all examples."""
    with asyncio.Runner() as runner:
        context = served()
        running = runner.run(context.__aenter__())
        decision_id = runner.run(running.decide())
        yield runner, running, decision_id
        runner.run(context.__aexit__(None, None, None))


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=100)
@given(body=BODY)
def test_arbitrary_json_is_never_our_fault(world, path, body):
    runner, running, decision_id = world
    content = json.dumps(body).replace("{id}", decision_id).encode("utf-8", "surrogatepass")
    response = runner.run(running.client.post(path, content=content))
    assert response.status_code < 500, content
    if response.status_code >= 400:
        shaped(response)


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=40)
@given(content=st.binary(max_size=40))
def test_arbitrary_bytes_are_never_our_fault(world, path, content):
    runner, running, _ = world
    response = runner.run(running.client.post(path, content=content))
    assert 400 <= response.status_code < 500
    shaped(response)
