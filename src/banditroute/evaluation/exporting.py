"""Decisions of a store, in order of their ids, as rows of a decision log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from banditroute.evaluation.rows import row_of
from banditroute.evaluation.writing import Lines
from banditroute.stores.base import Store
from banditroute.values import DecisionId, DecisionRecord


@dataclass(frozen=True, slots=True)
class Span:
    """The decisions with an id above ``after`` and, if given, below ``until``."""

    after: DecisionId = ""
    until: DecisionId | None = None


@dataclass(slots=True)
class Exported:
    """How many decisions of a router were written, with an outcome, and with feedback."""

    router: str
    decisions: int = 0
    outcomes: int = 0
    judged: int = 0


async def export_rows(
    store: Store,
    routers: Sequence[str],
    lines: Lines,
    span: Span,
    advance: Callable[[], object] = lambda: None,
) -> list[Exported]:
    """Write what is known of every decision in a span that is not in the file yet.

    All routers together are in order of id, so that one id says how far an export came.
    ``advance`` is called after each; ``lines`` are the caller's to finish. Others may use the
    store meanwhile.
    """
    held = lines.contents
    done = {router: Exported(router) for router in routers}
    async for record in in_order(store, routers, max(span.after, lines.last)):
        if span.until is not None and record.decision.id >= span.until:
            break
        row = row_of(record, prompts=held.prompts, private=held.private)
        lines.add(row)
        counts = done[record.decision.router]
        counts.decisions += 1
        counts.outcomes += row["outcome"] is not None
        counts.judged += row["feedback"] is not None
        advance()
    return list(done.values())


async def in_order(
    store: Store, routers: Sequence[str], after: DecisionId
) -> AsyncIterator[DecisionRecord]:
    """The decisions of several routers after an id, in order of id."""
    streams = [aiter(store.decisions(router, after)) for router in routers]
    heads = {n: head for n, stream in enumerate(streams) if (head := await anext(stream, None))}
    while heads:
        first = min(heads, key=lambda n: heads[n].decision.id)
        yield heads[first]
        following = await anext(streams[first], None)
        if following is None:
            del heads[first]
        else:
            heads[first] = following
