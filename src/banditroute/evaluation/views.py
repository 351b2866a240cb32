"""An evaluation as plain JSON: every estimator, every interval, every doubt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from banditroute.evaluation.results import Evaluation, Judgement, Measured, Savings


def evaluation_view(found: Evaluation) -> dict[str, Any]:
    """What was found, with ``policies`` in order, the one in force first. No NaN, no infinity."""
    view: dict[str, Any] = _plain(
        {
            "rounds": found.rounds,
            "judged": found.judged,
            "arms": list(found.arms),
            "since": _time(found.begin_s),
            "until": _time(found.end_s),
            "left_out": dict(found.left_out),
            "level": found.level,
            "estimator": found.estimator,
            "warnings": list(found.warnings),
            "policies": [_judgement(one, found.arms) for one in found.judgements],
            "savings": None if found.savings is None else _savings(found.savings),
        }
    )
    return view


def _judgement(one: Judgement, arms: tuple[str, ...]) -> dict[str, Any]:
    return {
        "policy": one.target,
        "verdict": one.verdict.word,
        "because": one.verdict.sentence,
        "refused": one.refused,
        "refusals": dict(one.refusals),
        "warnings": list(one.warnings),
        "support": _support(one, arms),
        "measures": _measures(one.measures),
        "groups": {
            by: {group: _measures(measures) for group, measures in found.items()}
            for by, found in one.groups.items()
        },
    }


def _support(one: Judgement, arms: tuple[str, ...]) -> dict[str, Any] | None:
    if one.support is None:
        return None
    said = asdict(one.support)
    shares = said["unsupported_arms"].items()
    return said | {"unsupported_arms": {arms[row]: share for row, share in shares}}


def _measures(measures: Mapping[str, Measured]) -> dict[str, Any]:
    return {name: asdict(one) for name, one in measures.items()}


def _savings(one: Savings) -> dict[str, Any]:
    worked_out = {"overhead_usd": one.overhead_usd, "net_usd": one.net_usd}
    return asdict(one) | worked_out | {"total_usd": one.total_usd}


def _time(at_s: float) -> str | None:
    if not isfinite(at_s):
        return None
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _plain(value: Any) -> Any:
    """As JSON can say it: a number that is none becomes None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not isfinite(value) else value
