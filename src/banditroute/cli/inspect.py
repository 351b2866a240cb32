"""``banditroute inspect``: what was learned, and why an arm was chosen, from the store."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from banditroute.bootstrap import build_engine
from banditroute.cli.console import (
    DEFAULT_CONFIG,
    ConfigOption,
    StoreOption,
    expect_store,
    out,
    settings_from,
    table,
)
from banditroute.core.identity import parse_decision_id
from banditroute.engine import ArmReport, Engine
from banditroute.http.views import receipt, replay_view


def inspect(
    decision: Annotated[
        str | None, typer.Argument(help="A decision or completion id; without it, the arms.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    store: StoreOption = None,
    router: Annotated[str | None, typer.Option(help="Only this router's arms.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what was learned of each arm; with an id, why that arm was chosen.

    Reads the store while the router runs or while it does not. A decision is also made again
    from the log, to check that the probabilities come out the same.
    """
    settings = settings_from(config, store=store)
    expect_store(settings.store.url)
    engine = build_engine(settings)
    seen = asyncio.run(_look(engine, decision, router))
    if as_json:
        typer.echo(json.dumps(seen, indent=2))
    elif decision is not None:
        _print_receipt(seen)
    else:
        _print_arms(seen)


async def _look(engine: Engine, decision: str | None, router: str | None) -> dict[str, Any]:
    await engine.start()
    try:
        if decision is None:
            names = list(engine.routers) if router is None else [router]
            return {name: await _arms(engine, name) for name in names}
        decision_id = parse_decision_id(decision)
        record = await engine.receipt(decision_id)
        again = await engine.replay(decision_id)
        view = receipt(record, engine.featurizer.names)
        return view | {"replay": replay_view(record.decision, again)}
    finally:
        await engine.stop()


async def _arms(engine: Engine, name: str) -> dict[str, Any]:
    position, reports = await engine.arms(name)
    guard = engine.guard_now(name)
    arms = [asdict(report) for report in reports]
    return {"position": position, "arms": arms, "guard": asdict(guard), "verdict": guard.summary}


def _print_arms(seen: dict[str, Any]) -> None:
    for name, learned in seen.items():
        reports = [ArmReport(**arm) for arm in learned["arms"]]
        out().print(arm_table(f"router {name}, log position {learned['position']}", reports))
        out().print(learned["verdict"], markup=False)
        for alarm in learned["guard"]["drift"]:
            out().print(_drifted(alarm), markup=False)


def _drifted(alarm: dict[str, Any]) -> str:
    since = datetime.fromtimestamp(alarm["since_s"], UTC).isoformat(timespec="seconds")
    return (
        f"{alarm['arm']} changed by {alarm['change']:+.3f} in quality since {since}"
        f" ({alarm['readings']} readings, p ≤ {alarm['p_value']:.1g})"
    )


def arm_table(title: str, reports: list[ArmReport]) -> Table:
    """What was learned of each arm, as a table for a terminal."""
    columns = ("share", "calls", "rated", "quality", "$/call", "sec", "errors")
    rows = table("arm", *columns, title=title)
    for report in sorted(reports, key=lambda report: -report.share):
        rows.add_row(
            report.id,
            f"{report.share:.1%}",
            str(report.requests_n),
            str(report.feedback_n),
            _pair(report.quality, report.quality_sd),
            "–" if report.cost_usd is None else f"{report.cost_usd:.6f}",
            "–" if report.latency_s is None else f"{report.latency_s:.2f}",
            f"{report.error_rate:.1%}",
        )
    return rows


def _pair(value: float | None, sd: float | None) -> str:
    return "–" if value is None or sd is None else f"{value:.3f} ± {sd:.3f}"


def _print_receipt(view: dict[str, Any]) -> None:
    console = out()
    console.print(f"[bold]{view['id']}[/]  {view['made_at']}  router {view['router']}")
    console.print(view["summary"], markup=False)
    columns = ("probability", "quality", "quality_sd", "cost_usd", "latency_s", "utility")
    rows = table("arm", *columns)
    for arm in view["candidates"]:
        name = f"[bold]{arm['arm']}[/] ◀" if arm["chosen"] else arm["arm"]
        rows.add_row(name, *(f"{arm[column]:.4g}" for column in columns))
    console.print(rows)
    console.print("outcome:", view["outcome"])
    console.print("feedback:", view["feedback"])
    same = "the same" if view["replay"]["same"] else "NOT the same"
    console.print(f"made again from log position {view['position']}: {same} probabilities and draw")
