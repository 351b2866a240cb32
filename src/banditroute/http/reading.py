"""Bodies in: bytes to JSON to a checked shape, with errors that say where and what to change.

orjson is strict where the standard library is not: NaN, lone surrogates and endless nesting
are refused at the door. What was sent is never echoed in an error, for it may be a prompt.
"""

from __future__ import annotations

from typing import Any, TypeVar

import orjson
from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from banditroute.http.errors import BODY_TOO_LARGE, BodyInvalid

Body = TypeVar("Body", bound=BaseModel)
_SHOWN = 5


async def read_json(request: Request, *, nothing: Any = None) -> Any:
    """The request's body as JSON. Raises BodyInvalid with line and column of the mistake.

    Raises HTTPException 413 as soon as the body is known to be larger than is allowed.
    ``nothing`` is what an empty body stands for, where it may be empty.
    """
    data = await _read(request, request.app.state.parts.max_body_bytes)
    if not data and nothing is not None:
        return nothing
    if not data:
        raise BodyInvalid("the body is empty; send a JSON object", code="invalid_json")
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BodyInvalid(
            f"the body is not valid JSON: {error.msg} at line {error.lineno} column {error.colno}",
            code="invalid_json",
        ) from None


async def _read(request: Request, most_bytes: int) -> bytes:
    said = request.headers.get("content-length", "")
    data = bytearray()
    if said.isdecimal() and int(said) > most_bytes:
        raise HTTPException(BODY_TOO_LARGE)
    async for piece in request.stream():
        data += piece
        if len(data) > most_bytes:
            raise HTTPException(BODY_TOO_LARGE)
    return bytes(data)


def check(model: type[Body], data: Any, at: str = "") -> Body:
    """``data`` as ``model``. Raises BodyInvalid naming every field that is wrong.

    ``at`` is where ``data`` stands in the body, for the errors.
    """
    if not isinstance(data, dict):
        raise BodyInvalid(f"{at or 'the body'}: must be a JSON object", param=at or None)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
    paths = [_path(at, problem["loc"]) for problem in problems]
    said = [
        f"{path}: {_say(problem)}" if path else _say(problem)
        for path, problem in zip(paths, problems, strict=True)
    ]
    more = f"; and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
    raise BodyInvalid("; ".join(said[:_SHOWN]) + more, param=paths[0] or None)


def _path(at: str, where: tuple[int | str, ...]) -> str:
    return ".".join([*([at] if at else []), *(str(step) for step in where)])


def _say(problem: Any) -> str:
    message: str = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        return "is required"
    if problem["type"] == "extra_forbidden":
        return "is not known here; remove it or check its spelling"
    if problem["type"] == "too_short":
        return "must not be empty"
    return message[:1].lower() + message[1:]
