"""What a new word on a decision changes, and what all words amount to."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banditroute.core.feedback import MOST_SOURCES, apply, evidence_weight, grant, reading
from banditroute.errors import InvalidRequest
from banditroute.values import (
    Charge,
    Feedback,
    FeedbackKind,
    Learned,
    Mark,
    Reading,
    Retraction,
    Voice,
)

scores = st.floats(0.0, 1.0)
weights = st.floats(0.0, 1.0, exclude_min=True)
sources = st.sampled_from(["user", "judge", "judge:strict", "implicit:copied", "critic"])
marks_of_decision = st.dictionaries(
    sources,
    st.builds(
        Mark,
        id=st.just("1"),
        score=st.none() | scores,
        kind=st.sampled_from(FeedbackKind),
        weight=weights,
        granted=st.none() | st.floats(1e-12, 1.0),
    ),
)


def said(id_: str, score: float = 1.0, source: str = "user", **rest) -> Feedback:
    return Feedback(id=id_, decision_id="d", score=score, source=source, **rest)


def taken_back(id_: str, source: str = "user") -> Retraction:
    return Retraction(id=id_, decision_id="d", source=source)


def after(*changes: Feedback | Retraction) -> tuple[dict[str, Mark], list[Learned]]:
    marks, statuses = {}, []
    for change in changes:
        applied = apply(marks, change)
        marks = applied.marks
        statuses.append(applied.status)
    return marks, statuses


def test_a_first_word_is_learned():
    applied = apply({}, said("1", 0.25, comment="meh", metadata={"a": 1}, weight=0.5))
    assert applied.status is Learned.LEARNED
    assert applied.old is None
    assert applied.new.quality == 0.25
    mark = Mark("1", 0.25, FeedbackKind.SCORE, 0.5, "meh", {"a": 1})
    assert applied.marks == {"user": mark}


def test_a_repeated_word_changes_nothing_and_needs_no_writing():
    marks, _ = after(said("1"))
    applied = apply(marks, said("1"))
    assert applied.status is Learned.UNCHANGED
    assert applied.marks is marks
    assert applied.old == applied.new


def test_the_same_value_said_again_takes_the_newer_id():
    marks, statuses = after(said("1", 0.5), said("3", 0.5), said("2", 0.9))
    assert statuses == [Learned.LEARNED, Learned.UNCHANGED, Learned.UNCHANGED]
    assert (marks["user"].id, marks["user"].score) == ("3", 0.5)


def test_another_comment_is_kept_but_nothing_is_amended():
    marks, _ = after(said("1", comment="good"))
    applied = apply(marks, said("2", comment="very good"))
    assert applied.status is Learned.UNCHANGED
    assert applied.marks["user"].comment == "very good"
    assert applied.old == applied.new


@pytest.mark.parametrize(
    "change",
    [said("2", 0.4), said("2", weight=0.5), said("2", kind=FeedbackKind.THUMBS)],
)
def test_another_score_weight_or_kind_amends(change):
    marks, _ = after(said("1"))
    applied = apply(marks, change)
    assert applied.status is Learned.AMENDED
    assert applied.old != applied.new


def test_a_retraction_leaves_a_mark_without_a_score():
    marks, statuses = after(said("1", comment="private"), taken_back("2"))
    assert statuses[-1] is Learned.RETRACTED
    assert marks["user"] == Mark("2", None)
    assert reading(marks) is None


def test_a_retraction_of_nothing_keeps_older_words_out_and_lets_newer_ones_in():
    marks, statuses = after(taken_back("2"), said("1"), taken_back("3"), said("4"))
    assert statuses == [
        Learned.UNCHANGED,
        Learned.UNCHANGED,
        Learned.UNCHANGED,
        Learned.LEARNED,
    ]
    assert marks["user"].id == "4"


def test_a_stale_retraction_retracts_nothing():
    marks, statuses = after(said("2"), taken_back("1"))
    assert statuses[-1] is Learned.UNCHANGED
    assert marks["user"].score == 1.0


def test_one_sources_word_says_nothing_of_anothers():
    marks, statuses = after(said("2", 1.0, "a"), said("1", 0.0, "b"), taken_back("3", "a"))
    assert statuses == [Learned.LEARNED, Learned.LEARNED, Learned.RETRACTED]
    assert reading(marks).quality == 0.0


def test_any_order_of_arrival_ends_in_the_same_marks():
    changes = [said("1", 0.1), said("2", 0.9), taken_back("3"), said("4", 0.5), said("5", 0.5)]
    ends = {repr(after(*order)[0]) for order in permutations(changes)}
    assert len(ends) == 1


def test_the_given_marks_are_left_alone():
    marks = {"user": Mark("1", 0.5)}
    apply(marks, said("2", 0.7))
    assert marks == {"user": Mark("1", 0.5)}


@pytest.mark.parametrize("score", [-0.1, 1.0001, float("nan"), float("inf")])
def test_a_score_outside_its_range_is_refused_even_if_stale(score):
    with pytest.raises(InvalidRequest) as caught:
        apply({"user": Mark("9", 0.5)}, said("1", score))
    assert caught.value.param == "score"


@pytest.mark.parametrize("weight", [0.0, -1.0, 1.5, float("nan")])
def test_a_weight_outside_its_range_is_refused(weight):
    with pytest.raises(InvalidRequest) as caught:
        apply({}, said("1", weight=weight))
    assert caught.value.param == "weight"


def test_the_sources_of_a_decision_are_bounded():
    marks = {f"user-{k}": Mark("1", 1.0) for k in range(MOST_SOURCES)}
    with pytest.raises(InvalidRequest) as caught:
        apply(marks, taken_back("2", "another"))
    assert caught.value.param == "source"
    assert apply(marks, said("2", 0.0, "user-0")).status is Learned.AMENDED


@pytest.mark.parametrize(
    ("kind", "source", "sd"),
    [
        (FeedbackKind.SCORE, "user", 0.05),
        (FeedbackKind.RATING, "user", 0.05),
        (FeedbackKind.THUMBS, "user", 0.45),
        (FeedbackKind.SCORE, "judge", 0.15),
        (FeedbackKind.RATING, "judge:strict", 0.15),
        (FeedbackKind.SCORE, "judgement", 0.05),
        (FeedbackKind.THUMBS, "judge", 0.45),
        (FeedbackKind.SCORE, "implicit", 0.60),
        (FeedbackKind.THUMBS, "implicit:copied", 0.60),
    ],
)
def test_a_word_weighs_as_much_as_the_way_it_was_given(kind, source, sd):
    weight = evidence_weight(source, Mark("1", 1.0, kind, weight=0.5))
    assert weight == pytest.approx(0.5 * 0.20 / (0.20 + sd**2), rel=1e-12)


def test_two_sources_make_one_reading_by_hand():
    """Thumbs up 0.2/0.4025, judge 0.4 with 0.2/0.2225: (0.4969 + 0.8989·0.4) / 1.3958 = 0.6136."""
    marks = {"user": Mark("1", 1.0, FeedbackKind.THUMBS), "judge": Mark("1", 0.4)}
    assert reading(marks).quality == pytest.approx(0.6136, abs=5e-5)
    assert reading(marks).weight == pytest.approx(0.8989, abs=5e-5)


def test_a_second_opinion_does_not_count_a_decision_twice():
    marks, _ = after(*(said("1", 0.5, source) for source in ("a", "b", "c")))
    three, one = reading(marks), reading({"a": marks["a"]})
    assert (three.quality, three.weight) == (one.quality, one.weight)


def test_an_equal_second_opinion_is_learned_as_a_voice_and_sharpens_nothing():
    marks, _ = after(said("1", 0.7, "a"))
    applied = apply(marks, said("1", 0.7, "b"))
    assert applied.status is Learned.LEARNED
    assert (applied.old.quality, applied.old.weight) == (applied.new.quality, applied.new.weight)
    assert len(applied.new.voices) == 2


def test_no_standing_score_has_no_reading():
    assert reading({}) is None
    assert reading({"user": Mark("1", None)}) is None


@given(marks_of_decision)
def test_a_reading_lies_between_the_scores_and_ignores_the_order_of_sources(marks):
    found = reading(marks)
    standing = [mark.score for mark in marks.values() if mark.score is not None]
    assert (found is None) == (not standing)
    if found is not None:
        assert min(standing) - 1e-12 <= found.quality <= max(standing) + 1e-12
        assert 0.0 <= found.quality <= 1.0
        assert 0.0 < found.weight <= 1.0
    assert reading(dict(reversed(marks.items()))) == found


@given(scores, weights, st.sampled_from(FeedbackKind), sources)
def test_a_single_score_is_read_exactly(score, weight, kind, source):
    mark = Mark("1", score, kind, weight)
    weight = evidence_weight(source, mark)
    assert reading({source: mark}) == Reading(score, weight, (Voice(source, score, weight),))


@given(marks_of_decision)
def test_the_voices_share_the_weight_of_the_reading_as_they_shared_in_its_quality(marks):
    found = reading(marks)
    if found is None:
        return
    voices = {voice.source: voice for voice in found.voices}
    assert list(voices) == sorted(s for s, mark in marks.items() if mark.score is not None)
    total = sum(voice.weight for voice in found.voices)
    assert total == pytest.approx(found.weight)
    assert found.quality * total == pytest.approx(
        sum(voice.score * voice.weight for voice in found.voices)
    )


def test_two_voices_count_as_their_own_weights_do():
    found = reading({"user": Mark("1", 1.0), "implicit": Mark("2", 0.0)})
    user, implicit = 0.2 / (0.2 + 0.05**2), 0.2 / (0.2 + 0.6**2)
    share = user / (user + implicit)
    assert [voice.source for voice in found.voices] == ["implicit", "user"]
    assert [voice.score for voice in found.voices] == [0.0, 1.0]
    assert [voice.weight for voice in found.voices] == pytest.approx(
        [implicit * share, user * share]
    )


# what a source is granted


PAID = (Charge("key:team", 10.0),)


def test_a_first_word_counts_as_much_as_was_granted_and_is_charged():
    applied = apply({}, said("1", 0.25, granted=0.5, charges=PAID))
    assert (applied.new.weight, applied.new.quality, applied.charges) == (0.5, 0.25, PAID)
    assert applied.marks["user"] == Mark("1", 0.25, granted=0.5)


def test_a_grant_never_adds_weight():
    marks, _ = after(said("1", kind=FeedbackKind.THUMBS, granted=1.0))
    assert reading(marks).weight == evidence_weight("user", marks["user"])


def test_what_is_granted_nothing_is_remembered_and_no_evidence():
    applied = apply({}, said("1", granted=0.0))
    assert (applied.status, applied.old, applied.new) == (Learned.LEARNED, None, None)
    again = apply(applied.marks, said("2", granted=1.0, charges=PAID))
    assert (again.status, again.new, again.charges) == (Learned.UNCHANGED, None, ())


def test_who_is_granted_nothing_has_no_voice_among_others():
    heard, _ = after(said("1", 0.8, "ann"))
    marks, _ = after(said("1", 0.8, "ann"), said("2", 0.0, "bot", granted=0.0))
    assert reading(marks) == reading(heard)


@pytest.mark.parametrize("granted", [None, 0.0, 1.0])
def test_the_first_grant_holds_for_every_later_word(granted):
    """Whether it is the same again, another value, or one after a retraction."""
    first = apply({}, said("1", 0.2, granted=0.5, charges=PAID))
    marks = first.marks
    for change in (
        said("2", 0.2, granted=granted, charges=PAID),
        said("3", 0.9, granted=granted, charges=PAID),
        taken_back("4"),
        said("5", 0.2, granted=granted, charges=PAID),
    ):
        applied = apply(marks, change)
        marks = applied.marks
        assert applied.charges == ()
        assert marks["user"].granted == 0.5
    assert applied.new == first.new


def test_a_word_that_grows_later_weighs_no_more_than_was_paid_for():
    small = said("1", weight=0.1, granted=0.05)
    marks, statuses = after(small, said("2", weight=1.0, granted=1.0, charges=PAID))
    assert statuses[-1] is Learned.AMENDED
    assert reading(marks).weight == 0.05


def test_a_word_after_an_early_retraction_is_the_first():
    marks, _ = after(taken_back("1"))
    applied = apply(marks, said("2", granted=0.5, charges=PAID))
    assert (applied.new.weight, applied.charges) == (0.5, PAID)


def test_a_word_that_nobody_capped_stays_so():
    marks, _ = after(said("1"), said("2", 0.5, granted=0.0))
    assert reading(marks).weight == evidence_weight("user", marks["user"])


@pytest.mark.parametrize(("granted", "share"), [(None, 1.0), (0.0, 0.0), (0.1, 0.5), (1.0, 1.0)])
def test_a_grant_is_shown_as_a_share_of_the_words_weight(granted, share):
    mark = Mark("1", 1.0, weight=0.2 * (0.2 + 0.05**2) / 0.2, granted=granted)
    assert grant("user", mark) == pytest.approx(share)
