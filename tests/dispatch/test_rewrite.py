"""What passes through a stream unchanged, what is rewritten, and what is kept back to be signed."""

import pytest
from doubles import Clock, asking, chunk, engine_on, memory, router, usage_chunk
from hypothesis import given
from hypothesis import strategies as st

from banditroute.dispatch.rewrite import ChunkRewriter, has_content, wants_usage
from banditroute.providers.base import Usage

DECISION = engine_on(memory(Clock()), Clock(), router("a")).decide("auto", asking())
SIGNED = {"banditroute": {"signed": True}}
OURS = {"id": f"chatcmpl-{DECISION.id}", "model": "a"}


def rewritten(chunks, wants_usage=False):
    rewriter = ChunkRewriter(DECISION, wants_usage=wants_usage)
    passed = [ready for one in chunks for ready in rewriter.feed(one)]
    return [*passed, rewriter.last(SIGNED)], rewriter.usage


def test_only_id_and_model_change_and_one_chunk_is_kept_back_to_be_signed():
    sent = [chunk("a", extra={"kept": 1}), chunk("b"), chunk(finish_reason="stop")]
    found, _ = rewritten(sent)
    assert found == [
        {**sent[0], **OURS},
        {**sent[1], **OURS},
        {**sent[2], **OURS, **SIGNED},
    ]


def test_of_several_choices_the_last_to_finish_is_signed():
    sent = [
        chunk("a0", index=0),
        chunk("a1", index=1),
        chunk(finish_reason="stop", index=0),
        chunk("b1", index=1),
        chunk(finish_reason="length", index=1),
        usage_chunk(),
    ]
    found, usage = rewritten(sent)
    assert found == [*({**c, **OURS} for c in sent[:4]), {**sent[4], **OURS, **SIGNED}]
    assert usage.output_tokens == 500


def test_a_usage_chunk_is_hidden_unless_it_was_asked_for():
    sent = [chunk("a", usage=None), chunk(finish_reason="stop", usage=None), usage_chunk()]
    hidden, _ = rewritten(sent)
    assert not any("usage" in c for c in hidden)
    assert len(hidden) == 2
    shown, _ = rewritten(sent, wants_usage=True)
    assert shown == [*({**c, **OURS} for c in sent[:2]), {**sent[2], **OURS, **SIGNED}]


def test_what_a_hidden_usage_chunk_says_besides_usage_is_kept():
    sent = [chunk(finish_reason="stop"), {**usage_chunk(), "simulated": {"quality": 0.5}}]
    (only,), _ = rewritten(sent)
    assert only["simulated"] == {"quality": 0.5}
    assert only["choices"][0]["finish_reason"] == "stop"


def test_usage_on_the_finish_chunk_is_read_and_hidden_alike():
    finish = chunk(finish_reason="stop", usage={"prompt_tokens": 3, "completion_tokens": 2})
    hidden, usage = rewritten([chunk("a"), finish])
    assert usage == Usage(input_tokens=3, output_tokens=2)
    assert "usage" not in hidden[-1]
    shown, _ = rewritten([chunk("a"), finish], wants_usage=True)
    assert shown[-1]["usage"] == {"prompt_tokens": 3, "completion_tokens": 2}


def test_usage_that_grows_from_chunk_to_chunk_counts_as_last_said():
    sent = [chunk("a", usage={"completion_tokens": n}) for n in (1, 2, 3)]
    _, usage = rewritten([*sent, chunk(finish_reason="stop", usage=None)])
    assert usage.output_tokens == 3


def test_without_a_finish_chunk_the_signature_comes_alone():
    found, _ = rewritten([chunk("a")])
    assert found == [
        {**chunk("a"), **OURS},
        {"object": "chat.completion.chunk", "choices": [], **OURS, **SIGNED},
    ]


@pytest.mark.parametrize("asked", [False, True])
def test_a_first_chunk_without_choices_passes_on(asked):
    """Azure sends the result of its prompt filter so."""
    first = {"id": "", "choices": [], "prompt_filter_results": [1]}
    found, _ = rewritten([first, chunk("a"), chunk(finish_reason="stop")], wants_usage=asked)
    assert [c.get("prompt_filter_results") for c in found] == [[1], None, None]
    assert found[-1]["choices"][0]["finish_reason"] == "stop"


def test_chunks_that_are_not_as_they_should_be_pass_on():
    odd = [{"choices": "none"}, {"choices": [None, 3]}, {"choices": [{"delta": None}]}, {}]
    found, _ = rewritten([*odd, chunk("a"), chunk(finish_reason="stop")])
    assert len(found) == 6
    assert found[-1].keys() >= {"banditroute", "choices"}


CHUNKS = st.lists(
    st.one_of(
        st.builds(chunk, content=st.text(max_size=5), index=st.integers(0, 2)),
        st.builds(chunk, finish_reason=st.sampled_from(["stop", "length"]), content=st.text()),
        st.builds(usage_chunk),
        st.builds(chunk, content=st.text(max_size=3), usage=st.just({"completion_tokens": 1})),
        st.just({"choices": []}),
    )
)


def contents(chunks):
    """What every choice says, in order."""
    return [
        (choice["index"], choice["delta"].get("content"), choice["finish_reason"])
        for one in chunks
        for choice in one.get("choices", [])
    ]


@given(CHUNKS, st.booleans())
def test_nothing_of_the_answer_is_lost_doubled_or_put_elsewhere(chunks, asked):
    found, _ = rewritten(chunks, wants_usage=asked)
    assert contents(found) == contents(chunks)
    assert ["banditroute" in c for c in found] == [False] * (len(found) - 1) + [True]
    assert all(c["id"] == OURS["id"] and c["model"] == "a" for c in found)
    assert asked or not any("usage" in c for c in found)


@given(CHUNKS)
def test_chunks_are_left_as_they_were(chunks):
    before = repr(chunks)
    rewritten(chunks)
    assert repr(chunks) == before


@pytest.mark.parametrize(
    ("delta", "counts"),
    [
        ({"role": "assistant", "content": ""}, False),
        ({"role": "assistant", "content": None}, False),
        ({}, False),
        (None, False),
        ({"content": "a"}, True),
        ({"tool_calls": [{"index": 0}]}, True),
        ({"refusal": "no"}, True),
        ({"reasoning_content": "hm"}, True),
    ],
)
def test_the_first_token_is_the_first_chunk_that_says_anything(delta, counts):
    assert has_content({"choices": [{"delta": delta}]}) is counts


def test_a_chunk_without_choices_says_nothing():
    assert not has_content({})
    assert not has_content({"choices": []})
    assert not has_content({"choices": [3]})


@pytest.mark.parametrize(
    ("options", "wanted"),
    [({"include_usage": True}, True), ({"include_usage": 1}, False), ({}, False), ("x", False)],
)
def test_usage_is_wanted_only_if_it_is_said(options, wanted):
    assert wants_usage({"stream_options": options}) is wanted
    assert not wants_usage({})
