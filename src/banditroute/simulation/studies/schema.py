"""What a study file may say: one frozen model per table, every key with type and bounds.

    name = "mine"
    policies = ["thompson", "linucb:2", "context-free"]
    answer_value_usd = 0.05
    scenarios = ["stationary", "regression", {name = "few", feedback_rate = 0.05}]

    [data]
    path = "data/mmlu_pro"

A scenario is one of the built-in ones by its name, or a table. Arms are named by their id, or by
their role on the data: best, second, median, cheapest or dearest. A moment (``at``, ``until``) is
a share of the run in (0, 1), or the number of a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field, PlainValidator, Strict, field_validator, model_validator

from banditroute.config.fields import ArmId, Dollars, Price, Share, Text, Word
from banditroute.config.table import Table

ROLES = ("best", "second", "median", "cheapest", "dearest")
QUALITY_ALONE = float("inf")


def moment(value: Any) -> int | float:
    """A share of the run, or a request's number. Raises ValueError that says how it is written."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, float) and 0.0 < value < 1.0:
        return value
    raise ValueError("must be a share of the run between 0.0 and 1.0, or a request's number")


Moment: TypeAlias = Annotated[int | float, PlainValidator(moment)]
Factor = Annotated[float, Field(gt=0)]
Shares = Annotated[Mapping[str, Annotated[float, Field(ge=0)]], Field(min_length=1)]


class Regression(Table):
    """From a request on, an arm answers like another one, or ``factor`` times as well."""

    kind: Literal["regression"] = "regression"
    arm: Text
    at: Moment
    like: Text | None = None
    factor: Annotated[float, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Regression:
        if (self.like is None) == (self.factor is None):
            raise ValueError('needs either like = "another arm" or factor = 0.5, not both')
        return self


class PriceChange(Table):
    """From a request on, an arm costs ``factor`` times its price."""

    kind: Literal["price"] = "price"
    arm: Text
    at: Moment
    factor: Factor


class TrafficShift(Table):
    """From a request on, prompts come by these shares of the tasks.

    ``"strong"``: nine in ten are of the half of the tasks at which the best arm leads most;
    ``"weak"``: one in ten.
    """

    kind: Literal["traffic"] = "traffic"
    at: Moment
    tasks: Literal["strong", "weak"] | Shares

    @field_validator("tasks")
    @classmethod
    def _something_comes(cls, tasks: str | Mapping[str, float]) -> str | Mapping[str, float]:
        if isinstance(tasks, Mapping) and sum(tasks.values()) <= 0.0:
            raise ValueError("needs a share above 0")
        return tasks


class Arrival(Table):
    """An arm is there only from a request on."""

    kind: Literal["arrival"] = "arrival"
    arm: Text
    at: Moment


class OutageEvent(Table):
    """Calls to an arm fail between two requests, and are made again with another one."""

    kind: Literal["outage"] = "outage"
    arm: Text
    at: Moment
    until: Moment


Event: TypeAlias = Annotated[
    Regression | PriceChange | TrafficShift | Arrival | OutageEvent, Field(discriminator="kind")
]
EVENTS: Mapping[str, type[Table]] = {
    "regression": Regression,
    "price": PriceChange,
    "traffic": TrafficShift,
    "arrival": Arrival,
    "outage": OutageEvent,
}


class Poison(Table):
    """A share of the judgements say that the arms in ``against`` are bad, and all others good."""

    rate: Share
    against: Annotated[tuple[Text, ...], Strict(False), Field(min_length=1)]


class ScenarioSpec(Table):
    """``[[scenarios]]``: what happens on the way.

    ``budget_usd_per_request`` replaces the study's budget or answer value; ``"middle"`` is the
    geometric mean of what the cheapest and the best arm cost. ``arms`` draws so many arms for a
    made-up world.
    """

    name: Word
    about: str = ""
    feedback_rate: Share = 1.0
    feedback_delay: Moment = 0
    poison: Poison | None = None
    budget_usd_per_request: Dollars | Literal["middle"] | None = None
    arms: Annotated[int, Field(ge=1, le=1000)] | None = None
    events: Annotated[tuple[Event, ...], Strict(False)] = ()


class DataSpec(Table):
    """``[data]``: recorded answers. ``arms`` are those to use, else the data's own choice."""

    path: Annotated[Path, Strict(False)]
    format: Text | None = None
    arms: Annotated[tuple[Text, ...], Strict(False), Field(min_length=1)] | None = None


class ArmSpec(Table):
    """``[[world.arms]]``: one arm of a made-up world; ``skill`` is its mean quality by task."""

    id: ArmId
    skill: Annotated[Mapping[str, Share], Field(min_length=1)]
    input_usd_per_mtok: Price = 0.5
    output_usd_per_mtok: Price = 2.0
    output_tokens: Annotated[float, Field(ge=1, le=100_000)] = 300.0
    latency_s: Annotated[float, Field(ge=0, le=3600)] = 1.0


class WorldSpec(Table):
    """``[world]``: made-up answers whose truth is known (:mod:`banditroute.simulation.worlds`).

    ``arms`` is how many to draw, or a table for each; ``tasks`` the share of each task.
    """

    prompts: Annotated[int, Field(ge=10, le=1_000_000)] = 4000
    arms: (
        Annotated[int, Field(ge=1, le=1000)]
        | Annotated[tuple[ArmSpec, ...], Strict(False), Field(min_length=1)]
    ) = 10
    tasks: Shares | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


class Study(Table):
    """Policies × scenarios × seeds on one set of prompts.

    ``answer_value_usd`` is what a perfect answer is worth; without it, and without a budget,
    quality alone counts. ``requests`` is the length of a run, every prompt once unless said;
    ``task`` whether policies are told the task of a prompt; ``floor`` the router's exploration
    floor. Seeds are 0, 1, …; every policy meets the same requests at the same seed.
    """

    TABLES: ClassVar[tuple[str, ...]] = ("data", "world", "scenarios")

    name: Word = "study"
    title: str = ""
    about: str = ""
    seeds: Annotated[int, Field(ge=1, le=10_000)] = 20
    requests: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    policies: Annotated[tuple[Text, ...], Strict(False), Field(min_length=1)] = (
        "thompson",
        "linucb",
        "context-free",
    )
    answer_value_usd: Dollars | None = None
    budget_usd_per_request: Dollars | None = None
    task: bool = True
    floor: Annotated[float, Field(ge=0, le=0.5)] = 0.005
    scenarios: Annotated[
        tuple[Annotated[Word | ScenarioSpec, Field(union_mode="left_to_right")], ...],
        Strict(False),
        Field(min_length=1),
    ] = ("stationary",)
    data: DataSpec | None = None
    world: WorldSpec | None = None
