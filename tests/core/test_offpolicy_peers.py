"""Published packages as a second opinion; skipped where they are not installed."""

from __future__ import annotations

import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from banditroute.core.offpolicy import (
    Rounds,
    clipped_ips,
    direct,
    doubly_robust,
    ips,
    ips_sequence,
    snips,
    switch_dr,
)

OBP = "is not installed: pip install --no-deps obp==0.4.1, and the peers extra for what it needs"
VW = "is not installed: pip install 'banditroute[peers]'"


@pytest.fixture(params=range(5))
def rounds(request):
    """Random rounds in which everything differs from round to round."""
    rng = np.random.default_rng(request.param)
    chances, target = rng.dirichlet(np.ones(6), 800), rng.dirichlet(np.full(6, 0.3), 800)
    arms = np.array([rng.choice(6, p=row) for row in chances])
    return Rounds(rng.random(800), arms, chances, rng.random((800, 6)), target)


@pytest.fixture
def obp(monkeypatch):
    """The estimators of obp without torch, which only its hints of types name on this path.

    Its packages import more than they need here, so that theirs are left out too.
    """
    found = pytest.importorskip("obp", reason=f"obp {OBP}")
    for needed in ("pandas", "sklearn"):
        pytest.importorskip(needed, reason=f"{needed} {OBP}")
    torch, package = ModuleType("torch"), ModuleType("obp.ope")
    torch.Tensor = type("Tensor", (), {})
    package.__path__ = [str(Path(found.__file__).parent / "ope")]
    for name, module in {"torch": torch, "obp.ope": package}.items():
        monkeypatch.setitem(sys.modules, name, module)
    return import_module("obp.ope.estimators")


def asked_of_obp(estimator, rounds, propensities=None):
    return estimator.estimate_policy_value(
        reward=rounds.rewards,
        action=rounds.arms,
        pscore=rounds.propensities if propensities is None else propensities,
        action_dist=rounds.target[:, :, None],
        estimated_rewards_by_reg_model=rounds.predictions[:, :, None],
    )


def test_estimates_are_those_of_obp(obp, rounds):
    pairs = (
        (obp.InverseProbabilityWeighting(), ips),
        (obp.SelfNormalizedInverseProbabilityWeighting(), snips),
        (obp.DirectMethod(), direct),
        (obp.DoublyRobust(), doubly_robust),
        (obp.SwitchDoublyRobust(tau=1.5), partial(switch_dr, threshold=1.5)),
        (obp.SwitchDoublyRobust(tau=8.0), partial(switch_dr, threshold=8.0)),
    )
    for theirs, ours in pairs:
        expected = asked_of_obp(theirs, rounds)
        assert ours(rounds).mean() == pytest.approx(expected, rel=0.0, abs=1e-9)


def test_clipped_weights_are_those_of_propensities_that_obp_is_given_clipped(obp, rounds):
    """obp clips no weights itself: w ≤ 4 where no propensity is below p/4."""
    chosen = rounds.at_arm(rounds.target)
    raised = np.maximum(rounds.propensities, chosen / 4.0)
    assert np.any(raised > rounds.propensities)
    expected = asked_of_obp(obp.InverseProbabilityWeighting(), rounds, raised)
    assert clipped_ips(rounds, 4.0).mean() == pytest.approx(expected, rel=0.0, abs=1e-9)


def told(estimator, rounds):
    """An estimator of vw-estimators that was told of every round."""
    chosen = rounds.at_arm(rounds.target).tolist()
    logged = zip(rounds.propensities.tolist(), rounds.rewards.tolist(), chosen, strict=True)
    for propensity, reward, probability in logged:
        estimator.add_example(propensity, reward, probability)
    return estimator


@pytest.mark.parametrize(("name", "ours"), [("ips", ips), ("snips", snips)])
def test_estimates_are_those_of_vw_estimators(name, ours, rounds):
    theirs = pytest.importorskip(f"estimators.bandits.{name}", reason=f"vw-estimators {VW}")
    assert ours(rounds).mean() == pytest.approx(told(theirs.Estimator(), rounds).get(), abs=1e-9)


def test_the_empirical_bernstein_sequence_is_that_of_vw_estimators(rounds):
    """At several times and levels, where no mean so far is above 1: they do not cap it."""
    theirs = pytest.importorskip("estimators.bandits.cs", reason=f"vw-estimators {VW}")
    calm = rounds.take(rounds.weights < 1.0)
    for level in (0.8, 0.95):
        low, high = ips_sequence(calm, level)
        for t in (1, 10, 100, len(calm)):
            expected = told(theirs.Interval(), calm.take(slice(t))).get(1.0 - level)
            assert (low[t - 1], high[t - 1]) == pytest.approx(expected, rel=0.0, abs=1e-9)


def test_the_empirical_bernstein_sequence_is_that_of_vw_estimators_with_large_weights():
    """An arm of weight 20, seldom drawn after a start with weights below 1."""
    theirs = pytest.importorskip("estimators.bandits.cs", reason=f"vw-estimators {VW}")
    rng = np.random.default_rng(3)
    chances, target = np.tile([0.98, 0.02], (2_000, 1)), np.tile([0.6, 0.4], (2_000, 1))
    arms = (rng.random(2_000) < 0.02).astype(int)
    arms[:200] = 0
    rewards = rng.choice([2.0, 2.5, 3.0], 2_000)
    rounds = Rounds(rewards, arms, chances, np.zeros((2_000, 2)), target)
    low, high = ips_sequence(rounds, 0.9, bounds=(2.0, 4.0))
    for t in (150, 500, 2_000):
        expected = told(theirs.Interval(rmin=2.0, rmax=4.0), rounds.take(slice(t))).get(0.1)
        assert (low[t - 1], high[t - 1]) == pytest.approx(expected, rel=0.0, abs=1e-9)
