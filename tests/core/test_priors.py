"""How the prior of an arm is made, and which priors are refused."""

from dataclasses import replace

import numpy as np
import pytest
from core_examples import GROUPS, folded, id_at, prior, random_log, source_change, vector

from banditroute.core import checkpoint, news
from banditroute.core.priors import flaw, prior_of
from banditroute.core.sums import RegressionSums
from banditroute.values import Announcement, Tuning

D = GROUPS.dimension
PLACE = {"id_": id_at(0.0), "arm_id": "a", "at_s": 1.0}


def answers(rng, count):
    """Contexts, scores and weights of so many judged answers."""
    x = np.array([vector(rng, D) for _ in range(count)]).reshape(count, D)
    return x, rng.uniform(size=count), rng.uniform(0.1, 1.0, size=count)


def payload(state):
    return checkpoint.save(state, "features").payload


def test_a_prior_is_what_adding_its_answers_one_by_one_gives(rng):
    x, scores, weights = answers(rng, 40)
    sums = RegressionSums.empty(D)
    sums.grow()
    for row, score, weight in zip(x, scores, weights, strict=True):
        sums.add(0, row, weight, score)
    made = prior_of(x, scores, weights, **PLACE)
    assert (made.id, made.arm_id, made.at_s) == (PLACE["id_"], "a", 1.0)
    assert made.n == pytest.approx(sums.n[0])
    assert made.square == pytest.approx(sums.square[0])
    np.testing.assert_allclose(made.gram, sums.gram[0], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(made.moment, sums.moment[0], rtol=1e-12, atol=1e-12)


def test_a_prior_comes_out_of_a_log_as_it_went_in(rng):
    """Only half of the matrix is logged: it must be symmetric to the bit."""
    made = prior_of(*answers(rng, 40), **PLACE)
    again = news.from_plain(news.to_plain(made))
    np.testing.assert_array_equal(again.gram, made.gram)
    np.testing.assert_array_equal(again.moment, made.moment)


@pytest.mark.parametrize("count", [0, 1, 2, 300])
def test_what_is_made_of_answers_has_no_flaw(rng, count):
    assert flaw(prior_of(*answers(rng, count), **PLACE), D) is None
    x, _, weights = answers(rng, count)
    for score in (0.0, 1.0):  # the edges of what readings can add up to
        assert flaw(prior_of(x, np.full(count, score), weights, **PLACE), D) is None


def damaged(known, **changes):
    """A prior of which single numbers are others; ``gram`` and ``moment`` by their places."""
    arrays = {}
    for name in ("gram", "moment"):
        arrays[name] = getattr(known, name).copy()
        for place, value in changes.pop(name, {}).items():
            arrays[name][place] = value
    return replace(known, **arrays, **changes)


FLAWS = {
    "no-id": ({"id": "p-1"}, "no time"),
    "negative": ({"n": -1.0}, "fewer than no"),
    "nan-count": ({"n": np.nan}, "finite"),
    "infinite-count": ({"n": np.inf}, "finite"),
    "nan-square": ({"square": np.nan}, "finite"),
    "nan-gram": ({"gram": {(1, 1): np.nan}}, "finite"),
    "infinite-moment": ({"moment": {2: np.inf}}, "finite"),
    "indefinite": ({"gram": {(1, 1): -50.0}}, "add up"),
    "one-sided": ({"gram": {(1, 2): 3.0}}, "add up"),
    "no-bias": ({"n": 20.0}, "add up"),
    "too-good": ({"moment": {0: 60.0}, "square": 60.0}, "add up"),
    "squares-above-scores": ({"square": 49.0, "moment": {0: 20.0}}, "add up"),
    "far-too-large": ({"gram": {(1, 1): 1e300}}, "add up"),
    "beyond-its-spread": ({"square": 0.0}, "add up"),
}


@pytest.mark.parametrize(("changes", "words"), FLAWS.values(), ids=FLAWS)
def test_a_flawed_prior_is_named_and_leaves_no_trace_in_the_fold(rng, changes, words):
    """Not even the row of its arm: the state is as after news that changes nothing."""
    bad = damaged(prior(rng, id_at(0.0), 50, "new"), **changes)
    assert words in flaw(bad, D)
    log = random_log(rng, 40)
    state = folded([*log, Announcement(41, bad)])
    expected = folded([*log, Announcement(41, source_change("nobody", False))])
    assert payload(state) == payload(expected)


@pytest.mark.parametrize("d", [0, 1, D - 1, D + 1])
def test_a_prior_of_other_features_is_refused_and_ignored(rng, d):
    x, scores, weights = answers(rng, 9)
    x = np.pad(x, ((0, 0), (0, 1)))[:, :d]
    bad = prior_of(x, scores, weights, **PLACE)
    assert f"the {D} of this router" in flaw(bad, D)
    assert folded([Announcement(1, bad)]).rows == {}


def test_a_prior_of_no_answers_takes_back_the_one_before(rng):
    """To the last bit, also when it has aged meanwhile."""
    nothing = prior_of(*answers(rng, 0), **(PLACE | {"id_": id_at(101.0)}))
    given = [prior(rng, id_at(seconds), 50, arm) for seconds, arm in ((1.0, "a"), (61.0, "b"))]
    told = Tuning(id_at(0.0), 0.0, half_life_s=300.0), *given, nothing
    state = folded([Announcement(position, one) for position, one in enumerate(told, 1)])
    assert len(state.quality.ages.scalings) == 2
    assert list(state.quality.priors) == [state.rows["b"]]
    for column in ("n", "gram", "moment", "square"):
        assert not getattr(state.quality.sums, column)[state.rows["a"]].any()
    checkpoint.load(checkpoint.save(state, "features"), GROUPS)


def test_taking_back_a_prior_leaves_what_feedback_taught(rng):
    log = random_log(rng, 60)
    given, nothing = prior(rng, id_at(0.0), 50, "arm-0"), prior_of(*answers(rng, 0), **PLACE)
    nothing = replace(nothing, arm_id="arm-0", id=id_at(1.0))
    state = folded([*log, Announcement(61, given), Announcement(62, nothing)])
    expected = folded(log).quality.sums
    for column in ("n", "gram", "moment", "square"):
        np.testing.assert_allclose(
            getattr(state.quality.sums, column), getattr(expected, column), atol=1e-12
        )


def test_taking_back_what_was_never_given_is_fine(rng):
    state = folded([Announcement(1, prior_of(*answers(rng, 0), **PLACE))])
    assert state.quality.sums.n.tolist() == [0.0]
    np.testing.assert_allclose(state.quality.means[0], state.quality.hyper.pooled)
