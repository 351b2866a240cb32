"""Arms, contexts, evidence and beliefs to test the core with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from banditroute.core.beliefs import Beliefs, Objective
from banditroute.core.fold import RouterState
from banditroute.core.posterior import FeatureGroups
from banditroute.core.roster import Roster
from banditroute.core.sums import RegressionSums
from banditroute.values import (
    Arm,
    Context,
    Evidence,
    OutcomeEvidence,
    QualityEvidence,
    Reading,
    Vector,
)

GROUPS = FeatureGroups(("bias", "lexical", "lexical", "tag", "tag"))
BIAS_ONLY = FeatureGroups(("bias",))
OBJECTIVE = Objective(answer_value_usd=0.05, patience_s=120.0)
NOW_S = 1_800_000_000.0


def arm(arm_id: str, **changes: Any) -> Arm:
    values: dict[str, Any] = {
        "provider": "somewhere",
        "model": arm_id,
        "input_usd_per_mtok": 1.0,
        "output_usd_per_mtok": 4.0,
    }
    return Arm(arm_id, **values | changes)


def roster(*arm_ids: str) -> Roster:
    return Roster(tuple(arm(arm_id) for arm_id in arm_ids))


def vector(rng: np.random.Generator, d: int) -> Vector:
    """A context vector as the featurizer makes them: bias first, exact in float32."""
    x = rng.normal(size=d).astype(np.float32).astype(np.float64)
    x[0] = 1.0
    return x


def context(x: Sequence[float] | Vector = (1.0,), **changes: Any) -> Context:
    return Context(np.asarray(x, dtype=np.float64), **{"input_tokens": 1000} | changes)


def filled_sums(
    rng: np.random.Generator, arms: int, d: int, each: int, weight: float = 1.0
) -> RegressionSums:
    sums = RegressionSums.empty(d)
    for row in range(arms):
        sums.grow()
        for _ in range(each):
            sums.add(row, vector(rng, d), float(rng.uniform()), weight)
    return sums


def outcome(position: int = 1, arm_id: str = "a", **changes: Any) -> OutcomeEvidence:
    values: dict[str, Any] = {
        "decision_id": f"decision-{position}",
        "x": np.ones(1),
        "at_s": NOW_S,
        "output_tokens": None,
        "cost_usd": None,
        "latency_s": None,
        "ttft_s": None,
        "error": None,
    }
    return OutcomeEvidence(position, arm_id=arm_id, **values | changes)


def random_log(
    rng: np.random.Generator, length: int, groups: FeatureGroups = GROUPS
) -> list[Evidence]:
    """A log as a router writes it: outcomes, first feedback, amendments and retractions."""
    log: list[Evidence] = []
    known: dict[int, tuple[str, Vector, Reading | None]] = {}
    for position in range(1, length + 1):
        kind = rng.integers(5)
        if kind == 0:
            log.append(_random_outcome(rng, position, groups))
            continue
        if kind == 1 and known:
            which = int(rng.choice(list(known)))
            arm_id, x, old = known[which]
            new = None if old is not None and rng.uniform() < 0.3 else _reading(rng)
        else:
            which, old, new = position, None, _reading(rng)
            arm_id, x = f"arm-{rng.integers(4)}", vector(rng, groups.dimension)
        known[which] = (arm_id, x, new)
        log.append(QualityEvidence(position, f"decision-{which}", arm_id, x, old, new))
    return log


def folded(log: Sequence[Evidence], groups: FeatureGroups = GROUPS) -> RouterState:
    state = RouterState.empty(groups)
    state.fold(log)
    return state


def taught_state(
    qualities: dict[str, float], each: int, groups: FeatureGroups = BIAS_ONLY, seed: int = 3
) -> RouterState:
    """A router whose arms earned ``each`` scores around the given qualities."""
    rng = np.random.default_rng(seed)
    log: list[Evidence] = []
    for _ in range(each):
        for arm_id, quality in qualities.items():
            reading = Reading(float(np.clip(rng.normal(quality, 0.3), 0.0, 1.0)), 1.0)
            x = vector(rng, groups.dimension)
            entry = QualityEvidence(len(log) + 1, f"d-{len(log)}", arm_id, x, None, reading)
            log.append(entry)
    return folded(log, groups)


def beliefs(
    utility: Sequence[float] | Vector,
    sd: float | Sequence[float] | Vector = 0.1,
    arm_ids: Sequence[str] | None = None,
    **columns: Any,
) -> Beliefs:
    """Beliefs with a given utility and width; the rest is plain unless given."""
    k = len(utility)
    values: dict[str, Any] = {
        "quality": utility,
        "quality_sd": sd,
        "sampling_sd": sd,
        "cost_usd": 0.001,
        "latency_s": 1.0,
        "latency_log": 0.0,
        "latency_var": 0.25,
        "latency_n": 0.0,
        "error_rate": 0.0,
        "utility": utility,
        "taught": 0.0,
    } | columns
    arrays = {name: np.full(k, value, dtype=np.float64) for name, value in values.items()}
    ids = tuple(arm_ids) if arm_ids is not None else tuple(f"arm-{row:03d}" for row in range(k))
    return Beliefs(arm_ids=ids, x=np.ones(1), **arrays)


def _reading(rng: np.random.Generator) -> Reading:
    return Reading(float(rng.uniform()), float(rng.uniform(0.05, 1.0)))


def _random_outcome(
    rng: np.random.Generator, position: int, groups: FeatureGroups
) -> OutcomeEvidence:
    return outcome(
        position,
        f"arm-{rng.integers(4)}",
        x=vector(rng, groups.dimension),
        at_s=NOW_S + float(rng.uniform(0.0, 1000.0)),
        output_tokens=float(rng.integers(0, 900)) if rng.uniform() < 0.9 else None,
        cost_usd=float(rng.uniform(0.0, 0.01)) if rng.uniform() < 0.8 else None,
        latency_s=float(rng.uniform(0.1, 20.0)) if rng.uniform() < 0.9 else None,
        ttft_s=float(rng.uniform(0.1, 2.0)) if rng.uniform() < 0.5 else None,
        error=str(rng.choice(["timeout", "abandoned"])) if rng.uniform() < 0.2 else None,
    )
