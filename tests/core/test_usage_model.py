"""Output lengths, latencies, errors and spend, learned from outcomes alone."""

from __future__ import annotations

import numpy as np
import pytest
from core_examples import NOW_S, outcome, vector

from banditroute.core.usage import (
    LATENCY_PRIOR_N,
    LATENCY_PRIOR_VARIANCE,
    LENGTH_NOISE,
    SMEARING_START,
    TYPICAL_OUTPUT_TOKENS,
    UsageModel,
    length_prior,
    trust,
)


def model_of(arms: int, d: int = 1) -> UsageModel:
    model = UsageModel.empty(d)
    for _ in range(arms):
        model.grow()
    return model


# lengths


def test_an_arm_never_called_is_expected_to_write_a_typical_answer():
    expected = model_of(1).output_tokens(np.ones(1))[0]
    assert expected == pytest.approx(SMEARING_START * TYPICAL_OUTPUT_TOKENS)


def test_one_length_by_hand():
    """Prior log 300 with variance 1, noise 0.3, one answer of 300·e: μ = log 300 + 1/1.3.

    The smearing factor moves by a fifth from 1.2 towards exp(1 · 0.3/1.3): the surprise that
    the mean has not taken up.
    """
    model = model_of(1)
    model.observe(0, outcome(output_tokens=300.0 * np.e))
    assert model.length_means[0, 0] == pytest.approx(np.log(300.0) + 1.0 / 1.3)
    assert model.length_covariances[0, 0, 0] == pytest.approx(0.3 / 1.3)
    assert model.smearing[0] == pytest.approx(1.2 + (np.exp(0.3 / 1.3) - 1.2) / 5.0)
    assert model.length_n.tolist() == [1.0]
    smearing = 1.2 + (np.exp(0.3 / 1.3) - 1.2) / 5.0
    expected = smearing * 300.0 * np.exp(1.0 / 1.3)
    assert model.output_tokens(np.ones(1))[0] == pytest.approx(expected)


def test_the_length_regression_is_ridge_on_the_stacked_data(rng):
    model = model_of(2, d=4)
    X = np.stack([vector(rng, 4) for _ in range(60)])
    logs = rng.normal(5.5, 1.0, size=60)
    for place, (x, log) in enumerate(zip(X, logs, strict=True)):
        model.observe(1, outcome(place + 1, x=x, output_tokens=float(np.exp(log))))
    mean, variance = length_prior(4)
    assert variance.tolist() == [1.0, 0.3, 0.3, 0.3]
    precision = X.T @ X / LENGTH_NOISE + np.diag(1.0 / variance)
    expected = np.linalg.solve(precision, X.T @ logs / LENGTH_NOISE + mean / variance)
    np.testing.assert_allclose(model.length_means[1], expected, rtol=1e-10)
    np.testing.assert_allclose(
        model.length_covariances[1], np.linalg.inv(precision), rtol=1e-9, atol=1e-12
    )
    np.testing.assert_array_equal(model.length_means[0], mean)


def test_log_normal_lengths_are_predicted_by_their_mean_and_not_their_median(rng):
    """Mean exp(x·φ + 0.15). The smearing factor averages its last 100: sd 0.69/√199 ≈ 4.9%."""
    model, phi = model_of(1, d=3), np.array([5.0, 0.6, -0.4])
    for place in range(3000):
        x = vector(rng, 3)
        log = x @ phi + rng.normal(0.0, np.sqrt(LENGTH_NOISE))
        model.observe(0, outcome(place + 1, x=x, output_tokens=float(np.exp(log))))
    assert model.length_means[0] == pytest.approx(phi, abs=4.0 * np.sqrt(LENGTH_NOISE / 3000))
    x = np.array([1.0, 1.0, -1.0])
    mean = np.exp(x @ phi + LENGTH_NOISE / 2.0)
    assert model.output_tokens(x)[0] == pytest.approx(mean, rel=4.0 * 0.049)
    assert 1.0 < model.smearing[0] < 1.4


