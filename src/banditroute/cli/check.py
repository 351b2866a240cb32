"""``banditroute check``: is the configuration right, and what would it decide?"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import orjson
import typer

from banditroute.bootstrap import build, build_engine
from banditroute.cli.console import (
    DEFAULT_CONFIG,
    ConfigOption,
    StoreOption,
    out,
    settings_from,
    table,
)
from banditroute.config import Settings
from banditroute.core.eligibility import explain
from banditroute.engine import Engine
from banditroute.errors import InvalidRequest
from banditroute.http.bodies import RouteBody
from banditroute.http.reading import check as check_body
from banditroute.http.views import route_view, summary
from banditroute.values import Decision, Request


def check(
    config: ConfigOption = DEFAULT_CONFIG,
    store: StoreOption = None,
    explain: Annotated[
        Path | None,
        typer.Option(help="A chat request as JSON: show what would be decided, and why."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the configuration; list every mistake at once, with its line.

    With --explain, decide on a request from what the store has learned, without calling an
    arm and without keeping the decision.
    """
    settings = settings_from(config, store=store)
    if explain is None:
        build(settings)
        _print_settings(settings, as_json=as_json)
        return
    model, request = _read(explain)
    decision = asyncio.run(_decide(build_engine(settings), model, request))
    if as_json:
        typer.echo(json.dumps(route_view(decision) | {"summary": summary(decision)}, indent=2))
    else:
        _print_decision(decision)


def _read(path: Path) -> tuple[str | None, Request]:
    try:
        raw = orjson.loads(path.read_bytes())
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}") from None
    except orjson.JSONDecodeError as error:
        raise typer.BadParameter(f"{path} is not JSON: {error}") from None
    try:
        body = check_body(RouteBody, raw)
    except InvalidRequest as error:
        raise typer.BadParameter(f"{path}: {error}") from None
    return body.model, Request({k: v for k, v in raw.items() if k != "banditroute"}, body.wishes())


async def _decide(engine: Engine, model: str | None, request: Request) -> Decision:
    await engine.start()
    try:
        name = model or next(iter(engine.routers))
        if name in engine.routers:
            return engine.decide(name, request)
        return engine.decide_for_arm(name, request)
    finally:
        await engine.stop()


def _print_settings(settings: Settings, *, as_json: bool) -> None:
    if as_json:
        typer.echo(settings.model_dump_json(indent=2))
        return
    console = out()
    console.print(f"the configuration is fine; store {settings.store.shown_url}")
    rows = table("arm", "provider", "model", "$ in / Mtok", "$ out / Mtok", "capabilities")
    for arm in settings.arms:
        prices = (f"{arm.input_usd_per_mtok:g}", f"{arm.output_usd_per_mtok:g}")
        able = ", ".join(arm.capabilities)
        rows.add_row(arm.id, arm.provider, arm.model or arm.id, *prices, able)
    console.print(rows)
    for router in settings.routers:
        ids = ", ".join(arm.id for arm in settings.arms_of(router))
        console.print(f"router {router.name} ({router.policy}): {ids}")


def _print_decision(decision: Decision) -> None:
    console = out()
    console.print(summary(decision), markup=False)
    rows = table("arm", "probability", "quality", "± sd", "$", "latency s", "utility")
    for c in sorted(decision.candidates, key=lambda c: -c.probability):
        numbers = (c.probability, c.quality, c.quality_sd, c.cost_usd, c.latency_s, c.utility)
        rows.add_row(c.arm_id, *(f"{number:.4g}" for number in numbers))
    console.print(rows)
    for arm_id, reason in decision.excluded.items():
        console.print(f"excluded: {arm_id}: {explain(reason)}")
