"""The quality model as plain values and back: its part of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple
from itertools import pairwise
from math import inf
from typing import Any

import numpy as np

from banditroute.core import news
from banditroute.core.ages import Ages, Scaling
from banditroute.core.arrays import (
    from_bytes,
    to_bytes,
    triangles_from_bytes,
    triangles_to_bytes,
)
from banditroute.core.drift import Alarm, DriftWatch
from banditroute.core.identity import is_id
from banditroute.core.posterior import FeatureGroups, Hyperparameters
from banditroute.core.quality import QualityModel
from banditroute.core.sources import Calibration, Sources, SourceSums
from banditroute.core.sums import RegressionSums
from banditroute.values import News, Prior, Tuning


def to_plain(model: QualityModel) -> dict[str, Any]:
    """Everything a model holds, as numbers, text, bytes, and lists and mappings of them."""
    sums, hyper = model.sums, model.hyper
    return {
        "n": to_bytes(sums.n),
        "gram": triangles_to_bytes(sums.gram),
        "moment": to_bytes(sums.moment),
        "square": to_bytes(sums.square),
        "means": to_bytes(model.means),
        "covariances": triangles_to_bytes(model.covariances),
        "taught": model.taught.tolist(),
        "readings": model.readings,
        "refit_at": model.refit_at,
        "pooled": to_bytes(hyper.pooled),
        "scales": to_bytes(hyper.scales),
        "noise": hyper.noise,
        "sources": _sources_to_plain(model.sources),
        "ages": [model.ages.newest, model.ages.aged_id, model.ages.aged_n],
        "scalings": [list(astuple(scaling)) for scaling in model.ages.scalings],
        "drift": _drift_to_plain(model.drift),
        "tuning": None if model.tuning is None else news.to_plain(model.tuning),
        "limits": [list(limit) for limit in model.limits],
        "priors": [news.to_plain(prior) for prior in model.priors.values()],
    }


def from_plain(plain: Any, groups: FeatureGroups, rows: dict[str, int]) -> QualityModel:
    """The model, for the arms of ``rows``. Raises ValueError, KeyError or TypeError if damaged."""
    d, k = groups.dimension, len(rows)
    tuning = None if plain["tuning"] is None else _tuning(news.from_plain(plain["tuning"]))
    priors = [_prior(news.from_plain(one), d) for one in plain["priors"]]
    return QualityModel(
        groups,
        RegressionSums(
            from_bytes(plain["n"], k),
            triangles_from_bytes(plain["gram"], k, d),
            from_bytes(plain["moment"], k, d),
            from_bytes(plain["square"], k),
        ),
        _sources(plain["sources"], k, d),
        Hyperparameters(
            from_bytes(plain["pooled"], d),
            from_bytes(plain["scales"], len(groups.labels)),
            float(plain["noise"]),
        ),
        means=from_bytes(plain["means"], k, d),
        covariances=triangles_from_bytes(plain["covariances"], k, d),
        taught=np.array(plain["taught"], dtype=np.int64).reshape(k),
        ages=_ages(plain, tuning),
        drift=_drift(plain["drift"], k),
        priors={rows[prior.arm_id]: prior for prior in priors},
        tuning=tuning,
        limits=_limits(plain["limits"]),
        readings=int(plain["readings"]),
        refit_at=int(plain["refit_at"]),
    )


def numbers(model: QualityModel) -> Iterator[np.ndarray]:
    """Every number that a model holds, but for the covariances."""
    sums, hyper, sources = model.sums, model.hyper, model.sources
    yield from (sums.n, sums.gram, sums.moment, sums.square, model.means)
    yield from (hyper.pooled, hyper.scales, np.array(hyper.noise))
    yield from (model.drift.sums, model.drift.surprise, *sources.pairs.values())
    for one in sources.known.values():
        yield from (one.weights, one.moments, one.squares, np.array([one.n, one.weight]))
    for its in sources.calibrations.values():
        yield np.array([its.offset, its.gain])


def _ages(plain: Any, tuning: Tuning | None) -> Ages:
    newest, aged_id, aged_n = plain["ages"]
    timed = tuning is not None and tuning.half_life_s is not None
    if timed and not all(is_id(one) for one in (newest, aged_id) if one != ""):
        raise ValueError("evidence ages by the time in ids, and these have none")
    scalings = [_scaling(*scaling) for scaling in plain["scalings"]]
    return Ages(str(newest), str(aged_id), int(aged_n), scalings)


def _scaling(until: Any, row: Any, kept: Any) -> Scaling:
    if not 0.0 < kept <= 1.0:
        raise ValueError(f"no evidence is scaled by {kept}")
    return Scaling(str(until), int(row), float(kept))


def _prior(found: News, d: int) -> Prior:
    if not isinstance(found, Prior) or found.gram.shape != (d, d) or not found.n > 0.0:
        raise ValueError("this is no prior of these context features")
    return found


def _limits(plain: Any) -> list[tuple[str, float | None]]:
    limits = [_limit(*limit) for limit in plain]
    if any(after < before for (before, _), (after, _) in pairwise(limits)):
        raise ValueError("the bounds of scores are out of order")
    return limits


def _limit(after_id: Any, most: Any) -> tuple[str, float | None]:
    if most is not None and not 0.0 < float(most) < inf:
        raise ValueError(f"scores cannot be bounded by {most}")
    return str(after_id), None if most is None else float(most)


def _tuning(found: News) -> Tuning:
    if not isinstance(found, Tuning):
        raise ValueError("this does not say how to forget")
    for half_life in (found.half_life_s, found.half_life_n):
        if half_life is not None and not half_life > 0.0:
            raise ValueError(f"nothing is forgotten by a half-life of {half_life}")
    return found


def _sources_to_plain(sources: Sources) -> dict[str, Any]:
    return {
        "known": [
            [name, one.n, one.weight, *map(to_bytes, (one.weights, one.moments, one.squares))]
            for name, one in sources.known.items()
        ],
        "pairs": [[*names, to_bytes(sums)] for names, sums in sources.pairs.items()],
        "calibrations": [
            [name, one.offset, one.gain] for name, one in sources.calibrations.items()
        ],
    }


def _sources(plain: Any, k: int, d: int) -> Sources:
    return Sources(
        d,
        k,
        known={
            str(name): SourceSums(
                from_bytes(weights, k, d),
                from_bytes(moments, k, d),
                from_bytes(squares, k),
                float(n),
                float(weight),
            )
            for name, n, weight, weights, moments, squares in plain["known"]
        },
        pairs={(str(a), str(b)): from_bytes(sums, 6) for a, b, sums in plain["pairs"]},
        calibrations={
            str(name): _calibration(float(offset), float(gain))
            for name, offset, gain in plain["calibrations"]
        },
    )


def _calibration(offset: float, gain: float) -> Calibration:
    if gain <= 0.0:
        raise ValueError(f"no source has a gain of {gain}")
    return Calibration(offset, gain)


def _drift_to_plain(drift: DriftWatch) -> dict[str, Any]:
    return {
        "sums": to_bytes(drift.sums),
        "counts": drift.counts.tolist(),
        "surprise": to_bytes(drift.surprise),
        "begun": drift.begun,
        "alarms": [list(astuple(alarm)) for alarm in drift.alarms],
    }


def _drift(plain: Any, k: int) -> DriftWatch:
    return DriftWatch(
        from_bytes(plain["sums"], k, 2),
        np.array(plain["counts"], dtype=np.int64).reshape(k, 2),
        from_bytes(plain["surprise"], k, 2),
        _begun(plain["begun"], k),
        [_alarm(*alarm) for alarm in plain["alarms"]],
    )


def _begun(plain: Any, k: int) -> list[list[str]]:
    if len(plain) != k:
        raise ValueError(f"{len(plain)} arms are watched, not {k}")
    return [[str(worse), str(better)] for worse, better in plain]


def _alarm(*values: Any) -> Alarm:
    arm, position, decision_id, since, readings, change, p_value = values
    counts = int(arm), int(position), str(decision_id), str(since), int(readings)
    return Alarm(*counts, float(change), float(p_value))
