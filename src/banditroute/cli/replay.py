"""``banditroute replay``: make decisions again from the log, and see whether they are the same."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Annotated, Any

import typer
from rich.markup import escape

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
from banditroute.cli.progress import counting
from banditroute.cli.stored import expect_lasting, names, opened
from banditroute.cli.times import TIME_HELP, moment_s
from banditroute.config import Settings
from banditroute.core.identity import lowest_id, made_for, parse_decision_id
from banditroute.core.posterior import FeatureGroups
from banditroute.engine.follower import Features
from banditroute.errors import InvalidRequest
from banditroute.evaluation import replaying
from banditroute.evaluation.exporting import Span
from banditroute.evaluation.replaying import TOLERANCE, Replayed, Verified
from banditroute.values import DecisionId

MOST_PRINTED = 10
MISMATCH = 1  # the exit code
SHOW_EVERY = 100


def replay(
    decision: Annotated[
        str | None, typer.Argument(metavar="ID", help="A decision or completion id.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every decision of the log.")] = False,
    router: Annotated[
        list[str] | None, typer.Option(help="Only this router; can be given several times.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help=f"With --all: decisions made since. {TIME_HELP}"),
    ] = None,
    store: StoreOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a decision again from the log, and print what was logged beside what comes out.

    What its router knew is folded again from the log up to the decision's position; the rest is
    in the decision. The arm must be the same, and the propensity, every probability and every
    prediction to within 1e-9; the probabilities must sum to 1. The store is only read.

    With --all, every decision that is kept is checked like that. Exits with 1 if any comes out
    otherwise, and lists those. What the log no longer reaches back to is counted apart.
    """
    if (decision is None) != everything:
        raise typer.BadParameter("give either the ID of a decision, or --all")
    if since is not None and not everything:
        raise typer.BadParameter("--since goes with --all")
    settings = settings_from(config, store=store)
    expect_lasting(settings)
    expect_store(settings.store.url)
    if decision is not None:
        same = _one(settings, _parsed(decision), router, as_json=as_json)
    else:
        first = (
            "" if since is None else lowest_id(int(moment_s("--since", since, time.time()) * 1000))
        )
        same = _all(settings, router, Span(first), as_json=as_json)
    if not same:
        raise typer.Exit(MISMATCH)


def _parsed(text: str) -> DecisionId:
    try:
        return parse_decision_id(text)
    except InvalidRequest as error:
        raise typer.BadParameter(str(error)) from None


def _one(
    settings: Settings, decision_id: DecisionId, routers: list[str] | None, *, as_json: bool
) -> bool:
    """Make one decision again; whether it is the same."""
    known = routers or [router.name for router in settings.routers]
    of = next((name for name in known if made_for(decision_id, name)), None)
    if of is None:
        raise typer.BadParameter(
            f"none of the routers {', '.join(known)} made this decision: check the id, or name its "
            "router with --router"
        )
    replayed = asyncio.run(_replay(settings, of, decision_id))
    if as_json:
        typer.echo(json.dumps(_view(replayed), indent=2))
    else:
        _print_one(replayed)
    return not replayed.differences


def _all(settings: Settings, routers: list[str] | None, span: Span, *, as_json: bool) -> bool:
    """Make all decisions again; whether all are the same."""
    done = asyncio.run(_verify(settings, routers, span))
    if as_json:
        views = [_verified_view(one) for one in done]
        typer.echo(json.dumps({"tolerance": TOLERANCE, "routers": views}, indent=2))
    else:
        _print_all(done)
    return not any(one.different for one in done)


async def _replay(settings: Settings, router: str, decision_id: DecisionId) -> Replayed:
    async with opened(settings) as store:
        return await replaying.replay(store, router, _features(settings), decision_id)


