"""Posteriors stay those of the sums, whatever was learned, changed or taken back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from core_examples import BIAS_ONLY, GROUPS, vector
from quality_examples import (
    SUMS,
    UNIT,
    amended,
    assert_same_sources,
    assert_same_sums,
    changed,
    model_of,
    random_pieces,
    random_voices,
    taught,
    word,
)

from banditroute.core.posterior import Hyperparameters
from banditroute.core.quality import (
    EM_STEPS,
    FIRST_REFIT,
    next_refit,
)
from banditroute.core.spreads import triangles
from banditroute.values import Reading


@pytest.mark.parametrize("revise", ["observe", "amend", "retract"])
def test_every_posterior_is_the_one_recomputed_from_the_sums(rng, revise):
    """After each of 300 readings: mean and covariance agree with the sums to 1e-10."""
    model, pieces = model_of(3), random_pieces(rng, 300)
    for place, (row, entry) in enumerate(pieces):
        model.revise(row, entry)
        if revise == "amend" and place % 3 == 0:
            model.revise(row, amended(entry, Reading(0.3, 0.2)))
        if revise == "retract" and place % 3 == 0:
            model.revise(row, amended(entry, None))
        means, covariances = model.refreshed()
        np.testing.assert_allclose(model.means, means, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(model.covariances, covariances, rtol=1e-9, atol=1e-10)
        np.testing.assert_array_equal(model.spreads, triangles(model.covariances))


def test_covariances_stay_symmetric_to_the_bit(rng):
    model = taught(model_of(3), random_pieces(rng, 100))
    np.testing.assert_array_equal(model.covariances, model.covariances.transpose(0, 2, 1))


def test_one_observation_by_hand():
    """Prior N(0.5, 0.04), σ² = 0.2, one score of 1 with weight 1/2, so noise 0.4.

    V = 0.04·0.4/0.44, μ = 0.5 + 0.5·0.04/0.44.
    """
    model = model_of(1, BIAS_ONLY)
    model.revise(0, word(UNIT, Reading(1.0, 0.5)))
    assert model.means[0, 0] == pytest.approx(0.5 + 0.02 / 0.44, rel=1e-14)
    assert model.covariances[0, 0, 0] == pytest.approx(0.016 / 0.44, rel=1e-13)


def test_the_same_evidence_in_any_order_gives_the_same_sums(rng):
    pieces = random_pieces(rng, 120)
    pieces = [(row, replace(entry, new=random_voices(rng))) for row, entry in pieces]
    shuffled = [pieces[place] for place in rng.permutation(120)]
    forth, other = taught(model_of(3), pieces), taught(model_of(3), shuffled)
    assert_same_sums(forth, other)
    assert_same_sources(forth, other)
    assert not forth.drift.alarms
    for model in (forth, other):
        model.sources.recalibrate()
    for name, its in forth.sources.calibrations.items():
        assert other.sources.calibrations[name].gain == pytest.approx(its.gain)
        assert other.sources.calibrations[name].offset == pytest.approx(its.offset)


def test_amending_ends_as_if_only_the_last_word_had_come(rng):
    pieces = random_pieces(rng, 80)
    last = [(row, amended(entry, changed(entry.new))) for row, entry in pieces]
    model = taught(taught(model_of(3), pieces), last)
    expected = taught(model_of(3), [(row, replace(entry, old=None)) for row, entry in last])
    assert_same_sums(model, expected)
    np.testing.assert_array_equal(model.taught, expected.taught)


def test_retracting_ends_as_if_nothing_had_been_said(rng):
    kept, taken = random_pieces(rng, 60), random_pieces(rng, 40, first=60)
    model = taught(model_of(3), [*taken, *kept])
    taught(model, [(row, amended(entry, None)) for row, entry in taken])
    expected = taught(model_of(3), kept)
    assert_same_sums(model, expected)
    np.testing.assert_array_equal(model.taught, expected.taught)


def test_retracting_everything_leaves_exactly_nothing(rng):
    model, pieces = model_of(3), random_pieces(rng, 50)
    taught(model, pieces)
    for place in rng.permutation(50):
        row, entry = pieces[place]
        model.revise(row, amended(entry, None))
    for column in SUMS:
        assert not np.any(getattr(model.sums, column))
    assert model.taught.tolist() == [0, 0, 0]
    np.testing.assert_allclose(model.means, np.tile(model.hyper.pooled, (3, 1)), rtol=1e-13)
    prior = np.diag(model.hyper.prior_variance(GROUPS))
    np.testing.assert_allclose(model.covariances, np.stack([prior] * 3), rtol=1e-14)


def test_retracting_all_of_one_arm_keeps_the_others(rng):
    model = model_of(2)
    x = vector(rng, 5)
    gone = word(x, Reading(0.3, 0.7), at=1)
    taught(model, [(0, gone), (1, word(x, Reading(0.9, 0.4), at=2)), (0, amended(gone, None))])
    assert model.sums.n.tolist() == [0.0, 0.4]
    assert model.taught.tolist() == [0, 1]


def test_an_arm_without_evidence_is_the_pooled_model_also_after_a_refit(rng):
    model = taught(model_of(4), random_pieces(rng, 60, arms=3))
    assert model.hyper.pooled[0] != 0.5
    np.testing.assert_allclose(model.means[3], model.hyper.pooled, rtol=1e-13)
    prior = np.diag(model.hyper.prior_variance(GROUPS))
    np.testing.assert_allclose(model.covariances[3], prior, rtol=1e-14)


def test_an_arm_that_joins_late_starts_exactly_at_the_pooled_model(rng):
    model = taught(model_of(3), random_pieces(rng, 60))
    before = model.means.copy()
    model.grow()
    np.testing.assert_array_equal(model.means[3], model.hyper.pooled)
    prior = np.diag(model.hyper.prior_variance(GROUPS))
    np.testing.assert_array_equal(model.covariances[3], prior)
    np.testing.assert_array_equal(model.means[:3], before)
    assert model.taught[3] == 0


@pytest.mark.parametrize(
    ("count", "expected"),
    [(8, 16), (16, 24), (40, 48), (45, 54), (100, 120), (2500, 3000), (10_000, 10_500)],
)
def test_refits_grow_sparser_by_a_fifth_between_8_and_500_readings_apart(count, expected):
    assert next_refit(count) == expected


def test_the_shared_values_are_learned_at_refit_points_and_nowhere_else(rng):
    model, refits = model_of(3), []
    for count, (row, entry) in enumerate(random_pieces(rng, 130), start=1):
        before = model.hyper
        model.revise(row, entry)
        if model.hyper is not before:
            refits.append(count)
    assert refits == [8, 16, 24, 32, 40, 48, 57, 68, 81, 97, 116]
    assert refits[0] == FIRST_REFIT
    assert model.refit_at == 139


def test_an_amendment_and_a_retraction_count_towards_the_refit_point(rng):
    model, entry = model_of(1), word(vector(rng, 5), Reading(0.5, 1.0))
    model.revise(0, entry)
    for _ in range(5):
        model.revise(0, amended(entry, entry.new))
    model.revise(0, amended(entry, None))
    assert (model.readings, model.refit_at) == (7, 8)
    model.revise(0, entry)
    assert (model.readings, model.refit_at) == (8, 16)


def test_a_refit_is_three_em_steps_from_the_values_before(rng, monkeypatch):
    steps = []
    module = "banditroute.core.quality"
    original = __import__(module, fromlist=["em_step"]).em_step

    def counted(sums, hyper, covariances, groups):
        steps.append(hyper)
        return original(sums, hyper, covariances, groups)

    monkeypatch.setattr(f"{module}.em_step", counted)
    model = taught(model_of(3), random_pieces(rng, FIRST_REFIT))
    assert len(steps) == EM_STEPS == 3
    start = Hyperparameters.start(GROUPS)
    assert (steps[0].noise, steps[0].scales.tolist()) == (start.noise, start.scales.tolist())
    assert len({step.noise for step in steps} | {model.hyper.noise}) == 4


def test_readings_with_more_weight_move_the_posterior_further(rng):
    x = vector(rng, 5)
    moved = []
    for weight in (0.1, 0.5, 1.0):
        model = model_of(1)
        model.revise(0, word(x, Reading(1.0, weight)))
        moved.append(float(model.means[0] @ x))
    assert moved == sorted(moved)
    assert moved[0] < moved[2]


def test_a_quality_that_depends_on_the_context_is_learned(rng):
    """500 readings an arm of 0.5 ± 0.3·x₁: predictions come within four standard errors."""
    model, each, sd = model_of(2), 500, 0.2
    for place in range(each):
        for row, slope in ((0, 0.3), (1, -0.3)):
            x = vector(rng, 5)
            value = 0.5 + slope * x[1] + rng.normal(0.0, sd)
            model.revise(row, word(x, Reading(value, 1.0), at=place))
    bound = 4.0 * sd / np.sqrt(each)
    assert model.means[:, 1] == pytest.approx([0.3, -0.3], abs=bound)
    assert model.means[:, 0] == pytest.approx([0.5, 0.5], abs=bound)
