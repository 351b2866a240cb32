"""``GET /metrics``: the state of this process, as Prometheus reads it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from banditroute import __version__
from banditroute.engine import Engine
from banditroute.engine.guarding import drift_counts
from banditroute.http.parts import Parts
from banditroute.judging import Fate, Judge
from banditroute.values import Learned

router = APIRouter(tags=["health"])
Values: TypeAlias = Iterable[tuple[Sequence[str], float]]  # the labels' values, and the number


@router.get(
    "/metrics", summary="Counters and gauges for Prometheus", response_class=PlainTextResponse
)
async def get_metrics(request: Request) -> Response:
    """The metrics in Prometheus' text format. Their labels are names from the configuration.

    They are those of the one process that answers. With several `workers` a scrape sees any
    one of them; to see all, run one process per replica and scrape every replica.
    """
    registry: CollectorRegistry = request.app.state.metrics
    return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})


def registry_of(parts: Parts) -> CollectorRegistry:
    """The metrics of one application and of no other in the same process."""
    registry = CollectorRegistry()
    registry.register(Reading(parts))
    return registry


class Reading(Collector):
    """Reads at every scrape what the parts of an application know."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        """Every metric as of now."""
        parts, engine, tally = self._parts, self._parts.engine, self._parts.dispatcher.tally
        up = [((name,), not follower.away) for name, follower in engine.followers.items()]
        positions = [
            ((name,), follower.knowledge.position) for name, follower in engine.followers.items()
        ]
        feedback = [((status,), parts.feedback[status]) for status in Learned]
        arms = sorted(parts.arm_ids | tally.cost_usd.keys())  # of removed ones, what they cost
        costs = [((arm_id,), tally.cost_usd.get(arm_id, 0.0)) for arm_id in arms]

        yield InfoMetricFamily("banditroute_build", "The version.", {"version": __version__})
        yield _gauge(
            "degraded", "1 while the store is away and nothing is learned.", _one(engine.degraded)
        )
        yield _gauge("store_up", "1 while the log of the router can be read.", up, "router")
        yield _gauge(
            "log_position", "Up to where the log of the router is learned.", positions, "router"
        )
        yield _gauge(
            "backlog_waiting", "Decisions and outcomes in line for the store.", _one(engine.waiting)
        )
        pending = engine.store.pending()
        yield _gauge("outbox_waiting", "What the outbox has for the store.", _one(pending.waiting))
        yield _gauge(
            "outbox_parked",
            "What of it waits for a decision that the store does not have.",
            _one(pending.parked),
        )
        yield _counter(
            "dropped", "Promises and records that were never kept.", _one(engine.dropped)
        )
        yield _counter(
            "requests",
            "Calls to arms, fallbacks included, by how they ended.",
            tally.calls.items(),
            "router",
            "arm",
            "outcome",
        )
        yield _counter("feedback", "Feedback by what became of it.", feedback, "status")
        yield _counter(
            "feedback_capped",
            "Feedback kept and not learned, as it is beyond its principal's share.",
            _one(engine.capped),
        )
        yield _counter("cost_usd", "US dollars spent on calls whose cost is known.", costs, "arm")
        yield from _guarded(engine)
        yield from _budgets(engine)
        if parts.dispatcher.judge is not None:
            yield from _judged(parts.dispatcher.judge)


def _guarded(engine: Engine) -> Iterator[Metric]:
    """Whether the routers are worth it, and how often their arms have changed."""
    reports = {name: engine.guard_now(name) for name in engine.routers}
    leads = [((name, r.arm), r.lead) for name, one in reports.items() for r in one.rivals]
    losing = [((name,), one.losing_to is not None) for name, one in reports.items()]
    restrained = [((name,), one.restrained) for name, one in reports.items()]
    alarms = [
        ((name, arm_id), count)
        for name, follower in engine.followers.items()
        for arm_id, count in drift_counts(follower.knowledge).items()
    ]
    yield _gauge(
        "guard_lead",
        "Mean reward that the arm alone would have earned beyond the router's.",
        leads,
        "router",
        "arm",
    )
    yield _gauge("losing", "1 while one arm alone would surely earn more.", losing, "router")
    yield _gauge("restrained", "1 while the baseline arm answers.", restrained, "router")
    yield _counter("drift_alarms", "Alarms of drift, by arm.", alarms, "router", "arm")


def _budgets(engine: Engine) -> Iterator[Metric]:
    """What was spent, and what is left; of several budgets of one payer, all hold."""
    labels = ("router", "payer")
    spent = [((name, at.payer), at.usd) for name in engine.routers for at in engine.spent_now(name)]
    price, left = defaultdict[tuple[str, str], float](float), dict[tuple[str, str], float]()
    for name in engine.routers:
        for report in engine.budgets_now(name):
            at = name, report.spent.payer
            price[at] += report.price
            if report.left_usd is not None:
                left[at] = min(report.left_usd, left.get(at, report.left_usd))
    yield _gauge("spend_usd", "US dollars that all replicas spent, by who paid.", spent, *labels)
    yield _gauge(
        "budget_price",
        "What a dollar costs beyond its worth, in reward, so that budgets last.",
        price.items(),
        *labels,
    )
    yield _gauge(
        "budget_left_usd", "US dollars that one more call may cost.", left.items(), *labels
    )


def _judged(judge: Judge) -> Iterator[Metric]:
    fates = [((fate,), judge.fates[fate]) for fate in Fate]
    yield _counter("judge", "Answers drawn to be judged, by what became of them.", fates, "fate")
    yield _counter(
        "judge_cost_usd", "US dollars spent on judging as far as known.", _one(judge.cost_usd)
    )


def _one(value: float) -> Values:
    return [((), value)]


def _gauge(name: str, about: str, values: Values, *labels: str) -> Metric:
    family = GaugeMetricFamily(f"banditroute_{name}", about, labels=labels)
    for at, value in values:
        family.add_metric(at, value)
    return family


def _counter(name: str, about: str, values: Values, *labels: str) -> Metric:
    """A counter; ``_total`` is put behind its name."""
    family = CounterMetricFamily(f"banditroute_{name}", about, labels=labels)
    for at, value in values:
        family.add_metric(at, value)
    return family
