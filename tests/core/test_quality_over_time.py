"""What is left of evidence after alarms, half-lives and priors, and of several sources."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from core_examples import BIAS_ONLY, GROUPS, id_at, prior, vector
from quality_examples import (
    SUMS,
    UNIT,
    amended,
    assert_same_sources,
    assert_same_sums,
    model_of,
    random_pieces,
    random_voices,
    taught,
    word,
)

from banditroute.core.ages import EVERY_ARM
from banditroute.core.drift import KEPT_N, SURE_N
from banditroute.core.posterior import all_posteriors
from banditroute.core.quality import (
    MOST_PRIOR_N,
    QualityModel,
)
from banditroute.core.winning import win_probabilities
from banditroute.values import QualityEvidence, Reading, Tuning, Voice

# what is left of evidence after a drift alarm or a half-life


def shared_out(readings, model):
    """The sums of standing readings (row, x, reading, share), added up one by one."""
    expected = model_of(len(model.taught))
    for row, x, reading, share in readings:
        square = sum(voice.weight * voice.score**2 for voice in reading.voices)
        expected.sums.add(row, x, share * reading.weight, reading.quality, share * square)
        expected.sources.add(row, x, reading.voices, share)
    return expected


TUNINGS = [
    None,
    Tuning("1", 0.0, half_life_n=150.0),
    Tuning("1", 0.0, half_life_s=150.0, detect_drift=False),
    Tuning("1", 0.0, half_life_s=400.0, half_life_n=400.0),
]


@pytest.mark.usefixtures("jumpy")
@pytest.mark.parametrize("tuning", TUNINGS, ids=["drift", "n", "s", "all"])
@pytest.mark.parametrize("seed", range(3))
def test_the_sums_are_those_of_every_standing_word_and_what_is_left_of_it(tuning, seed):
    """First words that come late, amendments and retractions in any order, amid alarms.

    A share is kept for every decision, heard of or not: a scaling is of all made by then.
    """
    rng, model = np.random.default_rng(seed), model_of(2)
    model.tuning = tuning
    made = [(int(rng.integers(2)), vector(rng, 5), id_at(at)) for at in range(400)]
    shares, standing, scalings = np.ones(400), {}, 0
    for step in range(1200):
        at = int(rng.integers(max(0, step // 3 - 60), step // 3 + 1))
        row, x, id_ = made[at]
        new = random_voices(rng, level=at // 50 % 2)
        new = None if at in standing and rng.uniform() < 0.3 else new
        model.revise(row, QualityEvidence(step + 1, id_, "a", x, standing.get(at), new))
        standing[at] = new
        for scaling in model.ages.scalings[scalings:]:
            for place, (arm, _, other) in enumerate(made):
                if other <= scaling.until and scaling.row in (arm, EVERY_ARM):
                    shares[place] *= scaling.kept
        scalings = len(model.ages.scalings)
    assert scalings >= 4
    assert bool(model.drift.alarms) == (tuning is None or tuning.detect_drift)
    words = [(*made[at][:2], new, shares[at]) for at, new in standing.items() if new is not None]
    expected = shared_out(words, model)
    assert_same_sums(model, expected)
    assert_same_sources(model, expected)
    for at, new in standing.items():
        row, x, id_ = made[at]
        if new is not None:
            model.revise(row, QualityEvidence(0, id_, "a", x, new, None))
    assert not any(np.any(getattr(model.sums, column)) for column in SUMS)
    assert model.taught.tolist() == [0, 0]


def fallen() -> tuple[QualityModel, list[QualityEvidence]]:
    """An arm that fell from 0.9 to 0.1 once it was known, and the words on it up to its alarm."""
    model, said = model_of(1, BIAS_ONLY), []
    while not model.drift.alarms:
        value = 0.9 if len(said) < 2 * SURE_N else 0.1
        said.append(word(UNIT, Reading(value, 0.8), at=len(said)))
        model.revise(0, said[-1])
    return model, said


def test_after_an_alarm_an_old_word_is_taken_back_by_as_much_as_is_left_of_it():
    model, said = fallen()
    kept = KEPT_N / (0.8 * len(said))
    model.revise(0, amended(said[7], None))
    assert model.sums.n[0] == pytest.approx(KEPT_N - kept * 0.8)
    model.revise(0, amended(said[9], Reading(0.2, 0.4)))
    assert model.sums.n[0] == pytest.approx(KEPT_N - kept * 1.2)


def test_after_an_alarm_a_late_word_on_an_old_decision_counts_as_little_as_the_others():
    model, said = fallen()
    late = word(UNIT, Reading(0.9, 0.5), at=3)
    model.revise(0, late)
    assert model.sums.n[0] == pytest.approx(KEPT_N + 0.5 * KEPT_N / (0.8 * len(said)))
    fresh = word(UNIT, Reading(0.1, 0.5), at=len(said))
    before = model.sums.n[0]
    model.revise(0, fresh)
    assert model.sums.n[0] - before == pytest.approx(0.5)


@pytest.mark.usefixtures("jumpy")
def test_permuting_the_arms_permutes_everything(rng):
    order, pieces = [2, 0, 1], []
    for at, (row, entry) in enumerate(random_pieces(rng, 400)):
        pieces.append((row, replace(entry, new=random_voices(rng, level=at // 100 % 2))))
    model = taught(model_of(3), pieces)
    other = taught(model_of(3), [(order[row], entry) for row, entry in pieces])
    assert model.drift.alarms
    for name in ("means", "covariances", "taught"):
        np.testing.assert_allclose(getattr(other, name)[order], getattr(model, name), rtol=1e-7)
    np.testing.assert_allclose(other.sums.gram[order], model.sums.gram, rtol=1e-12)
    np.testing.assert_allclose(other.drift.sums[order], model.drift.sums, rtol=1e-7, atol=1e-9)
    named = [(order[alarm.arm], alarm.position, alarm.since) for alarm in model.drift.alarms]
    assert [(alarm.arm, alarm.position, alarm.since) for alarm in other.drift.alarms] == named


# half-lives


def timed(model, seconds):
    for second in seconds:
        entry = QualityEvidence(1, id_at(second), "a", UNIT, None, Reading(0.5, 1.0))
        model.revise(0, entry)
    return model


def test_a_word_counts_half_after_a_half_life_and_a_new_one_whole():
    model = model_of(1, BIAS_ONLY)
    model.tuning = Tuning("1", 0.0, half_life_s=100.0)
    timed(model, [0.0, 100.0])
    assert model.sums.n[0] == pytest.approx(1.5, rel=1e-3)
    timed(model, [1100.0])
    assert model.sums.n[0] == pytest.approx(1.0 + 1.5 / 1024.0, rel=1e-3)


def test_words_count_half_after_so_many_readings():
    """Σ 0.5^(i/100) over 500 words, up to the 64th of a half-life between two scalings."""
    model = model_of(1, BIAS_ONLY)
    model.tuning = Tuning("1", 0.0, half_life_n=100.0)
    timed(model, np.arange(500.0))
    assert model.sums.n[0] == pytest.approx(sum(0.5 ** (n / 100.0) for n in range(500)), rel=0.02)


@pytest.mark.parametrize("half_life", [{"half_life_n": 10.0}, {"half_life_s": 10.0}], ids=str)
def test_a_half_life_counts_from_when_it_was_told(half_life):
    """What came before is not forgotten at once for having been long ago or many."""
    model = timed(model_of(1, BIAS_ONLY), range(300))
    model.tune(Tuning(id_at(1000.0), 0.0, **half_life))
    timed(model, [1001.0])
    assert model.sums.n[0] > 300.0 * 0.5**0.2
    model.tune(Tuning(id_at(1002.0), 0.0))
    timed(model, range(2000, 2300))
    before = model.sums.n[0]
    model.tune(Tuning(id_at(5000.0), 0.0, **half_life))
    timed(model, [5001.0, 5002.0])
    assert before * 0.5**0.2 < model.sums.n[0] < before


def test_after_a_pause_of_years_a_word_can_still_be_taken_back():
    model = model_of(1, BIAS_ONLY)
    model.tune(Tuning(id_at(0.0), 0.0, half_life_s=60.0))
    timed(model, [0.0, 1e8])
    assert model.sums.n[0] == pytest.approx(1.0)
    old = QualityEvidence(1, id_at(0.0), "a", UNIT, Reading(0.5, 1.0), None)
    model.revise(0, old)
    assert model.sums.n[0] == pytest.approx(1.0)
    assert model.taught[0] == 1


# priors


def test_a_prior_counts_as_at_most_two_hundred_readings(rng):
    model = model_of(1)
    large = prior(rng, "p-1", 800)
    model.set_prior(0, large)
    assert model.sums.n[0] == pytest.approx(MOST_PRIOR_N)
    np.testing.assert_allclose(model.sums.gram[0], large.gram / 4.0)
    small = prior(rng, "p-2", 30)
    model.set_prior(0, small)
    assert model.sums.n[0] == pytest.approx(30.0)
    np.testing.assert_allclose(model.sums.moment[0], small.moment, atol=1e-9)


@pytest.mark.usefixtures("jumpy")
def test_a_prior_replaces_the_one_before_also_after_an_alarm(rng):
    pieces, first = random_pieces(rng, 200, arms=1), prior(rng, "d-000000", 100)
    last = prior(rng, "e", 50)
    with_both, with_last = model_of(1), model_of(1)
    with_both.set_prior(0, first)
    taught(with_both, pieces)
    assert with_both.drift.alarms
    with_both.set_prior(0, last)
    for row, entry in pieces:
        with_both.revise(row, amended(entry, None))
    with_last.set_prior(0, last)
    assert_same_sums(with_both, with_last)


def test_retracting_everything_leaves_the_prior_alone(rng):
    model, known = model_of(1), prior(rng, "c", 40)
    model.set_prior(0, known)
    pieces = random_pieces(rng, 30, arms=1)
    taught(model, pieces)
    taught(model, [(row, amended(entry, None)) for row, entry in pieces])
    expected = model_of(1)
    expected.set_prior(0, known)
    for column in SUMS:
        np.testing.assert_array_equal(getattr(model.sums, column), getattr(expected.sums, column))


def test_a_prior_moves_its_arm_at_once_and_drags_the_others_along(rng):
    model = model_of(2)
    before = model.means.copy()
    good = prior(rng, "p", 100)
    model.set_prior(0, replace(good, moment=good.gram[0], square=100.0))  # every score was 1
    assert model.means[0, 0] > 0.9
    assert before[1, 0] < model.means[1, 0] < model.means[0, 0]


# sources


def two_sources(rng, count, offset, gain, both, first=0):
    """Decisions that a critic, a user who differs from it, or both speak of."""
    pieces = []
    for place in range(first, first + count):
        truth = float(rng.uniform())
        said = (Voice("critic", truth, 0.6), Voice("user", offset + gain * truth, 0.2))
        said = said if rng.uniform() < both else said[int(rng.integers(2)) :][:1]
        weight = sum(voice.weight for voice in said)
        quality = sum(voice.weight * voice.score for voice in said) / weight
        entry = word(vector(rng, 5), Reading(quality, weight, said), at=place)
        pieces.append((int(rng.integers(2)), entry))
    return pieces


def test_calibrating_equals_refitting_from_scores_on_one_scale(rng):
    pieces = two_sources(rng, 300, 0.3, 0.5, both=0.4)
    model = taught(model_of(2), pieces)
    model._refit()
    its = model.sources.calibrations["user"]
    assert (its.offset, its.gain) == pytest.approx((0.3, 0.5), abs=0.1)
    raw = model_of(2)
    for row, entry in pieces:
        for voice in entry.new.voices:
            score = its.read(voice.score) if voice.source == "user" else voice.score
            raw.sums.add(row, entry.x, voice.weight, score)
    means, covariances = all_posteriors(raw.sums, model.hyper, GROUPS)
    np.testing.assert_allclose(model.means, means, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(model.covariances, covariances, rtol=1e-8, atol=1e-12)


def test_a_kinder_source_makes_an_arm_no_better(rng):
    """Two arms of one quality, one judged by the critic alone, one by the user alone."""
    model = model_of(2, BIAS_ONLY)
    pieces = two_sources(rng, 200, 0.35, 0.6, both=1.0)
    for place, (_, entry) in enumerate(pieces):
        only = entry.new.voices[place % 2]
        model.revise(place % 2, word(UNIT, Reading(only.score, only.weight, (only,)), at=place))
    apart = model.means[1, 0] - model.means[0, 0]
    for place, (_, entry) in enumerate(pieces):
        model.revise(0, replace(entry, x=UNIT, decision_id=f"e-{place:06d}"))
    assert apart > 0.08
    assert abs(model.means[1, 0] - model.means[0, 0]) < apart / 2.0


def test_sources_that_agree_change_no_bit(rng):
    pieces = two_sources(rng, 120, 0.0, 1.0, both=1.0)
    model = taught(model_of(2), pieces)
    assert model.sources.pairs
    assert model.sources.calibrations == {}
    means, covariances = all_posteriors(model.sums, model.hyper, GROUPS)
    np.testing.assert_allclose(model.means, means, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.covariances, covariances, rtol=1e-9, atol=1e-12)


# adversaries


@pytest.mark.parametrize("weight", [1e-12, 1e-6, 1.0])
@pytest.mark.parametrize("feature", [0.0, 1e-30, 4.0, 1e6], ids=str)
def test_singular_empty_and_huge_statistics_leave_finite_posteriors(weight, feature):
    """One prompt for ever, always the same extreme score, whatever its features and weight."""
    model, x = model_of(3), np.array([1.0, feature, -feature, 0.0, feature])
    for place in range(300):
        value = float(place >= 150) if place % 2 else 1.0
        model.revise(place % 2, word(x, Reading(value, weight), at=place))
    for array in (model.means, model.covariances, model.hyper.pooled, model.hyper.scales):
        assert np.all(np.isfinite(array))
    assert np.all(np.diagonal(model.covariances, axis1=1, axis2=2) >= 0.0)
    assert 0.0 < model.hyper.noise < np.inf
    spread = np.maximum(np.einsum("d,kde,e->k", x, model.covariances, x), 1e-300)
    chances = win_probabilities(model.means @ x, np.sqrt(spread))
    assert chances.sum() == pytest.approx(1.0)
    assert np.all(chances >= 0.0)
