"""The shapes that come in. Numbers are strict and finite; unknown fields of ours are refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from banditroute.errors import UpstreamFault
from banditroute.values import ArmStatus, Feedback, FeedbackKind, Outcome, Wishes

Name = Annotated[str, Field(min_length=1, max_length=200)]
Source = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,63}$")]
Positive = Annotated[float, Field(gt=0, le=1e9)]
Price = Annotated[float, Field(ge=0, le=1e9)]
Tokens = Annotated[int, Field(ge=0, lt=10**9)]
Seconds = Annotated[float, Field(ge=0, le=1e6)]
MOST_METADATA_BYTES = 4096


class Strict(BaseModel):
    """No coercion, no NaN, no unknown field."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)


class WishesBody(Strict):
    """What a request may ask of the router, under ``banditroute``. All of it is optional."""

    task: Name | None = Field(
        default=None, description="The kind of request; the strongest signal of all"
    )
    tags: list[Name] = Field(default=[], max_length=16)
    candidates: list[Name] | None = Field(default=None, min_length=1, description="Only these arms")
    exclude: list[Name] = Field(default=[], description="None of these arms")
    answer_value_usd: Positive | None = Field(
        default=None, description="What a perfect answer is worth"
    )
    patience_s: Positive | None = Field(
        default=None, description="Seconds that cancel a perfect answer"
    )
    max_cost_usd: Annotated[float, Field(ge=0, le=1e9)] | None = None
    max_latency_s: Positive | None = None
    session_id: Name | None = None
    explore: bool = Field(default=True, description="False: the arm that looks best, no draw")
    data: list[Name] = Field(
        default=[], description="Classes of data in the request; only arms labelled for all of them"
    )

    def to_wishes(self, metadata: Mapping[str, Any]) -> Wishes:
        """The wishes; what is not said here is looked up in OpenAI's ``metadata``."""
        return Wishes(
            task=self.task or _text(metadata.get("task")),
            tags=tuple(self.tags) or _list(metadata.get("tags")),
            candidates=None if self.candidates is None else frozenset(self.candidates),
            exclude=frozenset(self.exclude),
            answer_value_usd=self.answer_value_usd,
            patience_s=self.patience_s,
            max_cost_usd=self.max_cost_usd,
            max_latency_s=self.max_latency_s,
            session_id=self.session_id or _text(metadata.get("session_id")),
            explore=self.explore,
            data=frozenset(self.data),
        )


class Message(BaseModel):
    """One message. Only its role is looked at; the rest is the provider's to judge."""

    model_config = ConfigDict(extra="allow")
    role: Annotated[str, Field(min_length=1, max_length=64)]


class RouteBody(BaseModel):
    """A chat request to decide on. Fields not named here ride along to the arm untouched."""

    model_config = ConfigDict(extra="allow", strict=True)
    model: Name | None = Field(default=None, description="A router's name or an arm's id")
    messages: Annotated[list[Message], Field(min_length=1)]
    metadata: dict[str, Any] | None = None
    banditroute: WishesBody | None = None

    def wishes(self) -> Wishes:
        """What the caller asks of the router."""
        return (self.banditroute or WishesBody()).to_wishes(self.metadata or {})


class ChatBody(RouteBody):
    """A chat completion request, as OpenAI defines it, with ``banditroute`` added."""

    model: Name = Field(description="A router's name (routed) or an arm's id (that arm)")
    stream: bool | None = None


