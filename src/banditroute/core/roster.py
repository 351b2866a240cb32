"""The arms of one router, with their prices laid out for arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from banditroute.values import Arm, Vector


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
    def input_price(self) -> Vector:
        """(K,) dollars per million input tokens."""
        return np.array([arm.input_usd_per_mtok for arm in self.arms], dtype=np.float64)

    @cached_property
    def output_price(self) -> Vector:
        """(K,) dollars per million output tokens."""
        return np.array([arm.output_usd_per_mtok for arm in self.arms], dtype=np.float64)

    def only(self, arm_id: str) -> Roster:
        """The roster of one of its arms alone. Raises KeyError if it has no such arm."""
        for arm in self.arms:
            if arm.id == arm_id:
                return Roster((arm,))
        raise KeyError(arm_id)
