"""What was decided and learned: decisions, arms, models, health."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query

from banditroute.core.identity import parse_decision_id
from banditroute.http.access import Anybody, Client
from banditroute.http.parts import PartsDep
from banditroute.http.views import budget_view, receipt, replay_view
from banditroute.values import Decision

router = APIRouter()


@router.get("/v1/decisions/{id}", tags=["explain"], summary="Why that arm", dependencies=[Anybody])
async def get_decision(
    id: str,  # noqa: A002 - the wire's word
    parts: PartsDep,
    replay: Annotated[bool, Query(description="Make the decision again from the log")] = False,
) -> dict[str, Any]:
    """The receipt of a decision: what was predicted of every arm, with what probability each
    was to be drawn, why others were excluded, and the outcome and feedback since; what the
    guard says of the router now, and which of those arms have changed.

    With `replay`, the decision is made again from the log as it was then; `same` says whether
    the probabilities and the draw came out the same.
    """
    engine = parts.engine
    decision_id = parse_decision_id(id)
    record = await engine.receipt(decision_id)
    view = receipt(record, engine.featurizer.names)
    guard = engine.guard_now(record.decision.router)
    view["guard"] = {"summary": guard.summary, "losing_to": guard.losing_to}
    view["drift"] = [asdict(one) for one in guard.drift if one.arm in _arms_of(record.decision)]
    if replay:
        view["replay"] = replay_view(record.decision, await engine.replay(decision_id))
    return view


@router.get(
    "/v1/arms", tags=["explain"], summary="What was learned of each arm", dependencies=[Anybody]
)
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


@router.get(
    "/v1/guard",
    tags=["explain"],
    summary="Whether the router is worth it, and which arms have changed",
    dependencies=[Anybody],
)
async def get_guard(
    parts: PartsDep,
    router: Annotated[str | None, Query(description="A router; the first if left out")] = None,
) -> dict[str, Any]:
    """What every arm alone would have earned, estimated on the router's own log.

    `lead` is an arm's mean reward beyond the router's, with a 95% interval; `losing_to` names
    an arm that is surely ahead. `drift` lists the arms that began to answer unlike before, and
    `calibrations` how the sources of feedback differ from the surest one (offset and gain).
    """
    name = router or next(iter(parts.engine.routers))
    report = await parts.engine.guard(name)
    return {"object": "guard", "router": name, "summary": report.summary, **asdict(report)}


@router.get(
    "/v1/budgets", tags=["explain"], summary="How the budgets stand", dependencies=[Anybody]
)
async def get_budgets(
    parts: PartsDep,
    router: Annotated[str | None, Query(description="A router; every one if left out")] = None,
) -> dict[str, Any]:
    """Every budget of every router: its limits, what its payer (the router itself, a tag or a
    key) spent by all replicas together, and what one more call may cost.

    `price` is what a dollar costs there now, in reward, beyond 1 / `answer_value_usd`; it and
    `reserved_usd`, which is set aside for calls that still run, are those of this process.
    Days and months are UTC's.
    """
    names = list(parts.engine.routers) if router is None else [router]
    reports = [(name, report) for name in names for report in await parts.engine.budgets(name)]
    return {"object": "list", "data": [budget_view(name, report) for name, report in reports]}


@router.get("/v1/models", tags=["chat"], summary="Routers and arms", dependencies=[Client])
async def get_models(parts: PartsDep) -> dict[str, Any]:
    """Everything that `model` may be: routers first, then arms."""
    routers = [(name, "banditroute") for name in parts.engine.routers]
    rosters = (parts.engine.in_force(name).roster for name in parts.engine.routers)
    arms = {arm.id: arm.provider for roster in rosters for arm in roster}
    data = [
        {"id": name, "object": "model", "created": parts.started_s, "owned_by": owner}
        for name, owner in [*routers, *arms.items()]
    ]
    return {"object": "list", "data": data}


def _arms_of(decision: Decision) -> set[str]:
    return {candidate.arm_id for candidate in decision.candidates}


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
