"""Values come back from bytes exactly as they were."""

from __future__ import annotations

import struct
from dataclasses import fields, is_dataclass, replace
from operator import attrgetter
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from store_examples import Clock, Examples

from banditroute.errors import InvalidRequest, StoreError
from banditroute.stores import packing
from banditroute.stores.packing import (
    pack_changes,
    pack_decision,
    pack_evidence,
    pack_marks,
    pack_outcome,
    pack_outcomes,
    unpack_changes,
    unpack_decision,
    unpack_evidence,
    unpack_marks,
    unpack_outcome,
    unpack_outcomes,
)
from banditroute.values import (
    Announcement,
    Arm,
    ArmChange,
    ArmStatus,
    Candidate,
    Charge,
    Decision,
    Feedback,
    FeedbackKind,
    Mark,
    Outcome,
    OutcomeEvidence,
    Prior,
    QualityEvidence,
    Reading,
    Retraction,
    SourceChange,
    Tuning,
    Voice,
)

texts = st.text(max_size=8)
floats = st.floats(width=64)  # NaN, infinities and -0.0 among them
counts = st.integers(0, 2**63)
vectors = hnp.arrays(
    np.float64,
    st.integers(0, 5),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
metadata = st.dictionaries(texts, json_values, max_size=3)
candidates = st.builds(Candidate, arm_id=texts, **dict.fromkeys(packing._CANDIDATE, floats))
decisions = st.builds(
    Decision,
    id=texts, router=texts, arm_id=texts, propensity=floats,
    candidates=st.lists(candidates, max_size=4).map(tuple),
    excluded=st.dictionaries(texts, texts, max_size=3),
    x=vectors, fingerprint=texts, position=counts, policy=texts, floor=floats,
    seed=st.integers(0, 2**64 - 1), answer_value_usd=floats, patience_s=floats, made_at_s=floats,
    input_tokens=counts, max_output_tokens=st.none() | counts,
    explored=st.booleans(), degraded=st.booleans(), task=st.none() | texts,
    tags=st.lists(texts, max_size=3).map(tuple), session_id=st.none() | texts,
    parent_id=st.none() | texts, budget_price=floats, noise=floats,
    payers=st.lists(texts, max_size=2).map(tuple),
)  # fmt: skip
charges = st.lists(st.builds(Charge, texts, floats), max_size=2).map(tuple)
outcomes = st.builds(
    Outcome,
    decision_id=texts, input_tokens=st.none() | counts, output_tokens=st.none() | counts,
    cached_input_tokens=st.none() | counts, cost_usd=st.none() | floats,
    latency_s=st.none() | floats, ttft_s=st.none() | floats, error=st.none() | texts,
)  # fmt: skip
marks = st.dictionaries(
    texts,
    st.builds(
        Mark, id=texts, score=st.none() | floats, kind=st.sampled_from(FeedbackKind),
        weight=floats, comment=st.none() | texts, metadata=metadata, granted=st.none() | floats,
    ),
    max_size=3,
)  # fmt: skip
voices = st.lists(st.builds(Voice, texts, floats, floats), max_size=3).map(tuple)
readings = st.none() | st.builds(Reading, floats, floats, voices)
places = {"position": counts, "decision_id": texts, "arm_id": texts, "x": vectors}
word_sets = st.frozensets(texts, max_size=3)
arms = st.builds(
    Arm,
    id=texts, provider=texts, model=texts, input_usd_per_mtok=floats, output_usd_per_mtok=floats,
    cached_input_usd_per_mtok=st.none() | floats, context_window=st.none() | counts,
    capabilities=word_sets, regions=word_sets, labels=word_sets, timeout_s=floats,
    max_concurrency=st.none() | counts, settings=metadata,
)  # fmt: skip


@st.composite
def priors(draw):
    d = draw(st.integers(0, 3))
    gram = draw(hnp.arrays(np.float64, (d, d), elements=floats))
    gram[np.triu_indices(d)] = gram.T[np.triu_indices(d)]
    moment = draw(hnp.arrays(np.float64, d, elements=floats))
    plain = [draw(strategy) for strategy in (texts, texts, floats, floats)]
    return Prior(*plain, gram=gram, moment=moment, square=draw(floats))


news = (
    st.builds(ArmChange, texts, texts, floats, st.sampled_from(ArmStatus), st.none() | arms, texts)
    | st.builds(SourceChange, texts, texts, floats, st.booleans())
    | priors()
    | st.builds(
        Tuning, texts, floats, st.none() | floats, st.none() | floats, st.booleans(),
        st.none() | floats,
    )
)  # fmt: skip
evidence = st.one_of(
    st.builds(
        QualityEvidence,
        **places, old=readings, new=readings, propensity=st.none() | floats, expected=floats,
        spread=floats, charges=charges,
    ),
    st.builds(
        OutcomeEvidence,
        **places, at_s=floats, output_tokens=st.none() | floats, cost_usd=st.none() | floats,
        latency_s=st.none() | floats, ttft_s=st.none() | floats, error=st.none() | texts,
        payers=st.lists(texts, max_size=2).map(tuple),
    ),
    st.builds(Announcement, counts, news),
)  # fmt: skip


feedbacks = st.builds(
    Feedback,
    id=texts, decision_id=texts, score=floats, source=texts, kind=st.sampled_from(FeedbackKind),
    weight=floats, comment=st.none() | texts, metadata=metadata, granted=st.none() | floats,
    charges=charges,
)  # fmt: skip
retractions = st.builds(Retraction, id=texts, decision_id=texts, source=texts)


def exactly(value: Any) -> Any:
    """A value's parts, with floats as their bits: NaN equals itself and 0.0 is not -0.0."""
    if isinstance(value, float):
        return struct.pack("<d", value)
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if is_dataclass(value):
        return type(value), [exactly(getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, dict):
        return [(key, exactly(inner)) for key, inner in value.items()]
    if isinstance(value, frozenset):
        return type(value), sorted(value)
    if isinstance(value, list | tuple):
        return type(value), [exactly(inner) for inner in value]
    return type(value), value


@given(decisions)
def test_a_decision_comes_back_exactly(value):
    assert exactly(unpack_decision(pack_decision(value))) == exactly(value)


@given(outcomes)
def test_an_outcome_comes_back_exactly(value):
    assert exactly(unpack_outcome(pack_outcome(value))) == exactly(value)


@given(marks)
def test_marks_come_back_exactly_and_in_order(value):
    assert exactly(unpack_marks(pack_marks(value))) == exactly(value)


@given(st.lists(outcomes, max_size=3))
def test_outcomes_come_back_exactly_and_in_order(value):
    assert exactly(unpack_outcomes(pack_outcomes(value))) == exactly(value)


@given(st.lists(feedbacks | retractions, max_size=3))
def test_feedbacks_and_retractions_come_back_exactly_and_in_order(value):
    assert exactly(unpack_changes(pack_changes(value))) == exactly(value)


@given(evidence)
def test_evidence_comes_back_exactly(value):
    assert exactly(unpack_evidence(pack_evidence(value))) == exactly(value)


@pytest.fixture
def decision() -> Decision:
    return Examples(Clock()).decision()


def test_every_field_has_its_place():
    """A field added to a value must be given a place here, and a new VERSION."""
    assert {*packing._DECISION, "candidates", "x"} == {field.name for field in fields(Decision)}
    assert set(packing._FEEDBACK) == {field.name for field in fields(Feedback)}
    assert set(packing._MARK) == {field.name for field in fields(Mark)}
    assert set(packing._RETRACTION) == {field.name for field in fields(Retraction)}
    for kind, places in (
        (OutcomeEvidence, {*packing._OUTCOME_EVIDENCE, "x"}),
        (QualityEvidence, {*packing._QUALITY_EVIDENCE, "x", "old", "new"}),
    ):
        assert places == {field.name for field in fields(kind)}
    assert {*packing._CANDIDATE, "arm_id"} == set(Candidate._fields)


def test_a_decision_over_ten_arms_with_ninety_features_stays_small():
    big = Examples(Clock()).decision(arms=10, d=90)
    assert len(pack_decision(replace(big, usual_cost_usd=0.001))) == 1429


def test_a_decision_of_version_2_is_read_without_what_it_did_not_have(decision, monkeypatch):
    known = replace(decision, judged_share=0.3, usual_cost_usd=0.001, prompt="[]")
    monkeypatch.setattr(packing, "VERSION", 2)
    monkeypatch.setattr(packing, "_decision_fields", attrgetter(*packing._DECISION_2))
    old = pack_decision(known)
    monkeypatch.undo()
    assert old[0] == 2
    as_it_was = replace(known, judged_share=1.0, usual_cost_usd=None, prompt=None)
    assert exactly(unpack_decision(old)) == exactly(as_it_was)


def test_an_unpacked_vector_cannot_be_written_to(decision):
    with pytest.raises(ValueError, match="read-only"):
        unpack_decision(pack_decision(decision)).x[0] = 1.0


def test_numbers_of_numpy_and_any_mapping_are_packed_as_plain_ones(decision):
    value = replace(
        decision,
        propensity=np.float64(0.25),
        position=np.int64(3),
        explored=np.bool_(False),
        excluded=MappingProxyType({"a": "paused"}),
    )
    found = unpack_decision(pack_decision(value))
    assert (found.propensity, found.position, found.explored) == (0.25, 3, False)
    assert found.excluded == {"a": "paused"}


def test_metadata_may_have_numbers_for_keys():
    kept = {"user": Mark("1", 1.0, metadata={1: {2: 3}})}
    assert unpack_marks(pack_marks(kept)) == kept


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, 2**64, "\ud800"], ids=["object", "set", "huge", "torn"]
)
def test_what_has_no_packed_form_is_refused(value):
    with pytest.raises(InvalidRequest) as caught:
        pack_marks({"user": Mark("1", 1.0, metadata={"a": value})})
    assert caught.value.code == "not_storable"


