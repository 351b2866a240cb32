"""What went wrong upstream, in our words.

Messages are composed here and hold nothing of the upstream's but a short code word: no body,
no URL, no key. Which fault it is decides who must act: ``BAD_REQUEST`` the caller, every
other one the operator or another arm.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import httpx
import orjson

from banditroute.errors import UpstreamError, UpstreamFault
from banditroute.values import Arm

# httpx over aiohttp lets some of aiohttp's own errors through, and sockets raise theirs.
TRANSPORT_ERRORS = (httpx.HTTPError, aiohttp.ClientError, OSError, TimeoutError)

MAX_RETRY_AFTER_S = 3600.0

_CODE = re.compile(r"[a-z0-9_.-]{1,64}")
_PARAM = re.compile(r"[A-Za-z0-9_.\[\]-]{1,128}")

_BY_STATUS = {
    400: UpstreamFault.BAD_REQUEST,
    401: UpstreamFault.AUTH,
    402: UpstreamFault.QUOTA,
    403: UpstreamFault.AUTH,
    404: UpstreamFault.NOT_FOUND,
    405: UpstreamFault.NOT_FOUND,
    408: UpstreamFault.TIMEOUT,
    410: UpstreamFault.NOT_FOUND,
    413: UpstreamFault.BAD_REQUEST,
    422: UpstreamFault.BAD_REQUEST,
    429: UpstreamFault.RATE_LIMIT,
    504: UpstreamFault.TIMEOUT,
}

# Words that say more than the status they come with: providers send "no money" as 400, 402,
# 403 and 429, and an unknown model as 400, 403 and 404.
_DECISIVE_CODES = {
    "insufficient_quota": UpstreamFault.QUOTA,
    "billing_hard_limit_reached": UpstreamFault.QUOTA,
    "billing_not_active": UpstreamFault.QUOTA,
    "billing_error": UpstreamFault.QUOTA,
    "enforced_spend_limit_reached": UpstreamFault.QUOTA,
    "insufficient_credits": UpstreamFault.QUOTA,
    "credit_balance_too_low": UpstreamFault.QUOTA,
    "invalid_api_key": UpstreamFault.AUTH,
    "model_not_found": UpstreamFault.NOT_FOUND,
}

# The beginnings of messages, for providers that send no code. Beginnings only: some upstreams
# quote the request in an error, and a prompt must not be able to take an arm out.
_DECISIVE_MESSAGES = {
    "your credit balance is too low": UpstreamFault.QUOTA,
    "you have reached your specified api usage limits": UpstreamFault.QUOTA,
    "insufficient balance": UpstreamFault.QUOTA,
    "insufficient credits": UpstreamFault.QUOTA,
    "key limit exceeded": UpstreamFault.QUOTA,
    "api key not valid": UpstreamFault.AUTH,
}

# What errors inside a 200 answer call themselves, where no status says it.
_CODES_WITHOUT_STATUS = {
    "invalid_request_error": UpstreamFault.BAD_REQUEST,
    "invalid_argument": UpstreamFault.BAD_REQUEST,
    "context_length_exceeded": UpstreamFault.BAD_REQUEST,
    "authentication_error": UpstreamFault.AUTH,
    "permission_error": UpstreamFault.AUTH,
    "not_found_error": UpstreamFault.NOT_FOUND,
    "rate_limit_error": UpstreamFault.RATE_LIMIT,
    "rate_limit_exceeded": UpstreamFault.RATE_LIMIT,
    "resource_exhausted": UpstreamFault.RATE_LIMIT,
    "timeout_error": UpstreamFault.TIMEOUT,
}

_SAYS = {
    UpstreamFault.TIMEOUT: "did not answer in time",
    UpstreamFault.CONNECTION: "could not be reached",
    UpstreamFault.RATE_LIMIT: "is limiting its rate",
    UpstreamFault.QUOTA: "has no quota or credit left",
    UpstreamFault.UNAVAILABLE: "is unavailable",
    UpstreamFault.AUTH: "refused our credentials",
    UpstreamFault.NOT_FOUND: "has no such model or endpoint",
    UpstreamFault.BAD_REQUEST: "refused the request; change it as the code or param says",
    UpstreamFault.MALFORMED: "sent something that is not a chat completion",
    UpstreamFault.INTERRUPTED: "broke off in the middle of its answer",
}


def upstream_error(
    arm: Arm,
    fault: UpstreamFault,
    *,
    detail: str = "",
    status: int | None = None,
    retry_after_s: float | None = None,
    param: str | None = None,
) -> UpstreamError:
    """An UpstreamError in our words; ``detail`` is ours too, or passed ``_CODE``."""
    notes = [f"HTTP {status}"] if status is not None else []
    notes += [detail] if detail else []
    suffix = f" ({', '.join(notes)})" if notes else ""
    return UpstreamError(
        f"arm {arm.id} {_SAYS[fault]}{suffix}",
        arm_id=arm.id,
        fault=fault,
        status=status,
        retry_after_s=retry_after_s,
        param=param,
    )


@contextmanager
def translated(arm: Arm, *, answering: bool) -> Iterator[None]:
    """Turn what a transport raises into an UpstreamError; ``answering``: headers have come."""
    try:
        yield
    except TRANSPORT_ERRORS as error:
        # "from None": the transport's text names the host.
        raise upstream_error(arm, transport_fault(error, answering=answering)) from None


def transport_fault(error: BaseException, *, answering: bool) -> UpstreamFault:
    """Which fault an exception of the transport is, judged by how far the call had come.

    The class alone does not tell: httpx over aiohttp reports a refused port as ConnectTimeout,
    so aiohttp's own error, its cause, is asked first.
    """
    if isinstance(error.__cause__, aiohttp.ClientError):
        error = error.__cause__
    if isinstance(error, (TimeoutError, httpx.TimeoutException)):
        return UpstreamFault.TIMEOUT
    if answering:
        return UpstreamFault.INTERRUPTED
    if isinstance(error, (aiohttp.ClientResponseError, httpx.RemoteProtocolError)):
        return UpstreamFault.MALFORMED
    return UpstreamFault.CONNECTION


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer whose status is not 2xx. ``content`` is empty where it was too long to read."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def names(self, field: str) -> bool:
        """Whether the refused request's ``field`` is mentioned as what was wrong."""
        return self.status in {400, 422} and field.encode() in self.content

    def error(self, arm: Arm, now_s: float) -> UpstreamError:
        """The error to raise; ``now_s`` (Unix time) dates a Retry-After given as a date."""
        details = error_object(_parsed(self.content)) or {}
        return upstream_error(
            arm,
            _decisive(details) or _by_status(self.status),
            detail=_code(details),
            status=self.status,
            retry_after_s=retry_after_s(self.headers, now_s),
            param=_param(details),
        )


