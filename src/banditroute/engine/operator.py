"""What an operator changes while routers run: their arms, and whose feedback counts.

Everything is news in a router's log, so that every replica follows. A method returns when its
news is durable and this replica has folded it: the next decision here already obeys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from banditroute.core.beliefs import Knowledge
from banditroute.core.identity import lowest_id, made_at_ms
from banditroute.core.roster import Roster, digest, effective, standing
from banditroute.engine.engine import Engine
from banditroute.errors import UnknownDecision, UnknownModel
from banditroute.stores.base import FeedbackChange
from banditroute.values import (
    Arm,
    ArmChange,
    ArmStatus,
    DecisionRecord,
    Learned,
    QualityEvidence,
    Retraction,
    SourceChange,
)

FILE = "file:"
"""How the ids of changes begin that a configuration file asked for, and no other ids."""

PAGE = 500
"""How many retractions are one transaction, and how many entries one read."""


@dataclass(frozen=True, slots=True)
class ArmState:
    """An arm in force, and the change that it comes from; None for the configured one."""

    arm: Arm
    status: ArmStatus
    change: ArmChange | None


@dataclass(frozen=True, slots=True)
class Adopted:
    """The arms that a file changed, and those that are left as they are: no provider for them."""

    changed: list[str]
    skipped: list[str]


class Operator:
    """Changes what the routers of an engine use. News with the same ``news_id`` counts once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = asyncio.Lock()  # a change is made of what the one before it left

    async def arms(self, router: str) -> tuple[int, list[ArmState]]:
        """The log's position, and every arm that a router has there.

        Raises UnknownModel, StoreUnavailable.
        """
        knowledge = await self._engine.level(router)
        return knowledge.position, list(self._states(router, knowledge).values())

    async def define(self, router: str, arm: Arm, news_id: str) -> Learned:
        """Add an arm, or give one another definition; a paused one stays paused."""
        async with self._lock:
            now = self._states(router, await self._engine.level(router)).get(arm.id)
            status = ArmStatus.ACTIVE if now is None else now.status
            if now is not None and now.arm == arm:
                return Learned.UNCHANGED
            return await self._announce(router, arm.id, status, arm, news_id)

    async def adjust(
        self,
        router: str,
        arm_id: str,
        status: ArmStatus | None,
        changes: Mapping[str, float | None],
        news_id: str,
    ) -> Learned:
        """Pause an arm or let it go on, and change some of its fields. Raises UnknownModel."""
        async with self._lock:
            now = self._states(router, await self._engine.level(router)).get(arm_id)
            if now is None:
                raise _no_such_arm(router, arm_id)
            arm = replace(now.arm, **changes)  # type: ignore[arg-type]  # prices, checked outside
            after = status or now.status
            if (arm, after) == (now.arm, now.status):
                return Learned.UNCHANGED
            given = None if now.change is None else now.change.arm
            definition = given if arm == now.arm else arm
            return await self._announce(router, arm_id, after, definition, news_id)

    async def remove(self, router: str, arm_id: str, news_id: str) -> Learned:
        """Take an arm out; calls that run are finished. Raises UnknownModel."""
        async with self._lock:
            knowledge = await self._engine.level(router)
            if arm_id not in self._states(router, knowledge):
                if arm_id in standing(self._configured(router), knowledge.arm_changes):
                    return Learned.UNCHANGED
                raise _no_such_arm(router, arm_id)
            return await self._announce(router, arm_id, ArmStatus.REMOVED, None, news_id)

    async def adopt(
        self, router: str, before: Roster, after: Roster, providers: Collection[str], news_id: str
    ) -> Adopted:
        """Follow a configuration file that was read again: ``before`` is what it said last.

        A change made by hand stays where the file still says of the arm what it said before.
        """
        async with self._lock:
            knowledge = await self._engine.level(router)
            held = standing(self._configured(router), knowledge.arm_changes)
            adopted = Adopted([], [])
            for arm_id in dict.fromkeys([*after.ids, *self._configured(router).ids, *held]):
                arm = after.by_id.get(arm_id)
                if arm == self._as_filed(router, arm_id, held.get(arm_id), before):
                    continue
                if arm is not None and arm.provider not in providers:
                    adopted.skipped.append(arm_id)
                    continue
                status = _status(arm, held.get(arm_id))
                await self._announce(router, arm_id, status, arm, f"{FILE}{news_id}:{arm_id}")
                adopted.changed.append(arm_id)
            return adopted

    async def quarantine(self, source: str, since_s: float | None, news_id: str) -> int:
        """Refuse a source's feedback from now on, and take back what it said since a time.

        Returns how many words were taken back, of all routers; None stands for ever. Doing it
        again goes on where it was cut short.
        """
        for router in self._engine.routers:
            if source not in (await self._engine.level(router)).quarantined:
                await self._tell_of(router, source, news_id, quarantined=True)
        return sum([await self._retract(name, source, since_s) for name in self._engine.routers])

    async def lift(self, source: str, news_id: str) -> Learned:
        """Hear a source again. What was taken back stays so."""
        lifted = Learned.UNCHANGED
        for router in self._engine.routers:
            if source in (await self._engine.level(router)).quarantined:
                lifted = await self._tell_of(router, source, news_id, quarantined=False)
        return lifted

    def _states(self, router: str, knowledge: Knowledge) -> dict[str, ArmState]:
        configured = self._configured(router)
        held = standing(configured, knowledge.arm_changes)
        roster, paused = effective(configured, knowledge.arm_changes)
        return {
            arm.id: ArmState(
                arm,
                ArmStatus.PAUSED if arm.id in paused else ArmStatus.ACTIVE,
                held.get(arm.id),
            )
            for arm in roster
        }

    def _configured(self, router: str) -> Roster:
        return self._engine.routers[router].roster

    def _as_filed(
        self, router: str, arm_id: str, change: ArmChange | None, before: Roster
    ) -> Arm | None:
        """What the file said of an arm when it was last followed."""
        if change is None:
            return self._configured(router).by_id.get(arm_id)
        return change.arm if change.id.startswith(FILE) else before.by_id.get(arm_id)

    async def _announce(
        self, router: str, arm_id: str, status: ArmStatus, arm: Arm | None, id_: str
    ) -> Learned:
        basis = digest(self._configured(router).by_id.get(arm_id))
        change = ArmChange(id_, arm_id, self._engine.clock(), status, arm, basis)
        return await self._engine.announce(router, change)

    async def _tell_of(self, router: str, source: str, id_: str, *, quarantined: bool) -> Learned:
        change = SourceChange(id_, source, self._engine.clock(), quarantined)
        return await self._engine.announce(router, change)

    async def _retract(self, router: str, source: str, since_s: float | None) -> int:
        """Take back every word of a source, also what other replicas take in meanwhile."""
        store, retracted = self._engine.store, 0
        last = await store.head(router)
        page: list[Retraction] = []
        async for record in store.decisions(router):
            page += self._retractions(record, source, since_s)
            if len(page) == PAGE:
                retracted += await self._absorb(router, page)
                page = []
        retracted += await self._absorb(router, page)
        while entries := await store.evidence(router, last, PAGE):
            last = entries[-1].position
            said = {e.decision_id for e in entries if isinstance(e, QualityEvidence)}
            found = [await store.find(router, decision_id) for decision_id in sorted(said)]
            late = [r for one in found if one for r in self._retractions(one, source, since_s)]
            retracted += await self._absorb(router, late)
        return retracted

    def _retractions(
        self, record: DecisionRecord, source: str, since_s: float | None
    ) -> list[Retraction]:
        """What takes back the word of a source on a decision: nothing, or one retraction."""
        mark = record.marks.get(source)
        if mark is None or mark.score is None:
            return []
        said_ms = made_at_ms(mark.id)
        if since_s is not None and said_ms < since_s * 1000.0:
            return []
        id_ = self._engine.mint.feedback_id()
        if id_ <= mark.id:  # from a replica whose clock is ahead
            id_ = lowest_id(said_ms + 1)
        return [Retraction(id_, record.decision.id, source)]

    async def _absorb(self, router: str, changes: Sequence[FeedbackChange]) -> int:
        """Apply retractions; how many took something back, or will."""
        try:
            statuses = await self._engine.store.absorb(router, changes)
        except UnknownDecision:  # it has expired since it was read
            if len(changes) == 1:
                return 0
            return sum([await self._absorb(router, [one]) for one in changes])
        return sum(status in (Learned.RETRACTED, Learned.ACCEPTED) for status in statuses)


def _status(arm: Arm | None, change: ArmChange | None) -> ArmStatus:
    """An arm's status after the file defined it: what is paused stays paused."""
    if arm is None:
        return ArmStatus.REMOVED
    paused = change is not None and change.status is ArmStatus.PAUSED
    return ArmStatus.PAUSED if paused else ArmStatus.ACTIVE


def _no_such_arm(router: str, arm_id: str) -> UnknownModel:
    return UnknownModel(
        f"router {router!r} has no arm {arm_id!r}; GET /admin/arms lists them", param="id"
    )
