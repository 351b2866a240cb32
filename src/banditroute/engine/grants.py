"""What words of principals whose words are capped may weigh, before they go to the store.

The log says what a principal owes. Words that were granted here and are not folded here yet are
remembered until they are, so that many at once get no more than one after another. Other
replicas do not know of those: in the moment until they do, each may grant as much again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

from banditroute.core.allowances import Allowances, Principal
from banditroute.core.feedback import evidence_weight, is_settled
from banditroute.errors import BanditrouteError, HistoryLost, StoreUnavailable
from banditroute.stores.base import FeedbackChange, Store
from banditroute.values import Charge, DecisionId, DecisionRecord, Feedback, QualityEvidence

logger = logging.getLogger(__name__)

UNHEARD_S = 3_600.0  # a word that is not in the log after so long is not waited for any more
WARN_EVERY_S = 60.0
AT_ONCE = 50  # decisions that are looked up together
MOST_WARNED = 100  # principals, of which a warning is remembered
SOMEWHERE = ""  # the arm of a decision that cannot be looked up now; nobody owes it anything

Place = tuple[DecisionId, str]  # what a source says of a decision: where a word belongs


@dataclass(frozen=True, slots=True)
class _Granted:
    """A word that is on its way to the log, and what it will cost there."""

    at_s: float
    router: str
    arm_id: str
    charges: tuple[Charge, ...]


class Grants:
    """Grants each word its whole weight or none, by what its principals may still add to the arm.

    Never a part: what counts readings, as the guard does, would count it like a whole one.
    ``capped`` counts the words that got none.
    """

    def __init__(
        self,
        store: Store,
        source_shares: Mapping[str, float],
        known: Callable[[str], Allowances],
        clock: Callable[[], float],
    ) -> None:
        """``source_shares`` caps every source, by router; ``known`` is what a router's log says."""
        self.capped = 0
        self._store = store
        self._source_shares = source_shares
        self._known = known
        self._clock = clock
        self._granted: dict[Place, _Granted] = {}
        self._owed: dict[tuple[str, str, str], float] = {}  # by router, arm and principal
        self._warned: dict[str, float] = {}

    @asynccontextmanager
    async def granting(
        self, changes: Sequence[FeedbackChange], routers: Sequence[str], by: Principal | None
    ) -> AsyncIterator[Sequence[FeedbackChange]]:
        """The changes with what each may weigh; where they are refused, nothing was granted.

        ``by`` is whoever posts them, None for somebody whose words are not capped.
        """
        if by is None and not self._source_shares:
            yield changes
            return
        granted = await self._all_granted(changes, routers, by)
        try:
            yield granted
        except BanditrouteError:
            for change in granted:
                self._forget((change.decision_id, change.source))
            raise
        self.capped += sum(isinstance(c, Feedback) and c.granted == 0.0 for c in granted)

    def settle(self, entry: QualityEvidence) -> None:
        """The log knows what a word costs."""
        if entry.charges and entry.new is not None:
            spoke = set() if entry.old is None else {voice.source for voice in entry.old.voices}
            for source in {voice.source for voice in entry.new.voices} - spoke:
                self._forget((entry.decision_id, source))

    async def _all_granted(
        self, changes: Sequence[FeedbackChange], routers: Sequence[str], by: Principal | None
    ) -> list[FeedbackChange]:
        capped = {
            at: (change, principals)
            for at, (change, router) in enumerate(zip(changes, routers, strict=True))
            if isinstance(change, Feedback)
            and (principals := self._principals(router, change.source, by))
        }
        records = await self._records((routers[at], c.decision_id) for at, (c, _) in capped.items())
        self._give_up()
        granted = list(changes)  # from here on nobody else comes between
        for at, (change, principals) in capped.items():
            record = records.get(change.decision_id)
            granted[at] = self._with_grant(change, routers[at], record, principals)
        return granted

    def _principals(self, router: str, source: str, by: Principal | None) -> tuple[Principal, ...]:
        share = self._source_shares.get(router)
        own = () if share is None else (Principal(f"source:{source}", share),)
        return own if by is None else (by, *own)

    async def _records(
        self, decisions: Iterable[tuple[str, DecisionId]]
    ) -> dict[DecisionId, DecisionRecord]:
        """What is known of decisions, as far as the store says."""
        asked = list(dict.fromkeys(decisions))
        found: list[DecisionRecord | None] = []
        with suppress(StoreUnavailable, HistoryLost):
            for few in (asked[at : at + AT_ONCE] for at in range(0, len(asked), AT_ONCE)):
                found += await asyncio.gather(*(self._store.find(*one) for one in few))
        return {record.decision.id: record for record in found if record is not None}

    def _with_grant(
        self,
        change: Feedback,
        router: str,
        record: DecisionRecord | None,
        principals: Sequence[Principal],
    ) -> Feedback:
        place = change.decision_id, change.source
        mark = None if record is None else record.marks.get(change.source)
        if mark is not None and is_settled(mark):
            return change
        self._forget(place)  # a word that is posted again while it is on its way costs once
        arm_id = SOMEWHERE if record is None else record.decision.arm_id
        weight = evidence_weight(change.source, change)
        lacking = [p for p in principals if not weight <= self._left(router, arm_id, p)]
        if lacking:  # NaN always lacks; the store then refuses it
            self._warn(lacking)
            return replace(change, granted=0.0, charges=())
        charges = tuple(principal.charge(weight) for principal in principals)
        self._remember(place, _Granted(self._clock(), router, arm_id, charges))
        return replace(change, granted=weight, charges=charges)

    def _left(self, router: str, arm_id: str, principal: Principal) -> float:
        """The evidence weight that an arm may still learn of a principal."""
        logged = self._known(router).owed(arm_id, principal.name)
        return principal.left(logged + self._owed.get((router, arm_id, principal.name), 0.0))

    def _remember(self, place: Place, granted: _Granted) -> None:
        self._granted[place] = granted
        for principal, cost in granted.charges:
            owing = granted.router, granted.arm_id, principal
            self._owed[owing] = self._owed.get(owing, 0.0) + cost

    def _forget(self, place: Place) -> None:
        granted = self._granted.pop(place, None)
        if granted is None:
            return
        for principal, cost in granted.charges:
            self._owed[granted.router, granted.arm_id, principal] -= cost
        if not self._granted:
            self._owed.clear()  # no rounding residue builds up

    def _give_up(self) -> None:
        while self._granted:
            oldest = next(iter(self._granted))
            if self._clock() - self._granted[oldest].at_s < UNHEARD_S:
                break
            self._forget(oldest)

    def _warn(self, principals: Sequence[Principal]) -> None:
        """Say whose words do not count now, of each once in a while."""
        now_s = self._clock()
        self._warned = {n: at_s for n, at_s in self._warned.items() if now_s - at_s < WARN_EVERY_S}
        for name, share in principals:
            if name not in self._warned and len(self._warned) < MOST_WARNED:
                self._warned[name] = now_s
                logger.warning(
                    "feedback is kept and not learned: its principal has used up its share",
                    extra={"principal": name, "share": share},
                )
