"""What is read from a chat body, and that nothing in one can make reading fail."""

from typing import Any

import pytest

from banditroute.core.context.request import (
    CUT,
    LARGEST_LIMIT,
    TOKENS_PER_IMAGE,
    TOKENS_PER_MESSAGE,
    TOKENS_PER_TOOL,
    read,
    tokens_in,
)

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
AUDIO = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def test_the_words_are_those_of_the_last_user_message():
    messages = [
        {"role": "system", "content": "Be brief."},
        user("first"),
        {"role": "assistant", "content": "answer"},
        user([{"type": "text", "text": "second"}, IMAGE, {"type": "text", "text": "third"}]),
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
    ]
    prompt = read({"messages": messages})
    assert prompt.text == "second\nthird"
    assert prompt.text_length == len("secondthird")
    assert prompt.total_length == len("Be brief.firstanswersecondthird42")
    assert (prompt.turns, prompt.system, prompt.images) == (4, True, 1)


@pytest.mark.parametrize("last", [user(None), user([IMAGE]), user(""), user(7)])
def test_a_user_message_without_text_leaves_the_words_to_the_one_before(last):
    assert read({"messages": [user("look at this"), last]}).text == "look at this"


def test_without_any_user_text_the_last_text_of_any_role_is_taken():
    messages = [{"role": "system", "content": "rules"}, {"role": "assistant", "content": "said"}]
    assert read({"messages": messages}).text == "said"


def test_a_long_text_is_cut_to_its_head_and_tail_but_its_length_is_known():
    prompt = read({"messages": [user("a" * 1_000_000 + "b" * 1_000_000)]})
    assert prompt.text == "a" * (CUT // 2) + "\n" + "b" * (CUT // 2)
    assert prompt.text_length == 2_000_000


@pytest.mark.parametrize(
    ("body", "needs"),
    [
        ({}, set()),
        ({"tools": [{"type": "function"}]}, {"tools"}),
        ({"functions": [{"name": "f"}]}, {"tools"}),
        ({"tools": [], "functions": None}, set()),
        ({"messages": [{"role": "assistant", "tool_calls": [CALL]}]}, {"tools"}),
        ({"messages": [{"role": "tool", "content": "42"}]}, {"tools"}),
        ({"messages": [{"role": "assistant", "tool_calls": []}]}, set()),
        ({"messages": [user([IMAGE])]}, {"vision"}),
        ({"messages": [user([AUDIO])]}, {"audio"}),
        ({"modalities": ["text", "audio"]}, {"audio"}),
        ({"response_format": {"type": "json_object"}}, {"json"}),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, {"json"}),
        ({"response_format": {"type": "text"}}, set()),
        ({"response_format": "json_object"}, set()),
    ],
)
def test_needs_name_what_the_request_cannot_do_without(body, needs):
    assert read(body).needs == needs


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        ({}, None),
        ({"max_tokens": 100}, 100),
        ({"max_tokens": 100, "max_completion_tokens": 50}, 50),
        ({"max_tokens": 100, "max_completion_tokens": 0}, 100),
        ({"max_tokens": -1}, None),
        ({"max_tokens": True}, None),
        ({"max_tokens": "100"}, None),
        ({"max_tokens": 1e3}, None),
        ({"max_tokens": 10**400}, LARGEST_LIMIT),
    ],
)
def test_the_output_limit_is_a_positive_whole_number_or_unknown(body, limit):
    assert read(body).max_output_tokens == limit


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("", 0, 0),
        ("The quick brown fox jumps over the lazy dog.", 8, 14),
        ("你好，请介绍一下北京的历史。", 9, 18),
        ("Быстрая коричневая лиса прыгает.", 8, 22),
        ("\ud800" * 8, 1, 10),
    ],
)
def test_tokens_are_estimated_within_the_range_of_common_tokenisers(text, least, most):
    assert least <= tokens_in(text) <= most


def test_tokens_of_a_long_foreign_text_are_extrapolated():
    assert tokens_in("语" * 1_000_000) == pytest.approx(1_000_000, rel=0.01)


def test_tokens_count_every_message_tools_and_images():
    tools = [{"type": "function", "function": {"name": "n" * 400}}]
    bare = read({"messages": [user("x" * 400)]}).input_tokens
    assert bare == 100 + TOKENS_PER_MESSAGE
    assert read({"messages": [user("x" * 400)] * 3}).input_tokens == 3 * bare
    assert read({"messages": [user("x" * 400)], "tools": tools}).input_tokens > bare + 100
    parts = [{"type": "text", "text": "x" * 400}, IMAGE]
    assert read({"messages": [user(parts)]}).input_tokens == bare + TOKENS_PER_IMAGE


def test_tools_that_json_cannot_express_count_a_flat_number_each():
    nested: list[Any] = []
    for _ in range(10_000):
        nested = [nested]
    assert read({"tools": [{"name": "\ud800"}, nested]}).input_tokens == 2 * TOKENS_PER_TOOL
