"""The hierarchical model, against least squares, joint Gaussians and numbers made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from core_examples import BIAS_ONLY, GROUPS, filled_sums, vector
from scipy.linalg import cho_factor, cho_solve, lstsq
from scipy.stats import multivariate_normal

from banditroute.core.posterior import (
    FeatureGroups,
    Hyperparameters,
    all_posteriors,
    arm_covariance,
    arm_mean,
    em_step,
    learned_noise,
    learned_scales,
    pooled_mean,
)
from banditroute.core.sums import RegressionSums

# The documented priors, written out again so that the source cannot change them unseen.
POOLED_MEAN, POOLED_SD_BIAS, POOLED_SD_OTHER = 0.5, 1.0, 0.3
NOISE_PRIOR_N, NOISE_PRIOR = 10.0, 0.15
SCALE_PRIOR_N, SCALE_FLOOR = 1.0, 1e-6


def hyper_with(groups: FeatureGroups, scale: float, noise: float, rng=None) -> Hyperparameters:
    start = Hyperparameters.start(groups)
    pooled = start.pooled if rng is None else rng.normal(size=groups.dimension)
    return Hyperparameters(pooled, start.scales * scale, noise)


def sums_of(data: list[tuple[np.ndarray, np.ndarray]]) -> RegressionSums:
    """The sums of every arm's stacked contexts X (n, d) and values r (n,)."""
    sums = RegressionSums.empty(data[0][0].shape[1])
    for row, (X, values) in enumerate(data):
        sums.grow()
        for x, value in zip(X, values, strict=True):
            sums.add(row, x, 1.0, value)
    return sums


def random_data(rng, sizes, d):
    return [
        (np.stack([vector(rng, d) for _ in range(n)]), rng.uniform(size=n)) if n else _no_data(d)
        for n in sizes
    ]


def _no_data(d):
    return np.zeros((0, d)), np.zeros(0)


def joint_by_least_squares(data, hyper, groups):
    """θ₀ and every θ_k of the whole hierarchy, as one stacked least-squares problem.

    Rows: every reading over σ; every (θ_k - θ₀)_i over τ_i against 0; every θ₀_i over its prior
    sd against its prior mean.
    """
    d, k = groups.dimension, len(data)
    tau = np.sqrt(hyper.prior_variance(groups))
    rows, targets = [], []
    for place, (X, values) in enumerate(data):
        block = np.zeros((len(values), d * (k + 1)))
        block[:, d * (place + 1) : d * (place + 2)] = X
        rows.append(block / np.sqrt(hyper.noise))
        targets.append(values / np.sqrt(hyper.noise))
        tie = np.zeros((d, d * (k + 1)))
        tie[:, :d] = -np.eye(d)
        tie[:, d * (place + 1) : d * (place + 2)] = np.eye(d)
        rows.append(tie / tau[:, None])
        targets.append(np.zeros(d))
    sd = np.full(d, POOLED_SD_OTHER)
    sd[0] = POOLED_SD_BIAS
    mean = np.zeros(d)
    mean[0] = POOLED_MEAN
    rows.append(np.hstack([np.diag(1.0 / sd), np.zeros((d, d * k))]))
    targets.append(mean / sd)
    solution = lstsq(np.vstack(rows), np.concatenate(targets))[0]
    return solution.reshape(k + 1, d)


# feature groups


def test_feature_groups_know_their_labels_in_order_of_appearance():
    groups = FeatureGroups(("bias", "tag", "text", "tag"))
    assert groups.dimension == 4
    assert groups.labels == ("bias", "tag", "text")
    assert groups.index.tolist() == [0, 1, 2, 1]


@pytest.mark.parametrize("names", [(), ("bias", "bias"), ("bias", "tag", "bias")])
def test_the_bias_must_be_first_and_alone(names):
    with pytest.raises(ValueError, match="bias"):
        FeatureGroups(names)


def test_the_prior_variance_lays_the_scales_out_by_feature():
    hyper = Hyperparameters(np.zeros(5), np.array([1.0, 2.0, 3.0]), 0.1)
    assert hyper.prior_variance(GROUPS).tolist() == [1.0, 2.0, 2.0, 3.0, 3.0]


