"""An arm that answers unlike before is found out, and an arm that does not is left alone."""

from __future__ import annotations

from math import exp

import numpy as np
import pytest
from core_examples import BIAS_ONLY
from hypothesis import given
from hypothesis import strategies as st

from banditroute.core.drift import (
    BETTER,
    CUT,
    KEPT_N,
    MOST_ALARMS,
    SLACK,
    SURE_N,
    THRESHOLD,
    WORSE,
    DriftWatch,
)
from banditroute.core.quality import QualityModel
from banditroute.values import QualityEvidence, Reading


def watch_of(arms: int) -> DriftWatch:
    watch = DriftWatch()
    for _ in range(arms):
        watch.grow()
    return watch


def until_alarm(z: float) -> int:
    """How many surprises of ``z`` standard deviations raise an alarm."""
    return int(THRESHOLD / (z - SLACK)) + 1


WILD = until_alarm(CUT)


def heard(watch, surprises, row=0, sd=1.0, first=0):
    """The alarms that surprises raise; decision and position count from ``first``."""
    alarms = [
        watch.hear(row, surprise, sd, f"d-{at:06d}", at)
        for at, surprise in enumerate(surprises, start=first)
    ]
    return [alarm for alarm in alarms if alarm is not None]


# the sums


def test_an_alarm_by_hand():
    """Two sd below each time: the sum gains 2 - 0.15, and passes 30 at the seventeenth."""
    watch = watch_of(1)
    (alarm,) = heard(watch, [-0.4] * 17, sd=0.2, first=5)
    assert (alarm.arm, alarm.position, alarm.decision_id) == (0, 21, "d-000021")
    assert (alarm.since, alarm.readings) == ("d-000005", 17)
    assert alarm.change == pytest.approx(-0.4)
    assert alarm.p_value == pytest.approx(2.0 * exp(-0.3 * 17 * 1.85))
    assert watch.alarms == [alarm]


def test_a_better_arm_is_found_as_soon_as_a_worse_one():
    count = until_alarm(2.0)
    worse, better = (heard(watch_of(1), [sign * 0.4] * count, sd=0.2)[0] for sign in (-1.0, 1.0))
    assert (better.readings, better.since, better.p_value) == (count, worse.since, worse.p_value)
    assert better.change == pytest.approx(-worse.change)


def test_one_surprise_counts_for_three_sd_at_most_but_its_change_is_the_whole():
    """2.85 a reading: the eleventh passes 30, however wild they are."""
    assert not heard(watch_of(1), [-1e6] * 10)
    (alarm,) = heard(watch_of(1), [-1e6] * 11)
    assert alarm.change == pytest.approx(-1e6)
    assert alarm.p_value == pytest.approx(2.0 * exp(-0.3 * 11 * 2.85))


def test_the_change_began_where_the_sum_last_left_zero():
    watch = watch_of(1)
    (alarm,) = heard(watch, [-1.0, 2.0, 0.5, *[-3.0] * WILD])
    assert (alarm.since, alarm.readings) == ("d-000003", WILD)
    assert alarm.change == pytest.approx(-3.0)


def test_after_an_alarm_both_sums_of_the_arm_begin_anew():
    watch = watch_of(2)
    heard(watch, [2.0, -1.0], row=1)
    other = watch.sums[1].copy()
    assert len(heard(watch, [0.0, *[-3.0] * WILD])) == 1
    assert watch.sums[0].tolist() == [0.0, 0.0]
    np.testing.assert_array_equal(watch.sums[1], other)
    (again,) = heard(watch, [-3.0] * WILD, first=100)
    assert (again.since, again.readings) == ("d-000100", WILD)


def test_changes_smaller_than_the_slack_are_let_be():
    assert not heard(watch_of(1), [SLACK, -SLACK] * 2000 + [0.99 * SLACK] * 5000)


