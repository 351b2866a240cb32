"""One router's knowledge, kept level with its log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b

from banditroute.core import checkpoint
from banditroute.core.beliefs import Knowledge
from banditroute.core.fold import RouterState
from banditroute.core.posterior import FeatureGroups
from banditroute.errors import (
    CheckpointInvalid,
    FeatureMismatch,
    HistoryLost,
    StoreError,
    StoreUnavailable,
)
from banditroute.stores.base import ArmEstimate, Store
from banditroute.values import Evidence

logger = logging.getLogger(__name__)

BATCH = 500
WAIT_S = 5.0
PAUSE_S = 1.0
CHECKPOINT_EVERY = 2_000
CHECKPOINT_S = 60.0
"""A checkpoint is saved after so many entries, or so long after the first that is in none."""

RELEARN_S = 60.0
"""How long decisions go on from what was known before the store lost writes, at most: until
then the replicas give it back what they still have."""

Estimate = Callable[[Knowledge], Sequence[ArmEstimate]]


@dataclass(frozen=True, slots=True)
class Features:
    """The context features a log is learned from."""

    groups: FeatureGroups
    fingerprint: str


class Follower:
    """Folds a router's log as it grows, and publishes what is known as ``knowledge``.

    Folding runs in a thread and only in the task of :meth:`run`, so a caller who goes away
    never leaves it half-done; the published knowledge is never changed, only replaced.
    ``away`` is True while the store does not answer, or has lost what was folded and is given
    it back: the last knowledge then still serves. ``loaded`` is False until the log was read
    once.
    """

    def __init__(
        self,
        store: Store,
        router: str,
        features: Features,
        estimate: Estimate | None = None,
        heard: Callable[[Sequence[Evidence]], None] | None = None,
    ) -> None:
        """``estimate`` puts knowledge into numbers that are shown beside every checkpoint.

        ``heard`` is told of entries whose knowledge is about to be published.
        """
        self.router = router
        self.away = False
        self.loaded = False
        self._begun = False
        self._lost: _Lost | None = None
        self._store = store
        self._features = features
        self._estimate = estimate
        self._heard = heard
        self._lock = asyncio.Lock()
        self._state = RouterState.empty(features.groups)
        self._saved = 0
        self._unsaved_since_s: float | None = None
        self._advanced = asyncio.Event()
        self.knowledge: Knowledge = self._state.knowledge()

    async def start(self) -> None:
        """Load the newest checkpoint that can be trusted, and read the log from there.

        A store that does not answer is tried again by :meth:`run`. Raises FeatureMismatch when
        the log was learned from other features.
        """
        try:
            await self._begin()
        except (StoreUnavailable, HistoryLost) as error:
            logger.warning("store is away; deciding from nothing until it is back", exc_info=error)
            self.away = True

    async def _begin(self) -> None:
        await self._store.claim(self.router, self._features.fingerprint)
        async with self._lock:
            self._state = await self._load(None)
            self._saved = self._state.position
        self._begun = True
        await self._catch_up()
        self.loaded = True

    async def level(self, timeout_s: float) -> Knowledge:
        """What is known once everything now in the log is folded, or when the time is up."""
        head = await self._store.head(self.router)
        try:
            async with asyncio.timeout(timeout_s):
                while self.knowledge.position < head:
                    await self._advanced.wait()
        except TimeoutError:
            pass
        return self.knowledge

    async def _catch_up(self) -> None:
        """Fold everything that is in the log now."""
        async with self._lock:
            while entries := await self._next():
                await self._fold(entries)
                knowledge = await asyncio.to_thread(self._state.knowledge)
                if self._heard is not None:
                    self._heard(entries)  # no decision comes between this and the next line
                self._publish(knowledge)
            if self.knowledge.position != self._state.position:
                self._publish(await asyncio.to_thread(self._state.knowledge))
            self.away = self._lost is not None

    async def _next(self) -> list[Evidence]:
        """The entries after those that are folded; none at the end of the log."""
        head = await self._store.head(self.router)  # first: what is appended since is not missing
        entries = await self._store.evidence(self.router, self._state.position, BATCH)
        if not entries and self._state.position < head:  # the log was trimmed to its very end
            await self._reload(head + 1)
        return entries

    def _publish(self, knowledge: Knowledge) -> None:
        if self._lost is not None and not self._lost.is_over(knowledge.position):
            return
        self._lost = None
        self.knowledge = knowledge
        self._advanced.set()
        self._advanced = asyncio.Event()

    async def run(self) -> None:
        """Follow the log for as long as the task lives. Raises FeatureMismatch as ``start``."""
        while True:
            try:
                if not self._begun:
                    await self._begin()
                await self._store.wait(self.router, self._state.position, WAIT_S)
                await self._catch_up()
                await self.save(1 if self._is_stale() else CHECKPOINT_EVERY)
            except FeatureMismatch:
                raise  # only an operator can help
            except HistoryLost as error:
                logger.warning("the store lost writes; reading its log again", exc_info=error)
                self._begun, self.away = False, True
                self._lost = self._lost or _Lost(self.knowledge.position)
            except StoreError as error:
                if not self.away:
                    logger.warning("store is away; deciding from the last state", exc_info=error)
                self.away = True
                await asyncio.sleep(PAUSE_S)

    async def save(self, every: int = 1) -> None:
        """Save a checkpoint if the log grew by ``every`` entries since the last."""
        async with self._lock:
            if self._state.position - self._saved < every:
                return
            saved = await asyncio.to_thread(
                checkpoint.save, self._state, self._features.fingerprint
            )
            estimates = self._estimate(self.knowledge) if self._estimate else ()
            await self._store.save_checkpoint(self.router, saved, estimates)
            self._saved = saved.position
            self._unsaved_since_s = None

    async def digest(self) -> tuple[int, str]:
        """The position that is folded, and a digest of everything that is known there.

        Two replicas with the same position have the same digest, or their logs differ.
        """
        async with self._lock:
            saved = await asyncio.to_thread(
                checkpoint.save, self._state, self._features.fingerprint
            )
        return saved.position, blake2b(saved.payload, digest_size=16).hexdigest()

    def _is_stale(self) -> bool:
        """Whether entries have waited long for a checkpoint."""
        if self._state.position == self._saved:
            self._unsaved_since_s = None
            return False
        now_s = asyncio.get_running_loop().time()
        self._unsaved_since_s = self._unsaved_since_s or now_s
        return now_s - self._unsaved_since_s > CHECKPOINT_S

    async def knowledge_at(self, position: int) -> Knowledge:
        """What was known at an earlier position, folded again from the log.

        Raises StoreError where the log no longer reaches back that far.
        """
        state = await self._load(position)
        while state.position < position:
            limit = min(BATCH, position - state.position)
            entries = await self._store.evidence(self.router, state.position, limit)
            if not entries or entries[0].position != state.position + 1:
                raise StoreError(
                    f"the log of router {self.router!r} no longer reaches back to position "
                    f"{position}; it is kept for [store] decision_ttl"
                )
            await asyncio.to_thread(state.fold, entries)
        return state.knowledge()

    async def _fold(self, entries: list[Evidence]) -> None:
        if entries[0].position != self._state.position + 1:
            await self._reload(entries[0].position)
            return
        folding = asyncio.ensure_future(asyncio.to_thread(self._state.fold, entries))
        try:
            await asyncio.shield(folding)
        except asyncio.CancelledError:
            while not folding.done():  # a thread goes on: nobody may save what is half-done
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({folding})
            raise

    async def _reload(self, log_begins: int) -> None:
        """Go on from a checkpoint: the log was trimmed while this replica was away."""
        state = await self._load(None)
        if state.position + 1 < log_begins:
            raise StoreError(
                f"the log of router {self.router!r} begins at position {log_begins} and no "
                "usable checkpoint leads up to it; restore the store from a backup"
            )
        self._state = state

    async def _load(self, at: int | None) -> RouterState:
        """The newest usable checkpoint at or before ``at``, else the empty state."""
        while found := await self._store.load_checkpoint(self.router, at):
            try:
                return await asyncio.to_thread(checkpoint.load, found, self._features.groups)
            except CheckpointInvalid as error:
                logger.warning("refused a checkpoint; folding the log again", exc_info=error)
                at = found.position - 1
        return RouterState.empty(self._features.groups)


class _Lost:
    """The store lost what was folded up to ``position``, and is being given it back."""

    def __init__(self, position: int) -> None:
        self._position = position
        self._until_s = asyncio.get_running_loop().time() + RELEARN_S

    def is_over(self, position: int) -> bool:
        """Whether the log has what it had, or as much of it as will come."""
        return position >= self._position or asyncio.get_running_loop().time() > self._until_s
