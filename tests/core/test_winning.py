"""The probability of being the largest, against closed forms, sampling and brute integration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from banditroute.core.winning import win_probabilities

ACCURACY = 1e-5  # the worst of 21,000 random sets of 1 to 12 arms was 2e-6


def sampled(rng, mean, sd, samples=400_000):
    """P(best) by sampling, and its standard error."""
    wins = np.zeros(len(mean))
    for _ in range(10):
        drawn = mean + sd * rng.standard_normal((samples // 10, len(mean)))
        wins += np.bincount(drawn.argmax(axis=1), minlength=len(mean))
    share = wins / samples
    return share, np.sqrt(np.maximum(share * (1.0 - share), 1.0 / samples) / samples)


def integrated(mean, sd, points=1601):
    """P(best) = ∫ φ_k ∏_{j≠k} Φ_j dz over points that lie densely around every arm."""
    z = np.unique(mean + sd * np.linspace(-8.0, 8.0, points)[:, None])
    z = z[z >= (mean - 8.0 * sd).max()]
    standard = (z - mean[:, None]) / sd[:, None]
    log_cdf = np.log(np.maximum(ndtr(standard), 1e-300))
    density = np.exp(-0.5 * standard**2) / (sd[:, None] * np.sqrt(2.0 * np.pi))
    return np.trapezoid(density * np.exp(log_cdf.sum(axis=0) - log_cdf), z)


def pairwise(mean, sd):
    """P(the first of two is larger) = Φ((m₁ - m₂)/√(s₁² + s₂²))."""
    return ndtr((mean[0] - mean[1]) / np.hypot(*sd))


# what is right


MEANS_AND_WIDTHS = {
    "two": ([0.5, 0.6], [0.1, 0.1]),
    "three": ([0.5, 0.55, 0.3], [0.1, 0.05, 0.4]),
    "one-far-behind": ([0.5, 0.5, -3.0], [0.1, 0.2, 0.1]),
    "narrow-among-wide": ([0.5, 0.45, 0.55], [0.0005, 0.5, 0.5]),
    "wide-among-narrow": ([0.5, 0.501, 0.2], [0.001, 0.001, 1.0]),
    "every-width": ([0.5, 0.5, 0.5, 0.4], [0.001, 0.01, 0.1, 1.0]),
    "ten": (np.linspace(0.3, 0.7, 10), np.linspace(0.3, 0.05, 10)),
}


@pytest.mark.parametrize(("mean", "sd"), MEANS_AND_WIDTHS.values(), ids=MEANS_AND_WIDTHS)
def test_sampling_agrees(mean, sd, rng):
    mean, sd = np.array(mean), np.array(sd)
    share, error = sampled(rng, mean, sd)
    assert np.all(np.abs(win_probabilities(mean, sd) - share) < 4.0 * error + ACCURACY)


def test_sampling_agrees_for_fifty_arms(rng):
    mean, sd = rng.normal(0.5, 0.1, size=50), rng.uniform(0.02, 0.3, size=50)
    share, error = sampled(rng, mean, sd, samples=100_000)
    assert np.all(np.abs(win_probabilities(mean, sd) - share) < 4.0 * error + ACCURACY)


@given(st.floats(-3.0, 3.0), st.floats(-3.0, 0.0), st.floats(-3.0, 0.0))
@settings(max_examples=300)
def test_two_arms_agree_with_the_closed_form_at_widths_up_to_1000_apart(gap, log_s1, log_s2):
    sd = 10.0 ** np.array([log_s1, log_s2])
    mean = np.array([gap * np.hypot(*sd), 0.0])
    assert win_probabilities(mean, sd)[0] == pytest.approx(pairwise(mean, sd), abs=ACCURACY)


@pytest.mark.parametrize("ratio", [1e4, 1e6, 1e12, 1e15, 1e30])
@pytest.mark.parametrize("gap", [-1.0, 0.0, 0.3, 2.0])
def test_two_arms_agree_with_the_closed_form_at_any_ratio_of_widths(gap, ratio):
    mean, sd = np.array([gap, 0.0]), np.array([1.0, 1.0 / ratio])
    assert win_probabilities(mean, sd)[0] == pytest.approx(pairwise(mean, sd), abs=ACCURACY)


ARMS = st.lists(
    st.tuples(st.floats(-2.0, 2.0), st.floats(-3.0, 0.0).map(lambda log_sd: 10.0**log_sd)),
    min_size=1,
    max_size=12,
)


@given(ARMS, st.sampled_from([1.0, 0.1, 0.01]))
@settings(max_examples=300)
def test_brute_integration_agrees_for_arms_of_any_widths(arms, closeness):
    mean, sd = np.array(arms).T
    mean *= closeness
    np.testing.assert_allclose(win_probabilities(mean, sd), integrated(mean, sd), atol=ACCURACY)


@pytest.mark.parametrize("spread", [0.0, 0.01, 0.1, 1.0])
def test_brute_integration_agrees_for_two_hundred_arms(spread, rng):
    """The largest of many alike varies less than each of them, so points must stand closer."""
    mean, sd = rng.normal(0.0, spread, size=200), 10.0 ** rng.uniform(-1.3, -1.0, size=200)
    expected = integrated(mean, sd, points=301)
    np.testing.assert_allclose(win_probabilities(mean, sd), expected, atol=ACCURACY)


# what never fails


EXTREME = st.lists(
    st.tuples(
        st.floats(-1e6, 1e6) | st.sampled_from([-1e6, 0.0, 1e6]),
        st.floats(-9.0, 6.0) | st.sampled_from([-300.0, -9.0, 6.0]),
    ),
    min_size=1,
    max_size=20,
)


@given(EXTREME)
@settings(max_examples=300)
def test_any_numbers_give_a_distribution(arms):
    mean, log_sd = np.array(arms).T
    probabilities = win_probabilities(mean, 10.0**log_sd)
    assert np.all(np.isfinite(probabilities))
    assert np.all(probabilities >= 0.0)
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("k", [1, 2, 3, 10, 200])
def test_equal_arms_win_equally_often(k):
    np.testing.assert_allclose(win_probabilities(np.full(k, 0.4), np.full(k, 0.2)), 1.0 / k)


@given(ARMS, st.randoms(use_true_random=False))
def test_permuting_the_arms_permutes_the_probabilities(arms, random):
    mean, sd = np.array(arms).T
    order = random.sample(range(len(arms)), len(arms))
    permuted, straight = win_probabilities(mean[order], sd[order]), win_probabilities(mean, sd)
    np.testing.assert_allclose(permuted, straight[order], rtol=0.0, atol=1e-12)


def test_the_order_of_arms_that_tie_at_their_lowest_does_not_matter():
    """1 - 5·0.2 = 0.5 - 5·0.1 = 0.25 - 5·0.05: each of the three could set the points."""
    mean, sd = np.array([1.0, 0.5, 0.25]), np.array([0.2, 0.1, 0.05])
    back = win_probabilities(mean[::-1], sd[::-1])
    np.testing.assert_allclose(back[::-1], win_probabilities(mean, sd), rtol=0.0, atol=1e-12)


@given(ARMS)
def test_the_same_numbers_give_the_same_bits(arms):
    mean, sd = np.array(arms).T
    again = win_probabilities(mean.copy(), sd.copy())
    np.testing.assert_array_equal(again, win_probabilities(mean, sd))


@given(ARMS, st.floats(0.0, 2.0))
def test_a_better_arm_wins_more_often(arms, rise):
    """Up to the accuracy of the two quadratures."""
    mean, sd = np.array(arms).T
    before = win_probabilities(mean, sd)[0]
    mean[0] += rise
    assert win_probabilities(mean, sd)[0] >= before - 2.0 * ACCURACY


@given(ARMS, st.floats(-100.0, 100.0), st.floats(0.1, 50.0))
def test_only_differences_in_units_of_the_widths_matter(arms, shift, stretch):
    mean, sd = np.array(arms).T
    moved = win_probabilities(mean * stretch + shift, sd * stretch)
    np.testing.assert_allclose(moved, win_probabilities(mean, sd), atol=ACCURACY)


def test_an_arm_without_a_chance_gets_nothing_and_the_rest_is_unmoved():
    with_hopeless = win_probabilities(np.array([0.5, 0.6, -1e6]), np.array([0.1, 0.1, 0.1]))
    assert with_hopeless[2] == 0.0
    expected = pairwise([0.5, 0.6], [0.1, 0.1])
    assert with_hopeless[0] == pytest.approx(expected, abs=ACCURACY)


def test_means_a_million_from_zero_are_told_apart_by_the_last_bit():
    """At 10⁶ neighbours in float64 are 2⁻³³ apart; here that is two widths."""
    mean, sd = np.array([1e6 + 2.0**-33, 1e6]), np.full(2, 2.0**-34)
    assert win_probabilities(mean, sd)[0] == pytest.approx(ndtr(np.sqrt(2.0)), abs=ACCURACY)


def test_arms_far_from_zero_may_be_narrower_than_the_last_bit_of_their_means():
    mean, sd = np.full(2, 1e6), np.array([1e-12, 1e-11])
    assert win_probabilities(mean, sd) == pytest.approx([0.5, 0.5], abs=ACCURACY)


@pytest.mark.parametrize("sharpness", [1.0, 1.5, 3.0])
def test_sharper_probabilities_are_powers_of_the_plain_ones(sharpness, rng):
    mean, sd = rng.normal(size=7), rng.uniform(0.1, 2.0, size=7)
    powers = win_probabilities(mean, sd) ** sharpness
    sharp = win_probabilities(mean, sd, sharpness)
    np.testing.assert_allclose(sharp, powers / powers.sum(), rtol=1e-12)
