"""How often somebody says what an answer was worth: by hand, in the long run, and in the log."""

from __future__ import annotations

from itertools import pairwise
from math import exp

import numpy as np
import pytest
from core_examples import BIAS_ONLY, NOW_S, OBJECTIVE, context, folded, outcome, roster
from hypothesis import given
from hypothesis import strategies as st

from banditroute.core.feedback_rate import PRESUMED_N, SPAN, FeedbackRate
from banditroute.values import QualityEvidence, Reading

GOOD, BAD = Reading(1.0, 1.0), Reading(0.0, 1.0)


def answered(rate: FeedbackRate, count: int, every: int = 1, late: int = 0) -> FeedbackRate:
    """Add so many answers, each ``every``-th of them judged ``late`` requests later."""
    for at in range(count):
        rate.answer()
        if at >= late and (at - late) % every == 0:
            rate.judge()
    return rate


def unheard(count: int) -> FeedbackRate:
    return answered(FeedbackRate(), count, late=count)


# the share


def test_before_anything_is_answered_every_request_is_presumed_judged():
    assert FeedbackRate().share == 1.0


def test_the_share_by_hand():
    """Two answers, the first judged: 0.999·1 words and 0.999·1 + 1 answers, and ten presumed."""
    rate = FeedbackRate()
    rate.answer()
    rate.judge()
    rate.answer()
    assert rate.share == pytest.approx(10.999 / 11.999, rel=1e-14)


def test_where_every_answer_is_judged_the_share_stays_exactly_one():
    rate = FeedbackRate()
    assert {answered(rate, 1).share for _ in range(3000)} == {1.0}


@pytest.mark.parametrize("every", [2, 5, 50])
def test_the_share_falls_towards_the_true_rate(every):
    """The sums settle at SPAN answers, a word for each ``every`` of them, and ten presumed."""
    rate = FeedbackRate()
    shares = [rate.share, *(answered(rate, count, every).share for count in (100, 1000, 9000))]
    assert all(later < earlier for earlier, later in pairwise(shares))
    settled = (SPAN / every + PRESUMED_N) / (SPAN + PRESUMED_N)
    assert shares[-1] == pytest.approx(settled, rel=0.02)  # half a word of thirty
    assert shares[-1] > 1.0 / every


def test_words_without_answers_are_soon_forgotten_once_answers_are_reported():
    rate = FeedbackRate()
    for _ in range(100_000):
        rate.judge()
    assert rate.judged == SPAN
    for _ in range(5000):
        rate.answer()
    assert rate.share < 0.03


def test_words_that_come_late_count_as_those_that_come_at_once():
    prompt, late = (answered(FeedbackRate(), 10_000, 5, late) for late in (0, 300))
    assert late.share == pytest.approx(prompt.share, rel=1e-3)


@pytest.mark.parametrize("since", [100, 1000, 5000])
def test_the_share_recovers_once_feedback_begins(since):
    """Of SPAN answers remembered, 1 - e^(-n/SPAN) are among the last n, which are judged."""
    rate = unheard(10_000)
    assert rate.share < 0.011
    heard = SPAN * (1.0 - exp(-since / SPAN))
    expected = (heard + PRESUMED_N) / (SPAN + PRESUMED_N)
    assert answered(rate, since).share == pytest.approx(expected, rel=1e-3)


RUNS = st.lists(st.tuples(st.booleans(), st.sampled_from([1, 2, 9, 1500])), max_size=12)


@given(RUNS)
def test_in_any_order_an_answer_lowers_the_share_a_word_raises_it_and_it_stays_in_bounds(runs):
    """Also where words come without answers, of calls that nobody reports."""
    rate, share = FeedbackRate(), 1.0
    for is_word, count in runs:
        for _ in range(count):
            (rate.judge if is_word else rate.answer)()
        before, share = share, rate.share
        assert 0.0 < share <= 1.0
        assert share >= before - 1e-12 if is_word else share <= before + 1e-12


# the log


def said(position: int, new: Reading | None, old: Reading | None = None) -> QualityEvidence:
    """What is known of the decision of the first outcome."""
    return QualityEvidence(position, "decision-1", "a", np.ones(1), old, new)


def test_an_outcome_is_an_answer_and_the_first_word_on_it_a_judgement():
    assert folded([outcome(1)], BIAS_ONLY).feedback_rate == FeedbackRate(1.0, 0.0)
    assert folded([outcome(1), said(2, GOOD)], BIAS_ONLY).feedback_rate == FeedbackRate(1.0, 1.0)


@pytest.mark.parametrize("error", ["timeout", "abandoned"])
def test_an_outcome_with_an_error_is_no_answer(error):
    state = folded([outcome(1), outcome(2, error=error)], BIAS_ONLY)
    assert state.feedback_rate == FeedbackRate(1.0, 0.0)


@pytest.mark.parametrize("new", [BAD, None], ids=["amended", "retracted"])
def test_an_amendment_is_no_second_judgement_and_a_retraction_none(new):
    state = folded([outcome(1), said(2, GOOD), said(3, new, old=GOOD)], BIAS_ONLY)
    assert state.feedback_rate == FeedbackRate(1.0, 1.0)


def test_policies_are_told_the_share_of_what_was_folded():
    state = folded([outcome(n) for n in range(1, 31)], BIAS_ONLY)
    seen = state.knowledge().beliefs(roster("a", "b"), context(), OBJECTIVE, NOW_S)
    assert seen.judged_share == state.feedback_rate.share == unheard(30).share < 0.26