def in_band_error(arm: Arm, details: Mapping[str, Any]) -> UpstreamError:
    """The error for an ``{"error": …}`` inside a 200 answer or a stream."""
    fault = _decisive(details) or _by_code(details) or UpstreamFault.UNAVAILABLE
    return upstream_error(arm, fault, detail=_code(details), param=_param(details))


def error_object(body: object) -> Mapping[str, Any] | None:
    """The error that an answer reports, as a mapping; None where it reports none.

    Gemini wraps the object in a list, older vLLM has it at the top level, some send a string.
    """
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    if not isinstance(body, Mapping):
        return None
    if body.get("object") == "error":
        return body
    details = body.get("error")
    if not details:
        return None
    return details if isinstance(details, Mapping) else {"message": details}


def retry_after_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """Seconds to wait, from ``retry-after-ms`` or ``retry-after``, at most an hour."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return _capped(milliseconds / 1000)
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is None and value:
        seconds = _seconds_until(value, now_s)
    return None if seconds is None else _capped(seconds)


def _capped(seconds: float) -> float:
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _seconds_until(date: str, now_s: float) -> float | None:
    try:
        at = parsedate_to_datetime(date)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now_s
    except (ValueError, OverflowError):
        return None


def _by_status(status: int) -> UpstreamFault:
    if 300 <= status < 400:  # redirects are not followed: base_url names the wrong place
        return UpstreamFault.NOT_FOUND
    return _BY_STATUS.get(status, UpstreamFault.UNAVAILABLE)


def _decisive(details: Mapping[str, Any]) -> UpstreamFault | None:
    for word in _words(details):
        if word in _DECISIVE_CODES:
            return _DECISIVE_CODES[word]
    message = str(details.get("message", ""))[:100].lower()
    return next((f for start, f in _DECISIVE_MESSAGES.items() if message.startswith(start)), None)


def _by_code(details: Mapping[str, Any]) -> UpstreamFault | None:
    """The fault that an error's words or its number, a status sent as ``code``, stand for."""
    for word in _words(details):
        if word in _CODES_WITHOUT_STATUS:
            return _CODES_WITHOUT_STATUS[word]
        if word.isdecimal() and 400 <= int(word) < 600:
            return _by_status(int(word))
    return None


def _words(details: Mapping[str, Any]) -> Iterator[str]:
    """The short code words of an error, the most telling first."""
    inner = details.get("details")
    deeper = inner.get("error_code") if isinstance(inner, Mapping) else None
    for value in (deeper, details.get("code"), details.get("type"), details.get("status")):
        plain = isinstance(value, str | int) and not isinstance(value, bool)
        word = str(value).lower() if plain else ""
        if _CODE.fullmatch(word):
            yield word


def _code(details: Mapping[str, Any]) -> str:
    return next((word for word in _words(details) if not word.isdecimal()), "")


def _param(details: Mapping[str, Any]) -> str | None:
    param = details.get("param")
    return param if isinstance(param, str) and _PARAM.fullmatch(param) else None


def _parsed(content: bytes) -> object:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
