"""A router's folded state as bytes and back, checked on the way in.

Symmetric matrices are kept as their lower triangle, everything in little-endian float64, so
that a state loaded from a checkpoint equals the one saved, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, astuple, fields
from operator import attrgetter
from typing import Any

import msgpack
import numpy as np

from banditroute.core import news, quality_checkpoint
from banditroute.core.allowances import Allowances, Buckets
from banditroute.core.arrays import (
    from_bytes,
    to_bytes,
    triangles_from_bytes,
    triangles_to_bytes,
)
from banditroute.core.awaited import BATCHES, Awaited
from banditroute.core.feedback_rate import FeedbackRate
from banditroute.core.fold import RouterState
from banditroute.core.guard import Guard
from banditroute.core.posterior import FeatureGroups
from banditroute.core.spending import Account, Spending
from banditroute.core.usage import UsageModel
from banditroute.errors import CheckpointInvalid
from banditroute.values import ArmChange, Checkpoint, SourceChange

SCHEMA = 3
ROUNDING = 1e-6  # what taking evidence back may leave below zero
_ACCOUNT = {name: type(value) for name, value in asdict(Account()).items() if name != "days"}
_account_numbers = attrgetter(*_ACCOUNT)
_GUARD = fields(Guard)
_AWAITED = ("answered", "heard", "lateness")
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
    quality = state.quality
    content = {
        "schema": SCHEMA,
        "position": state.position,
        "arms": list(state.rows),
        "groups": list(state.groups.names),
        "news": [news.to_plain(one) for one in _standing(state)],
        "quality": quality_checkpoint.to_plain(quality),
        "guard": {column.name: to_bytes(getattr(state.guard, column.name)) for column in _GUARD},
        "spending": _accounts_to_plain(state.spending),
        "allowances": _buckets_to_plain(state.allowances),
        "feedback_rate": list(astuple(state.feedback_rate)),
        "awaited": {
            "firsts": state.awaited.firsts,
            **{name: to_bytes(getattr(state.awaited, name)) for name in _AWAITED},
        },
        "usage": {
            "length_means": to_bytes(state.usage.length_means),
            "length_covariances": triangles_to_bytes(state.usage.length_covariances),
            **{name: to_bytes(getattr(state.usage, name)) for name in _USAGE_COLUMNS},
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
    rows = {arm_id: row for row, arm_id in enumerate(content["arms"])}
    return RouterState(
        groups,
        quality_checkpoint.from_plain(content["quality"], groups, rows),
        _usage(content["usage"], k, d),
        _spending(content["spending"]),
        _guard(content["guard"], k),
        _allowances(content["allowances"]),
        FeedbackRate(*map(float, content["feedback_rate"])),
        _awaited(content["awaited"], k),
        position=int(content["position"]),
        rows=rows,
        **_heard(content["news"]),
    )


def _guard(plain: Any, k: int) -> Guard:
    return Guard(
        *(from_bytes(plain[column.name], 4 if column.name == "own" else k) for column in _GUARD)
    )


def _accounts_to_plain(spending: Spending) -> list[list[Any]]:
    """Every account as its payer, its numbers and its days, each a day and its dollars."""
    return [
        [payer, *_account_numbers(account), list(map(list, account.days.items()))]
        for payer, account in spending.accounts.items()
    ]


def _spending(plain: Any) -> Spending:
    return Spending(
        {
            str(payer): Account(
                **{
                    name: of(number)
                    for (name, of), number in zip(_ACCOUNT.items(), numbers, strict=True)
                },
                days={int(day): float(usd) for day, usd in days},
            )
            for payer, *numbers, days in plain
        }
    )


def _buckets_to_plain(allowances: Allowances) -> list[list[Any]]:
    """Every arm that has buckets: what it learned, and those that are not full."""
    return [
        [arm_id, one.learned, [list(bucket) for bucket in one.not_full()]]
        for arm_id, one in allowances.arms.items()
    ]


def _allowances(plain: Any) -> Allowances:
    return Allowances(
        {
            str(arm_id): Buckets(float(learned), {str(name): float(at) for name, at in full_at})
            for arm_id, learned, full_at in plain
        }
    )


def _awaited(plain: Any, k: int) -> Awaited:
    firsts = [str(first) for first in plain["firsts"]]
    if len(firsts) > BATCHES or firsts != sorted(firsts):
        raise CheckpointInvalid("the checkpoint's batches of answers are not in order")
    return Awaited(
        firsts,
        from_bytes(plain["answered"], len(firsts), k),
        from_bytes(plain["heard"], len(firsts)),
        from_bytes(plain["lateness"], BATCHES + 1),
    )


def _standing(state: RouterState) -> list[ArmChange | SourceChange]:
    """The news that are in force, in an order that the log alone decides."""
    return [*state.arm_changes.values(), *state.quarantined.values()]


def _heard(plain: Any) -> dict[str, Any]:
    heard = [news.from_plain(one) for one in plain]
    return {
        "arm_changes": {one.arm_id: one for one in heard if isinstance(one, ArmChange)},
        "quarantined": {one.source: one for one in heard if isinstance(one, SourceChange)},
    }


def _usage(content: Any, k: int, d: int) -> UsageModel:
    columns = {name: from_bytes(content[name], k) for name in _USAGE_COLUMNS if name != "spend"}
    return UsageModel(
        d,
        from_bytes(content["length_means"], k, d),
        triangles_from_bytes(content["length_covariances"], k, d),
        **columns,
        spend=from_bytes(content["spend"], 2),
    )


def _arrays(state: RouterState) -> Iterator[np.ndarray]:
    """Every number that a state holds, but for the covariances."""
    yield from quality_checkpoint.numbers(state.quality)
    yield from (getattr(state.usage, name) for name in ("length_means", *_USAGE_COLUMNS))
    yield from (getattr(state.guard, column.name) for column in _GUARD)
    for account in state.spending.accounts.values():
        yield np.array([*_account_numbers(account), *account.days.values()], dtype=np.float64)
    yield from _counts(state)
    for one in state.allowances.arms.values():
        yield np.array([one.learned, *one.full_at.values()])


def _counts(state: RouterState) -> Iterator[np.ndarray]:
    """Numbers of answers and of words, which are never negative."""
    yield np.array(astuple(state.feedback_rate))
    yield from (getattr(state.awaited, name) for name in _AWAITED)


def _check_numbers(state: RouterState) -> None:
    quality, usage = state.quality, state.usage
    sums, spreads = quality.sums, [quality.covariances, usage.length_covariances]
    if not all(np.all(np.isfinite(array)) for array in [*_arrays(state), *spreads]):
        raise CheckpointInvalid("the checkpoint holds numbers that are not finite")
    if any(np.any(counts < 0.0) for counts in _counts(state)):
        raise CheckpointInvalid("the checkpoint holds a negative number of requests")
    if np.any(sums.n < -ROUNDING) or np.any(sums.square < -ROUNDING):
        raise CheckpointInvalid("the checkpoint holds a negative sum of weights or squares")
    if np.any(quality.hyper.scales <= 0.0) or quality.hyper.noise <= 0.0:
        raise CheckpointInvalid("the checkpoint holds a variance that is not positive")
    try:
        for covariances in spreads:
            np.linalg.cholesky(covariances)
    except np.linalg.LinAlgError as error:
        raise CheckpointInvalid("the checkpoint holds a matrix that is no covariance") from error