def test_metadata_is_refused_or_can_be_read_back_however_deep_it_is():
    """msgpack packs a little deeper than it unpacks."""
    value, refused = [], 0
    for _ in range(1100):
        value = [value]
        kept = {"user": Mark("1", 1.0, metadata={"a": value})}
        try:
            packed = pack_marks(kept)
        except InvalidRequest:
            refused += 1
        else:
            assert not refused
            unpack_marks(packed)
    assert 0 < refused < 200


@pytest.mark.parametrize("number", [0.1, 1e39, np.nan, np.inf, 1e-60])
def test_a_vector_that_float32_cannot_hold_is_refused(decision, number):
    with pytest.raises(StoreError, match="float32"):
        pack_decision(replace(decision, x=np.array([1.0, number])))


def test_another_version_is_refused_by_number(decision):
    packed = pack_decision(decision)
    with pytest.raises(StoreError, match="version 9, and this banditroute reads up to version 3"):
        unpack_decision(bytes([9]) + packed[1:])
    with pytest.raises(StoreError, match="version nothing"):
        unpack_decision(b"")


def test_no_damaged_byte_goes_unnoticed(decision):
    packed = pack_decision(decision)
    for place in range(len(packed)):
        damaged = bytearray(packed)
        damaged[place] ^= 0x10
        with pytest.raises(StoreError):
            unpack_decision(bytes(damaged))


def test_no_missing_tail_goes_unnoticed(decision):
    packed = pack_decision(decision)
    for size in range(len(packed)):
        with pytest.raises(StoreError):
            unpack_decision(packed[:size])


@pytest.mark.parametrize(
    ("unpack", "what"),
    [(unpack_decision, "decision"), (unpack_outcome, "outcome"), (unpack_marks, "feedback"),
     (unpack_evidence, "log entry")],
)  # fmt: skip
@pytest.mark.parametrize("foreign", [["a"], [1, 2, 3], [[]], {"a": 1}, None])
def test_bytes_of_something_else_are_refused(unpack, what, foreign):
    with pytest.raises(StoreError, match=what):
        unpack(packing._pack(foreign))
