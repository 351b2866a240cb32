"""What an evaluation found: numbers with their intervals, what they rest on, and what to doubt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from banditroute.core.offpolicy import Support
from banditroute.evaluation.weighing import UTILITY


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean, its interval by Student's t and by the bootstrap, for these rounds and no more."""

    estimate: float
    low: float
    high: float
    bootstrap_low: float
    bootstrap_high: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds that hold at all times at once, however often one looks."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One measure of one target: its value, and its lift over the policy in force.

    Both by estimator, per request. ``model`` says who predicted it. ``always`` and ``lift_always``
    are bounds that hold at all times at once; of ``gate``, which bounds the lift too, each side
    alone holds at the level, for all targets together. None of groups, and of dollars and
    seconds, which have no bounds.
    """

    rounds: int
    model: str
    values: Mapping[str, Estimate]
    lifts: Mapping[str, Estimate]
    always: Bounds | None = None
    lift_always: Bounds | None = None
    gate: Bounds | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """``word`` is promote, keep or cannot say; ``sentence`` says why."""

    word: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the log says of one target.

    ``measures`` has what could be estimated, ``refusals`` why the others could not, by measure.
    ``groups`` are ``measures`` of parts of the log: by "task" or "tag", then by its value.
    """

    target: str
    measures: Mapping[str, Measured]
    refusals: Mapping[str, str]
    support: Support | None
    warnings: tuple[str, ...]
    groups: Mapping[str, Mapping[str, Mapping[str, Measured]]]
    verdict: Verdict

    @property
    def refused(self) -> bool:
        """Whether what counts, its utility, could not be estimated."""
        return UTILITY in self.refusals


@dataclass(frozen=True, slots=True)
class Savings:
    """What routing saved against always asking one arm, per request and in all ``requests``.

    ``usd`` is what the ``baseline`` would have cost less what the router's calls did;
    ``overhead_usd`` what the router and the judge cost themselves, per request; ``quality`` and
    ``utility`` are the router's less the baseline's. A baseline that was ``chosen_on_this_log`` as
    the best there looks better than it is, and the savings smaller.
    """

    baseline: str
    chosen_on_this_log: bool
    requests: int
    usd: Estimate | None
    quality: Estimate | None
    utility: Estimate | None
    router_usd: float
    judge_usd: float
    judged_by_judge: int
    refusals: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def overhead_usd(self) -> float:
        """What routing and judging cost per request."""
        return self.router_usd + self.judge_usd

    @property
    def net_usd(self) -> float | None:
        """Dollars saved per request, the router's and the judge's own cost taken off."""
        return None if self.usd is None else self.usd.estimate - self.overhead_usd

    @property
    def total_usd(self) -> float | None:
        """Dollars saved in all."""
        return None if self.net_usd is None else self.net_usd * self.requests


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that a log was asked, ``in_force`` being the policy that made it."""

    rounds: int
    judged: int
    arms: tuple[str, ...]
    begin_s: float
    end_s: float
    left_out: Mapping[str, int]
    level: float
    estimator: str
    warnings: tuple[str, ...]
    in_force: Judgement
    targets: tuple[Judgement, ...]
    savings: Savings | None = None

    @property
    def judgements(self) -> tuple[Judgement, ...]:
        """The policy in force, and then every target."""
        return (self.in_force, *self.targets)

    @property
    def all_refused(self) -> bool:
        """Whether nothing that was asked could be answered."""
        asked = self.targets or (self.in_force,)
        return all(one.refused for one in asked)
