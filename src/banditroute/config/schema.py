"""What ``config.toml`` may say: one frozen model per table, every key with type and bounds.

A field's name is the key in the file, except where an alias says otherwise. Rules between
tables (an arm's provider exists, names differ) are in :mod:`banditroute.config.check`.
Numbers are strict: ``"8080"`` and ``true`` are no numbers, an integer is a fine float, and
``inf`` and ``nan`` are refused everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    Strict,
    field_serializer,
)

from banditroute.config import units
from banditroute.config.fields import (
    ArmId,
    Cap,
    Dollars,
    HeaderName,
    KeyHash,
    Price,
    RouterName,
    Secret,
    Seed,
    Share,
    TaskName,
    Text,
    Word,
    Words,
)
from banditroute.config.limits import BudgetSettings, RouterBudget
from banditroute.config.table import Table
from banditroute.config.units import SECONDS, HalfLife, duration_s
from banditroute.config.urls import store_url, upstream_url, without_password
from banditroute.core.pacing import Budget
from banditroute.core.spending import ROUTER
from banditroute.values import Arm

Capability = Literal["tools", "vision", "audio", "json"]
Role = Literal["client", "feedback", "admin"]
Policy = Literal["thompson", "linucb", "epsilon-greedy", "greedy", "uniform", "fixed"]

RUBRIC = (
    "Grade how well the answer serves the person who asked. It is correct, complete, in the form "
    "that was asked for, clear, and no longer than it needs to be. A confident falsehood is worse "
    "than an honest doubt; length and polish alone earn nothing."
)

_LONGEST_TTL_S = 3650 * SECONDS["d"]  # a bound keeps timestamps within every store's range


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether one of ``patterns`` is an arm's or a router's name, or fits it as ``gpt-*`` may."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


class ServerSettings(Table):
    """``[server]``: where to listen, and how much to take on at once."""

    host: Text = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    max_body_bytes: Annotated[int, Field(ge=1024)] = 4_194_304
    max_concurrency: Annotated[int, Field(ge=1)] = 1000
    keep_alive_s: Annotated[float, Field(ge=1, le=3600)] = 75.0
    shutdown_grace_s: Annotated[float, Field(ge=0, le=3600)] = 10.0


class StoreSettings(Table):
    """``[store]``: where decisions and the learning log are kept, and for how long."""

    url: Annotated[str, AfterValidator(store_url), Field(repr=False)] = "sqlite:///banditroute.db"
    decision_ttl_s: Annotated[
        float, BeforeValidator(duration_s), Field(gt=0, le=_LONGEST_TTL_S)
    ] = Field(default=30 * SECONDS["d"], alias="decision_ttl")
    outbox: Text = "banditroute-outbox"

    @field_serializer("url")
    def _show(self, url: str) -> str:
        return without_password(url)

    @property
    def shown_url(self) -> str:
        """The url without a password."""
        return without_password(self.url)

    @property
    def outbox_folder(self) -> Path | None:
        """Where promises are kept that are still on their way; None where there is no need."""
        remote = not self.url.startswith(("memory:", "sqlite:"))
        return Path(self.outbox) if remote and self.outbox != "off" else None


class RouterSettings(Table):
    """``[[routers]]``: a virtual model, the arms it chooses among, and what it is after."""

    name: RouterName
    arms: Annotated[tuple[str, ...], Strict(False), Field(min_length=1)] = ("*",)
    policy: Policy = "thompson"
    floor: Annotated[float, Field(ge=0, le=0.5)] = 0.005
    answer_value_usd: Dollars = 0.05
    patience_s: Annotated[float, Field(gt=0)] = 120.0
    default_arm: str | None = None
    seed: Seed = 0
    max_attempts: Annotated[int, Field(ge=1, le=10)] = 3
    half_life: Annotated[
        HalfLife, PlainValidator(units.half_life), PlainSerializer(units.written)
    ] = HalfLife()
    drift_detection: bool = True
    winsorise: Annotated[float, Field(ge=0, le=100)] = 0.0
    source_share: Cap | None = None
    baseline_arm: str | None = None
    max_quality_loss: Share = 0.02
    linucb_alpha: Annotated[float, Field(ge=0, le=100)] = 2.0
    epsilon: Share = 0.05
    budget: RouterBudget | None = None


class Simulation(Table):
    """``simulated``: how a simulated arm behaves. ``skill`` is mean quality by task.

    What is not said is left to the simulated provider.
    """

    skill: Mapping[Word, Share] | None = None
    output_tokens: Annotated[int, Field(ge=1, le=100_000)] | None = None
    latency_s: Annotated[float, Field(ge=0, le=3600)] | None = None
    failure_rate: Share | None = None


class ArmSettings(Table):
    """``[[arms]]``: a model at a provider, what it costs, what it can, what it may see."""

    id: ArmId
    provider: Text
    model: Text | None = None
    input_usd_per_mtok: Price
    output_usd_per_mtok: Price
    cached_input_usd_per_mtok: Price | None = None
    context_window: Annotated[int, Field(gt=0)] | None = None
    capabilities: Annotated[tuple[Capability, ...], Strict(False)] = ("tools", "json")
    regions: Words = ()
    labels: Words = ()
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    max_concurrency: Annotated[int, Field(ge=1)] | None = None
    simulated: Simulation | None = None

    def to_arm(self) -> Arm:
        """The arm as the rest of the house knows it; ``model`` falls back to the id."""
        return Arm(
            id=self.id,
            provider=self.provider,
            model=self.model or self.id,
            input_usd_per_mtok=self.input_usd_per_mtok,
            output_usd_per_mtok=self.output_usd_per_mtok,
            cached_input_usd_per_mtok=self.cached_input_usd_per_mtok,
            context_window=self.context_window,
            capabilities=frozenset(self.capabilities),
            regions=frozenset(self.regions),
            labels=frozenset(self.labels),
            timeout_s=self.timeout_s,
            max_concurrency=self.max_concurrency,
            settings=self.simulated.model_dump(exclude_none=True) if self.simulated else {},
        )


class OpenAIProviderSettings(Table):
    """``[[providers]]`` of kind ``openai``: any server that speaks OpenAI's chat API."""

    name: Word
    kind: Literal["openai"]
    base_url: Annotated[str, AfterValidator(upstream_url)]
    api_key: Secret | None = None
    headers: Mapping[HeaderName, Secret] = Field(default_factory=dict)


