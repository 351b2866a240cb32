"""Every error that banditroute raises on purpose.

* BanditrouteError
  x ConfigError             config.toml cannot be used; lists every problem
  x InvalidRequest          the caller must change something; .param says where
    x UnknownModel          no router and no arm has that name
    x UnknownDecision       never made here, or past its time to live
    x NoEligibleArm         every arm is excluded; .reasons says why, arm by arm
      x BudgetExhausted     ...and a budget is why; .retry_after_s says when to ask again
    x SourceQuarantined     feedback of that source is refused
    x OutcomeConflict       another outcome of that decision is already recorded
  x StoreError
    x StoreUnavailable      the store did not answer; trying again later can help
    x StoreUnusable         the store can never be used as configured
    x HistoryLost           the store went back in time: its log is not the one that was read
    x FeatureMismatch       what is stored was learned from other context features
    x CheckpointInvalid     a stored checkpoint cannot be trusted
  x DataError               a data folder or probe file is not in the documented format
  x PluginError             a class of the user's own cannot be loaded, or not be made
    x ContractBroken        ...or does not keep what its kind promises; .broken lists it all
  x StudyError              a run of a simulation failed; those that had finished are kept
  x UpstreamError           an arm did not answer; .arm_id and .kind say which and how

No message carries a key, a provider's URL, a provider's body or a prompt. Only the
HTTP layer knows status codes; only the command line knows exit codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum


class BanditrouteError(Exception):
    """The root: ``except BanditrouteError`` catches everything raised on purpose."""


class ConfigError(BanditrouteError):
    """The configuration cannot be used. ``problems`` holds every one that was found."""

    def __init__(self, problems: Sequence[str], source: str = "config.toml") -> None:
        self.problems = tuple(problems)
        self.source = source
        count = len(self.problems)
        noun = "problem" if count == 1 else "problems"
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(f"{source}: {count} {noun}\n{lines}")


class InvalidRequest(BanditrouteError):
    """What the caller sent cannot be used as it is.

    ``param`` is the dotted path of the offending field, ``code`` a stable word for programs.
    """

    def __init__(
        self, message: str, *, param: str | None = None, code: str = "invalid_request"
    ) -> None:
        super().__init__(message)
        self.param = param
        self.code = code


class UnknownModel(InvalidRequest):
    """``model`` names neither a router nor an arm."""

    def __init__(self, message: str, *, param: str | None = "model") -> None:
        super().__init__(message, param=param, code="model_not_found")


class UnknownDecision(InvalidRequest):
    """A decision id that is not in the store. ``expired`` tells late from wrong."""

    def __init__(self, message: str, *, param: str | None = "id", expired: bool = False) -> None:
        super().__init__(
            message, param=param, code="decision_expired" if expired else "unknown_decision"
        )
        self.expired = expired


class NoEligibleArm(InvalidRequest):
    """Every arm is excluded. ``reasons`` maps each arm's id to its reason code."""

    def __init__(self, message: str, *, reasons: Mapping[str, str]) -> None:
        super().__init__(message, param=None, code="no_eligible_arm")
        self.reasons = dict(reasons)


class BudgetExhausted(NoEligibleArm):
    """Every arm that could serve costs more than is left of a budget.

    ``retry_after_s`` is the time until that may be otherwise; None where waiting does not help.
    """

    def __init__(
        self, message: str, *, reasons: Mapping[str, str], retry_after_s: float | None
    ) -> None:
        super().__init__(message, reasons=reasons)
        self.code = "budget_exhausted"
        self.retry_after_s = retry_after_s


class SourceQuarantined(InvalidRequest):
    """An operator has put a source of feedback into quarantine."""

    def __init__(self, source: str, *, param: str | None = "source") -> None:
        super().__init__(
            f"feedback of source {source!r} is in quarantine and is not learned; an operator can "
            "lift it with DELETE /admin/sources/{source}/quarantine",
            param=param,
            code="source_quarantined",
        )


class OutcomeConflict(InvalidRequest):
    """A decision's outcome is recorded once; a second, different one is refused."""

    def __init__(self, message: str) -> None:
        super().__init__(message, param="id", code="outcome_conflict")


class StoreError(BanditrouteError):
    """Something is wrong between the router and its store."""


class StoreUnavailable(StoreError):
    """The store did not answer, or could not write. Nothing was half-done; retry later."""

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StoreUnusable(StoreError):
    """The store cannot be used as configured: no such folder, no permission, no such scheme."""


class HistoryLost(StoreError):
    """The store lost what it had: its log no longer continues what was read of it before.

    A failover that dropped the last writes, a restart without them, or a wiped server. What
    was folded must be folded again from what is there now.
    """


class FeatureMismatch(StoreError):
    """Stored statistics belong to other context features than the configured ones."""


class CheckpointInvalid(StoreError):
    """A checkpoint failed its checks. The log is folded again instead."""


class DataError(BanditrouteError):
    """A data folder or a probe file lacks something, or has values out of range."""


class PluginError(BanditrouteError):
    """A class of the user's own cannot be used. The message says where, and what to change."""


class ContractBroken(PluginError):
    """What was plugged in breaks promises.

    ``broken`` lists each, in words, with the first counter-example.
    """

    def __init__(self, name: str, broken: Sequence[str]) -> None:
        self.broken = tuple(broken)
        noun = "promise" if len(self.broken) == 1 else "promises"
        lines = "\n".join(f"  - {promise}" for promise in self.broken)
        super().__init__(f"{name} breaks {len(self.broken)} {noun}:\n{lines}")


class StudyError(BanditrouteError):
    """A simulation ended early. Runs that had finished are kept where it has a folder."""


class UpstreamFault(StrEnum):
    """How an upstream call failed. The word is what outcomes and metrics record."""

    TIMEOUT = "timeout"
    CONNECTION = "connection"
    RATE_LIMIT = "rate_limit"
    QUOTA = "quota"
    UNAVAILABLE = "unavailable"
    AUTH = "auth"
    NOT_FOUND = "not_found"
    BAD_REQUEST = "bad_request"
    MALFORMED = "malformed"
    INTERRUPTED = "interrupted"


class UpstreamError(BanditrouteError):
    """An arm's call failed.

    ``status`` is the upstream's HTTP status where there was one. ``BAD_REQUEST`` is the
    caller's to mend; every other fault is the arm's, and another arm may well answer.
    """

    def __init__(
        self,
        message: str,
        *,
        arm_id: str,
        fault: UpstreamFault,
        status: int | None = None,
        retry_after_s: float | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.arm_id = arm_id
        self.fault = fault
        self.status = status
        self.retry_after_s = retry_after_s
        self.param = param