def test_arms_have_nothing_to_do_with_each_other(rng):
    """Heard interleaved or one after the other, and whatever their rows, they end alike."""
    surprises = rng.normal(-1.0, 1.0, size=(60, 3))
    apart, mixed, permuted = watch_of(3), watch_of(3), watch_of(3)
    order = [2, 0, 1]
    for row in range(3):
        for at in range(60):
            apart.hear(row, surprises[at, row], 1.0, f"d-{at:06d}", at)
    for at in range(60):
        for row in range(3):
            mixed.hear(row, surprises[at, row], 1.0, f"d-{at:06d}", at)
            permuted.hear(order[row], surprises[at, row], 1.0, f"d-{at:06d}", at)
    assert apart.alarms
    assert sorted(apart.alarms, key=str) == sorted(mixed.alarms, key=str)
    for name in ("sums", "counts", "surprise"):
        np.testing.assert_array_equal(getattr(apart, name), getattr(mixed, name))
        np.testing.assert_array_equal(getattr(permuted, name)[order], getattr(mixed, name))
    assert [permuted.begun[row] for row in order] == mixed.begun
    assert [alarm.arm for alarm in permuted.alarms] == [order[a.arm] for a in mixed.alarms]


@given(st.lists(st.floats(-1e300, 1e300), max_size=60), st.floats(1e-6, 1e6))
def test_sums_stay_between_zero_and_the_threshold_and_alarms_make_sense(surprises, sd):
    watch = watch_of(1)
    for at, surprise in enumerate(surprises):
        alarm = watch.hear(0, surprise, sd, f"d-{at:06d}", at)
        assert np.all(watch.sums >= 0.0)
        assert np.all(watch.sums <= THRESHOLD)
        if alarm is not None:
            assert alarm.since <= alarm.decision_id == f"d-{at:06d}"
            assert 0.0 < alarm.p_value <= 2.0 * exp(-2.0 * SLACK * THRESHOLD)
            assert THRESHOLD / CUT < alarm.readings <= at + 1


def test_of_the_alarms_the_latest_are_kept():
    watch = watch_of(1)
    assert len(heard(watch, [-3.0] * WILD * (MOST_ALARMS + 3))) == MOST_ALARMS + 3
    assert len(watch.alarms) == MOST_ALARMS
    assert watch.alarms[0].position == 4 * WILD - 1


def test_an_arm_that_joins_has_no_sums():
    watch = watch_of(1)
    heard(watch, [-1.0] * 5)
    watch.grow()
    assert watch.sums[1].tolist() == [0.0, 0.0]
    assert watch.sums[0, WORSE] == pytest.approx(5 * 0.85)
    assert watch.sums[0, BETTER] == 0.0
    assert watch.begun[1] == ["", ""]


def readings_per_alarm(threshold: float) -> float:
    """Standard normal readings until a sum passes h: (e^b - 1 - b)/2k², b = 2k(h + 1.166).

    Siegmund (1985, eq. 2.57); half as many with two sums.
    """
    b = 2.0 * SLACK * (threshold + 1.166)
    return (exp(b) - 1.0 - b) / (4.0 * SLACK**2)


@pytest.mark.parametrize(
    ("threshold", "readings"), [(15.0, 1_354), (THRESHOLD, 127_600)], ids=["low", "as it is"]
)
def test_standard_normal_surprises_raise_as_few_alarms_as_theory_says(
    monkeypatch, threshold, readings
):
    """Ten streams of 40,000; with a low threshold, where there is more to count, as well."""
    monkeypatch.setattr("banditroute.core.drift.THRESHOLD", threshold)
    alarms = 0
    for seed in range(10):
        alarms += len(heard(watch_of(1), np.random.default_rng(seed).normal(size=40_000).tolist()))
    expected = 400_000 / readings_per_alarm(threshold)
    assert readings_per_alarm(threshold) == pytest.approx(readings, rel=1e-3)
    assert alarms > 0
    assert abs(alarms - expected) < 4.0 * expected**0.5


# in the model


