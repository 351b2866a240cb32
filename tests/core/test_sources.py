"""Sources that differ are read on one scale, all that they ever said."""

from __future__ import annotations

import numpy as np
import pytest
from core_examples import vector
from hypothesis import given
from hypothesis import strategies as st

from banditroute.core.sources import (
    LEAST_GAIN,
    MOST_SOURCES,
    PSEUDO_PAIRS,
    Calibration,
    Sources,
    fitted,
    shown,
)
from banditroute.core.sums import RegressionSums
from banditroute.values import Voice

D = 3
SURE, KIND = "critic", "user"


def sources_of(arms: int) -> Sources:
    sources = Sources(D)
    for _ in range(arms):
        sources.grow()
    return sources


def pair(truth: float, offset: float = 0.0, gain: float = 1.0) -> tuple[Voice, Voice]:
    """What the anchor and another source say of one decision."""
    return Voice(SURE, truth, 0.6), Voice(KIND, offset + gain * truth, 0.3)


def told_pairs(rng, count, offset, gain, arms=2) -> Sources:
    sources = sources_of(arms)
    for truth in rng.uniform(size=count):
        sources.add(int(rng.integers(arms)), vector(rng, D), pair(truth, offset, gain), 1.0)
    sources.recalibrate()
    return sources


# fitting


def test_without_pairs_a_source_means_what_it_says():
    assert fitted(0.0, 0.0, 0.0, 0.0, 0.0) == Calibration(0.0, 1.0)


def test_a_fit_by_hand():
    """Twenty pairs of (0, 0.2) and twenty of (1, 0.6), beside twenty at mean 1/2, variance 0.1.

    Means: (20 + 10)/60 and (4 + 12 + 10)/60; variance (20 + 7)/60 - 1/4; covariance
    (12 + 7)/60 - 13/60.
    """
    found = fitted(40.0, 20.0, 16.0, 20.0, 12.0)
    gain = (6.0 / 60.0) / (12.0 / 60.0)
    assert found.gain == pytest.approx(gain)
    assert found.offset == pytest.approx(26.0 / 60.0 - gain / 2.0)


@pytest.mark.parametrize(("offset", "gain"), [(0.3, 0.5), (-0.1, 1.0), (0.2, 1.0), (0.0, 0.4)])
def test_a_known_offset_and_gain_are_recovered_from_pairs(rng, offset, gain):
    """2,000 pairs without noise; the 20 that agree hold back a hundredth of the way."""
    found = told_pairs(rng, 2000, offset, gain).calibrations[KIND]
    assert found.offset == pytest.approx(offset, abs=0.02 * (abs(offset) + abs(1.0 - gain)) + 1e-9)
    assert found.gain == pytest.approx(gain, abs=0.02 * (abs(offset) + abs(1.0 - gain)) + 1e-9)
    assert found.read(offset + gain * 0.7) == pytest.approx(0.7, abs=0.02)


def test_few_pairs_move_a_source_a_little(rng):
    moved = [told_pairs(rng, n, 0.4, 0.5).calibrations[KIND].read(0.9) for n in (2, 20, 400)]
    assert moved[0] == pytest.approx(0.9, abs=0.06)
    assert moved[2] == pytest.approx(1.0, abs=0.05)
    assert 0.0 < LEAST_GAIN < told_pairs(rng, 20, 0.4, 0.5).calibrations[KIND].gain < 1.0


def test_a_source_that_tells_nothing_apart_is_not_blown_up(rng):
    found = told_pairs(rng, 5000, 0.9, 0.0).calibrations[KIND]
    assert found.gain == LEAST_GAIN
    assert abs(found.read(0.9) - 0.5) < 0.1


def test_a_source_that_always_agrees_is_not_changed(rng):
    sources = told_pairs(rng, 300, 0.0, 1.0)
    assert sources.pairs[SURE, KIND][0] == 300.0
    assert sources.calibrations == {}


