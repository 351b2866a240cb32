"""``POST /feedback``, ``DELETE /feedback/{id}`` and ``POST /v1/outcomes``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from banditroute.core.identity import parse_decision_id
from banditroute.errors import InvalidRequest, SourceQuarantined
from banditroute.http.access import Client, FeedbackGiver, FeedbackGiverDep
from banditroute.http.bodies import FeedbackBody, OutcomeBody, Source
from banditroute.http.errors import BodyInvalid
from banditroute.http.keyring import Key
from banditroute.http.parts import Parts, PartsDep, json_body
from banditroute.http.reading import check, read_json
from banditroute.values import Feedback, Learned, Retraction

router = APIRouter(tags=["feedback"])
MOST_ITEMS = 1000
EXAMPLE_ID = "chatcmpl-019b1d2e-8a3f-7c41-9d52-3f0c6a7b033b"
EXAMPLE_OUTCOME = {"id": EXAMPLE_ID, "input_tokens": 120, "output_tokens": 80, "latency_s": 1.4}
Answer = dict[str, str]


@router.post("/v1/feedback", include_in_schema=False)
@router.post(
    "/feedback",
    summary="Say how good an answer was",
    openapi_extra=json_body(FeedbackBody, {"id": EXAMPLE_ID, "score": 0.9}, many=True),
)
async def post_feedback(
    request: Request, response: Response, parts: PartsDep, key: FeedbackGiverDep
) -> Answer | list[Answer]:
    """Teach the router how one of its decisions turned out: one object, or a list of ≤ 1,000.

    Each has an `id` (of the completion or the decision) and one of `score` (0 to 1), `thumbs`
    (`up` or `down`) or `rating` with `scale`. One value counts per decision and `source`: the
    same again is `unchanged`, another one replaces it (`amended`). A list is learned whole or
    not at all. When the answer is 2xx, it is kept; 202 and `accepted` say that a shared store
    is away, and that it will be learned once that is back. What a key with a `feedback_share`,
    or a source under a `source_share`, says beyond that share is kept and not learned: its
    `grant` is 0 in the receipt.
    """
    raw = await read_json(request)
    if not isinstance(raw, list):
        return (await _learn(parts, response, key, [_item(parts, raw, "")], [""]))[0]
    if not 1 <= len(raw) <= MOST_ITEMS:
        raise BodyInvalid(f"a list of feedback holds 1 to {MOST_ITEMS} items, not {len(raw)}")
    places = [str(at) for at in range(len(raw))]
    items = [_item(parts, item, at) for item, at in zip(raw, places, strict=True)]
    return await _learn(parts, response, key, items, places)


@router.delete("/v1/feedback/{id}", include_in_schema=False, dependencies=[FeedbackGiver])
@router.delete("/feedback/{id}", summary="Take a feedback back", dependencies=[FeedbackGiver])
async def delete_feedback(
    id: str,  # noqa: A002 - the wire's word
    response: Response,
    parts: PartsDep,
    source: Annotated[Source, Query(description="Whose feedback to take back")] = "user",
) -> Answer:
    """Retract what one source said of a decision; the router then has never heard it."""
    retraction = Retraction(parts.engine.mint.feedback_id(), parse_decision_id(id), source)
    with _at([""]):
        status = (await parts.engine.learn([retraction]))[0]
    parts.feedback[status] += 1
    _say_when(response, [status])
    return {"id": id, "status": str(status)}


@router.post(
    "/v1/outcomes",
    summary="Report what a call did that the client made itself",
    dependencies=[Client],
    openapi_extra=json_body(OutcomeBody, EXAMPLE_OUTCOME),
)
async def post_outcome(request: Request, response: Response, parts: PartsDep) -> Answer:
    """Tokens, cost, latency or error of the call after `POST /v1/route`.

    Recorded once: the same again is `unchanged`, another one a conflict.
    """
    body = check(OutcomeBody, await read_json(request))
    outcome = body.to_outcome(parse_decision_id(body.id))
    with _at([""]):
        status = await parts.engine.report(outcome)
    _say_when(response, [status])
    return {"id": body.id, "status": str(status)}


def _item(parts: Parts, raw: Any, at: str) -> tuple[str, Feedback]:
    """The id as it was sent, and the feedback."""
    body = check(FeedbackBody, raw, at)
    try:
        decision_id = parse_decision_id(body.id)
    except InvalidRequest as error:
        raise _placed(error, at) from None
    return body.id, body.to_feedback(parts.engine.mint.feedback_id(), decision_id)


async def _learn(
    parts: Parts,
    response: Response,
    key: Key | None,
    items: list[tuple[str, Feedback]],
    places: list[str],
) -> list[Answer]:
    by = None if key is None else key.principal
    with _at(places):
        statuses = await parts.engine.learn([feedback for _, feedback in items], by)
    parts.feedback.update(statuses)
    _say_when(response, statuses)
    return [
        {"id": sent, "status": str(status)}
        for (sent, _), status in zip(items, statuses, strict=True)
    ]


def _say_when(response: Response, statuses: Sequence[Learned]) -> None:
    """202 where something is kept but not yet learned."""
    if Learned.ACCEPTED in statuses:
        response.status_code = HTTPStatus.ACCEPTED


@contextmanager
def _at(places: list[str]) -> Iterator[None]:
    """Say where in the body an error stands that the engine knows by the item's number."""
    try:
        yield
    except InvalidRequest as error:
        if error.param is None or not error.param.isdecimal():
            raise
        at = places[int(error.param)]
        error.param = "source" if isinstance(error, SourceQuarantined) else "id"
        raise _placed(error, at) from None


def _placed(error: InvalidRequest, at: str) -> InvalidRequest:
    """The error with the place of the item in the list; nothing of the list was learned."""
    if at:
        error.param = f"{at}.{error.param}"
        error.args = (f"item {at}: {error}; nothing of this list was learned",)
    return error
