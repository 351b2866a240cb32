"""A router's folded state as bytes and back, checked on the way in.

Symmetric matrices are kept as their lower triangle, everything in little-endian float64, so
that a state loaded from a checkpoint equals the one saved, byte for byte.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import msgpack
import numpy as np

from banditroute.core.fold import RouterState
from banditroute.core.posterior import FeatureGroups, Hyperparameters
from banditroute.core.quality import QualityModel
from banditroute.core.sums import RegressionSums
from banditroute.core.usage import UsageModel
from banditroute.errors import CheckpointInvalid
from banditroute.values import Checkpoint, Matrix, Vector

SCHEMA = 1
ROUNDING = 1e-6  # what taking evidence back may leave below zero
_USAGE_COLUMNS = tuple(column.name for column in fields(UsageModel)[3:])
_UNREADABLE = (
    ValueError,
    KeyError,
    TypeError,
    OverflowError,
    msgpack.exceptions.UnpackException,
)


def save(state: RouterState, fingerprint: str) -> Checkpoint:
    """The state as a checkpoint at its position."""
    quality, hyper = state.quality, state.quality.hyper
    content = {
        "schema": SCHEMA,
        "position": state.position,
        "arms": list(state.rows),
        "groups": list(state.groups.names),
        "quality": {
            "n": _bytes(quality.sums.n),
            "gram": _triangles(quality.sums.gram),
            "moment": _bytes(quality.sums.moment),
            "square": _bytes(quality.sums.square),
            "means": _bytes(quality.means),
            "covariances": _triangles(quality.covariances),
            "taught": quality.taught.tolist(),
            "readings": quality.readings,
            "refit_at": quality.refit_at,
            "pooled": _bytes(hyper.pooled),
            "scales": _bytes(hyper.scales),
            "noise": hyper.noise,
        },
        "usage": {
            "length_means": _bytes(state.usage.length_means),
            "length_covariances": _triangles(state.usage.length_covariances),
            **{name: _bytes(getattr(state.usage, name)) for name in _USAGE_COLUMNS},
        },
    }
    return Checkpoint(state.position, fingerprint, msgpack.packb(content))


def load(checkpoint: Checkpoint, groups: FeatureGroups) -> RouterState:
    """The state that was saved. Raises CheckpointInvalid for one that cannot be trusted.

    Checked: schema, feature groups, position, distinct arms, shapes, every number finite, every
    covariance positive definite, every sum of weights or squares non-negative up to rounding.
    """
    try:
        content = msgpack.unpackb(checkpoint.payload)
        _check_header(content, checkpoint, groups)
        state = _state(content, groups)
    except CheckpointInvalid:
        raise
    except _UNREADABLE as error:
        raise CheckpointInvalid(f"the checkpoint cannot be read: {error!r}") from error
    _check_numbers(state)
    return state


def _check_header(content: Any, checkpoint: Checkpoint, groups: FeatureGroups) -> None:
    if content["schema"] != SCHEMA:
        raise CheckpointInvalid(
            f"the checkpoint has schema {content['schema']}, this version reads {SCHEMA}"
        )
    if tuple(content["groups"]) != groups.names:
        raise CheckpointInvalid("the checkpoint belongs to other context features")
    if len(set(content["arms"])) != len(content["arms"]):
        raise CheckpointInvalid("the checkpoint holds an arm twice")
    if content["position"] != checkpoint.position:
        raise CheckpointInvalid("the checkpoint's position is not the one it is filed under")


def _state(content: Any, groups: FeatureGroups) -> RouterState:
    d, k = groups.dimension, len(content["arms"])
    quality, usage = content["quality"], content["usage"]
    hyper = Hyperparameters(
        _array(quality["pooled"], d),
        _array(quality["scales"], len(groups.labels)),
        float(quality["noise"]),
    )
    sums = RegressionSums(
        _array(quality["n"], k),
        _squares(quality["gram"], k, d),
        _array(quality["moment"], k, d),
        _array(quality["square"], k),
    )
    model = QualityModel(
        groups,
        sums,
        hyper,
        means=_array(quality["means"], k, d),
        covariances=_squares(quality["covariances"], k, d),
        taught=np.array(quality["taught"], dtype=np.int64).reshape(k),
        readings=int(quality["readings"]),
        refit_at=int(quality["refit_at"]),
    )
    return RouterState(
        groups,
        model,
        _usage(usage, k, d),
        position=int(content["position"]),
        rows={arm_id: row for row, arm_id in enumerate(content["arms"])},
    )


def _usage(content: Any, k: int, d: int) -> UsageModel:
    columns = {name: _array(content[name], k) for name in _USAGE_COLUMNS if name != "spend"}
    return UsageModel(
        d,
        _array(content["length_means"], k, d),
        _squares(content["length_covariances"], k, d),
        **columns,
        spend=_array(content["spend"], 2),
    )


def _check_numbers(state: RouterState) -> None:
    quality, usage = state.quality, state.usage
    columns = [getattr(usage, name) for name in _USAGE_COLUMNS]
    sums = quality.sums
    arrays = [sums.n, sums.gram, sums.moment, sums.square, quality.means, usage.length_means]
    spreads = [quality.covariances, usage.length_covariances]
    hyper = [quality.hyper.pooled, quality.hyper.scales, np.array(quality.hyper.noise)]
    if not all(np.all(np.isfinite(array)) for array in [*arrays, *spreads, *columns, *hyper]):
        raise CheckpointInvalid("the checkpoint holds numbers that are not finite")
    if np.any(sums.n < -ROUNDING) or np.any(sums.square < -ROUNDING):
        raise CheckpointInvalid("the checkpoint holds a negative sum of weights or squares")
    if np.any(quality.hyper.scales <= 0.0) or quality.hyper.noise <= 0.0:
        raise CheckpointInvalid("the checkpoint holds a variance that is not positive")
    try:
        for covariances in spreads:
            np.linalg.cholesky(covariances)
    except np.linalg.LinAlgError as error:
        raise CheckpointInvalid("the checkpoint holds a matrix that is no covariance") from error


def _bytes(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array, dtype="<f8").tobytes()


def _array(data: bytes, *shape: int) -> Vector:
    return np.frombuffer(data, dtype="<f8").reshape(shape).astype(np.float64)


def _triangles(matrices: Matrix) -> bytes:
    rows, columns = np.tril_indices(matrices.shape[-1])
    return _bytes(matrices[:, rows, columns])


def _squares(data: bytes, k: int, d: int) -> Matrix:
    rows, columns = np.tril_indices(d)
    lower = _array(data, k, len(rows))
    square = np.zeros((k, d, d))
    square[:, rows, columns] = lower
    square[:, columns, rows] = lower
    return square
