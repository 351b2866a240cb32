"""The built-in scenarios: each says in one sentence what it does to any set of prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from banditroute.simulation.studies.schema import (
    Arrival,
    OutageEvent,
    Poison,
    PriceChange,
    Regression,
    ScenarioSpec,
    Study,
    TrafficShift,
)

_ALL = (
    ScenarioSpec(
        name="stationary",
        about="Nothing changes on the way.",
    ),
    ScenarioSpec(
        name="sparse-feedback",
        about="Only one answer in ten is ever judged.",
        feedback_rate=0.1,
    ),
    ScenarioSpec(
        name="late-feedback",
        about="Every judgement comes late, by a tenth of the run.",
        feedback_delay=0.1,
    ),
    ScenarioSpec(
        name="regression",
        about="Halfway, the best arm silently begins to answer like the median one.",
        events=(Regression(arm="best", at=0.5, like="median"),),
    ),
    ScenarioSpec(
        name="price-change",
        about="Halfway, the best arm's price rises tenfold.",
        events=(PriceChange(arm="best", at=0.5, factor=10.0),),
    ),
    ScenarioSpec(
        name="traffic-shift",
        about="Halfway, traffic moves from the tasks at which the best arm leads to the others.",
        events=(TrafficShift(at=0, tasks="strong"), TrafficShift(at=0.5, tasks="weak")),
    ),
    ScenarioSpec(
        name="onboarding",
        about="The best arm is added after a third of the run.",
        events=(Arrival(arm="best", at=1 / 3),),
    ),
    ScenarioSpec(
        name="outage",
        about="The best arm does not answer from 40% to 60% of the run.",
        events=(OutageEvent(arm="best", at=0.4, until=0.6),),
    ),
    ScenarioSpec(
        name="budget",
        about="There is a budget half-way between the prices of the cheapest and the best arm.",
        budget_usd_per_request="middle",
    ),
    ScenarioSpec(
        name="poisoning",
        about="A tenth of the judgements say that the two best arms are bad and all others good.",
        poison=Poison(rate=0.1, against=("best", "second")),
    ),
    ScenarioSpec(
        name="many-arms",
        about="Fifty arms are drawn for the world.",
        arms=50,
    ),
)
BUILT_IN: Mapping[str, ScenarioSpec] = {scenario.name: scenario for scenario in _ALL}


def chosen(study: Study) -> Iterator[ScenarioSpec]:
    """The scenarios of a study, in order. Raises KeyError for a name that is not built in.

    Where quality alone counts, a price-change has a budget, for otherwise it would be none.
    """
    free = study.answer_value_usd is None and study.budget_usd_per_request is None
    for scenario in study.scenarios:
        found = BUILT_IN[scenario] if isinstance(scenario, str) else scenario
        if found is BUILT_IN["price-change"] and free:
            found = found.model_copy(update={"budget_usd_per_request": "middle"})
        yield found
