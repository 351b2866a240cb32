"""A score counts no further from where it was expected than was asked for at its decision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from core_examples import BIAS_ONLY, GROUPS, id_at, vector

from banditroute.core import quality_checkpoint
from banditroute.core.posterior import FeatureGroups
from banditroute.core.quality import QualityModel
from banditroute.values import QualityEvidence, Reading, Tuning, Voice

UNIT = np.ones(1)
COUNT = 400
TOLD = {100: 1.5, 200: 0.5, 300: None}  # bounded, bounded more closely, and no longer
ROWS = {"a": 0, "b": 1}


def model_of(arms: int = 1, groups: FeatureGroups = BIAS_ONLY) -> QualityModel:
    model = QualityModel.empty(groups)
    for _ in range(arms):
        model.grow()
    return model


def asked(model: QualityModel, second: float, most: float | None) -> None:
    model.tune(Tuning(id_at(second), 0.0, winsorise_sd=most))


def word(second, new, old=None):
    """What is known of a decision made then, whose reading was expected at 0.5 ± 0.2."""
    place = {"expected": 0.5, "spread": 0.2}
    return QualityEvidence(1, id_at(second), "a", UNIT, old, new, **place)


def said(*scores: float) -> Reading:
    """What as many sources say, each with half the weight of the one before."""
    voices = tuple(Voice(f"source-{at}", score, 0.4 / 2**at) for at, score in enumerate(scores))
    weight = sum(voice.weight for voice in voices)
    return Reading(sum(v.weight * v.score for v in voices) / weight, weight, voices)


def assert_same_sums(left: QualityModel, right: QualityModel) -> None:
    for name in ("n", "gram", "moment", "square"):
        expected = getattr(right.sums, name)
        np.testing.assert_allclose(getattr(left.sums, name), expected, rtol=1e-9, atol=1e-9)
    assert set(left.sources.known) == set(right.sources.known)
    for name, one in right.sources.known.items():
        for column in ("weights", "moments", "squares"):
            found = getattr(left.sources.known[name], column)
            np.testing.assert_allclose(found, getattr(one, column), rtol=1e-9, atol=1e-9)
    for names, sums in right.sources.pairs.items():
        np.testing.assert_allclose(left.sources.pairs[names], sums, rtol=1e-9, atol=1e-9)


# what a score counts


@pytest.mark.parametrize(
    ("score", "counts"), [(1.0, 0.8), (0.0, 0.2), (0.8, 0.8), (0.7, 0.7), (0.25, 0.25)]
)
def test_a_score_of_a_later_decision_counts_at_most_so_many_sd_from_its_expectation(score, counts):
    """1.5 sd of 0.2 around 0.5; a decision made before counts as it stands."""
    model = model_of()
    asked(model, 100.0, 1.5)
    model.revise(0, word(101.0, Reading(score, 0.5)))
    assert model.sums.n[0] == 0.5
    assert model.sums.moment[0, 0] == pytest.approx(0.5 * counts)
    assert model.sums.square[0] == pytest.approx(0.5 * counts**2)
    model.revise(0, word(99.0, Reading(score, 0.5)))
    assert model.sums.moment[0, 0] == pytest.approx(0.5 * counts + 0.5 * score)


def test_the_last_bound_told_before_a_decision_is_the_one_that_counts():
    model = model_of()
    for second, most in TOLD.items():
        asked(model, second, most)
    for second, counts in ((99.0, 1.0), (150.0, 0.8), (250.0, 0.6), (350.0, 1.0)):
        before = model.sums.moment[0, 0]
        model.revise(0, word(second, Reading(1.0, 1.0)))
        assert model.sums.moment[0, 0] - before == pytest.approx(counts)


def test_of_several_voices_each_is_bounded():
    """0.4 of 1.0 and 0.2 of 0.1 count as 0.4 of 0.7 and 0.2 of 0.3, and 0.1 of 0.6 as it stands."""
    model = model_of()
    asked(model, 0.0, 1.0)
    model.revise(0, word(1.0, said(1.0, 0.1, 0.6)))
    moments = [model.sources.known[f"source-{at}"].moments[0, 0] for at in range(3)]
    assert moments == pytest.approx([0.28, 0.06, 0.06])
    assert model.sums.n[0] == pytest.approx(0.7)
    assert model.sums.moment[0, 0] == pytest.approx(0.4)
    assert model.sums.square[0] == pytest.approx(0.4 * 0.49 + 0.2 * 0.09 + 0.1 * 0.36)


def test_a_prediction_without_spread_is_all_that_counts():
    model = model_of()
    asked(model, 0.0, 1.5)
    model.revise(0, replace(word(1.0, said(1.0, 0.0)), spread=0.0))
    assert model.sums.moment[0, 0] / model.sums.n[0] == pytest.approx(0.5)


def test_bounds_halve_at_least_the_harm_of_lies(rng):
    """An arm of 0.3 ± 0.1, known to be; of 500 scores every tenth is a lie of 1."""
    harm = []
    for most in (None, 1.5):
        model = model_of()
        asked(model, 0.0, most)
        for at, score in enumerate(rng.normal(0.3, 0.1, size=500), start=1):
            told = Reading(1.0 if at % 10 == 0 else float(score), 1.0)
            model.revise(0, replace(word(at, told), expected=0.3, spread=0.1))
        harm.append(model.means[0, 0] - 0.3)
    assert harm[0] > 0.05
    assert abs(harm[1]) < harm[0] / 2.0


def test_none_changes_no_bit(rng):
    words = [word(at, said(*rng.uniform(size=1 + at % 3))) for at in range(1, 60)]
    untold, told, bounded = model_of(), model_of(), model_of()
    asked(told, 0.0, None)
    asked(bounded, 0.0, 0.5)
    for entry in words:
        for model in (untold, told, bounded):
            model.revise(0, entry)
    numbers = [list(quality_checkpoint.numbers(model)) for model in (untold, told)]
    for left, right in zip(*numbers, strict=True):
        np.testing.assert_array_equal(left, right)
    assert abs(bounded.sums.moment[0, 0] - told.sums.moment[0, 0]) > 0.1


# taking back


def history(seed: int) -> tuple[list[tuple[int, QualityEvidence | Tuning]], dict[int, Reading]]:
    """Words on two arms that come late, change and are taken back while bounds come and go.

    The other value is what stands in the end, by decision.
    """
    rng = np.random.default_rng(seed)
    made = [(int(rng.integers(2)), vector(rng, 5), float(rng.uniform())) for _ in range(COUNT)]
    steps: list[tuple[int, QualityEvidence | Tuning]] = []
    standing: dict[int, Reading | None] = {}
    for step in range(3 * COUNT):
        now = step // 3
        if step % 3 == 0 and now in TOLD:
            steps.append((0, Tuning(id_at(now - 0.5), 0.0, winsorise_sd=TOLD[now])))
        at = int(rng.integers(max(0, now - 120), now + 1))
        row, x, expected = made[at]
        old, new = standing.get(at), said(*rng.uniform(size=int(rng.integers(1, 4))))
        standing[at] = new = None if old is not None and rng.uniform() < 0.3 else new
        entry = QualityEvidence(step + 1, id_at(at), "ab"[row], x, old, new)
        steps.append((row, replace(entry, expected=expected, spread=0.2)))
    return steps, {at: new for at, new in standing.items() if new is not None}


def followed(model: QualityModel, steps) -> QualityModel:
    for row, entry in steps:
        if isinstance(entry, Tuning):
            model.tune(entry)
        else:
            model.revise(row, entry)
    return model


@pytest.mark.parametrize("seed", range(4))
def test_only_last_words_count_whatever_bounds_came_and_went_in_between(seed):
    """Amended is as if the last word alone had come, retracted as if nothing had been said."""
    steps, standing = history(seed)
    model = followed(model_of(2, GROUPS), steps)
    last = {entry.decision_id: (row, entry) for row, entry in steps if not _is_told(entry)}
    only = [(0, entry) for _, entry in steps if _is_told(entry)]
    only += [(row, replace(entry, old=None)) for row, entry in last.values() if entry.new]
    assert len(only) == len(TOLD) + len(standing)
    expected = followed(model_of(2, GROUPS), only)
    assert_same_sums(model, expected)
    unbounded = followed(model_of(2, GROUPS), only[len(TOLD) :])
    assert np.abs(unbounded.sums.moment - expected.sums.moment).max() > 1.0
    means, covariances = model.refreshed()
    np.testing.assert_allclose(model.means, means, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(model.covariances, covariances, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_taking_everything_back_leaves_nothing(seed):
    """All but one word of each arm, so that nothing is cleared for want of words."""
    steps, _ = history(seed)
    kept = [(row, word(1000.0 + row, said(0.6))) for row in range(2)]
    kept = [(row, replace(entry, x=vector(np.random.default_rng(1), 5))) for row, entry in kept]
    model = followed(model_of(2, GROUPS), [*steps, *kept])
    last = {entry.decision_id: (row, entry) for row, entry in steps if not _is_told(entry)}
    back = [(row, replace(e, old=e.new, new=None)) for row, e in last.values() if e.new]
    followed(model, back)
    expected = followed(model_of(2, GROUPS), kept)
    for name in ("n", "gram", "moment", "square"):
        found = getattr(model.sums, name)
        np.testing.assert_allclose(found, getattr(expected.sums, name), atol=1e-9)
    assert model.taught.tolist() == [1, 1]


@pytest.mark.parametrize("new", [None, Reading(0.9, 0.5)], ids=["retracted", "amended"])
def test_bounds_told_with_an_earlier_id_leave_alone_what_was_heard_before(new):
    """Where the clock of the replica that tells them is behind: they begin with what comes next."""
    model, expected = model_of(), model_of()
    first = word(200.0, Reading(1.0, 1.0))
    for one in (model, expected):
        one.revise(0, word(10.0, Reading(0.4, 1.0)))
    model.revise(0, first)
    asked(model, 100.0, 0.5)
    model.revise(0, replace(first, old=first.new, new=new))
    if new is not None:
        expected.revise(0, word(200.0, new))
    assert_same_sums(model, expected)
    before = model.sums.moment[0, 0]
    model.revise(0, word(201.0, Reading(1.0, 1.0)))
    assert model.sums.moment[0, 0] - before == pytest.approx(0.6)


def test_of_two_replicas_that_tell_bounds_the_later_in_the_log_is_followed():
    model = model_of()
    asked(model, 300.0, 0.5)
    asked(model, 200.0, None)
    model.revise(0, word(400.0, Reading(1.0, 1.0)))
    assert model.sums.moment[0, 0] == pytest.approx(1.0)
    asked(model, 350.0, 1.5)
    model.revise(0, word(401.0, Reading(1.0, 1.0)))
    assert model.sums.moment[0, 0] == pytest.approx(1.8)
    begun = [id_ for id_, _ in model.limits]
    assert begun == sorted(begun)  # as a checkpoint must find them


@pytest.mark.parametrize("at", [50, 350, 700, 1000])
def test_a_checkpoint_in_the_middle_changes_no_bit(at):
    steps, _ = history(0)
    whole, model = followed(model_of(2, GROUPS), steps), model_of(2, GROUPS)
    saved = quality_checkpoint.to_plain(followed(model, steps[:at]))
    again = followed(quality_checkpoint.from_plain(saved, GROUPS, ROWS), steps[at:])
    assert again.limits == whole.limits
    assert quality_checkpoint.to_plain(again) == quality_checkpoint.to_plain(whole)


def _is_told(entry: QualityEvidence | Tuning) -> bool:
    return isinstance(entry, Tuning)
