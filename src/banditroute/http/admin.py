"""``/admin``: arms and sources of feedback, changed while the router runs.

A change is kept in the router's log: when the answer is 2xx it is durable, this replica obeys
it, and the others follow. With the header ``Idempotency-Key`` the same request counts once.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi import Path as PathParam

from banditroute.config import ArmSettings, OpenAIProviderSettings, Settings
from banditroute.core.news import plain_arm
from banditroute.core.roster import Roster
from banditroute.engine import ArmState
from banditroute.engine.operator import FILE
from banditroute.errors import InvalidRequest, UnknownModel
from banditroute.http.access import Admin
from banditroute.http.bodies import ArmPatchBody, QuarantineBody, Source
from banditroute.http.parts import Parts, PartsDep, json_body
from banditroute.http.reading import check, read_json
from banditroute.values import Arm, Learned

router = APIRouter(prefix="/admin", tags=["admin"], dependencies=[Admin])

RouterQuery = Annotated[str | None, Query(description="A router; the first if left out")]
SourcePath = Annotated[Source, PathParam(description="A source of feedback")]
Once = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[A-Za-z0-9._-]{1,128}$",
        description="The same one counts once",
    ),
]
EXAMPLE_ARM = {
    "router": "auto",
    "id": "gpt-new",
    "provider": "openai",
    "model": "gpt-5-nano",
    "input_usd_per_mtok": 0.05,
    "output_usd_per_mtok": 0.4,
}
NOT_APPLIED = frozenset(Settings.model_fields) - {"arms", "routers"}


@router.get("/arms", summary="The arms in force, and where each definition comes from")
async def get_arms(parts: PartsDep, router: RouterQuery = None) -> dict[str, Any]:
    """Every arm that a router has now, paused ones included, by its definition.

    `defined_by` is `config` for an arm as this process was started with it, `admin` for one
    that was added or changed here, `file` for one that a reload brought.
    """
    name = _router(parts, router)
    position, states = await parts.operator.arms(name)
    data = [_arm_view(state) for state in states]
    return {"object": "list", "router": name, "position": position, "data": data}


@router.post(
    "/arms",
    summary="Add an arm, or define it anew",
    openapi_extra=json_body(ArmSettings, EXAMPLE_ARM),
)
async def post_arm(request: Request, parts: PartsDep, once: Once = None) -> dict[str, Any]:
    """The body is an `[[arms]]` table, and the `router` to add it to (the first if left out).

    Its provider must be one that an arm of config.toml uses. A new arm starts at what all arms
    have in common, with honest uncertainty.
    """
    raw = await read_json(request)
    wanted = raw.pop("router", None) if isinstance(raw, dict) else None
    arm = _checked(parts, check(ArmSettings, raw))
    name = _router(parts, wanted)
    learned = await parts.operator.define(name, arm, _news_id(parts, once))
    return await _changed(parts, name, arm.id, learned)


@router.patch(
    "/arms/{id:path}",
    summary="Pause an arm, let it go on, or change its prices",
    openapi_extra=json_body(ArmPatchBody, {"status": "paused"}),
)
async def patch_arm(
    id: str,  # noqa: A002 - the wire's word
    request: Request,
    parts: PartsDep,
    router: RouterQuery = None,
    once: Once = None,
) -> dict[str, Any]:
    """A new price counts from the next decision on: nothing that was learned depends on it."""
    body = check(ArmPatchBody, await read_json(request))
    name = _router(parts, router)
    learned = await parts.operator.adjust(
        name, id, body.arm_status(), body.prices(), _news_id(parts, once)
    )
    return await _changed(parts, name, id, learned)


@router.delete("/arms/{id:path}", summary="Take an arm out")
async def delete_arm(
    id: str,  # noqa: A002 - the wire's word
    parts: PartsDep,
    router: RouterQuery = None,
    once: Once = None,
) -> dict[str, Any]:
    """No decision takes it from here on; calls that run are finished. What it taught is kept."""
    name = _router(parts, router)
    learned = await parts.operator.remove(name, id, _news_id(parts, once))
    return {"router": name, "id": id, "change": _word(learned), "arm": None}


@router.post("/reload", summary="Read the configuration file again")
async def reload(parts: PartsDep, once: Once = None) -> dict[str, Any]:
    """Follow what the file now says of the arms; a file with a mistake changes nothing.

    `changed` and `skipped` (their provider is not running here) are arms by router;
    `needs_restart` names the tables that differ from what this process was started with.
    """
    desk = parts.desk
    if desk.reread is None:
        raise InvalidRequest("this process was started without a configuration file")
    settings = await asyncio.to_thread(desk.reread)
    changed, skipped = {}, {}
    news_id = _news_id(parts, once)
    for name, before, after in _rosters(desk.settings, settings):
        if name in parts.engine.routers:
            adopted = await parts.operator.adopt(
                name, before, after, parts.dispatcher.providers, news_id
            )
            changed[name], skipped[name] = adopted.changed, adopted.skipped
    desk.settings = settings
    waiting = _needs_restart(desk.started, settings)
    return {"changed": changed, "skipped": skipped, "needs_restart": waiting}


@router.post(
    "/sources/{source:path}/quarantine",
    summary="Refuse a source's feedback, and take back what it said",
    openapi_extra=json_body(QuarantineBody, {"since": "2026-01-31T12:00:00Z"}),
)
async def post_quarantine(
    source: SourcePath, request: Request, parts: PartsDep, once: Once = None
) -> dict[str, Any]:
    """From here on, in every router. What it said since `since` (RFC 3339 or seconds since 1970;
    without it, ever) is retracted, word by word: the routers have then never heard it.

    Posted again after it was cut short, it goes on.
    """
    body = check(QuarantineBody, await read_json(request, nothing={}))
    count = await parts.operator.quarantine(source, body.since_s(), _news_id(parts, once))
    return {"source": source, "quarantined": True, "retracted": count}


@router.delete("/sources/{source:path}/quarantine", summary="Hear a source again")
async def delete_quarantine(
    source: SourcePath, parts: PartsDep, once: Once = None
) -> dict[str, Any]:
    """What it says from here on counts again; what was retracted stays so."""
    learned = await parts.operator.lift(source, _news_id(parts, once))
    return {"source": source, "quarantined": False, "change": _word(learned)}


def _router(parts: Parts, name: Any) -> str:
    if name is None:
        return next(iter(parts.engine.routers))
    if not isinstance(name, str) or name not in parts.engine.routers:
        known = ", ".join(parts.engine.routers)
        raise UnknownModel(
            f"router: there is none of that name; use one of {known}", param="router"
        )
    return name


def _news_id(parts: Parts, once: str | None) -> str:
    return parts.engine.mint.feedback_id() if once is None else f"once:{once}"


def _checked(parts: Parts, settings: ArmSettings) -> Arm:
    """The arm, if it can be called from here and no router has its name."""
    if settings.id in parts.engine.routers:
        raise InvalidRequest("id: a router has that name; choose another", param="id")
    if settings.provider not in parts.dispatcher.providers:
        known = ", ".join(sorted(parts.dispatcher.providers))
        raise InvalidRequest(
            f"provider: none of that name is running here; use one of {known}, or configure it "
            "for an arm in config.toml and restart",
            param="provider",
        )
    kinds = {provider.name: provider for provider in parts.desk.started.providers}
    if settings.simulated and isinstance(kinds[settings.provider], OpenAIProviderSettings):
        raise InvalidRequest(
            "simulated: only for the arms of a simulated provider; take it out", param="simulated"
        )
    return settings.to_arm()


async def _changed(parts: Parts, name: str, arm_id: str, learned: Learned) -> dict[str, Any]:
    _, states = await parts.operator.arms(name)
    views = [_arm_view(state) for state in states if state.arm.id == arm_id]
    arm = views[0] if views else None  # another change may have come between
    return {"router": name, "id": arm_id, "change": _word(learned), "arm": arm}


def _word(learned: Learned) -> str:
    return "unchanged" if learned is Learned.UNCHANGED else "applied"


def _arm_view(state: ArmState) -> dict[str, Any]:
    change = state.change
    plain = {name: value for name, value in plain_arm(state.arm).items() if name != "settings"}
    simulated = {"simulated": dict(state.arm.settings)} if state.arm.settings else {}
    return {
        **plain,
        **simulated,
        "status": state.status,
        "defined_by": "config" if change is None or change.arm is None else _by(change.id),
        "changed_at_s": None if change is None else change.at_s,
    }


def _by(change_id: str) -> str:
    return "file" if change_id.startswith(FILE) else "admin"


def _rosters(before: Settings, after: Settings) -> list[tuple[str, Roster, Roster]]:
    """The routers that both have, with the arms that each says they have."""
    said = {router.name: _roster(before, router.name) for router in before.routers}
    return [
        (router.name, said[router.name], _roster(after, router.name))
        for router in after.routers
        if router.name in said
    ]


def _roster(settings: Settings, name: str) -> Roster:
    [router] = [router for router in settings.routers if router.name == name]
    return Roster(tuple(arm.to_arm() for arm in settings.arms_of(router)))


def _needs_restart(started: Settings, now: Settings) -> list[str]:
    """The tables in which a file differs from what runs, but for the arms."""
    differing = {name for name in NOT_APPLIED if getattr(started, name) != getattr(now, name)}
    rules = [
        {router.name: router.model_copy(update={"arms": ()}) for router in settings.routers}
        for settings in (started, now)
    ]
    if rules[0] != rules[1]:
        differing.add("routers")
    return sorted(differing)
