"""The real OpenAI client against a real server: what an application sees on its first day."""

import asyncio
import re

import httpx
import openai
import pytest
from e2e_server import ARMS, asking, fast_server
from patience import PATIENCE_S

ASK = asking("Translate into French: good morning.")
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Looks a word up",
        "parameters": {"type": "object", "properties": {}},
    },
}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with fast_server(tmp_path_factory.mktemp("openai")) as (url, _):
        yield url


@pytest.fixture(scope="module")
def client(url):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def http(url):
    with httpx.Client(base_url=url, timeout=PATIENCE_S) as http:
        yield http


def receipt_of(http, completion_id):
    return http.get(f"/v1/decisions/{completion_id}").raise_for_status().json()


def said_by(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_a_plain_answer_names_its_decision_and_its_arm(client, http):
    answer = client.chat.completions.create(model="auto", messages=ASK)
    assert answer.object == "chat.completion"
    assert answer.model in ARMS
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    signed = answer.model_extra["banditroute"]
    assert answer.id == f"chatcmpl-{signed['decision_id']}"
    assert (signed["router"], signed["model"]) == ("auto", answer.model)
    receipt = receipt_of(http, answer.id)
    assert (receipt["arm"], receipt["explored"]) == (answer.model, True)
    assert receipt["propensity"] == signed["propensity"]
    assert receipt["outcome"]["output_tokens"] == answer.usage.completion_tokens


def test_a_stream_says_what_the_plain_answer_says_under_one_id(client):
    plain = client.chat.completions.create(model="sim-general", messages=ASK)
    chunks = list(client.chat.completions.create(model="sim-general", messages=ASK, stream=True))
    assert said_by(chunks) == plain.choices[0].message.content
    assert re.fullmatch(f"chatcmpl-{UUID}", chunks[0].id)
    assert {(chunk.id, chunk.model, chunk.object) for chunk in chunks} == {
        (chunks[0].id, "sim-general", "chat.completion.chunk")
    }
    finished = [chunk.choices[0].finish_reason for chunk in chunks]
    assert finished == [None] * (len(chunks) - 1) + ["stop"]


def test_only_the_last_chunk_is_signed_and_no_usage_comes_unasked(client, http):
    *others, last = client.chat.completions.create(model="auto", messages=ASK, stream=True)
    signed = last.model_extra["banditroute"]
    assert last.id == f"chatcmpl-{signed['decision_id']}"
    assert signed["model"] == last.model
    assert len(others) > 1
    assert not any("banditroute" in chunk.model_extra for chunk in others)
    assert not any("usage" in chunk.to_dict() for chunk in [*others, last])
    outcome = receipt_of(http, last.id)["outcome"]  # usage was counted, only not shown
    assert outcome["cost_usd"] == signed["cost_usd"] > 0
    assert 0 <= outcome["ttft_s"] <= outcome["latency_s"]


def test_usage_is_on_the_last_chunk_for_those_who_ask(client):
    *others, last = client.chat.completions.create(
        model="sim-code", messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    plain = client.chat.completions.create(model="sim-code", messages=ASK)
    assert all(chunk.usage is None for chunk in others)
    assert (last.usage, last.choices) == (plain.usage, [])
    assert last.id == f"chatcmpl-{last.model_extra['banditroute']['decision_id']}"


def test_tools_are_called_and_their_results_answered(client):
    answer = client.chat.completions.create(model="auto", messages=ASK, tools=[TOOL])
    assert answer.choices[0].finish_reason == "tool_calls"
    message = answer.choices[0].message
    (call,) = message.tool_calls
    assert (call.function.name, call.function.arguments) == ("look_up", "{}")

    result = {"role": "tool", "tool_call_id": call.id, "content": "bonjour"}
    turns = [*ASK, message.model_dump(exclude_none=True), result]
    after = client.chat.completions.create(model="auto", messages=turns, tools=[TOOL])
    assert after.choices[0].finish_reason == "stop"
    assert after.choices[0].message.content


def test_a_tool_call_is_put_together_from_its_chunks(client):
    with client.chat.completions.stream(model="auto", messages=ASK, tools=[TOOL]) as stream:
        final = stream.get_final_completion()
    (call,) = final.choices[0].message.tool_calls
    assert (call.function.name, call.function.arguments) == ("look_up", "{}")
    assert final.choices[0].finish_reason == "tool_calls"
    assert final.model in ARMS


def test_an_arm_asked_for_by_name_answers_and_nobody_explored(client, http):
    answer = client.chat.completions.create(model="sim-small", messages=ASK)
    assert answer.model == "sim-small"
    assert answer.model_extra["banditroute"]["propensity"] == 1.0
    receipt = receipt_of(http, answer.id)
    assert (receipt["propensity"], receipt["explored"]) == (1.0, False)
    assert [candidate["arm"] for candidate in receipt["candidates"]] == ["sim-small"]


def test_the_wishes_of_extra_body_are_heard(client, http):
    wishes = {"task": "translation", "tags": ["gold"], "candidates": ["sim-code", "sim-small"]}
    answer = client.chat.completions.create(
        model="auto", messages=ASK, extra_body={"banditroute": {**wishes, "exclude": ["sim-code"]}}
    )
    receipt = receipt_of(http, answer.id)
    assert answer.model == receipt["arm"] == "sim-small"
    assert (receipt["task"], receipt["tags"]) == ("translation", ["gold"])
    assert {away["arm"] for away in receipt["excluded"]} == set(ARMS) - {"sim-small"}


def test_an_unknown_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="gpt-nowhere", messages=ASK)
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")
    assert "auto" in refused.value.message  # says what there is instead
    assert re.fullmatch(r"[0-9a-f]{32}", refused.value.request_id)


@pytest.mark.parametrize("stream", [False, True])
def test_empty_messages_are_a_bad_request_that_names_them(client, stream):
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="auto", messages=[], stream=stream)
    assert refused.value.param == "messages"
    assert refused.value.type == "invalid_request_error"