class FeedbackBody(Strict):
    """What somebody, or a judge, says of one decision: exactly one of score, thumbs, rating."""

    id: Annotated[str, Field(max_length=100, description="A completion id or a decision id")]
    score: Annotated[float, Field(ge=0, le=1)] | None = None
    thumbs: Literal["up", "down"] | None = None
    rating: float | None = Field(default=None, description="From 1 to `scale`")
    scale: Annotated[int, Field(ge=2, le=1000)] | None = Field(
        None, description="The best rating there is; the worst is 1"
    )
    source: Source = "user"
    weight: Annotated[float, Field(gt=0, le=1)] = 1.0
    comment: Annotated[str, Field(max_length=4000)] | None = None
    metadata: dict[str, Any] = {}

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        given = [n for n in ("score", "thumbs", "rating") if getattr(self, n) is not None]
        if len(given) != 1:
            found = f"found {' and '.join(given)}" if given else "found none"
            raise ValueError(f"give exactly one of score, thumbs, rating ({found})")
        if (self.rating is None) != (self.scale is None):
            raise ValueError("rating and scale go together: rating 4 with scale 5 is 4 of 5")
        if (
            self.rating is not None
            and self.scale is not None
            and not 1 <= self.rating <= self.scale
        ):
            raise ValueError(f"rating must be between 1 and the scale, {self.scale}")
        _check_metadata(self.metadata)
        return self

    def to_feedback(self, feedback_id: str, decision_id: str) -> Feedback:
        """The feedback, its value mapped to [0, 1]."""
        kind, score = self._value()
        return Feedback(
            id=feedback_id,
            decision_id=decision_id,
            score=score,
            source=self.source,
            kind=kind,
            weight=self.weight,
            comment=self.comment,
            metadata=self.metadata,
        )

    def _value(self) -> tuple[FeedbackKind, float]:
        if self.score is not None:
            return FeedbackKind.SCORE, self.score
        if self.rating is not None and self.scale is not None:
            return FeedbackKind.RATING, (self.rating - 1.0) / (self.scale - 1.0)
        return FeedbackKind.THUMBS, float(self.thumbs == "up")


class OutcomeBody(Strict):
    """What a call that the client made itself did. What is unknown is left out."""

    id: Annotated[str, Field(max_length=100, description="A decision id, from /v1/route")]
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    cached_input_tokens: Tokens | None = None
    cost_usd: Annotated[float, Field(ge=0, le=1e6)] | None = None
    latency_s: Seconds | None = None
    ttft_s: Seconds | None = None
    error: str | None = Field(
        default=None, description=f"One of {', '.join(UpstreamFault)}, abandoned"
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        known = {*UpstreamFault, "abandoned"}
        if self.error is not None and self.error not in known:
            raise ValueError(f"error must be one of {', '.join(sorted(known))}")
        if len(self.model_fields_set) < 2:
            raise ValueError("give at least one of tokens, cost_usd, latency_s, error")
        return self

    def to_outcome(self, decision_id: str) -> Outcome:
        """The outcome of a decision."""
        return Outcome(decision_id, **self.model_dump(exclude={"id"}))


class ArmPatchBody(Strict):
    """What may be changed of an arm without defining it anew."""

    status: Literal["active", "paused"] | None = None
    input_usd_per_mtok: Price | None = None
    output_usd_per_mtok: Price | None = None
    cached_input_usd_per_mtok: Price | None = Field(
        default=None, description="null: cached tokens cost like the others"
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("give a status, a price, or both")
        for name in ("status", "input_usd_per_mtok", "output_usd_per_mtok"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(f"{name} cannot be null; leave it out to keep it")
        return self

    def arm_status(self) -> ArmStatus | None:
        """The status to be, None for the one it has."""
        return None if self.status is None else ArmStatus(self.status)

    def prices(self) -> dict[str, float | None]:
        """The prices that change."""
        return {name: getattr(self, name) for name in self.model_fields_set - {"status"}}


class QuarantineBody(Strict):
    """From when on a source is not believed."""

    since: float | str | None = Field(
        default=None, description="RFC 3339 with a time zone, or seconds since 1970"
    )

    @field_validator("since")
    @classmethod
    def _is_a_time(cls, since: float | str | None) -> float | str | None:
        _seconds(since)
        return since

    def since_s(self) -> float | None:
        """Seconds since 1970; None for ever."""
        return _seconds(self.since)


def _seconds(since: float | str | None) -> float | None:
    if not isinstance(since, str):
        return since
    try:
        at = datetime.fromisoformat(since)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ValueError('must be a time such as "2026-01-31T12:00:00Z", or seconds since 1970')
    return at.timestamp()


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    try:
        size = len(orjson.dumps(metadata))
    except orjson.JSONEncodeError:
        raise ValueError("metadata is nested too deeply") from None
    if size > MOST_METADATA_BYTES:
        raise ValueError(f"metadata is larger than {MOST_METADATA_BYTES} bytes")


def _text(value: object) -> str | None:
    return value[:200] if isinstance(value, str) and value else None


def _list(value: object) -> tuple[str, ...]:
    """OpenAI's metadata holds strings only: tags stand there separated by commas."""
    if not isinstance(value, str):
        return ()
    return tuple(tag.strip()[:200] for tag in value.split(",") if tag.strip())[:16]
