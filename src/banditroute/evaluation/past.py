"""What a router knew at earlier positions of its log."""

from __future__ import annotations

from banditroute.core import checkpoint
from banditroute.core.beliefs import Knowledge
from banditroute.core.fold import RouterState
from banditroute.core.posterior import FeatureGroups
from banditroute.errors import CheckpointInvalid, StoreError
from banditroute.stores.base import Store
from banditroute.values import Evidence

BATCH = 500

TRIMMED = "the log no longer reaches back so far"
BEYOND = "the log ends before that"


class OutOfReach(StoreError):
    """What was known at a position cannot be found out any more. The message says why."""


class Past:
    """Folds a log once, from front to back, and stops wherever it is asked what was known.

    Begins at the newest checkpoint before the first position asked for, and takes another only
    where the log has a gap. Holds one state and one batch of entries.
    """

    def __init__(self, store: Store, router: str, groups: FeatureGroups) -> None:
        self._store = store
        self._router = router
        self._state = RouterState.empty(groups)
        self._knowledge: Knowledge | None = None
        self._ahead: list[Evidence] = []
        self._begun = False

    async def at(self, position: int) -> Knowledge:
        """What was known at a position, which is not below the one asked for before.

        Raises OutOfReach; later positions may be in reach nevertheless.
        """
        if not self._begun:
            self._begun = True
            await self._leap(position)
        while not await self._fold(position):
            if not await self._leap(position):
                is_beyond = await self._store.head(self._router) < position
                raise OutOfReach(BEYOND if is_beyond else TRIMMED)
        if self._knowledge is None or self._knowledge.position != position:
            self._knowledge = self._state.knowledge()
        return self._knowledge

    async def _fold(self, position: int) -> bool:
        """Fold up to a position; False where an entry before it is missing."""
        state = self._state
        while state.position < position:
            if not self._ahead:
                self._ahead = await self._store.evidence(self._router, state.position, BATCH)
            if not self._ahead or self._ahead[0].position != state.position + 1:
                return False
            count = position - state.position
            state.fold(self._ahead[:count])
            self._ahead = self._ahead[count:]
        return state.position == position

    async def _leap(self, position: int) -> bool:
        """Go on from the newest usable checkpoint at or before a position, if that is ahead."""
        at = position
        while found := await self._store.load_checkpoint(self._router, at):
            if found.position <= self._state.position:
                break
            try:
                self._state = checkpoint.load(found, self._state.groups)
            except CheckpointInvalid:  # folding the log again does as well
                at = found.position - 1
                continue
            self._ahead = []
            return True
        return False
