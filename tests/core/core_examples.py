"""Arms, contexts, evidence and beliefs to test the core with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from banditroute.core.beliefs import Beliefs, Objective
from banditroute.core.fold import RouterState
from banditroute.core.identity import decision_id
from banditroute.core.posterior import FeatureGroups
from banditroute.core.roster import Roster
from banditroute.core.sums import RegressionSums
from banditroute.values import (
    Announcement,
    Arm,
    ArmChange,
    ArmStatus,
    Charge,
    Context,
    Evidence,
    News,
    OutcomeEvidence,
    Prior,
    QualityEvidence,
    Reading,
    SourceChange,
    Tuning,
    Vector,
    Voice,
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
            sums.add(row, vector(rng, d), weight, float(rng.uniform()))
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


def arm_change(arm_id: str = "a", id_: str = "1", **changes: Any) -> ArmChange:
    values: dict[str, Any] = {"status": ArmStatus.ACTIVE, "arm": arm(arm_id), "basis": ""}
    return ArmChange(id_, arm_id, NOW_S, **values | changes)


def source_change(source: str, quarantined: bool, id_: str = "1") -> SourceChange:
    return SourceChange(id_, source, NOW_S, quarantined)


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


def eventful_log(rng: np.random.Generator, length: int = 800) -> list[Evidence]:
    """A log in which everything happens that a router's state remembers.

    Arms that turn bad and good again, three sources that differ, words that come late, change
    and are taken back, calls that others pay for, priors, half-lives from halfway on, bounds of
    scores, and words of somebody whose words are capped.
    """
    log: list[Evidence] = []
    known: dict[int, Reading | None] = {}
    made = [(f"arm-{rng.integers(2)}", vector(rng, 5)) for _ in range(length)]
    predicted = rng.uniform(0.3, 0.7, size=length)
    for position in range(1, length + 1):
        at = int(rng.integers(max(0, position - 30), position))
        arm_id, x = made[at]
        told = _telling(rng, position, length)
        if told is not None:
            log.append(Announcement(position, told))
        elif rng.uniform() < 0.2:
            log.append(_paid_outcome(rng, position, id_at(at), arm_id, x))
        else:
            old, new = known.get(at), _spoken(rng, level=0.05 if 3 * at // length % 2 else 0.95)
            known[at] = new = None if old is not None and rng.uniform() < 0.3 else new
            entry = QualityEvidence(position, id_at(at), arm_id, x, old, new)
            place = {"expected": float(predicted[at]), "spread": 0.3}
            if old is None and new is not None and at % 5 == 0:
                place["charges"] = (Charge("key:team", 20.0),)
            log.append(replace(entry, propensity=float(rng.uniform(0.1, 1.0)), **place))
    return log


def id_at(second: float) -> str:
    """The id of a decision made so many seconds after ``NOW_S``."""
    return decision_id("auto", int(1000 * (NOW_S + second)), bytes(8))


def prior(rng: np.random.Generator, id_: str, n: int = 50, arm_id: str = "a", d: int = 5) -> Prior:
    """What ``n`` readings elsewhere taught of an arm."""
    xs, values = np.stack([vector(rng, d) for _ in range(n)]), rng.uniform(size=n)
    gram = sum(np.multiply.outer(x, x) for x in xs)  # symmetric to the bit
    return Prior(id_, arm_id, NOW_S, float(n), gram, values @ xs, float(values @ values))


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
    judged_share: float = 1.0,
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
        "presumed": 0.0,
    } | columns
    arrays = {name: np.full(k, value, dtype=np.float64) for name, value in values.items()}
    ids = tuple(arm_ids) if arm_ids is not None else tuple(f"arm-{row:03d}" for row in range(k))
    return Beliefs(arm_ids=ids, x=np.ones(1), judged_share=judged_share, **arrays)


def _reading(rng: np.random.Generator) -> Reading:
    return Reading(float(rng.uniform()), float(rng.uniform(0.05, 1.0)))


def _telling(rng: np.random.Generator, position: int, length: int) -> News | None:
    """News at some positions."""
    id_ = id_at(position)
    if position in {5, length // 3, 2 * length // 3}:
        return prior(rng, id_, int(rng.integers(20, 300)), f"arm-{position % 2}")
    if position == length // 4:
        return Tuning(id_, NOW_S, winsorise_sd=1.0)
    if position == length // 2:
        return Tuning(id_, NOW_S, half_life_s=300.0, half_life_n=300.0, winsorise_sd=1.5)
    if position == 3 * length // 4:
        return Tuning(id_, NOW_S, half_life_s=300.0, half_life_n=300.0)
    return source_change("bot", True, id_) if position == 7 else None


def _spoken(rng: np.random.Generator, level: float) -> Reading:
    """What one to three sources say, of whom the user is kinder than the others."""
    truth = float(np.clip(rng.normal(level, 0.1), 0.0, 1.0))
    said = {"critic": (truth, 0.9), "user": (0.4 + 0.6 * truth, 0.3), "judge": (truth, 0.6)}
    names = sorted(rng.choice(list(said), size=int(rng.integers(1, 4)), replace=False))
    voices = tuple(Voice(str(name), said[name][0], said[name][1] / len(names)) for name in names)
    weight = sum(voice.weight for voice in voices)
    return Reading(sum(v.weight * v.score for v in voices) / weight, weight, voices)


def _paid_outcome(
    rng: np.random.Generator, position: int, id_: str, arm_id: str, x: Vector
) -> OutcomeEvidence:
    return replace(
        _random_outcome(rng, position, GROUPS),
        decision_id=id_,
        arm_id=arm_id,
        x=x,
        at_s=NOW_S + 1000.0 * position,
        payers=("team",) if rng.uniform() < 0.5 else (),
        propensity=0.5,
    )


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
