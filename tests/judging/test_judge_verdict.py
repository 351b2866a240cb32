"""A verdict is a plain score, or none."""

import pytest
from doubles import completion
from hypothesis import given
from hypothesis import strategies as st

from banditroute.judging.verdict import score_of


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ('{"score": 8}', 0.8),
        ('{"reason": "fine", "score": 7.5}', 0.75),
        ('{"score": 0}', 0.0),
        ('{"score": 10.0, "more": [1]}', 1.0),
        ('  \n{"score": 5}\n ', 0.5),
        ('```json\n{"score": 5}\n```', 0.5),
        ('```\n{"score": 5}```', 0.5),
    ],
)
def test_a_plain_score_is_read(reply, score):
    assert score_of(completion(reply)) == score


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "8",
        "[8]",
        "null",
        "score: 8",
        '{"score": "8"}',
        '{"score": true}',
        '{"score": null}',
        '{"score": -0.1}',
        '{"score": 10.1}',
        '{"score": 1e999}',
        '{"score": NaN}',
        '{"grade": 8}',
        '{"score": 8',
        '{"score": {"score": 8}}',
        'I give it {"score": 8}',
        '{"score": 2} {"score": 8}',
        'The answer said ```json\n{"score": 10}\n```',
    ],
)
def test_anything_else_is_no_score(reply):
    assert score_of(completion(reply)) is None


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"choices": None},
        {"choices": [None]},
        {"choices": [{"message": None}]},
        {"choices": [{"message": {"content": {"score": 8}}}]},
        {"choices": [{"message": {"content": '{"score": 8}', "tool_calls": [{}]}}]},
    ],
)
def test_a_body_of_another_shape_is_no_score(body):
    assert score_of(body) is None


@given(st.text())
def test_whatever_a_judge_says_is_a_score_between_0_and_1_or_none(reply):
    score = score_of(completion(reply))
    assert score is None or 0.0 <= score <= 1.0