def test_one_runaway_answer_cannot_blow_up_the_smearing_factor():
    model = model_of(1)
    model.observe(0, outcome(output_tokens=300.0 * np.exp(20.0)))
    assert model.smearing[0] == pytest.approx(1.2 + (np.exp(3.0) - 1.2) / 5.0)


def test_the_smearing_factor_remembers_a_hundred_calls():
    model = model_of(1)
    model.length_n[0], model.length_covariances[0] = 5000.0, 0.0
    model.observe(0, outcome(output_tokens=300.0 * np.e))
    assert model.smearing[0] == pytest.approx(1.2 + (np.e - 1.2) / 100.0)


@pytest.mark.parametrize(("log", "kept"), [(-1e6, 0.0), (1e6, 14.0)])
def test_expected_lengths_stay_between_one_token_and_a_million(log, kept):
    model = model_of(1)
    model.length_means[0, 0] = log
    expected = model.output_tokens(np.ones(1))[0]
    assert expected == pytest.approx(SMEARING_START * np.exp(kept))


@pytest.mark.parametrize(
    "changes",
    [
        {"output_tokens": None},
        {"output_tokens": 0.0},
        {"output_tokens": 900.0, "error": "timeout"},
        {"output_tokens": 900.0, "error": "abandoned"},
    ],
    ids=["unknown", "none", "failed", "abandoned"],
)
def test_unknown_empty_and_broken_answers_teach_no_length(changes):
    model = model_of(1)
    model.observe(0, outcome(**changes))
    assert model.length_n.tolist() == [0.0]
    assert model.length_means[0, 0] == np.log(TYPICAL_OUTPUT_TOKENS)
    assert model.smearing[0] == SMEARING_START


# latency


def test_latency_before_any_call_is_the_prior():
    mean, variance = model_of(2).latency()
    assert mean.tolist() == [0.0, 0.0]
    assert variance.tolist() == [LATENCY_PRIOR_VARIANCE] * 2


def test_latency_of_one_call_by_hand():
    """One call of e² s. Pooled log 2/(1+1) = 1; mean (2 + 2·1)/3 = 4/3.

    Mean square (4 + 2·(1 + 0.5))/3 = 7/3, variance 7/3 - 16/9 = 5/9; the other arm: 1 and 1/2.
    """
    model = model_of(2)
    model.observe(0, outcome(latency_s=float(np.exp(2.0))))
    mean, variance = model.latency()
    assert mean == pytest.approx([4.0 / 3.0, 1.0])
    assert variance == pytest.approx([5.0 / 9.0, 0.5])


def test_log_normal_latencies_are_learned(rng):
    """The half-life of 50 leaves an effective sample of (1+q)/(1-q) ≈ 144 calls."""
    model, sd = model_of(1), 0.4
    for place in range(1000):
        latency = float(np.exp(rng.normal(1.5, sd)))
        model.observe(0, outcome(place + 1, latency_s=latency))
    mean, variance = model.latency()
    n = model.recent_latency_n[0]
    pull = LATENCY_PRIOR_N / n
    assert mean[0] == pytest.approx(1.5, abs=4.0 * sd / np.sqrt(144) + pull * 0.1)
    bound = 4.0 * np.sqrt(2.0 / 144) * sd**2 + pull * LATENCY_PRIOR_VARIANCE
    assert variance[0] == pytest.approx(sd**2, abs=bound)


def test_equal_latencies_leave_a_positive_variance():
    model = model_of(1)
    model.recent_latency_n[0] = 1e9
    model.recent_latency_log[0] = model.recent_latency_log2[0] = 1e9
    assert model.latency()[1][0] == 1e-4


def test_a_latency_of_zero_counts_as_a_millisecond():
    model = model_of(1)
    model.observe(0, outcome(latency_s=0.0, ttft_s=0.0))
    assert model.recent_latency_log[0] == pytest.approx(np.log(1e-3))
    assert model.ttft_s()[0] == pytest.approx(1e-3)


