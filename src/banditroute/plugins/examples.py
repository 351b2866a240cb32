"""The beliefs that policies are checked on, always the same."""

from __future__ import annotations

from functools import cache

import numpy as np

from banditroute.core.beliefs import Beliefs

ARRAYS = tuple(name for name in Beliefs._fields if name not in {"arm_ids", "judged_share"})
SIZES = (1, 2, 3, 14, 200)


def policy_examples() -> tuple[Beliefs, ...]:
    """The :func:`ordinary` ones, and then the :func:`odd` ones; yours to write to."""
    return tuple(copied(beliefs) for beliefs in (*ordinary(), *odd()))


@cache
def ordinary() -> tuple[Beliefs, ...]:
    """Of 1 to 200 arms, of which no two are alike."""
    rng = np.random.default_rng(20_260_703)
    return tuple(_drawn(rng, k, share) for k in SIZES for share in (1.0, 0.3, 0.01))


@cache
def odd() -> tuple[Beliefs, ...]:
    """Of arms that are all alike, that are free, that nobody has spoken of, or extreme."""
    rng = np.random.default_rng(20_260_704)
    alike = [_drawn(rng, 1, 1.0).take([0] * k)._replace(arm_ids=_ids(k)) for k in (2, 3, 50)]
    free = [_drawn(rng, k, 1.0)._replace(cost_usd=np.zeros(k)) for k in (1, 5)]
    untaught = [_untaught(_drawn(rng, k, 0.0)) for k in (1, 5)]
    extreme = [_extreme(rng, _drawn(rng, k, 0.3)) for k in (1, 2, 8, 8, 8)]
    return (*alike, *free, *untaught, *extreme)


def copied(beliefs: Beliefs) -> Beliefs:
    """The same in arrays of their own."""
    return beliefs._replace(**{name: getattr(beliefs, name).copy() for name in ARRAYS})


def _untaught(beliefs: Beliefs) -> Beliefs:
    k = len(beliefs.arm_ids)
    doubt = np.full(k, 0.3)
    return beliefs._replace(
        taught=np.zeros(k), presumed=np.ones(k), quality_sd=doubt, sampling_sd=doubt
    )


def _extreme(rng: np.random.Generator, beliefs: Beliefs) -> Beliefs:
    """Utilities up to ±10⁶, and widths from 10⁻⁹ to 10³."""
    k = len(beliefs.arm_ids)
    sd = 10.0 ** rng.choice([-9.0, -3.0, 0.0, 3.0], size=k)
    utility = rng.choice([-1e6, -1.0, 0.0, 1.0, 1e6], size=k)
    return beliefs._replace(utility=utility, sampling_sd=sd, quality_sd=sd)


def _drawn(rng: np.random.Generator, k: int, judged_share: float) -> Beliefs:
    quality, cost = rng.uniform(size=k), 10.0 ** rng.uniform(-5.0, -2.0, size=k)
    return Beliefs(
        arm_ids=_ids(k),
        x=np.concatenate([np.ones(1), rng.normal(size=5)]),
        judged_share=judged_share,
        quality=quality,
        quality_sd=rng.uniform(0.02, 0.4, size=k),
        sampling_sd=rng.uniform(0.02, 0.4, size=k),
        cost_usd=cost,
        latency_s=rng.uniform(0.2, 20.0, size=k),
        latency_log=rng.normal(size=k),
        latency_var=rng.uniform(0.1, 0.5, size=k),
        latency_n=rng.uniform(0.0, 100.0, size=k),
        error_rate=rng.uniform(0.0, 0.1, size=k),
        utility=quality - cost / 0.05,
        taught=rng.permutation(k).astype(np.float64),
        presumed=rng.uniform(size=k),
    )


def _ids(k: int) -> tuple[str, ...]:
    return tuple(f"arm-{row:03d}" for row in range(k))