@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)), max_size=50))
def test_any_pairs_of_scores_give_a_usable_calibration(pairs):
    a, y = np.array(pairs).reshape(-1, 2).T
    found = fitted(float(len(a)), a.sum(), y.sum(), (a * a).sum(), (a * y).sum())
    assert LEAST_GAIN <= found.gain < np.inf
    assert abs(found.offset) < 2.0 + found.gain
    assert np.isfinite(found.read(0.5))


# anchors


def test_the_surest_source_is_the_anchor_and_stands_as_it_is(rng):
    sources = told_pairs(rng, 100, 0.3, 0.5)
    assert set(sources.calibrations) == {KIND}
    assert sources.read([Voice(SURE, 0.8, 0.6)]) == 0.8


def test_of_equally_sure_sources_the_first_by_name_is_the_anchor(rng):
    """Whatever order they spoke in; the fit is the same seen from either side of the pair."""
    sources = sources_of(1)
    for truth in rng.uniform(size=200):
        said = [Voice("b", truth / 2.0, 0.5), Voice("a", truth, 0.5)]
        sources.add(0, vector(rng, D), said, 1.0)
    sources.recalibrate()
    assert list(sources.calibrations) == ["b"]
    assert sources.calibrations["b"].gain == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("name", ["alpha", "zeta"])
def test_a_name_before_or_after_the_anchors_makes_no_difference(name):
    sources, truths = sources_of(1), np.linspace(0.0, 1.0, 101)
    for truth in truths:
        said = [Voice("middle", truth, 0.9), Voice(name, 0.2 + truth / 2.0, 0.1)]
        sources.add(0, np.ones(D), said, 1.0)
    sources.recalibrate()
    n, a, y = 101.0, truths.sum(), (0.2 + truths / 2.0).sum()
    expected = fitted(n, a, y, (truths**2).sum(), (truths * (0.2 + truths / 2.0)).sum())
    found = sources.calibrations[name]
    assert (found.offset, found.gain) == pytest.approx((expected.offset, expected.gain))


def test_a_source_without_pairs_with_the_anchor_stands_as_it_is(rng):
    sources = sources_of(1)
    sources.add(0, vector(rng, D), [Voice("a", 0.5, 1.0)], 1.0)
    sources.add(0, vector(rng, D), [Voice("b", 0.1, 0.2)], 1.0)
    sources.recalibrate()
    assert sources.calibrations == {}


def test_sources_past_the_last_that_is_calibrated_stand_as_they_are(rng):
    sources = sources_of(1)
    for n in range(MOST_SOURCES + 3):
        said = [Voice("anchor", 0.4, 1.0), Voice(f"s{n:02d}", 0.9, 0.1)]
        for _ in range(50):
            sources.add(0, np.ones(D), said, 1.0)
    sources.recalibrate()
    assert len(sources.known) == MOST_SOURCES
    assert "s00" in sources.calibrations
    assert sources.read([Voice(f"s{MOST_SOURCES + 2:02d}", 0.9, 0.1)]) == 0.9
    assert sources.read([Voice("s00", 0.9, 0.1)]) < 0.7


# reading


def test_a_reading_is_the_weighted_mean_of_its_voices_on_one_scale():
    sources = sources_of(1)
    sources.calibrations = {"kind": Calibration(0.4, 0.5)}
    said = [Voice("sure", 0.5, 0.6), Voice("kind", 0.7, 0.2)]
    assert sources.read(said) == pytest.approx((0.6 * 0.5 + 0.2 * 0.6) / 0.8)


