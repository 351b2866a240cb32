"""What a store offers that can go away, come back, and come back with less than it had."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from banditroute.errors import HistoryLost, StoreUnavailable
from banditroute.stores.base import Store
from banditroute.values import DecisionId, Learned, Outcome


@dataclass(frozen=True, slots=True)
class Mark:
    """An append to a log: the position of its last entry, and its nonce.

    A nonce is random and sent once, and a server loses the end of what it had, never the
    middle: a log that has the nonce at the position is the log it was appended to, up to there.
    """

    position: int
    nonce: bytes


class Remote(Store, Protocol):
    """A store on other machines. An outbox in front of it keeps what it may lose."""

    async def record(
        self, router: str, outcomes: Sequence[Outcome], at_s: float | None = None
    ) -> list[Learned]:
        """As ``Store.record``; ``at_s`` says when the outcomes were known, if not just now."""

    async def known(self, router: str, ids: Collection[DecisionId]) -> set[DecisionId]:
        """Which of some decisions are there and alive."""

    def mark(self, router: str) -> Mark | None:
        """The newest append to a router's log that this client made."""

    async def prove(self, router: str, marks: Sequence[Mark]) -> tuple[bool, Mark | None]:
        """Whether a router's log still is the one to which all those appends were made.

        And its newest append, whoever made it; None for an empty log.
        """

    async def server(self, router: str) -> str:
        """Which server has a router, in a word that changes with a failover or a restart."""


def is_away(error: BaseException) -> bool:
    """Whether an error says that the store is not to be had now, and not that it refuses."""
    return isinstance(error, StoreUnavailable | HistoryLost)