async def _verify(settings: Settings, routers: list[str] | None, span: Span) -> list[Verified]:
    features, done = _features(settings), []
    async with opened(settings) as store:
        for router in await names(store, settings, routers, "replay"):
            with counting(f"replay {router}") as show:

                def advance(count: int, total: int) -> None:
                    if count % SHOW_EVERY == 0 or count == total:
                        show(count, total)

                done.append(await replaying.verify(store, router, features, span, advance))
    return done


def _features(settings: Settings) -> Features:
    featurizer = build_engine(settings).featurizer
    return Features(FeatureGroups(featurizer.groups), featurizer.fingerprint)


def _view(replayed: Replayed) -> dict[str, Any]:
    """What was logged beside what comes out."""
    decision, again = replayed.decision, replayed.again
    after = {} if again is None else {c.arm_id: c.probability for c in again.candidates}
    return {
        "id": decision.id,
        "router": decision.router,
        "position": decision.position,
        "explored": decision.explored,
        "degraded": decision.degraded,
        "same": not replayed.differences,
        "differences": list(replayed.differences),
        "arm": {"logged": decision.arm_id, "again": again and again.arm_id},
        "propensity": {"logged": decision.propensity, "again": again and again.propensity},
        "probabilities": {
            c.arm_id: {"logged": c.probability, "again": after.get(c.arm_id)}
            for c in decision.candidates
        },
    }


def _verified_view(verified: Verified) -> dict[str, Any]:
    return {
        "router": verified.router,
        "decisions": verified.decisions,
        "same": verified.same,
        "different": verified.different,
        "unverifiable": dict(verified.unverifiable),
        "mismatches": [_view(one) for one in verified.mismatches],
    }


def _print_one(replayed: Replayed) -> None:
    decision, again = replayed.decision, replayed.again
    console = out()
    console.print(
        f"decision {decision.id} of router {decision.router}, made at log position "
        f"{decision.position} by policy {decision.policy}",
        markup=False,
    )
    after = {} if again is None else {c.arm_id: c.probability for c in again.candidates}
    rows = table("arm", "logged", "again", "difference")
    for one in decision.candidates:
        drawn = " ◀ logged" if one.arm_id == decision.arm_id else ""
        drawn += " ◀ again" if again is not None and one.arm_id == again.arm_id else ""
        now = after.get(one.arm_id)
        numbers = ("–", "–") if now is None else (f"{now:.9f}", f"{now - one.probability:+.1e}")
        rows.add_row(escape(one.arm_id) + drawn, f"{one.probability:.9f}", *numbers)
    console.print(rows)
    console.print(_verdict(replayed), markup=False)


def _verdict(replayed: Replayed) -> str:
    if not replayed.differences:
        return "the same arm, propensity and probabilities, and the same predictions"
    said = f"NOT the same: {', '.join(replayed.differences)}"
    if replayed.decision.degraded:
        said += " (made while the store was away: what was known then may have been lost with it)"
    return said


def _print_all(done: list[Verified]) -> None:
    console = out()
    rows = table("router", "decisions", "same", "different", "not verifiable")
    for one in done:
        counts = (one.decisions, one.same, one.different, one.unverifiable.total())
        rows.add_row(escape(one.router), *(f"{count:,}" for count in counts))
    console.print(rows)
    for one in done:
        for why, count in one.unverifiable.most_common():
            console.print(f"{one.router}: {count:,} not verifiable: {why}", markup=False)
        for replayed in one.mismatches[:MOST_PRINTED]:
            console.print(_mismatch(replayed), markup=False)
        if one.different > MOST_PRINTED:
            console.print(f"… and {one.different - MOST_PRINTED:,} more; --json lists them")


def _mismatch(replayed: Replayed) -> str:
    decision, again = replayed.decision, replayed.again
    logged = f"{decision.arm_id} at {decision.propensity:.9f}"
    now = "nothing" if again is None else f"{again.arm_id} at {again.propensity:.9f}"
    return f"{decision.id}: logged {logged}, again {now}; {_verdict(replayed)}"
