"""What another policy would have chosen, with what the router knew at each decision.

The candidates of a log are the beliefs that its policy chose on; handed to another policy, or to
the same one with other weights, arms or floor, they say what that one would have chosen then. So
choices are judged given what the logging router had learned: not how the other policy would have
learned from choices of its own, for which there is ``banditroute simulate``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Protocol, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from banditroute.core.beliefs import Beliefs
from banditroute.core.policies import Fixed, Policy, policy_from
from banditroute.core.selection import distribution
from banditroute.errors import DataError
from banditroute.evaluation.log import Log
from banditroute.evaluation.predictions import Predictions
from banditroute.evaluation.weighing import AS_LOGGED, Weights
from banditroute.values import Matrix

IN_FORCE = "policy in force"
ROUNDING = 1e-6


class Target(Protocol):
    """A policy to be judged by a log of another one."""

    @property
    def name(self) -> str:
        """What reports call it."""

    def probabilities(self, log: Log) -> Matrix:
        """(T, K) the probability with which it would have chosen each arm; rows sum to 1."""


@dataclass(frozen=True, slots=True)
class InForce:
    """The policy that chose, as it did: the logged probabilities."""

    name: str = IN_FORCE

    def probabilities(self, log: Log) -> Matrix:
        """Those of the log."""
        return log.probabilities


@dataclass(frozen=True, slots=True)
class Given:
    """A policy of which only the probabilities are known, (T, K) for the rounds of one log."""

    name: str
    chances: ArrayLike = field(repr=False)

    def probabilities(self, log: Log) -> Matrix:
        """Those given. Raises DataError where they do not fit the log."""
        chances = np.asarray(self.chances, dtype=np.float64)
        if chances.shape != log.probabilities.shape:
            raise DataError(
                f"{self.name}: its probabilities have shape {chances.shape}, and the log "
                f"{log.probabilities.shape}, rounds by arms ({', '.join(log.arms)})"
            )
        if np.any(chances[~log.eligible] != 0.0):
            raise DataError(f"{self.name}: it chooses arms that were not eligible")
        _check(self.name, chances)
        return chances


@dataclass(frozen=True, slots=True)
class Instead:
    """Another ``policy`` (None: the one in force), with other weights, fewer arms, another floor.

    What is None stays as it was at each decision. An arm of ``without`` still answers where no
    other could have. Of a policy's beliefs, what a log does not hold is NaN: ``latency_log``,
    ``latency_var``, ``latency_n``, ``taught`` and ``presumed``. Costs compare as they did between
    all arms that were eligible, also without some of them.
    """

    policy: Policy | None = None
    weights: Weights = AS_LOGGED
    without: frozenset[str] = frozenset()
    floor: float | None = None
    called: str | None = None

    @property
    def name(self) -> str:
        """The policy and what is different, unless it is ``called`` something."""
        said = [IN_FORCE if self.policy is None else self.policy.spec]
        value, patience = self.weights.answer_value_usd, self.weights.patience_s
        said += [] if value is None else [f"answers worth ${value:g}"]
        said += [] if patience is None else [f"patience {patience:g} s"]
        said += [f"without {arm_id}" for arm_id in sorted(self.without)]
        said += [] if self.floor is None else [f"floor {self.floor:g}"]
        return self.called or ", ".join(said)

    def probabilities(self, log: Log) -> Matrix:
        """Recomputed round by round. Raises DataError where that needs what the log lacks."""
        barred = self._barred(log)
        policy_at = cache(_policy_named)
        beliefs_at = _Beliefs(log, self.weights)
        chances = np.zeros(log.probabilities.shape)
        for at in range(len(log)):
            rows = np.flatnonzero(log.eligible[at])
            left = rows[~barred[rows]]
            rows = left if len(left) else rows
            usual = float(log.usual_cost_usd[at])
            chances[at, rows] = distribution(
                self.policy or policy_at(log.policies[at]),
                beliefs_at(at, rows),
                float(log.floor[at]) if self.floor is None else self.floor,
                None if np.isnan(usual) else usual,
            )
        _check(self.name, chances)
        return chances

    def _barred(self, log: Log) -> NDArray[np.bool_]:
        named = {self.policy.arm_id} if isinstance(self.policy, Fixed) else set()
        unknown = (self.without | named) - set(log.arms)
        if unknown:
            raise DataError(
                f"{self.name}: the log has no arm {', '.join(sorted(unknown))}; it has "
                f"{', '.join(log.arms)}"
            )
        if self.without.issuperset(log.arms):
            raise DataError(f"{self.name}: that leaves no arm; keep one of {', '.join(log.arms)}")
        return np.array([arm_id in self.without for arm_id in log.arms])


def _policy_named(spec: str) -> Policy:
    """The policy in force at a decision. Raises DataError for one that is not built in."""
    try:
        return policy_from(spec)
    except ValueError as error:
        raise DataError(
            f"the log was made by policy {spec!r}, which cannot be asked again ({error}): "
            "name a policy to judge"
        ) from error


def target_of(asked: Target | Policy | str) -> Target:
    """What was asked about: a target itself, a policy, or a built-in policy's spec.

    Raises DataError for anything else.
    """
    if isinstance(asked, str):
        try:
            return Instead(policy_from(asked))
        except ValueError as error:
            raise DataError(f"{asked}: {error}") from None
    if hasattr(asked, "spec"):
        return Instead(cast("Policy", asked))
    if not hasattr(asked, "name"):
        raise DataError(f"{asked!r} is no target, no policy (which has a spec), and no spec")
    return asked


class _Beliefs:
    """The beliefs at each round of a log, at some weights; NaN is what nobody logged."""

    def __init__(self, log: Log, weights: Weights) -> None:
        shape = log.probabilities.shape
        unsaid = np.full(shape, np.nan)
        said = log.predictions or Predictions(*(unsaid for _ in Predictions._fields))
        self._log = log
        self._arms = np.array(log.arms, dtype=object)
        self._unsaid = np.full(shape[1], np.nan)
        self._said = said._replace(
            cost_usd=np.nan_to_num(said.cost_usd),  # where no cost is known, exploring is free
            utility=_utility(log, said, weights),
        )

    def __call__(self, at: int, rows: NDArray[np.intp]) -> Beliefs:
        log, unsaid = self._log, self._unsaid[: len(rows)]
        return Beliefs(
            arm_ids=tuple(self._arms[rows].tolist()),
            x=unsaid[:0] if log.x is None else np.asarray(log.x[at], dtype=np.float64),
            judged_share=float(log.judged_share[at]),
            **{name: said[at, rows] for name, said in self._said._asdict().items()},
            latency_log=unsaid,
            latency_var=unsaid,
            latency_n=unsaid,
            taught=unsaid,
            presumed=unsaid,
        )


def _utility(log: Log, said: Predictions, weights: Weights) -> Matrix:
    """(T, K) as logged at the weights of the log, else (1 − e)·q − (1/V + λ)·ĉ − min(l̂/P, 1)."""
    if weights == AS_LOGGED and np.isfinite(said.utility[log.eligible]).all():
        return said.utility
    value, patience = weights.of(log)
    answered = 1.0 - np.nan_to_num(said.error_rate)
    price = 1.0 / value + log.budget_price
    money = np.nan_to_num(said.cost_usd) * price[:, None]
    waiting = np.minimum(np.nan_to_num(said.latency_s) / patience[:, None], 1.0)
    utility: Matrix = answered * said.quality - money - waiting
    return utility


def _check(name: str, chances: Matrix) -> None:
    """Rows must be probabilities. Raises DataError."""
    whole = np.abs(chances.sum(axis=1) - 1.0) <= ROUNDING  # False for NaN
    if not np.all(whole) or np.any(chances < 0.0):
        at = int(np.argmin(whole & np.all(chances >= 0.0, axis=1)))
        raise DataError(
            f"{name}: in round {at} its probabilities are {chances[at].tolist()}, which are none; "
            "a policy that goes by more than what the log holds of its candidates cannot be judged"
        )
