"""An answer is heard the same whole and in chunks, up to a bound."""

import pytest
from doubles import STREAM, chunk, completion
from hypothesis import given
from hypothesis import strategies as st

from banditroute.judging.hearing import LONGEST_HEARD, Hearing


def heard(*bodies):
    hearing = Hearing()
    for body in bodies:
        hearing.add(body)
    return hearing.text


def message(**fields):
    return completion(choices=[{"index": 0, "message": fields}])


def delta(**fields):
    return {"choices": [{"index": 0, "delta": fields}]}


def test_a_whole_answer_and_a_streamed_one_are_heard_alike():
    assert heard(completion("hello")) == heard(*STREAM) == "hello"


def test_only_the_first_choice_is_heard():
    second = {"index": 1, "message": {"content": "no"}}
    assert heard(completion(choices=[*completion("yes")["choices"], second])) == "yes"
    assert heard(chunk("y"), chunk("no", index=1), chunk("es")) == "yes"


def test_a_refusal_is_an_answer_too():
    assert heard(message(content=None, refusal="I will not")) == "I will not"


def test_text_parts_are_heard():
    parts = [{"type": "text", "text": "a"}, {"type": "other"}, {"type": "text", "text": "b"}]
    assert heard(message(content=parts)) == "a\nb"


@pytest.mark.parametrize("body", [{}, completion(""), completion(" \n"), message(content=None)])
def test_an_answer_without_text_is_none(body):
    assert heard(body) is None


def test_an_answer_that_calls_tools_is_none_whatever_else_it_says():
    call = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    assert heard(message(content="Let me look", tool_calls=call)) is None
    assert heard(delta(content="Let me look"), delta(tool_calls=call)) is None
    assert heard(message(content="So", function_call={"name": "f"})) is None


def test_no_more_is_kept_than_the_bound():
    piece = "x" * 1000
    assert heard(*[chunk(piece)] * 100) == "x" * LONGEST_HEARD
    assert len(heard(completion("y" * 10**6))) == LONGEST_HEARD


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "index", "message", "delta", "content", "text"]), inner
        )
    ),
)


@given(st.dictionaries(st.just("choices"), json))
def test_nothing_an_upstream_sends_breaks_it(body):
    assert heard(body) is None or isinstance(heard(body), str)