def test_models_lists_routers_and_arms(client):
    assert [model.id for model in client.models.list()] == ["auto", *ARMS]


def test_feedback_by_the_answers_id_is_learned_once_and_can_be_changed(client, http):
    answer = client.chat.completions.create(model="auto", messages=ASK)
    said = [
        http.post("/feedback", json={"id": answer.id, "score": score}).raise_for_status().json()
        for score in (0.25, 0.25, 0.75, 0.75)
    ]
    statuses = ["learned", "unchanged", "amended", "unchanged"]
    assert said == [{"id": answer.id, "status": status} for status in statuses]
    receipt = receipt_of(http, answer.id)
    assert receipt["quality"] == 0.75
    assert [mark["score"] for mark in receipt["feedback"]] == [0.75]


def test_feedback_on_a_streamed_answer_finds_its_decision(client, http):
    first, *_ = client.chat.completions.create(model="auto", messages=ASK, stream=True)
    said = http.post("/v1/feedback", json={"id": first.id, "thumbs": "up"})
    assert said.json() == {"id": first.id, "status": "learned"}


def headers_of(raw):
    """What the ``x-banditroute-`` headers say."""
    prefix = "x-banditroute-"
    named = {name: value for name, value in raw.headers.items() if name.startswith(prefix)}
    return {name.removeprefix(prefix): value for name, value in named.items()}


def test_the_headers_of_an_answer_say_what_was_decided_and_spent(client):
    raw = client.chat.completions.with_raw_response.create(model="auto", messages=ASK)
    answer, said = raw.parse(), headers_of(raw)
    assert float(said.pop("overhead-ms")) >= 0
    assert said == {
        "decision-id": answer.id.removeprefix("chatcmpl-"),
        "model": answer.model,
        "attempts": "1",
        "cost-usd": f"{answer.model_extra['banditroute']['cost_usd']:.8f}",
    }


def test_the_headers_of_a_stream_say_what_was_decided(client):
    raw = client.chat.completions.with_raw_response.create(model="auto", messages=ASK, stream=True)
    *_, last = raw.parse()
    said = headers_of(raw)
    assert float(said.pop("overhead-ms")) >= 0
    assert said == {
        "decision-id": last.id.removeprefix("chatcmpl-"),
        "model": last.model,
        "attempts": "1",
    }


def test_a_request_keeps_its_own_id_or_gets_a_new_one(client):
    def request_id(**headers):
        raw = client.chat.completions.with_raw_response.create(
            model="auto", messages=ASK, extra_headers=headers
        )
        assert raw.parse()._request_id == raw.headers["x-request-id"]
        return raw.headers["x-request-id"]

    assert request_id(**{"x-request-id": "order-17:a"}) == "order-17:a"
    made = [request_id(**{"x-request-id": "no <sane> id"}), request_id(), request_id()]
    assert all(re.fullmatch(r"[0-9a-f]{32}", one) for one in made)
    assert len(set(made)) == 3


@pytest.mark.anyio
async def test_fifty_requests_at_once_are_fifty_answers(url):
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client:
        answers = await asyncio.gather(
            *(
                client.chat.completions.create(model="auto", messages=asking(f"Question {n}"))
                for n in range(50)
            )
        )
    assert len({answer.id for answer in answers}) == 50
    assert all(answer.choices[0].message.content for answer in answers)
