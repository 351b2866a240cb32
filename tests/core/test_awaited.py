"""How many answers are still to be judged: by hand, in the long run, in the log, in widths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from core_examples import (
    BIAS_ONLY,
    GROUPS,
    NOW_S,
    OBJECTIVE,
    context,
    folded,
    id_at,
    outcome,
    prior,
    random_log,
    roster,
    vector,
)
from hypothesis import given
from hypothesis import strategies as st

from banditroute.core.awaited import BATCH, BATCHES, Awaited
from banditroute.core.beliefs import EXPLORATION_WIDTH, MEAN_WIDTH, Beliefs
from banditroute.core.fold import RouterState
from banditroute.values import Announcement, Evidence, QualityEvidence, Reading, Vector

GOOD, BAD = Reading(1.0, 1.0), Reading(0.0, 1.0)
WINDOW = BATCH * BATCHES


def id_(at: int) -> str:
    return f"{at:06d}"


def of_arms(count: int) -> Awaited:
    """Arms that have not answered."""
    awaited = Awaited()
    for _ in range(count):
        awaited.grow()
    return awaited


def answer(awaited: Awaited, ats: range, rows: Sequence[int] = (0,)) -> Awaited:
    """Add answers of arms in turn, which nobody judges."""
    for at in ats:
        awaited.answer(rows[at % len(rows)], id_(at))
    return awaited


def serve(
    awaited: Awaited, ats: range, every: int = 1, late: int = 0, judged_share: float = 1.0
) -> list[float]:
    """Add answers, each ``every``-th judged ``late`` requests later: how many are awaited."""
    seen = []
    for at in ats:
        awaited.answer(0, id_(at))
        if at >= late and (at - late) % every == 0:
            awaited.judge(id_(at - late), 1.0)
        seen.append(float(awaited.to_come(judged_share)[0]))
    return seen


# by hand


def test_where_nobody_answered_nothing_is_awaited():
    assert Awaited().to_come(1.0).shape == (0,)
    assert of_arms(2).to_come(1.0).tolist() == [0.0, 0.0]


def test_before_any_word_every_answer_is_awaited():
    awaited = answer(of_arms(3), range(250), rows=(0, 1, 1, 1, 1))
    assert awaited.to_come(1.0).tolist() == [50.0, 200.0, 0.0]


def test_what_is_awaited_by_hand():
    """100 answers and 50 more, a word on the first of each: 0.998 words came a batch late, 1 not.

    Of the 50, late = 0.998/1.998 are to be judged yet, if any are; of the 100 half as many, as
    half a batch came since. Of 100·(1 - late/2) + 50·(1 - late) that are due two words were
    heard, and of ten as many as are presumed.
    """
    awaited = answer(of_arms(1), range(150))
    awaited.judge(id_(0), 1.0)
    awaited.judge(id_(100), 1.0)
    late = 0.998 / 1.998
    due = 100.0 * (1.0 - late / 2.0) + 50.0 * (1.0 - late)
    for presumed in (1.0, 0.2):
        share = (2.0 + 10.0 * presumed) / (10.0 + due)
        assert awaited.to_come(presumed) == pytest.approx([share * 100.0 * late], rel=1e-12)
    assert awaited.to_come(1.0) == pytest.approx([5.4466], abs=1e-4)


def test_a_word_on_what_is_older_than_everything_by_hand():
    """It came later than can be counted, so all may; then a word at once: 0.998 of 1.998 may."""
    awaited = answer(of_arms(1), range(5, 6))
    awaited.judge(id_(3), 1.0)
    assert awaited.to_come(1.0).tolist() == [1.0]
    assert awaited.heard.tolist() == [0.0]
    awaited.judge(id_(5), 1.0)
    assert awaited.to_come(1.0) == pytest.approx([0.998 / 1.998], rel=1e-14)


def test_words_that_weigh_less_are_awaited_at_their_weight():
    """Half of 100 are due and weigh a quarter each, and ten of ten presumed: 22.5 of 60."""
    awaited = answer(of_arms(1), range(150))
    for at in range(50):
        awaited.judge(id_(at), 0.25)
    assert awaited.to_come(1.0) == pytest.approx([22.5 / 60.0 * 100.0], rel=1e-12)


def test_a_word_before_its_answer_is_reported_counts_as_one_at_once():
    """Also the very first, when no answer was reported at all."""
    awaited = of_arms(1)
    for at in range(2 * BATCH):
        awaited.judge(id_(at), 1.0)
        awaited.answer(0, id_(at))
        assert awaited.to_come(1.0).tolist() == [0.0]


def test_an_arm_that_joins_is_awaited_from_then_on():
    awaited = answer(of_arms(1), range(120))
    awaited.grow()
    assert awaited.to_come(1.0).tolist() == [120.0, 0.0]
    answer(awaited, range(120, 150), rows=(1,))
    assert awaited.to_come(1.0).tolist() == [120.0, 30.0]


# in the long run


def test_where_every_answer_is_judged_at_once_nothing_is_ever_awaited():
    assert set(serve(of_arms(1), range(WINDOW + 500))) == {0.0}


def test_where_every_answer_is_judged_before_the_next_batch_nothing_is_awaited():
    """The words on a batch come last to first once it is full; from the first one on, exactly."""
    awaited, seen = of_arms(2), []
    for start in range(0, 6000, BATCH):
        for at in range(start, start + BATCH):
            awaited.answer(at % 2, id_(at))
            seen.append(awaited.to_come(1.0).tolist())
        for at in reversed(range(start, start + BATCH)):
            awaited.judge(id_(at), 1.0)
            seen.append(awaited.to_come(1.0).tolist())
    assert seen[BATCH - 1] == [50.0, 50.0]
    assert all(words == [0.0, 0.0] for words in seen[BATCH:])


def test_at_a_delay_of_1000_what_was_answered_since_is_awaited():
    """From the very first word on: a batch is due as far as the words on it can be in."""
    seen = serve(of_arms(1), range(9000), late=1000)
    assert seen == pytest.approx([min(n, 1000.0) for n in range(1, 9001)], rel=1e-12)


def test_what_is_awaited_is_shared_among_arms_as_their_answers_are():
    """Of the last thousand answers 750 were the first arm's; the third stopped before them."""
    awaited = answer(of_arms(3), range(3000), rows=(2,))
    rows = (0, 0, 1, 0)
    for at in range(3000, 9000):
        awaited.answer(rows[at % 4], id_(at))
        awaited.judge(id_(at - 1000), 1.0)
    assert awaited.to_come(1.0) == pytest.approx([750.0, 250.0, 0.0], rel=1e-12)