def told(values, weight=1.0, model=None, first=0):
    """A model of one arm that was told these values one after the other."""
    if model is None:
        model = QualityModel.empty(BIAS_ONLY)
        model.grow()
    for at, value in enumerate(values, start=first):
        reading = Reading(float(value), weight)
        model.revise(0, QualityEvidence(at + 1, f"d-{at:06d}", "a", np.ones(1), None, reading))
    return model


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("after", [0.5, 0.2], ids=["worse", "much worse"])
def test_a_fall_in_quality_is_found_within_few_hundred_readings(seed, after):
    """Thumbs, up with probability 0.8 and then less: found, dated, sized and forgotten."""
    rng = np.random.default_rng(seed)
    model = told(rng.uniform(size=1000) < 0.8)
    alarms_before = len(model.drift.alarms)
    told(rng.uniform(size=300) < after, model=model, first=1000)
    alarm = model.drift.alarms[alarms_before]
    assert 1000 < alarm.position <= 1200
    assert alarm.decision_id == f"d-{alarm.position - 1:06d}"
    assert "d-000850" < alarm.since <= alarm.decision_id
    assert alarm.change < -0.1
    assert model.means[0, 0] == pytest.approx(after, abs=0.15)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shift", [0.3, -0.3], ids=["better", "worse"])
def test_a_shift_of_three_tenths_is_found_within_a_hundred_readings(seed, shift):
    rng = np.random.default_rng(seed)
    model = told(rng.normal(0.5, 0.25, size=600))
    assert not model.drift.alarms
    told(rng.normal(0.5 + shift, 0.25, size=200), model=model, first=600)
    alarm = model.drift.alarms[0]
    assert alarm.position <= 700
    assert alarm.change / shift > 0.25
    assert model.means[0, 0] == pytest.approx(0.5 + shift, abs=0.1)


def test_an_alarm_leaves_twenty_readings_of_the_arm():
    """Constant readings, then the opposite: the evidence at the alarm is scaled to n = 20."""
    known = int(2.0 * SURE_N)
    model, at = told([0.9] * known), known
    while not model.drift.alarms:
        told([0.1], model=model, first=at)
        at += 1
    assert model.sums.n[0] == pytest.approx(KEPT_N)
    assert model.taught[0] == at
    bad = at - known
    assert model.sums.moment[0, 0] == pytest.approx(KEPT_N * (0.9 * known + 0.1 * bad) / at)


def test_an_arm_with_little_evidence_has_nothing_to_drift_from():
    half = int(SURE_N / 2.0)
    model = told([1.0] * half + [0.0] * half)
    assert model.sums.n[0] == SURE_N
    assert not np.any(model.drift.counts)
    told([0.0], model=model, first=2 * half)
    assert np.all(model.drift.counts[0] == 1)


def test_only_first_words_are_listened_to(rng):
    known = int(2.0 * SURE_N)
    model = told(rng.normal(0.6, 0.2, size=known))
    before, counts = model.drift.sums.copy(), model.drift.counts.copy()
    for at in range(50):
        x, old = np.ones(1), Reading(0.6, 1.0)
        entry = QualityEvidence(known + 1 + at, f"d-{at:06d}", "a", x, old, Reading(0.0, 1.0))
        model.revise(0, entry)
    assert before.any()
    np.testing.assert_array_equal(model.drift.sums, before)
    np.testing.assert_array_equal(model.drift.counts, counts)
    assert not model.drift.alarms


def test_late_words_on_decisions_from_before_an_alarm_raise_no_other(rng):
    """An arm fell from 0.8 to 0.4; then come 400 words that were still under way before."""
    model = told(rng.normal(0.8, 0.2, size=500))
    told(rng.normal(0.4, 0.2, size=300), model=model, first=1000)
    alarms = len(model.drift.alarms)
    assert alarms > 0
    assert model.sums.n[0] > SURE_N  # sure enough again to be watched
    told(rng.normal(0.8, 0.2, size=400), model=model, first=500)
    assert len(model.drift.alarms) == alarms
    told(rng.normal(0.4, 0.2, size=100), model=model, first=1300)
    assert model.means[0, 0] == pytest.approx(0.4, abs=0.1)


def test_stationary_scores_raise_at_most_one_false_alarm_in_20_000():
    """Six arms' worth of 10,000 scores; whatever alarms there are, the mean stays where it is."""
    alarms = 0
    for seed in range(6):
        model = told(np.random.default_rng(seed).normal(0.6, 0.2, size=10_000))
        alarms += len(model.drift.alarms)
        assert model.means[0, 0] == pytest.approx(0.6, abs=4.0 * 0.2 / KEPT_N**0.5)
    assert alarms <= 3
