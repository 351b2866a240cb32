"""Ids that carry their time and their router, and the random numbers that belong to an id.

Every id is a UUIDv7 (RFC 9562, section 5.7), written canonically in lower case, so that ids
sort as text in the order of their making::

    milliseconds since 1970 (48 bits) | version 7 | counter (12)
    variant 2 | random (46) | blake2b of the router's name (16)

The last 16 bits let feedback find the router of a decision without a lookup. Ids that belong
to no router (those of feedbacks) have random bits there too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import blake2b
from threading import Lock
from uuid import UUID

from banditroute.errors import InvalidRequest
from banditroute.values import COMPLETION_PREFIX, DecisionId

_SHAPE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_FIXED_BITS = 0xF << 76 | 0x3 << 62  # version and variant, RFC 9562 section 5.7
_VERSION_7 = 0x7 << 76 | 0x2 << 62
_COUNTER_BITS = 12


def decision_id(router: str, now_ms: int, entropy: bytes) -> DecisionId:
    """The id of a decision of ``router`` made at ``now_ms``, out of 8 bytes of ``entropy``.

    Raises ValueError for a time that does not fit 48 bits, or another amount of entropy.
    """
    return _uuid7(now_ms, entropy + _tag(router))


def made_for(decision_id: DecisionId, router: str) -> bool:
    """Whether an id was made for a router; wrong for 1 in 65,536 pairs of routers."""
    return decision_id.endswith(_tag(router).hex())


def is_id(text: str) -> bool:
    """Whether a text is a UUIDv7 in canonical form."""
    return _SHAPE.fullmatch(text) is not None


def made_at_ms(decision_id: DecisionId) -> int:
    """When an id was made, in milliseconds since 1970. Raises InvalidRequest if it is no id."""
    if not is_id(decision_id):
        raise _not_an_id()
    return int(decision_id[:8] + decision_id[9:13], 16)


def lowest_id(now_ms: int) -> DecisionId:
    """The id that no id made at ``now_ms`` or later sorts before."""
    return _uuid7(now_ms, bytes(10))


def parse_decision_id(text: str) -> DecisionId:
    """The decision id in what a client sent: the id itself, or a completion's id.

    Raises InvalidRequest for anything else.
    """
    found = text.removeprefix(COMPLETION_PREFIX).lower()
    if not is_id(found):
        raise _not_an_id()
    return found


def unit_interval(seed: int, decision_id: DecisionId, purpose: str = "draw") -> float:
    """A number in [0, 1) with 53 random bits that belongs to one decision and one purpose.

    The same on every replica and in every replay. ``seed`` is in [0, 2**64).
    """
    message = f"{purpose}\0{decision_id}".encode()
    digest = blake2b(message, digest_size=8, key=seed.to_bytes(8, "big")).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)


class Mint:
    """Makes ids that strictly increase within one process, whatever the clock does.

    While the clock stands still or has stepped back, a counter runs on instead (RFC 9562,
    section 6.2, method 1): 4,096 ids later the millisecond is borrowed from the future.
    Several threads may share one mint. ``clock_ms`` gives milliseconds since 1970,
    ``entropy(n)`` n random bytes.
    """

    def __init__(self, clock_ms: Callable[[], int], entropy: Callable[[int], bytes]) -> None:
        self._clock_ms = clock_ms
        self._entropy = entropy
        self._lock = Lock()
        self._last = 0

    def decision_id(self, router: str) -> DecisionId:
        """A fresh id for a decision of ``router``."""
        now_ms, counter = self._tick()
        return decision_id(router, now_ms, counter + self._entropy(6))

    def feedback_id(self) -> str:
        """A fresh id for a feedback or a retraction."""
        now_ms, counter = self._tick()
        return _uuid7(now_ms, counter + self._entropy(8))

    def _tick(self) -> tuple[int, bytes]:
        # The counter starts in its lower half, so that 2,048 ids at least fit each millisecond.
        start = int.from_bytes(self._entropy(2), "big") % (1 << (_COUNTER_BITS - 1))
        with self._lock:
            self._last = max(self._clock_ms() << _COUNTER_BITS | start, self._last + 1)
            now_ms, counter = divmod(self._last, 1 << _COUNTER_BITS)
        return now_ms, counter.to_bytes(2, "big")


def _tag(router: str) -> bytes:
    return blake2b(router.encode(), digest_size=2).digest()


def _uuid7(now_ms: int, rest: bytes) -> str:
    if not 0 <= now_ms < 1 << 48:
        raise ValueError(f"{now_ms} ms does not fit the 48 bits of a UUIDv7")
    if len(rest) != 10:
        raise ValueError(f"a UUIDv7 takes 10 bytes after its time, not {len(rest)}")
    number = now_ms << 80 | int.from_bytes(rest, "big")
    return str(UUID(int=number & ~_FIXED_BITS | _VERSION_7))


def _not_an_id() -> InvalidRequest:
    return InvalidRequest(
        f"this is neither a decision id nor a completion id ({COMPLETION_PREFIX}<decision id>); "
        "send the id that the response carried",
        param="id",
    )