class SimulatedProviderSettings(Table):
    """``[[providers]]`` of kind ``simulated``: no network. ``data`` replays a data folder."""

    name: Word
    kind: Literal["simulated"]
    seed: Seed = 0
    time_scale: Annotated[float, Field(ge=0, le=1000)] = 1.0
    data: Annotated[Path, Strict(False)] | None = None


ProviderSettings: TypeAlias = OpenAIProviderSettings | SimulatedProviderSettings


class TaskSettings(Table):
    """``[[tasks]]``: a kind of request, and a few prompts that show it.

    A task without examples is known by its name alone, when a request says it.
    """

    name: TaskName
    examples: Annotated[tuple[Text, ...], Strict(False)] = ()


class FeatureSettings(Table):
    """``[features]``: what a policy sees of a request."""

    text: Literal["hashed", "none"] = "hashed"
    task_slots: Annotated[int, Field(ge=8, le=256)] = 32


class JudgeSettings(Table):
    """``[judge]``: an arm that grades a share of the answers, and what that may cost."""

    arm: Text
    share: Share = 0.05
    rubric: Text = RUBRIC
    routers: Annotated[tuple[str, ...], Strict(False), Field(min_length=1)] = ("*",)
    skip_own: bool = True
    usd_per_day: Dollars = 1.0
    max_concurrency: Annotated[int, Field(ge=1, le=64)] = 2
    queue: Annotated[int, Field(ge=1, le=10_000)] = 100
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 30.0


class KeySettings(Table):
    """``[[keys]]``: who may ask. ``hash`` is the SHA-256 of a key, which itself stands nowhere.

    ``usd_per_day`` is short for one of the ``[[budgets]]``. ``feedback_share`` caps how much of
    what an arm learns comes from what this key posts.
    """

    name: Word
    hash: KeyHash
    roles: Annotated[tuple[Role, ...], Strict(False), Field(min_length=1)] = ("client",)
    usd_per_day: Dollars | None = None
    feedback_share: Cap | None = None

    def to_budget(self) -> BudgetSettings | None:
        """The budget that the key's own line is short for."""
        if self.usd_per_day is None:
            return None
        return BudgetSettings(key=self.name, usd_per_day=self.usd_per_day)


class LoggingSettings(Table):
    """``[logging]``: how much is logged, in which form, and whether decisions keep prompts."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"
    prompts: bool = False


class Settings(Table):
    """A whole configuration that passed every check.

    ``routers`` is never empty. ``providers`` holds those that at least one arm uses, in the
    order of the file; the others need no environment variables and are left out. Without
    ``judge`` nobody judges.
    """

    server: ServerSettings = ServerSettings()
    store: StoreSettings = StoreSettings()
    routers: tuple[RouterSettings, ...]
    providers: tuple[ProviderSettings, ...]
    arms: tuple[ArmSettings, ...]
    tasks: tuple[TaskSettings, ...] = ()
    keys: tuple[KeySettings, ...] = ()
    budgets: tuple[BudgetSettings, ...] = ()
    judge: JudgeSettings | None = None
    features: FeatureSettings = FeatureSettings()
    logging: LoggingSettings = LoggingSettings()

    def arms_of(self, router: RouterSettings) -> tuple[ArmSettings, ...]:
        """The arms that ``router`` chooses among, in the order of the file."""
        return tuple(arm for arm in self.arms if matches(arm.id, router.arms))

    def budgets_of(self, router: RouterSettings) -> tuple[Budget, ...]:
        """The budgets that ``router`` keeps: its own, then those of tags and keys."""
        own = [] if router.budget is None else [router.budget.to_budget(ROUTER)]
        short = [budget for key in self.keys if (budget := key.to_budget())]
        others = [b for b in (*self.budgets, *short) if matches(router.name, b.routers)]
        return (*own, *(budget.to_budget(budget.payer) for budget in others))

    def judged_by(self, judge: JudgeSettings) -> frozenset[str]:
        """The names of the routers whose answers ``judge`` grades."""
        return frozenset(r.name for r in self.routers if matches(r.name, judge.routers))
