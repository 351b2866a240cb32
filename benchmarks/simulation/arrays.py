"""What all contenders share: the work as arrays, and the constants of their policies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np

ALPHA = 1.0  # of LinUCB
EPSILON = 0.05  # ours decays instead, and is .06 on average over 12,000 requests and 14 arms
SEED = 0

Run: TypeAlias = Callable[[], float]  # simulates all requests, and returns the mean reward
Maker: TypeAlias = Callable[[Path, str], Run]  # from the work's folder and the policy


class Work:
    """Contexts (T, d) and rewards (T, K), in the order in which requests come."""

    def __init__(self, folder: Path) -> None:
        with np.load(folder / "arrays.npz") as arrays:
            self.contexts, self.rewards = arrays["contexts"], arrays["rewards"]
        self.requests, self.arms = self.rewards.shape
        self.dimension = self.contexts.shape[1]
