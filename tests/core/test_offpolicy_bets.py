"""What the bounds of sequences rest on: two supermartingales, and where they reach 1/α."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gamma, gammainc, logsumexp

from banditroute.core.offpolicy.bernstein import RHO, boundary, log_mixture
from banditroute.core.offpolicy.bets import SHARES, STAKES, lower_bounds


def test_the_bound_is_where_the_mean_wealth_is_just_one_over_alpha(rng):
    outcomes, centres = rng.pareto(1.5, 60) - 0.5, rng.uniform(-0.5, 0.5, 60)
    for alpha in (0.5, 0.05, 1e-6):
        bound = lower_bounds(outcomes, centres, alpha)
        for t in (1, 7, 60):
            won = np.log1p(STAKES * (outcomes - centres)[:t, None]).sum(axis=0)
            loss = STAKES * (t * bound[t - 1] - centres[:t].sum())
            wealth = logsumexp(won - loss, b=SHARES)
            assert wealth == pytest.approx(-np.log(alpha), abs=1e-7)


def test_no_bet_gains_on_average_against_any_mean(rng):
    """E(1 + λ(ξ − c)) exp(−λ(μ − c)) ≤ 1 for outcomes of two values."""
    for _ in range(50):
        low, high, p, c = rng.uniform(-0.5, 0), rng.uniform(0, 50), rng.random(), 0.4
        mean = p * high + (1.0 - p) * low
        for stake in STAKES:
            won = p * (1.0 + stake * (high - c)) + (1.0 - p) * (1.0 + stake * (low - c))
            assert won * np.exp(-stake * (mean - c)) <= 1.0 + 1e-12


def test_an_outcome_too_far_below_its_centre_is_refused():
    assert lower_bounds(np.array([-1.0]), np.zeros(1), 0.05)[0] < -1.0
    with pytest.raises(ValueError, match="more than 1 below"):
        lower_bounds(np.array([-1.1]), np.zeros(1), 0.05)


def test_the_mixture_is_the_mean_over_its_gamma_distribution():
    """∫ exp(λS − ψ(λ)V) over λ = 1 − u, u gamma of shape and rate ρ, cut off at 1."""
    weight = RHO**RHO / (gamma(RHO) * gammainc(RHO, RHO))

    def mean(s, v):
        def at(u):
            density = weight * np.exp(-RHO * u) * u ** (RHO - 1.0)
            return density * np.exp((1.0 - u) * (s + v)) * u**v

        return quad(at, 0.0, 1.0)[0]

    for s, v in ((0.0, 0.3), (2.0, 1.0), (5.0, 8.0)):
        assert log_mixture(np.array([s]), np.array([v]))[0] == pytest.approx(np.log(mean(s, v)))


def test_the_boundary_is_where_the_mixture_is_one_over_alpha():
    variance = np.array([0.0, 0.1, 3.0, 1e3, 1e6])
    for alpha in (0.025, 1e-4):
        reached = log_mixture(boundary(variance, alpha), variance)
        np.testing.assert_allclose(reached, -np.log(alpha), atol=1e-4)
        assert np.all(np.diff(boundary(variance, alpha)) > 0.0)
