"""A log beside a target policy, and how much it can say of it."""

from __future__ import annotations

import numpy as np
import pytest
from offpolicy_examples import logged, two_rounds

from banditroute.core.offpolicy import support


def test_the_weights_of_two_rounds_by_hand():
    rounds = two_rounds()
    np.testing.assert_array_equal(rounds.propensities, [0.5, 0.25])
    np.testing.assert_array_equal(rounds.weights, [2.0, 2.0])
    assert len(rounds) == 2


@pytest.mark.parametrize("rows", [np.array([1]), np.array([False, True]), slice(1, None)])
def test_some_of_the_rounds_are_taken_by_number_mask_or_slice(rows):
    taken = two_rounds().take(rows)
    assert len(taken) == 1
    assert taken.rewards[0] == 0.0
    assert taken.arms[0] == 1
    np.testing.assert_array_equal(taken.probabilities, [[0.75, 0.25]])
    np.testing.assert_array_equal(taken.predictions, [[0.5, 0.25]])
    np.testing.assert_array_equal(taken.target, [[0.5, 0.5]])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rewards": np.array([1.0])}, r"rewards must be \(2,\)"),
        ({"arms": np.array([[0], [1]])}, r"arms must be \(2,\)"),
        ({"probabilities": np.ones((2, 3)) / 3.0}, r"probabilities must be \(2, 2\)"),
        ({"predictions": np.ones(2)}, r"predictions must be \(2, 2\)"),
        ({"target": np.ones(2)}, "target must be rounds × arms"),
        ({"target": np.ones((2, 0))}, "target must be rounds × arms"),
        ({"arms": np.array([0, 2])}, "arms must be rows from 0 to 1"),
        ({"arms": np.array([0, -1])}, "arms must be rows from 0 to 1"),
        ({"rewards": np.array([1.0, np.nan])}, "rewards must be finite"),
        ({"predictions": np.array([[np.inf, 0.0], [0.0, 0.0]])}, "predictions must be finite"),
        ({"target": np.array([[1.0, 0.0], [0.5, 0.4]])}, "target of round 1 .* not to 0.9"),
        ({"target": np.array([[1.5, -0.5], [0.5, 0.5]])}, "target of round 0 must be at least 0"),
        ({"probabilities": np.array([[0.5, 0.4], [0.5, 0.5]])}, "probabilities of round 0"),
        ({"probabilities": np.array([[0.0, 1.0], [0.5, 0.5]])}, "every propensity lies above 0"),
    ],
)
def test_what_cannot_be_a_log_is_refused_by_name(changes, said):
    with pytest.raises(ValueError, match=said):
        two_rounds(**changes)


def test_rewards_as_shares_of_their_bounds():
    rounds = two_rounds(rewards=np.array([-1.0, 2.0]))
    np.testing.assert_allclose(rounds.rewards_within((-2.0, 2.0)), [0.25, 1.0])
    with pytest.raises(ValueError, match=r"every reward lies between 0.0 and 1.0"):
        rounds.rewards_within((0.0, 1.0))


def test_the_support_of_three_rounds_by_hand():
    """Weights 2, 0 and 4: (Σw)²/Σw² = 36/20. The target gives a third arm .5 in one round of 3."""
    rounds = two_rounds(
        rewards=np.zeros(3),
        arms=np.array([0, 1, 0]),
        probabilities=np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.125, 0.875 - 9e-5, 9e-5]]),
        predictions=np.zeros((3, 3)),
        target=np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, 0.0, 0.5]]),
    )
    known = support(rounds)
    assert known.rounds == 3
    assert known.ess == pytest.approx(1.8)
    assert known.ess_share == pytest.approx(0.6)
    assert known.mean_weight == pytest.approx(2.0)
    assert known.largest_weight == pytest.approx(4.0)
    assert known.unsupported == pytest.approx(0.5 / 3.0)
    assert known.unsupported_arms == {2: pytest.approx(0.5 / 3.0)}


def test_a_target_that_was_drawn_from_is_wholly_supported(rng):
    known = support(logged(rng, 50, [0.2, 0.3, 0.5], [0.2, 0.3, 0.5]))
    assert (known.ess, known.ess_share, known.mean_weight) == pytest.approx((50.0, 1.0, 1.0))
    assert known.unsupported == 0.0
    assert known.unsupported_arms == {}


def test_a_target_none_of_whose_arms_was_drawn_has_no_effective_sample():
    rounds = two_rounds(arms=np.array([1, 1]), target=np.array([[1.0, 0.0], [1.0, 0.0]]))
    assert (support(rounds).ess, support(rounds).mean_weight) == (0.0, 0.0)


def test_no_rounds_support_nothing():
    with pytest.raises(ValueError, match="no rounds"):
        support(two_rounds().take(slice(0)))
