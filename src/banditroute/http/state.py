"""What was decided and learned: decisions, arms, models, health."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query

from banditroute.core.identity import parse_decision_id
from banditroute.http.parts import PartsDep
from banditroute.http.views import receipt, replay_view

router = APIRouter()


@router.get("/v1/decisions/{id}", tags=["explain"], summary="Why that arm")
async def get_decision(
    id: str,  # noqa: A002 - the wire's word
    parts: PartsDep,
    replay: Annotated[bool, Query(description="Make the decision again from the log")] = False,
) -> dict[str, Any]:
    """The receipt of a decision: what was predicted of every arm, with what probability each
    was to be drawn, why others were excluded, and the outcome and feedback since.

    With `replay`, the decision is made again from the log as it was then; `same` says whether
    the probabilities and the draw came out the same.
    """
    engine = parts.engine
    decision_id = parse_decision_id(id)
    record = await engine.receipt(decision_id)
    view = receipt(record, engine.featurizer.names)
    if replay:
        view["replay"] = replay_view(record.decision, await engine.replay(decision_id))
    return view


@router.get("/v1/arms", tags=["explain"], summary="What was learned of each arm")
async def get_arms(
    parts: PartsDep,
    router: Annotated[str | None, Query(description="A router; the first if left out")] = None,
    digest: Annotated[bool, Query(description="Add a digest of all that is known")] = False,
) -> dict[str, Any]:
    """Mean quality, cost, latency, error rate and share per arm, from all evidence so far.

    With `digest`, also a digest of everything this replica has learned up to a position of its
    own: two replicas at the same position have the same.
    """
    name = router or next(iter(parts.engine.routers))
    position, reports = await parts.engine.arms(name)
    data = [asdict(report) for report in reports]
    view = {"object": "list", "router": name, "position": position, "data": data}
    if digest:
        place, known = await parts.engine.digest(name)
        view["digest"] = {"position": place, "blake2b": known}
    return view


@router.get("/v1/models", tags=["chat"], summary="Routers and arms")
async def get_models(parts: PartsDep) -> dict[str, Any]:
    """Everything that `model` may be: routers first, then arms."""
    routers = [(name, "banditroute") for name in parts.engine.routers]
    arms = {arm.id: arm.provider for spec in parts.engine.routers.values() for arm in spec.roster}
    data = [
        {"id": name, "object": "model", "created": parts.started_s, "owned_by": owner}
        for name, owner in [*routers, *arms.items()]
    ]
    return {"object": "list", "data": data}


@router.get("/healthz", tags=["health"], summary="The process is alive")
async def healthz() -> dict[str, str]:
    """Answers as long as the process does."""
    return {"status": "ok"}


@router.get("/readyz", tags=["health"], summary="The router can answer")
async def readyz(parts: PartsDep) -> dict[str, Any]:
    """Ready, or `degraded`: answering from what was learned, while the store is away.

    `waiting` counts what was accepted and is not in a shared store yet, `dropped` what could
    not be kept.
    """
    engine = parts.engine
    status = "degraded" if engine.degraded else "ready"
    return {
        "status": status,
        "learning": not engine.degraded,
        "waiting": engine.store.pending().waiting,
        "dropped": engine.dropped,
    }
