"""The arms of one router, with their prices laid out for arithmetic; and which are in force."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

import numpy as np

from banditroute.core.news import plain_arm
from banditroute.values import Arm, ArmChange, ArmStatus, Vector


@dataclass(frozen=True)
class Roster:
    """K arms in the operator's order; their ids are distinct."""

    arms: tuple[Arm, ...]

    def __post_init__(self) -> None:
        if len(set(self.ids)) != len(self.arms):
            raise ValueError("two arms of one roster have the same id")

    def __iter__(self) -> Iterator[Arm]:
        return iter(self.arms)

    def __len__(self) -> int:
        return len(self.arms)

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The arms' ids, in order."""
        return tuple(arm.id for arm in self.arms)

    @cached_property
    def by_id(self) -> Mapping[str, Arm]:
        """The arms by their ids, in order."""
        return {arm.id: arm for arm in self.arms}

    @cached_property
    def input_price(self) -> Vector:
        """(K,) dollars per million input tokens."""
        return np.array([arm.input_usd_per_mtok for arm in self.arms], dtype=np.float64)

    @cached_property
    def output_price(self) -> Vector:
        """(K,) dollars per million output tokens."""
        return np.array([arm.output_usd_per_mtok for arm in self.arms], dtype=np.float64)

    def only(self, arm_id: str) -> Roster:
        """The roster of one of its arms alone. Raises KeyError if it has no such arm."""
        return Roster((self.by_id[arm_id],))


def digest(arm: Arm | None) -> str:
    """A short text that tells an arm's definition from any other; "" for no arm."""
    if arm is None:
        return ""
    plain = json.dumps(plain_arm(arm), sort_keys=True, default=str)
    return blake2b(plain.encode(), digest_size=16).hexdigest()


def standing(configured: Roster, changes: Mapping[str, ArmChange]) -> dict[str, ArmChange]:
    """The changes that hold: the configuration still says of the arm what it said then."""
    return {
        arm_id: change
        for arm_id, change in changes.items()
        if change.basis == digest(configured.by_id.get(arm_id))
    }


def effective(
    configured: Roster, changes: Mapping[str, ArmChange]
) -> tuple[Roster, frozenset[str]]:
    """The arms in force, and which of them are paused.

    Configured arms come first, in their order, then added ones in the order of ``changes``.
    """
    held = standing(configured, changes)
    if not held:
        return configured, frozenset()
    arms = dict(configured.by_id)
    for arm_id, change in held.items():
        arm = change.arm or arms.get(arm_id)
        if change.status is ArmStatus.REMOVED or arm is None:
            arms.pop(arm_id, None)
        else:
            arms[arm_id] = arm
    paused = {arm_id for arm_id in arms if _is_paused(held.get(arm_id))}
    return Roster(tuple(arms.values())), frozenset(paused)


def _is_paused(change: ArmChange | None) -> bool:
    return change is not None and change.status is ArmStatus.PAUSED
