"""Off-policy estimates of policies whose value is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from offpolicy_examples import every_arm, logged, two_rounds, worlds

from banditroute.core.offpolicy import (
    ESTIMATORS,
    clipped_ips,
    default_clip,
    direct,
    doubly_robust,
    ips,
    mean_interval,
    snips,
    switch_dr,
)


def test_two_rounds_by_hand():
    rounds = two_rounds()
    np.testing.assert_allclose(ips(rounds), [2.0, 0.0])
    np.testing.assert_allclose(clipped_ips(rounds, 1.5), [1.5, 0.0])
    np.testing.assert_allclose(direct(rounds), [0.5, 0.375])
    np.testing.assert_allclose(doubly_robust(rounds), [0.5 + 2.0 * 0.5, 0.375 + 2.0 * -0.25])
    np.testing.assert_allclose(switch_dr(rounds, 2.0), doubly_robust(rounds))
    np.testing.assert_allclose(switch_dr(rounds, 1.9), direct(rounds))


def test_the_self_normalised_outcomes_by_hand():
    """Weights 2 and 1, rewards 1 and 0: V = 2/3, mean weight 1.5."""
    rounds = two_rounds(target=np.array([[1.0, 0.0], [0.75, 0.25]]))
    v = 2.0 / 3.0
    expected = [v + 2.0 * (1.0 - v) / 1.5, v + 1.0 * (0.0 - v) / 1.5]
    np.testing.assert_allclose(snips(rounds), expected)
    assert snips(rounds).mean() == pytest.approx(v)


def test_nothing_is_known_self_normalised_of_arms_that_were_never_drawn():
    rounds = two_rounds(arms=np.array([1, 1]), target=np.array([[1.0, 0.0], [1.0, 0.0]]))
    assert np.isnan(snips(rounds)).all()


def test_the_estimators_have_their_names():
    assert list(ESTIMATORS) == ["ips", "clipped-ips", "snips", "dm", "dr", "switch-dr"]


def test_clips_are_at_the_root_of_the_number_of_rounds_unless_told(rng):
    rounds = logged(rng, 100, [0.01, 0.01, 0.98], [0.05, 0.9, 0.05])
    assert default_clip(rounds) == 10.0
    assert default_clip(two_rounds().take(slice(0))) == 1.0
    assert rounds.weights.max() > 10.0
    np.testing.assert_array_equal(clipped_ips(rounds), clipped_ips(rounds, 10.0))
    np.testing.assert_array_equal(switch_dr(rounds), switch_dr(rounds, 10.0))


def test_thresholds_that_are_none_are_refused():
    with pytest.raises(ValueError, match="above 0"):
        clipped_ips(two_rounds(), 0.0)
    with pytest.raises(ValueError, match="at least 0"):
        switch_dr(two_rounds(), float("nan"))


@given(worlds())
def test_ips_and_dr_expect_the_truth_whatever_is_predicted(world):
    logging, target, _, truth = world
    for estimator in (ips, doubly_robust):
        expected = float(logging @ estimator(every_arm(world)))
        assert expected == pytest.approx(float(target @ truth), abs=1e-9)


@given(worlds())
def test_what_is_predicted_rightly_is_estimated_without_error(world):
    logging, target, _, truth = world
    rounds = every_arm((logging, target, truth, truth))
    for estimator in (direct, doubly_robust, switch_dr):
        np.testing.assert_allclose(estimator(rounds), target @ truth, atol=1e-9)


@given(worlds())
def test_the_policy_that_was_logged_has_the_mean_reward(world):
    rounds = every_arm(world)
    rounds = replace(rounds, target=rounds.probabilities)
    for name in ("ips", "clipped-ips", "snips"):
        np.testing.assert_allclose(ESTIMATORS[name](rounds).mean(), rounds.rewards.mean())


@given(worlds())
def test_nothing_depends_on_the_order_of_the_arms(world):
    rounds = every_arm(world)
    order = np.arange(rounds.target.shape[1])[::-1]
    turned = replace(
        rounds,
        arms=order[rounds.arms],
        probabilities=rounds.probabilities[:, order],
        predictions=rounds.predictions[:, order],
        target=rounds.target[:, order],
    )
    for estimator in ESTIMATORS.values():
        np.testing.assert_allclose(estimator(turned), estimator(rounds), atol=1e-9)


@pytest.mark.parametrize("model", [[0.7, 0.5, 0.2], [0.1, 0.9, 0.9]], ids=["right", "wrong"])
def test_the_doubly_robust_interval_holds_the_truth_whatever_the_model_predicts(rng, model):
    rounds = logged(rng, 20_000, [0.2, 0.3, 0.5], [0.8, 0.1, 0.1], model)
    interval = mean_interval(doubly_robust(rounds))
    assert interval.low < 0.8 * 0.7 + 0.05 + 0.02 < interval.high
    assert interval.high - interval.low < 0.08


def test_self_normalised_outcomes_vary_as_the_estimates_of_many_logs(rng):
    logs = [logged(rng, 400, [0.1, 0.2, 0.7], [0.6, 0.2, 0.2]) for _ in range(500)]
    estimates = [snips(rounds).mean() for rounds in logs]
    errors = [snips(rounds).std(ddof=1) / 20.0 for rounds in logs]
    assert np.mean(errors) == pytest.approx(np.std(estimates), rel=0.1)