def test_a_failed_call_teaches_no_latency():
    model = model_of(1)
    model.observe(0, outcome(latency_s=30.0, ttft_s=5.0, error="timeout"))
    assert model.recent_latency_n.tolist() == [0.0]
    assert model.recent_ttft_n.tolist() == [0.0]


def test_time_to_first_token_is_a_decayed_geometric_mean_and_nan_without_a_stream():
    model = model_of(2)
    model.observe(0, outcome(ttft_s=0.5))
    model.observe(0, outcome(ttft_s=2.0))
    weight = 0.5 ** (1.0 / 50.0)
    expected = np.exp((weight * np.log(0.5) + np.log(2.0)) / (weight + 1.0))
    assert model.ttft_s()[0] == pytest.approx(expected)
    assert np.isnan(model.ttft_s()[1])


# decay


def test_after_fifty_calls_a_call_counts_half():
    model = model_of(1)
    model.observe(0, outcome(latency_s=float(np.e), ttft_s=float(np.e)))
    model.observe(0, outcome(error="timeout"))
    for _ in range(50):
        model.observe(0, outcome(latency_s=1.0, ttft_s=1.0))
    assert model.recent_latency_log[0] == pytest.approx(0.5, rel=1e-12)
    assert model.recent_latency_log2[0] == pytest.approx(0.5, rel=1e-12)
    assert model.recent_ttft_log[0] == pytest.approx(0.5, rel=1e-12)
    assert model.recent_errors[0] == pytest.approx(0.5, rel=1e-12)
    q = 0.5**0.02
    assert model.recent_latency_n[0] == pytest.approx((1.0 - q**51) / (1.0 - q), rel=1e-12)
    assert model.recent_calls[0] == pytest.approx((1.0 - q**52) / (1.0 - q), rel=1e-12)


@pytest.mark.parametrize(("age_s", "kept"), [(0.0, 1.0), (300.0, 0.5), (600.0, 0.25), (-50.0, 1.0)])
def test_trust_halves_every_300_seconds_and_never_exceeds_one(age_s, kept):
    assert trust(np.array([age_s]))[0] == pytest.approx(kept, rel=1e-15)


def test_latency_evidence_counts_half_after_300_seconds():
    model = model_of(1)
    for _ in range(4):
        model.observe(0, outcome(latency_s=1.0))
    now = model.trusted_latency_n(NOW_S)[0]
    assert now == model.recent_latency_n[0]
    assert model.trusted_latency_n(NOW_S + 300.0)[0] == pytest.approx(now / 2.0, rel=1e-12)


# errors


def test_error_rate_by_hand():
    """One failure: 1/(1 + 5). After 300 s both sums count half: 0.5/(0.5 + 5)."""
    model = model_of(2)
    model.observe(0, outcome(error="timeout"))
    assert model.error_rate(NOW_S) == pytest.approx([1.0 / 6.0, 0.0])
    assert model.error_rate(NOW_S + 300.0)[0] == pytest.approx(0.5 / 5.5)


def test_the_error_rate_rises_with_failures_and_fades_with_successes_and_with_time():
    model, seen = model_of(1), []
    for _ in range(20):
        model.observe(0, outcome(error="unavailable"))
        seen.append(model.error_rate(NOW_S)[0])
    assert np.all(np.diff(seen) > 0.0)
    assert 0.7 < seen[-1] < 1.0
    for _ in range(20):
        model.observe(0, outcome())
        seen.append(model.error_rate(NOW_S)[0])
    assert np.all(np.diff(seen[20:]) < 0.0)
    assert model.error_rate(NOW_S + 3600.0)[0] < 0.02


@pytest.mark.parametrize("error", ["bad_request", "abandoned"])
def test_what_is_the_callers_fault_leaves_the_error_rate_alone(error):
    """Also ten minutes later, when the failures of then have half faded."""
    model = model_of(1)
    for _ in range(5):
        model.observe(0, outcome(error="timeout"))
    later_s = NOW_S + 600.0
    before = model.error_rate(later_s)[0]
    model.observe(0, outcome(at_s=later_s, error=error))
    assert model.error_rate(later_s)[0] == before
    assert model.requests.tolist() == [6.0]


