"""Who may call what. Without ``[[keys]]`` everything is open but ``/admin``, which is closed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from banditroute.http.errors import AccessDenied, KeyInvalid
from banditroute.http.keyring import Key, Role
from banditroute.http.parts import PartsDep

_bearer = HTTPBearer(auto_error=False, description="A key of `[[keys]]`, where there are any")
_Sent = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
Check = Callable[..., Awaitable[Key | None]]


def _needs(role: Role | None) -> Check:
    """A dependency that gives the caller's key, if it has the role; None: whatever it has.

    Raises KeyInvalid, and AccessDenied for a key without the role.
    """

    async def check(parts: PartsDep, sent: _Sent) -> Key | None:
        if not parts.keys:
            _refuse_without_keys(role)
            return None
        key = parts.keys.find(sent.credentials) if sent else None
        if key is None:
            raise KeyInvalid(_REFUSED if sent else _MISSING)
        if role is not None and not key.may(role):
            raise AccessDenied(
                f"key {key.name!r} lacks the role {role}: add it to its roles in [[keys]], or "
                "use another key"
            )
        return key

    return check


_MISSING = "this server wants a key: send one of its [[keys]] as 'Authorization: Bearer KEY'"
_REFUSED = "the key that was sent is none of this server's [[keys]]; check that it is whole"


def _refuse_without_keys(role: Role | None) -> None:
    if role is Role.ADMIN:
        raise AccessDenied(
            "/admin is closed as long as there is no key for it: run `banditroute keys new ops "
            "--roles admin`, put the [[keys]] table it prints into config.toml, and restart"
        )


Client = Depends(_needs(Role.CLIENT))
FeedbackGiver = Depends(_needs(Role.FEEDBACK))
Anybody = Depends(_needs(None))
Admin = Depends(_needs(Role.ADMIN))
ClientDep = Annotated[Key | None, Client]
FeedbackGiverDep = Annotated[Key | None, FeedbackGiver]