def test_at_a_delay_of_60_about_60_are_awaited():
    """60 of 100 words come in the next batch, while it fills."""
    seen = serve(of_arms(1), range(9000), late=60)
    assert min(seen[1000:]) > 56.0  # what is heard lags behind its share of a batch or leads it
    assert max(seen[1000:]) <= 63.0


@pytest.mark.parametrize("every", [1, 50])
@pytest.mark.parametrize("late", [0, 60, 1000])
def test_never_more_is_awaited_than_words_are_under_way_but_for_those_presumed(every, late):
    """Of some 3,000 answers that are due, ten words are presumed: one more for 300 awaited."""
    seen = serve(of_arms(1), range(9000), every, late)
    under_way = -(-late // every)
    assert max(seen[5000:]) <= 1.05 * (under_way + late / 300.0)


def test_at_two_percent_and_a_delay_of_1000_some_twenty_are_awaited():
    """The last ten batches times (60 + 10) words of (3,000 + 10) answers that were due."""
    seen = serve(of_arms(1), range(9000), every=50, late=1000)
    assert seen[-1] == pytest.approx(1000.0 * 70.0 / 3010.0, rel=1e-12)


def test_at_two_percent_and_no_delay_nothing_is_awaited_after_the_first_word():
    assert set(serve(of_arms(1), range(9000), every=50)) == {0.0}


def test_where_nobody_speaks_all_that_is_looked_back_on_is_awaited():
    """Of 4,100 answers the oldest hundred were forgotten; of 4,101 the oldest two hundred."""
    awaited = answer(of_arms(2), range(WINDOW + BATCH), rows=(0, 0, 0, 1))
    assert awaited.to_come(1.0).tolist() == [3000.0, 1000.0]
    answer(awaited, range(WINDOW + BATCH, WINDOW + BATCH + 1))
    assert awaited.to_come(1.0).tolist() == [2926.0, 975.0]


def test_once_words_come_at_once_nothing_is_awaited_any_more():
    awaited = answer(of_arms(1), range(3000))
    assert awaited.to_come(1.0).tolist() == [3000.0]
    assert set(serve(awaited, range(3000, 3500))) == {0.0}


def test_where_late_words_begin_late_more_and_more_are_awaited():
    """After n words (n + 10) of 3,010 are thought to come of the thousand, in the end all."""
    awaited = answer(of_arms(1), range(5000))
    seen = serve(awaited, range(5000, 9000), late=1000)[BATCH - 1 :: BATCH]
    assert all(earlier < later for earlier, later in pairwise(seen[:30]))
    assert seen[0] == pytest.approx(1000.0 * 110.0 / 3010.0, rel=1e-12)
    assert seen[-1] == 1000.0


def test_once_nobody_speaks_any_more_few_are_awaited():
    """Late words came; of 3,000 answers that were due, only the ten presumed did since."""
    awaited = of_arms(1)
    serve(awaited, range(5000), late=1000)
    answer(awaited, range(5000, 10_000))
    assert awaited.to_come(1.0) == pytest.approx([1000.0 * 10.0 / 3010.0], rel=1e-12)


def test_words_on_what_is_forgotten_keep_the_rest_awaited():
    """At a delay beyond the window none of it was judged, and all of it will be."""
    seen = serve(of_arms(1), range(12_000), late=WINDOW + BATCH)
    assert seen[-1] == WINDOW


def test_of_sparse_words_beyond_what_is_looked_back_on_few_are_awaited():
    """None of the answers was due, so they are judged as the rest of the traffic: 2% of them."""
    seen = serve(of_arms(1), range(12_000), every=50, late=WINDOW + BATCH, judged_share=0.02)
    assert seen[-1] == pytest.approx(0.02 * WINDOW, rel=1e-12)


def test_ids_out_of_order_cost_a_word_a_batch():
    """Neighbours swapped, each judged at once: one of 100 counts as a batch late."""
    awaited, seen = of_arms(1), []
    for at in range(1, 9000, 2):
        for one in (at, at - 1):
            awaited.answer(0, id_(one))
            awaited.judge(id_(one), 1.0)
        seen.append(float(awaited.to_come(1.0)[0]))
    assert awaited.firsts == sorted(awaited.firsts)
    assert 0.5 < max(seen[2000:]) < 1.2


RUNS = st.lists(
    st.tuples(
        st.sampled_from(["answer", "judge", "grow"]),
        st.sampled_from([1, 7, 130, 900]),
        st.sampled_from([-20_000, 0, 50, 3000, 20_000]),
    ),
    max_size=12,
)


def in_window(rows: Sequence[int], arms: int) -> Vector:
    """How many of the answers looked back on were each arm's."""
    begun = -(-len(rows) // BATCH)
    kept = rows[BATCH * max(begun - BATCHES, 0) :]
    return np.bincount(np.array(kept, dtype=np.intp), minlength=arms).astype(np.float64)


@given(RUNS)
def test_in_any_order_no_arm_awaits_less_than_nothing_or_more_than_it_answered(runs):
    """Also where ids are of the past or of the future, and words of decisions of nobody."""
    awaited, rows, arms = of_arms(1), [], 1
    for kind, count, back in runs:
        for n in range(1 if kind == "grow" else count):
            match kind:
                case "grow":
                    awaited.grow()
                    arms += 1
                case "answer":
                    rows.append(n % arms)
                    awaited.answer(rows[-1], id_(50_000 + len(rows) - back))
                case "judge":
                    awaited.judge(id_(50_000 + len(rows) - back - n), 1.0)
        words = awaited.to_come(1.0)
        assert words.shape == (arms,)
        assert np.all(words >= 0.0)
        assert np.all(words <= in_window(rows, arms) * (1.0 + 1e-12))
        assert awaited.firsts == sorted(awaited.firsts)


# the log


def said(position: int, new: Reading | None, old: Reading | None = None) -> QualityEvidence:
    """What is known of the decision of the first outcome."""
    return QualityEvidence(position, "decision-1", "a", np.ones(1), old, new)


def test_an_outcome_is_awaited_until_the_first_word_on_it():
    answered = [outcome(1, "a"), outcome(2, "b"), outcome(3, "b")]
    assert folded(answered, BIAS_ONLY).awaited.to_come(1.0).tolist() == [1.0, 2.0]
    judged = folded([outcome(1), said(2, GOOD)], BIAS_ONLY).awaited
    assert judged.to_come(1.0).tolist() == [0.0]
    assert (judged.heard.tolist(), judged.lateness[0]) == ([1.0], 1.0)


def test_a_word_counts_by_the_batch_of_its_decision():
    """Decision 10 is of the first batch, 250 of the third: two and no batches begun since."""
    log: list[Evidence] = [outcome(n, decision_id=id_(n)) for n in range(1, 251)]
    for which in (10, 250):
        word = QualityEvidence(len(log) + 1, id_(which), "a", np.ones(1), None, GOOD)
        log.append(word)
    awaited = folded(log, BIAS_ONLY).awaited
    assert awaited.firsts == [id_(1), id_(101), id_(201)]
    assert awaited.heard.tolist() == [1.0, 0.0, 1.0]
    assert awaited.lateness[:3].tolist() == [1.0, 0.0, 0.998]


@pytest.mark.parametrize("error", ["timeout", "abandoned"])
def test_an_outcome_with_an_error_is_not_awaited(error):
    state = folded([outcome(1), outcome(2, error=error)], BIAS_ONLY)
    assert state.awaited.to_come(1.0).tolist() == [1.0]


@pytest.mark.parametrize("new", [BAD, None], ids=["amended", "retracted"])
def test_an_amendment_is_no_second_word_and_a_retraction_none(new):
    once = folded([outcome(1), said(2, GOOD)], BIAS_ONLY)
    twice = folded([outcome(1), said(2, GOOD), said(3, new, old=GOOD)], BIAS_ONLY)
    for column in fields(Awaited):
        one, other = (getattr(state.awaited, column.name) for state in (once, twice))
        np.testing.assert_array_equal(one, other)


# the widths


def awaiting_nothing(state: RouterState) -> RouterState:
    """The same state, had nobody counted its answers."""
    return replace(state, awaited=of_arms(len(state.rows)))


def seen_by(state: RouterState, *arm_ids: str, x: Sequence[float] | Vector = (1.0,)) -> Beliefs:
    return state.knowledge().beliefs(roster(*arm_ids), context(x), OBJECTIVE, NOW_S)


def judged_at_once(rng: np.random.Generator, count: int) -> list[Evidence]:
    """Answers of two arms, and the word on each right behind it."""
    log: list[Evidence] = []
    for at in range(count):
        x, arm_id = vector(rng, 5), "ab"[at % 2]
        log.append(outcome(2 * at + 1, arm_id, decision_id=id_(at), x=x))
        log.append(QualityEvidence(2 * at + 2, id_(at), arm_id, x, None, GOOD))
    return log


def widths_alone(state: RouterState, seen: Beliefs, evidence_n: Vector) -> Vector:
    """The wider of the shares explored of the posterior's width and of the plain mean's."""
    hyper = state.quality.hyper
    precision = evidence_n / hyper.noise + 1.0 / hyper.scales[0]
    return np.maximum(EXPLORATION_WIDTH * seen.quality_sd, MEAN_WIDTH / np.sqrt(precision))


def test_the_width_of_an_arm_whose_answers_are_awaited_by_hand():
    """Four answers nobody judged: 1/√(4/0.2 + 1/0.04), as though four words were in.

    n' = 0.2/0.04 = 5, so that is √(5/9) times the 0.2 of an untaught arm.
    """
    seen = seen_by(folded([outcome(n) for n in range(1, 5)], BIAS_ONLY), "a")
    assert seen.sampling_sd == pytest.approx([1.0 / np.sqrt(4.0 / 0.2 + 1.0 / 0.04)])
    assert seen.sampling_sd == pytest.approx([0.2 * np.sqrt(5.0 / 9.0)])
    assert seen.quality_sd == pytest.approx([0.2])


@pytest.mark.parametrize("stretch", [0.1, 100.0], ids=["the mean's width", "the posterior's"])
def test_the_widths_narrow_by_what_is_awaited_and_nothing_else_changes(rng, stretch):
    """By √(n'/(n' + awaited)), whichever of the two widths is the wider."""
    state = folded(random_log(rng, 150))
    state.awaited = answer(of_arms(4), range(90), rows=(0, 1, 1))
    x, ids = stretch * vector(rng, 5), tuple(state.rows)
    seen, calm = (seen_by(one, *ids, x=x) for one in (state, awaiting_nothing(state)))
    hyper = state.quality.hyper
    count = state.quality.sums.n + hyper.noise / hyper.scales[0]
    narrowing = np.sqrt(count / (count + np.array([30.0, 60.0, 0.0, 0.0])))
    np.testing.assert_allclose(seen.sampling_sd, calm.sampling_sd * narrowing, rtol=1e-12)
    assert np.all(narrowing[:2] < 0.9)
    for name in set(Beliefs._fields) - {"sampling_sd"}:
        np.testing.assert_array_equal(getattr(seen, name), getattr(calm, name), err_msg=name)


@pytest.mark.parametrize("stretch", [0.1, 100.0], ids=["the mean's width", "the posterior's"])
def test_where_nothing_is_awaited_no_bit_of_a_width_changes(rng, stretch):
    state = folded(judged_at_once(rng, 150))
    seen = seen_by(state, "a", "b", x=stretch * vector(rng, 5))
    widths = widths_alone(state, seen, state.quality.sums.n)
    np.testing.assert_array_equal(seen.sampling_sd, widths)


def test_an_arm_that_nobody_called_is_not_narrowed(rng):
    """Neither one that is known by a prior, nor one that is not known at all."""
    log: list[Evidence] = [Announcement(1, prior(rng, id_at(0.0), arm_id="b"))]
    log += [outcome(n, "a", x=np.ones(5)) for n in range(2, 9)]
    state = folded(log, GROUPS)
    seen = seen_by(state, "b", "a", "new", x=vector(rng, 5))
    assert list(state.rows) == ["b", "a"]
    widths = widths_alone(state, seen, np.append(state.quality.sums.n, 0.0))
    assert seen.sampling_sd[1] < 0.9 * widths[1]
    np.testing.assert_array_equal(seen.sampling_sd[[0, 2]], widths[[0, 2]])