def test_an_outcome_that_arrives_late_does_not_turn_the_clock_back():
    model = model_of(1)
    model.observe(0, outcome(at_s=NOW_S))
    model.observe(0, outcome(at_s=NOW_S - 500.0))
    assert model.latest_s.tolist() == [NOW_S]


# spend


def test_an_unknown_cost_is_not_zero():
    model = model_of(1)
    model.observe(0, outcome(cost_usd=0.01))
    model.observe(0, outcome(cost_usd=None))
    assert model.mean_cost_usd()[0] == pytest.approx(0.01)
    assert model.recent_spend_usd() == pytest.approx(0.01)
    assert model.cost_n.tolist() == [1.0]


def test_a_cost_of_zero_is_known():
    model = model_of(1)
    model.observe(0, outcome(cost_usd=0.0))
    assert model.mean_cost_usd().tolist() == [0.0]
    assert model.recent_spend_usd() == 0.0


def test_without_any_known_cost_there_is_no_mean():
    model = model_of(2)
    assert np.all(np.isnan(model.mean_cost_usd()))
    assert model.recent_spend_usd() is None


def test_a_failed_call_that_cost_money_is_charged():
    model = model_of(1)
    model.observe(0, outcome(cost_usd=0.02, error="interrupted"))
    assert model.mean_cost_usd()[0] == pytest.approx(0.02)


def test_recent_spend_is_over_all_arms_and_halves_every_200_calls():
    model = model_of(2)
    model.observe(0, outcome(cost_usd=1.0))
    for _ in range(200):
        model.observe(1, outcome(cost_usd=0.0))
    assert model.spend[1] == pytest.approx(0.5, rel=1e-12)
    q = 0.5 ** (1.0 / 200.0)
    expected = 0.5 * (1.0 - q) / (1.0 - q**201)
    assert model.recent_spend_usd() == pytest.approx(expected, rel=1e-12)
    assert model.mean_cost_usd().tolist() == [1.0, 0.0]


# rows


def test_a_copy_to_predict_with_is_one_unseen_arm_longer_and_stays_as_it_was():
    model = model_of(2)
    model.observe(0, outcome(output_tokens=900.0, latency_s=9.0, cost_usd=0.5))
    copy = model.without_covariances()
    before = copy.output_tokens(np.ones(1)), copy.latency()[0], copy.recent_spend_usd()
    assert len(before[0]) == 3
    assert before[0][:2].tolist() == model.output_tokens(np.ones(1)).tolist()
    assert before[0][2] == pytest.approx(SMEARING_START * TYPICAL_OUTPUT_TOKENS)
    np.testing.assert_array_equal(before[1][:2], model.latency()[0])
    model.observe(0, outcome(output_tokens=50.0, latency_s=1.0, cost_usd=0.1))
    after = copy.output_tokens(np.ones(1)), copy.latency()[0], copy.recent_spend_usd()
    np.testing.assert_array_equal(after[0], before[0])
    np.testing.assert_array_equal(after[1], before[1])
    assert after[2] == before[2]


def test_an_outcome_of_one_arm_leaves_the_others_alone():
    model = model_of(3)
    model.observe(1, outcome(output_tokens=9.0, latency_s=9.0, ttft_s=1.0, cost_usd=0.5))
    for name in ("length_n", "recent_latency_n", "recent_ttft_n", "recent_calls", "requests"):
        assert getattr(model, name).tolist() == [0.0, 1.0, 0.0]


def test_one_good_call_does_not_bring_back_errors_that_had_faded():
    """Twenty failures, half an hour of silence (six half-lives), one success: about 5% remain."""
    model = model_of(1)
    for _ in range(20):
        model.observe(0, outcome(error="timeout", at_s=0.0))
    assert model.error_rate(0.0)[0] > 0.7
    model.observe(0, outcome(at_s=1800.0))
    assert model.error_rate(1800.0)[0] < 0.06