def test_the_start_is_as_documented():
    start = Hyperparameters.start(GROUPS)
    assert start.pooled.tolist() == [0.5, 0.0, 0.0, 0.0, 0.0]
    np.testing.assert_allclose(start.scales, [0.04, 0.01, 0.01])
    assert start.noise == 0.20


# one arm's posterior


def test_a_mean_with_known_prior_and_noise_by_hand():
    """Prior N(0.5, 0.04), noise 0.2, eight readings that sum to 6.

    V = 0.04 / (1 + 0.04·8/0.2) = 0.04/2.6; μ = (0.5 + 0.04·6/0.2) / 2.6 = 1.7/2.6.
    """
    hyper = Hyperparameters.start(BIAS_ONLY)
    covariance = arm_covariance(np.array([[8.0]]), hyper, BIAS_ONLY)
    assert covariance[0, 0] == pytest.approx(0.04 / 2.6, rel=1e-14)
    mean = arm_mean(covariance, np.array([6.0]), hyper, BIAS_ONLY)
    assert mean[0] == pytest.approx(1.7 / 2.6, rel=1e-14)


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("noise", [0.02, 1.0, 7.0])
@pytest.mark.parametrize("groups", [BIAS_ONLY, GROUPS], ids=["d=1", "d=5"])
def test_the_posterior_is_ridge_regression_on_the_stacked_data(rng, scale, noise, groups):
    d = groups.dimension
    hyper = hyper_with(groups, scale, noise, rng)
    X, values = random_data(rng, [30], d)[0]
    sums = sums_of([(X, values)])
    tau = np.sqrt(hyper.prior_variance(groups))
    stacked = np.vstack([X / np.sqrt(noise), np.diag(1.0 / tau)])
    target = np.concatenate([values / np.sqrt(noise), hyper.pooled / tau])
    covariance = arm_covariance(sums.gram[0], hyper, groups)
    mean = arm_mean(covariance, sums.moment[0], hyper, groups)
    np.testing.assert_allclose(mean, lstsq(stacked, target)[0], rtol=1e-9, atol=1e-11)
    factor = cho_factor(stacked.T @ stacked)
    np.testing.assert_allclose(covariance, cho_solve(factor, np.eye(d)), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_an_untaught_arm_is_the_pooled_model_with_the_spread_of_arms(rng, scale):
    hyper = hyper_with(GROUPS, scale, 0.2, rng)
    sums = filled_sums(rng, 1, 5, 0)
    means, covariances = all_posteriors(sums, hyper, GROUPS)
    np.testing.assert_allclose(covariances[0], np.diag(hyper.prior_variance(GROUPS)), rtol=1e-15)
    np.testing.assert_allclose(means[0], hyper.pooled, rtol=1e-14)


@pytest.mark.parametrize(
    "gram",
    [
        np.zeros((5, 5)),
        np.ones((5, 5)),
        np.ones((5, 5)) * 1e12,
        np.eye(5) * 1e300,
        np.eye(5) * 1e-300,
        np.diag([1e12, 0.0, 0.0, 1e-12, 1.0]),
    ],
    ids=["empty", "singular", "singular-huge", "huge", "tiny", "mixed"],
)
@pytest.mark.parametrize("scale", [1e-4, 1.0, 100.0])
def test_any_sum_gives_a_finite_symmetric_covariance_no_wider_than_the_prior(gram, scale):
    hyper = hyper_with(GROUPS, scale, 0.2)
    covariance = arm_covariance(gram, hyper, GROUPS)
    assert np.all(np.isfinite(covariance))
    np.testing.assert_array_equal(covariance, covariance.T)
    prior = hyper.prior_variance(GROUPS)
    assert np.all(np.diag(covariance) >= 0.0)
    assert np.all(np.diag(covariance) <= prior * (1.0 + 1e-9))


def test_all_posteriors_are_those_of_each_arm(rng):
    hyper = hyper_with(GROUPS, 2.0, 0.1, rng)
    sums = filled_sums(rng, 3, 5, 7)
    means, covariances = all_posteriors(sums, hyper, GROUPS)
    for row in range(3):
        covariance = arm_covariance(sums.gram[row], hyper, GROUPS)
        np.testing.assert_array_equal(covariances[row], covariance)
        mean = arm_mean(covariance, sums.moment[row], hyper, GROUPS)
        np.testing.assert_allclose(means[row], mean, rtol=1e-12)


# the pooled mean


def test_the_pooled_mean_of_one_arm_by_hand():
    """θ₀ ~ N(0.5, 1); the mean 0.75 of 8 readings has variance 0.04 + 0.2/8 = 0.065 around it.

    So θ₀ = (0.5·0.065 + 0.75) / (0.065 + 1) = 0.7825/1.065.
    """
    sums = RegressionSums.empty(1)
    sums.grow()
    for value in (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0):
        sums.add(0, np.ones(1), 1.0, value)
    hyper = Hyperparameters.start(BIAS_ONLY)
    covariances = all_posteriors(sums, hyper, BIAS_ONLY)[1]
    pooled = pooled_mean(sums, covariances, hyper, BIAS_ONLY)
    assert pooled[0] == pytest.approx(0.7825 / 1.065, rel=1e-13)


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("sizes", [[25], [40, 3, 0, 12], [1, 1, 1]], ids=str)
@pytest.mark.parametrize("groups", [BIAS_ONLY, GROUPS], ids=["d=1", "d=5"])
def test_pooled_and_arm_means_are_those_of_the_joint_gaussian(rng, scale, sizes, groups):
    data = random_data(rng, sizes, groups.dimension)
    hyper = hyper_with(groups, scale, 0.07)
    sums = sums_of(data)
    covariances = all_posteriors(sums, hyper, groups)[1]
    joint = joint_by_least_squares(data, hyper, groups)
    pooled = pooled_mean(sums, covariances, hyper, groups)
    np.testing.assert_allclose(pooled, joint[0], rtol=1e-9, atol=1e-10)
    shared = Hyperparameters(pooled, hyper.scales, hyper.noise)
    means = all_posteriors(sums, shared, groups)[0]
    np.testing.assert_allclose(means, joint[1:], rtol=1e-9, atol=1e-10)


def test_the_pooled_mean_without_evidence_is_its_prior(rng):
    hyper = hyper_with(GROUPS, 1.0, 0.2)
    for sums in (RegressionSums.empty(5), filled_sums(rng, 3, 5, 0)):
        covariances = all_posteriors(sums, hyper, GROUPS)[1]
        pooled = pooled_mean(sums, covariances, hyper, GROUPS)
        np.testing.assert_allclose(pooled, [0.5, 0.0, 0.0, 0.0, 0.0], atol=1e-15)


def test_the_pooled_mean_stays_exact_when_few_contexts_repeat_a_million_times(rng):
    """Two contexts in five features, each seen 10⁶ times by three arms: the sums are singular.

    The reference stacks the same evidence as two rows of weight √10⁶ an arm.
    """
    contexts, count = np.stack([vector(rng, 5) for _ in range(2)]), 1e6
    values = rng.uniform(size=(3, 2))
    hyper = hyper_with(GROUPS, 1.0, 0.1)
    sums = RegressionSums.empty(5)
    for row in range(3):
        sums.grow()
        for x, value in zip(contexts, values[row], strict=True):
            sums.add(row, x, count, value)
    data = [(contexts * np.sqrt(count), row * np.sqrt(count)) for row in values]
    covariances = all_posteriors(sums, hyper, GROUPS)[1]
    pooled = pooled_mean(sums, covariances, hyper, GROUPS)
    np.testing.assert_allclose(pooled, joint_by_least_squares(data, hyper, GROUPS)[0], atol=1e-8)


@pytest.mark.parametrize("weight", [1e-12, 1e6])
def test_tiny_and_huge_evidence_keeps_an_em_step_finite(rng, weight):
    sums = filled_sums(rng, 3, 5, 3, weight)
    hyper = Hyperparameters.start(GROUPS)
    covariances = all_posteriors(sums, hyper, GROUPS)[1]
    learned, means, covariances = em_step(sums, hyper, covariances, GROUPS)
    assert np.all(np.isfinite(learned.pooled))
    assert np.all(learned.scales >= SCALE_FLOOR)
    assert 0.0 < learned.noise < np.inf
    assert np.all(np.isfinite(means))
    np.testing.assert_array_equal(covariances, covariances.transpose(0, 2, 1))


def test_one_prompt_that_always_gets_the_same_score_never_breaks_the_fit(rng):
    """A monitor posts one prompt for ever: the noise falls as 1.5/n, the sums stay singular."""
    groups = FeatureGroups(("bias", *["lexical"] * 12, *["text"] * 32, *["tag"] * 20))
    x = vector(rng, groups.dimension) * 0.4
    x[0] = 1.0
    hyper = Hyperparameters.start(groups)
    for count in np.geomspace(8, 1e6, 40):
        sums = RegressionSums.empty(groups.dimension)
        for row, value in enumerate((1.0, 1.0, 0.0)):
            sums.grow()
            sums.add(row, x, count, value)
        covariances = all_posteriors(sums, hyper, groups)[1]
        for _ in range(3):
            hyper, means, covariances = em_step(sums, hyper, covariances, groups)
        np.linalg.cholesky(covariances)
    np.testing.assert_allclose(means @ x, [1.0, 1.0, 0.0], atol=1e-3)


# empirical Bayes


def test_the_noise_by_hand():
    """Values 1 and 0 at x = 1, θ ~ N(0.5, 0.1): E Σ e² = 1 - 1 + 0.5 + 2·0.1 = 0.7.

    With ten readings' worth of 0.15: (0.7 + 1.5) / (2 + 10).
    """
    sums = sums_of([(np.ones((2, 1)), np.array([1.0, 0.0]))])
    noise = learned_noise(sums, np.array([[0.5]]), np.array([[[0.1]]]))
    assert noise == pytest.approx(2.2 / 12.0, rel=1e-14)


def test_the_noise_is_the_expected_squared_residual(rng):
    """Second opinion: Monte Carlo over θ_k ~ N(μ_k, V_k)."""
    data = random_data(rng, [20, 5], 5)
    sums = sums_of(data)
    means, covariances = all_posteriors(sums, Hyperparameters.start(GROUPS), GROUPS)
    total, variance, samples = NOISE_PRIOR_N * NOISE_PRIOR, 0.0, 40_000
    for (X, values), mean, covariance in zip(data, means, covariances, strict=True):
        drawn = rng.multivariate_normal(mean, covariance, size=samples)
        squares = np.sum((values[:, None] - X @ drawn.T) ** 2, axis=0)
        total += squares.mean()
        variance += squares.var() / samples
    n = 25.0 + NOISE_PRIOR_N
    noise = learned_noise(sums, means, covariances)
    assert noise == pytest.approx(total / n, abs=4.0 * np.sqrt(variance) / n)


def test_rounding_cannot_make_the_noise_negative():
    """A residual below zero can only be rounding; it counts as none."""
    sums = RegressionSums(np.ones(1), np.ones((1, 1, 1)), np.full((1, 1), 5.0), np.ones(1))
    noise = learned_noise(sums, np.ones((1, 1)), np.zeros((1, 1, 1)))
    assert noise == pytest.approx(1.5 / 11.0)


def test_the_scales_by_hand():
    """Two arms at distances 0.4 and -0.2 from θ₀ with variance 0.01, start 0.04, a = 1.

    Each determines γ = 1 - 0.01/0.04 = 3/4: τ² = (0.16 + 0.04 + 2·0.04) / (2·3/4 + 2).
    """
    sums = sums_of([(np.ones((1, 1)), np.ones(1))] * 2)
    hyper = Hyperparameters.start(BIAS_ONLY)
    means, covariances = np.array([[0.9], [0.3]]), np.full((2, 1, 1), 0.01)
    scales = learned_scales(sums, means, covariances, hyper, BIAS_ONLY)
    assert scales[0] == pytest.approx(0.28 / (1.5 + 2.0), rel=1e-14)


def test_pairs_of_arm_and_feature_never_seen_teach_no_scale():
    """Arm 0 saw the first tag only, arm 1 nothing: one (arm, feature) pair counts for tags."""
    sums = RegressionSums.empty(5)
    sums.grow()
    sums.grow()
    sums.add(0, np.array([1.0, 0.0, 0.0, 1.0, 0.0]), 1.0, 1.0)
    hyper = Hyperparameters.start(GROUPS)
    means = np.full((2, 5), 50.0)
    means[0] = hyper.pooled + np.array([0.2, 50.0, 50.0, 0.3, 50.0])
    scales = learned_scales(sums, means, np.zeros((2, 5, 5)), hyper, GROUPS)
    prior_n = 2.0 * SCALE_PRIOR_N
    weight = 1.0 + prior_n
    expected = [(0.04 + prior_n * 0.04) / weight, 0.01, (0.09 + prior_n * 0.01) / weight]
    np.testing.assert_allclose(scales, expected, rtol=1e-12)


def test_a_scale_never_falls_below_its_floor(rng, monkeypatch):
    """Without the prior, arms that agree exactly would make L singular."""
    monkeypatch.setattr("banditroute.core.posterior.SCALE_PRIOR_N", 0.0)
    sums = filled_sums(rng, 2, 5, 3)
    hyper = Hyperparameters.start(GROUPS)
    means = np.tile(hyper.pooled, (2, 1))
    scales = learned_scales(sums, means, np.zeros((2, 5, 5)), hyper, GROUPS)
    assert scales.tolist() == [SCALE_FLOOR] * 3


def test_what_the_evidence_does_not_determine_teaches_no_scale():
    """As wide as the prior, γ = 0: whatever the distance, which then is 0, the start stays."""
    sums = sums_of([(np.ones((1, 1)), np.ones(1))] * 2)
    hyper = Hyperparameters.start(BIAS_ONLY)
    means = np.full((2, 1), hyper.pooled[0])
    for wide in (0.04, 0.0400001):  # rounding may leave a variance above the prior's
        scales = learned_scales(sums, means, np.full((2, 1, 1), wide), hyper, BIAS_ONLY)
        assert scales[0] == pytest.approx(0.04, rel=1e-14)


def log_posterior(data, hyper, groups):
    """What empirical Bayes climbs: log p(r | θ₀, τ², σ²) + log p(θ₀) + log priors of τ² and σ²."""
    spread = hyper.prior_variance(groups)
    total = 0.0
    for X, values in data:
        covariance = hyper.noise * np.eye(len(values)) + (X * spread) @ X.T
        total += multivariate_normal.logpdf(values, X @ hyper.pooled, covariance)
    sd = np.full(groups.dimension, POOLED_SD_OTHER)
    sd[0] = POOLED_SD_BIAS
    prior = Hyperparameters.start(groups)
    total -= 0.5 * np.sum(((hyper.pooled - prior.pooled) / sd) ** 2)
    total -= SCALE_PRIOR_N * np.sum(np.log(hyper.scales) + prior.scales / hyper.scales)
    return total - NOISE_PRIOR_N / 2.0 * (np.log(hyper.noise) + NOISE_PRIOR / hyper.noise)


@pytest.mark.parametrize("spread", [0.0, 0.3, 2.0])
def test_steps_settle_where_the_posterior_of_the_shared_values_is_highest(rng, spread):
    """MacKay's fixed point may overshoot on its way, so it is the end that is looked at.

    Moving any scale, the noise or any pooled mean by 2% from there lowers the posterior.
    """
    data = []
    for n in (30, 12, 4, 25):
        X = np.stack([vector(rng, 5) for _ in range(n)])
        theta = rng.normal(0.0, spread, size=5)
        data.append((X, X @ theta + rng.normal(0.0, 0.4, size=n)))
    sums, hyper = sums_of(data), Hyperparameters.start(GROUPS)
    covariances = all_posteriors(sums, hyper, GROUPS)[1]
    start = log_posterior(data, hyper, GROUPS)
    for _ in range(300):
        hyper, _, covariances = em_step(sums, hyper, covariances, GROUPS)
    top = log_posterior(data, hyper, GROUPS)
    assert top > start + 0.1
    for other in neighbours(hyper, by=0.02):
        assert log_posterior(data, other, GROUPS) < top


def neighbours(hyper, by):
    """The shared values with one of them moved, up or down."""
    for factor in (1.0 + by, 1.0 - by):
        yield replace(hyper, noise=hyper.noise * factor)
        for name in ("pooled", "scales"):
            for place in range(len(getattr(hyper, name))):
                moved = getattr(hyper, name).copy()
                moved[place] *= factor
                yield replace(hyper, **{name: moved})


@pytest.mark.parametrize("steps", [3, 12])
def test_a_group_that_does_not_help_shrinks_in_a_few_steps(rng, steps):
    """Tags that move nothing: a dozen arms of 400 readings leave a fifth of the scale after 12."""
    data = []
    for slope in [0.3, -0.3] * 6:
        X = np.stack([vector(rng, 5) for _ in range(400)])
        values = 0.5 + slope * X[:, 1] + rng.normal(0.0, 0.3, size=400)
        data.append((X, values))
    sums, hyper = sums_of(data), Hyperparameters.start(GROUPS)
    covariances = all_posteriors(sums, hyper, GROUPS)[1]
    for _ in range(steps):
        hyper, _, covariances = em_step(sums, hyper, covariances, GROUPS)
    assert hyper.scales[2] < (0.5 if steps == 3 else 0.2) * 0.01
    assert hyper.scales[1] > 0.02


def test_an_em_step_returns_the_posteriors_under_the_values_it_learned(rng):
    sums, hyper = filled_sums(rng, 3, 5, 20), Hyperparameters.start(GROUPS)
    covariances = all_posteriors(sums, hyper, GROUPS)[1]
    learned, means, spreads = em_step(sums, hyper, covariances, GROUPS)
    expected_means, expected_spreads = all_posteriors(sums, learned, GROUPS)
    np.testing.assert_array_equal(means, expected_means)
    np.testing.assert_array_equal(spreads, expected_spreads)


def test_em_finds_the_scales_and_the_noise_of_simulated_arms(rng):
    """40 arms × 150 readings. A group that does not matter shrinks towards nothing.

    Bounds: four standard errors of a variance from m draws, √(2/m) of it, with m = arms ×
    features of the group (noise: readings), plus the pull of the prior's pseudo-counts.
    """
    arms, each, noise = 40, 150, 0.09
    tau2 = np.array([0.04, 0.25, 0.0])
    start = Hyperparameters.start(GROUPS)
    theta0 = np.array([0.6, 0.2, -0.1, 0.0, 0.1])
    data = []
    for _ in range(arms):
        X = np.stack([vector(rng, 5) for _ in range(each)])
        theta = theta0 + rng.normal(size=5) * np.sqrt(tau2[GROUPS.index])
        data.append((X, X @ theta + rng.normal(0.0, np.sqrt(noise), size=each)))
    sums, hyper = sums_of(data), start
    covariances = all_posteriors(sums, hyper, GROUPS)[1]
    for _ in range(60):
        hyper, _, covariances = em_step(sums, hyper, covariances, GROUPS)
    for group, m in ((0, arms), (1, 2 * arms)):
        pull = 2.0 / (m + 2.0) * abs(start.scales[group] - tau2[group])
        bound = 4.0 * np.sqrt(2.0 / m) * tau2[group] + pull
        assert hyper.scales[group] == pytest.approx(tau2[group], abs=bound)
    assert hyper.scales[2] < 0.15 * start.scales[2]
    total = arms * each
    assert hyper.noise == pytest.approx(noise, abs=4.0 * np.sqrt(2.0 / total) * noise + 2e-4)
    error = 4.0 * np.sqrt((tau2[GROUPS.index] + noise / each) / arms)
    assert np.all(np.abs(hyper.pooled - theta0) < error + 0.01)
