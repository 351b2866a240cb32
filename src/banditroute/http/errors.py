"""Errors on the wire: OpenAI's shape, the right status, and a message that says what to change."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from banditroute.core.eligibility import PASSING
from banditroute.errors import (
    BanditrouteError,
    BudgetExhausted,
    ConfigError,
    InvalidRequest,
    NoEligibleArm,
    OutcomeConflict,
    SourceQuarantined,
    StoreError,
    StoreUnavailable,
    UnknownDecision,
    UnknownModel,
    UpstreamError,
    UpstreamFault,
)

logger = logging.getLogger(__name__)

# A fault of ours with a provider (a key, a credit, a model's name) is never the caller's 4xx.
UPSTREAM_STATUS = {
    UpstreamFault.BAD_REQUEST: 400,
    UpstreamFault.RATE_LIMIT: 429,
    UpstreamFault.TIMEOUT: 504,
    UpstreamFault.UNAVAILABLE: 503,
}
BODY_TOO_LARGE = 413

ERROR_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string", "description": "What to change"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"], "description": "Where it stands"},
                "code": {"type": ["string", "null"], "description": "A stable word for programs"},
            },
        }
    },
}
DOCUMENTED: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "An error, in OpenAI's shape",
        "content": {"application/json": {"schema": ERROR_SCHEMA}},
    }
}


class Overloaded(BanditrouteError):
    """More requests at once than ``[server] max_concurrency`` allows."""


class BodyInvalid(InvalidRequest):
    """A body that is no JSON, or not of the endpoint's shape."""


class KeyInvalid(InvalidRequest):
    """A request without a key of this server, where it needs one."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="invalid_api_key")


class AccessDenied(InvalidRequest):
    """A request that its key is not for."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="access_denied")


def status_of(error: BanditrouteError) -> int:
    """The HTTP status that an error answers with."""
    match error:
        case NoEligibleArm():
            return _status_of_no_arm(error)
        case UnknownModel() | UnknownDecision():
            return 404
        case OutcomeConflict():
            return 409
        case KeyInvalid():
            return 401
        case AccessDenied() | SourceQuarantined():
            return 403
        case InvalidRequest() | ConfigError():
            return 400
        case StoreError() | Overloaded():
            return 503
        case UpstreamError(fault=UpstreamFault.BAD_REQUEST, status=int(status)) if status < 500:
            return status
        case UpstreamError():
            return UPSTREAM_STATUS.get(error.fault, 502)
        case _:
            return 500


def _status_of_no_arm(error: NoEligibleArm) -> int:
    if isinstance(error, BudgetExhausted):
        return 429
    return 503 if PASSING & set(error.reasons.values()) or not error.reasons else 400


def error_body(error: BanditrouteError) -> dict[str, Any]:
    """OpenAI's ``{"error": {message, type, param, code}}`` for one of our errors."""
    return _shape(status_of(error), str(error), getattr(error, "param", None), _code(error))


def error_response(error: BanditrouteError) -> JSONResponse:
    """The whole answer to an error."""
    return JSONResponse(error_body(error), status_of(error), headers=_headers(error))


def install(app: FastAPI) -> None:
    """Make every error of an app leave it in OpenAI's shape."""

    async def ours(_: Request, error: Exception) -> Response:
        assert isinstance(error, BanditrouteError)  # noqa: S101 - it is registered for those
        return error_response(error)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for those
        body = _shape(error.status_code, _say(request, error.status_code), None, None)
        return JSONResponse(body, error.status_code, headers=error.headers)

    async def parameters(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - it is registered for those
        first = error.errors()[0]
        param = str(first["loc"][-1])  # what was sent is not repeated: it may be private
        return error_response(InvalidRequest(f"{param}: {first['msg']}", param=param))

    async def unforeseen(request: Request, error: Exception) -> Response:
        request_id = request.state.request_id
        logger.error(
            "request failed unexpectedly", exc_info=error, extra={"request_id": request_id}
        )
        message = "the router failed on this request; its log has the reason"
        body = _shape(500, message, None, "internal_error")
        return JSONResponse(body, 500, headers={"x-request-id": request_id})

    app.add_exception_handler(BanditrouteError, ours)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, parameters)
    app.add_exception_handler(Exception, unforeseen)


def _code(error: BanditrouteError) -> str:
    match error:
        case InvalidRequest():
            return error.code
        case ConfigError():
            return "config_invalid"
        case Overloaded():
            return "overloaded"
        case StoreError():
            return "store_unavailable"
        case UpstreamError():
            return f"upstream_{error.fault}"
        case _:
            return "internal_error"


def _headers(error: BanditrouteError) -> dict[str, str]:
    match error:
        case StoreUnavailable():
            return {"retry-after": _seconds(error.retry_after_s)}
        case BudgetExhausted(retry_after_s=float(wait_s)):
            return {"retry-after": _seconds(wait_s)}
        case KeyInvalid():
            return {"www-authenticate": "Bearer"}
        case Overloaded() | NoEligibleArm() if status_of(error) == 503:
            return {"retry-after": "1"}
        case UpstreamError():
            # Every arm that may answer was tried: the client's own retries would multiply that.
            headers = {"x-should-retry": "false"}
            if error.retry_after_s is not None:
                headers["retry-after"] = _seconds(error.retry_after_s)
            return headers
        case _:
            return {}


def _seconds(seconds: float) -> str:
    return str(max(1, round(seconds)))


def _shape(status: int, message: str, param: str | None, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": _type(status), "param": param, "code": code}}


def _type(status: int) -> str:
    if status == 404:
        return "not_found_error"
    if status == 429:
        return "rate_limit_error"
    return "invalid_request_error" if status < 500 else "api_error"


def _say(request: Request, status: int) -> str:
    """What a plain HTTP error means here."""
    where = f"{request.method} {request.url.path}"
    if status == HTTPStatus.NOT_FOUND:
        return f"there is no {where}; GET /docs lists every endpoint"
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        return f"{where}: that method is not allowed here; GET /docs lists every endpoint"
    if status == BODY_TOO_LARGE:
        return "the body is larger than [server] max_body_bytes allows; send less or raise it"
    return HTTPStatus(status).phrase
