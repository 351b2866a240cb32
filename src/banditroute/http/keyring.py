"""API keys: who asks, and what each may do. Of a key only its SHA-256 is known here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest

from banditroute.core.allowances import Principal


class Role(StrEnum):
    """What a key is for."""

    CLIENT = "client"
    FEEDBACK = "feedback"
    ADMIN = "admin"


IMPLIED = {Role.CLIENT: {Role.FEEDBACK}}  # who gets answers may say how good they were


@dataclass(frozen=True, slots=True)
class Key:
    """A key by its name. ``hash`` is the SHA-256 of the key in small hex digits.

    ``feedback_share`` caps how much of what an arm learns comes from it; None does not.
    """

    name: str
    hash: str
    roles: frozenset[Role]
    feedback_share: float | None = None

    @property
    def principal(self) -> Principal | None:
        """As whom it gives feedback; None where that is not capped."""
        share = self.feedback_share
        return None if share is None else Principal(f"key:{self.name}", share)

    def may(self, role: Role) -> bool:
        """Whether the key has a role, by itself or through another one."""
        return role in self.roles or any(role in IMPLIED.get(own, ()) for own in self.roles)


class Keyring:
    """The keys of a server. Without any, everybody is let in."""

    def __init__(self, keys: Sequence[Key] = ()) -> None:
        self._keys = tuple(keys)

    def __bool__(self) -> bool:
        return bool(self._keys)

    def find(self, secret: str) -> Key | None:
        """The key that a secret is. How long it takes tells nothing of how near a guess was."""
        digest = hash_of(secret)
        found = None
        for key in self._keys:
            if compare_digest(key.hash, digest):
                found = key
        return found


def hash_of(secret: str) -> str:
    """The SHA-256 of a key, as ``[[keys]]`` holds it."""
    return sha256(secret.encode()).hexdigest()
