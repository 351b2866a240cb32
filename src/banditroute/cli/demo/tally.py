"""What a demo measured, beside what others would have earned on the same prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from banditroute.cli.demo.stage import Prompt
from banditroute.providers.scene import Scene
from banditroute.values import Arm, Matrix, Vector


@dataclass(frozen=True, slots=True)
class Means:
    """Means per request. Utility = quality - cost/value - min(latency/patience, 1)."""

    quality: float
    cost_usd: float
    utility: float

    def view(self) -> dict[str, float]:
        """As JSON."""
        return {"quality": self.quality, "cost_usd": self.cost_usd, "utility": self.utility}


@dataclass(frozen=True, slots=True)
class Cells:
    """What every arm does on every prompt: matrices (N, K)."""

    arm_ids: tuple[str, ...]
    quality: Matrix
    cost_usd: Matrix
    latency_s: Matrix
    utility: Matrix

    @classmethod
    def of(
        cls,
        scene: Scene,
        arms: Sequence[Arm],
        prompts: Sequence[Prompt],
        *,
        answer_value_usd: float,
        patience_s: float,
    ) -> Cells:
        """Ask the scene for every arm's answer to every prompt."""
        shape = (len(prompts), len(arms))
        quality, cost, latency = (np.zeros(shape) for _ in range(3))
        for row, prompt in enumerate(prompts):
            body = prompt.body()
            for column, arm in enumerate(arms):
                cell = scene.answer(arm, body)
                quality[row, column] = cell.quality
                cost[row, column] = cell.spent_usd(arm)
                latency[row, column] = cell.latency_s
        utility = quality - cost / answer_value_usd - np.minimum(latency / patience_s, 1.0)
        return cls(tuple(arm.id for arm in arms), quality, cost, latency, utility)

    def fixed(self, column: int, rows: slice | np.ndarray = slice(None)) -> Means:
        """One arm for every request."""
        picked = (m[rows, column].mean() for m in (self.quality, self.cost_usd, self.utility))
        return Means(*(float(mean) for mean in picked))

    def uniform(self) -> Means:
        """Every arm equally often: the expected value."""
        means = (matrix.mean() for matrix in (self.quality, self.cost_usd, self.utility))
        return Means(*(float(mean) for mean in means))

    @property
    def cheapest(self) -> int:
        """The column of the arm that costs least on these prompts."""
        return int(self.cost_usd.mean(axis=0).argmin())

    @property
    def dearest(self) -> int:
        """The column of the arm that costs most."""
        return int(self.cost_usd.mean(axis=0).argmax())

    @property
    def best(self) -> int:
        """The column of the arm that earns most: known only afterwards."""
        return int(self.utility.mean(axis=0).argmax())


@dataclass(slots=True)
class Tally:
    """What came back over HTTP so far, one entry per answered request."""

    cells: Cells
    answer_value_usd: float
    patience_s: float
    rows: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    quality: list[float] = field(default_factory=list)
    cost_usd: list[float] = field(default_factory=list)
    failed: int = 0

    def add(self, row: int, arm_id: str, quality: float, cost_usd: float) -> None:
        """Count one answer: the arm that gave it, its quality and its cost as reported."""
        self.rows.append(row)
        self.columns.append(self.cells.arm_ids.index(arm_id))
        self.quality.append(quality)
        self.cost_usd.append(cost_usd)

    @property
    def utility(self) -> Vector:
        """(n,) what each answer earned. Waiting is simulated, so its length is the scene's."""
        waited = self.cells.latency_s[self.rows, self.columns] / self.patience_s
        spent = np.array(self.cost_usd) / self.answer_value_usd
        utility: Vector = np.array(self.quality) - spent - np.minimum(waited, 1.0)
        return utility

    def means(self) -> Means:
        """Means over the answers so far; NaN before the first."""
        if not self.rows:
            return Means(float("nan"), float("nan"), float("nan"))
        mean = float(np.mean(self.utility))
        return Means(float(np.mean(self.quality)), float(np.mean(self.cost_usd)), mean)

    def summary(self) -> dict[str, Any]:
        """The result as JSON."""
        cells = self.cells
        return {
            "router": self.means().view(),
            "uniform": cells.uniform().view(),
            "cheapest": cells.fixed(cells.cheapest).view(),
            "best_fixed": cells.fixed(cells.best).view(),
            "dearest": cells.fixed(cells.dearest).view(),
            "requests": len(self.rows),
            "failed": self.failed,
            "arms": {
                "cheapest": cells.arm_ids[cells.cheapest],
                "best_fixed": cells.arm_ids[cells.best],
                "dearest": cells.arm_ids[cells.dearest],
            },
            "share": dict(zip(cells.arm_ids, self.share().tolist(), strict=True)),
        }

    def share(self) -> Vector:
        """(K,) the part of the answers that each arm gave."""
        counts = np.bincount(self.columns, minlength=len(self.cells.arm_ids))
        share: Vector = counts / max(len(self.columns), 1)
        return share