def test_calibrating_equals_summing_what_was_said_on_one_scale(rng):
    """Everything a source ever said moves, also before its first pair, in every arm."""
    sources, sums, said = sources_of(3), RegressionSums.empty(D), []
    for _ in range(3):
        sums.grow()
    for at in range(120):
        row, x = int(rng.integers(3)), vector(rng, D)
        truth = float(rng.uniform())
        voices = pair(truth, 0.3, 0.6)
        voices = voices[1:] if at < 40 else voices[:1] if at % 3 == 0 else voices
        said.append((row, x, voices))
        sources.add(row, x, voices, 1.0)
        add_voices(sums, row, x, voices, lambda voice: voice.score)
    sources.recalibrate()
    its, expected = sources.calibrations[KIND], RegressionSums.empty(D)
    for _ in range(3):
        expected.grow()
    for row, x, voices in said:
        scale = {SURE: Calibration(), KIND: its}
        add_voices(expected, row, x, voices, lambda v, s=scale: s[v.source].read(v.score))
    found = sources.calibrated(sums)
    for column in ("n", "gram", "moment", "square"):
        np.testing.assert_allclose(getattr(found, column), getattr(expected, column), rtol=1e-9)
    assert not np.allclose(found.moment, sums.moment)


def add_voices(sums, row, x, voices, score):
    for voice in voices:
        sums.add(row, x, voice.weight, score(voice))


def test_where_nobody_differs_the_sums_are_the_very_same(rng):
    sums = RegressionSums.empty(D)
    assert told_pairs(rng, 10, 0.0, 1.0).calibrated(sums) is sums


def test_what_was_said_can_be_taken_back(rng):
    sources = told_pairs(rng, 50, 0.3, 0.5)
    before = {name: one.moments.copy() for name, one in sources.known.items()}
    pairs, x = sources.pairs[SURE, KIND].copy(), vector(rng, D)
    sources.add(1, x, pair(0.9, 0.3, 0.5), 0.25)
    sources.take_back(1, x, pair(0.9, 0.3, 0.5), 0.25)
    for name, one in sources.known.items():
        np.testing.assert_allclose(one.moments, before[name], atol=1e-12)
        assert one.n == 50.0
    np.testing.assert_allclose(sources.pairs[SURE, KIND], pairs, atol=1e-12)


def test_what_is_said_in_any_order_gives_the_same_calibrations(rng):
    said = [(vector(rng, D), pair(truth, 0.3, 0.5)) for truth in rng.uniform(size=60)]
    forth, back = sources_of(1), sources_of(1)
    for x, voices in said:
        forth.add(0, x, voices, 1.0)
    for x, voices in reversed(said):
        back.add(0, x, voices[::-1], 1.0)
    forth.recalibrate()
    back.recalibrate()
    first, second = forth.calibrations[KIND], back.calibrations[KIND]
    assert (first.offset, first.gain) == pytest.approx((second.offset, second.gain), rel=1e-12)


def test_a_drifted_arm_scales_what_was_said_of_it_and_leaves_the_pairs(rng):
    """How sources differ has nothing to do with how well an arm answers."""
    sources = told_pairs(rng, 60, 0.3, 0.5)
    before = {name: one.moments.copy() for name, one in sources.known.items()}
    found = sources.calibrations[KIND]
    sources.scale(0, 0.1)
    sources.recalibrate()
    for name, one in sources.known.items():
        np.testing.assert_allclose(one.moments[0], 0.1 * before[name][0])
        np.testing.assert_array_equal(one.moments[1], before[name][1])
    assert sources.calibrations[KIND] == found


def test_an_arm_that_joins_has_heard_nothing(rng):
    sources = told_pairs(rng, 20, 0.3, 0.5)
    sources.grow()
    for one in sources.known.values():
        assert one.moments.shape == one.weights.shape == (3, D)
        assert not np.any(one.moments[2])
        assert one.squares.tolist()[2] == 0.0
    sources.add(2, vector(rng, D), pair(0.5), 1.0)


def test_a_report_names_offset_and_gain_by_source():
    assert shown({"b": Calibration(0.1, 0.9), "a": Calibration()}) == {
        "a": (0.0, 1.0),
        "b": (0.1, 0.9),
    }
    assert PSEUDO_PAIRS == 20.0
