"""The engine: a request in, a decision out; feedback in, the next decision better."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, replace
from functools import partial

from banditroute.core.allowances import Principal
from banditroute.core.beliefs import Knowledge
from banditroute.core.choice import Choice, Rules, recompute
from banditroute.core.context import Featurizer
from banditroute.core.feedback import apply
from banditroute.core.identity import Mint, made_for
from banditroute.core.policies import Fixed, Greedy
from banditroute.core.posterior import FeatureGroups
from banditroute.core.priors import flaw
from banditroute.core.purse import NOTHING_SPENT, Ledger
from banditroute.core.spending import ROUTER
from banditroute.engine.backlog import Backlog
from banditroute.engine.budgets import BudgetReport, Spent, budget_reports, spent
from banditroute.engine.deciding import Call, Decider
from banditroute.engine.follower import Features, Follower
from banditroute.engine.grants import Grants
from banditroute.engine.guarding import GuardReport, guard_report
from banditroute.engine.prompts import kept
from banditroute.engine.reports import ArmReport, estimates, reports
from banditroute.engine.rosters import InForce
from banditroute.engine.spec import RouterSpec
from banditroute.errors import (
    InvalidRequest,
    SourceQuarantined,
    StoreError,
    StoreUnavailable,
    UnknownDecision,
    UnknownModel,
)
from banditroute.stores.base import ArmEstimate, FeedbackChange, Store
from banditroute.stores.tasks import end
from banditroute.values import (
    Decision,
    DecisionId,
    DecisionRecord,
    Evidence,
    Feedback,
    Learned,
    Mark,
    News,
    Outcome,
    OutcomeEvidence,
    Prior,
    QualityEvidence,
    Request,
    Tuning,
)

logger = logging.getLogger(__name__)

LEVEL_S = 5.0  # how long feedback and readers wait for what was just decided or told
SETTLE_S = 0.5  # how long an answer waits for its decision, and they while writes are refused
EXPIRE_EVERY_S = 600.0
SHUTDOWN_S = 5.0
TUNE_PAUSE_S = 5.0


class Engine:
    """Decides at once from memory; learns through the store's log.

    ``clock`` gives seconds since the epoch. Start it before use and stop it after: it follows
    the log and writes decisions in tasks of its own.
    """

    def __init__(
        self,
        routers: Sequence[RouterSpec],
        featurizer: Featurizer,
        store: Store,
        mint: Mint,
        clock: Callable[[], float],
    ) -> None:
        self.routers = {spec.name: spec for spec in routers}
        self.featurizer = featurizer
        self.store = store
        self.mint = mint
        self.clock = clock
        self._backlog = Backlog(store.recorder())
        features = Features(FeatureGroups(featurizer.groups), featurizer.fingerprint)
        self._deciders = {s.name: Decider(s, featurizer.fingerprint) for s in routers}
        self._followers = {
            name: Follower(store, name, features, partial(self._estimates, name), self._settle)
            for name in self.routers
        }
        caps = {s.name: s.source_share for s in routers if s.source_share is not None}
        known = self._followers
        self._grants = Grants(store, caps, lambda name: known[name].knowledge.allowances, clock)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Open the store, read every router's log, and begin to follow it.

        A store that does not answer yet is waited for in the background, and the engine is
        ``degraded`` until then. Raises StoreUnusable and FeatureMismatch: those need an
        operator. Starting an engine that runs changes nothing.
        """
        if self._tasks:
            return
        await self.store.open()
        for follower in self._followers.values():
            await follower.start()
        runs = [follower.run() for follower in self._followers.values()]
        for work in [*runs, self._backlog.run(), self._expire(), self._tune()]:
            task = asyncio.create_task(work)
            task.add_done_callback(_mourn)
            self._tasks.append(task)

    async def stop(self) -> None:
        """Write out what is in line, save a checkpoint of every router, close the store."""
        await end(self._tasks)
        self._tasks.clear()
        await self._backlog.drain(SHUTDOWN_S)
        for follower in self._followers.values():
            with suppress(StoreError):
                await follower.save()
        await self.store.close()

    @property
    def degraded(self) -> bool:
        """Whether the store is away, so that nothing new is learned right now."""
        away = any(follower.away for follower in self._followers.values())
        return self._backlog.stuck or away or any(_is_dead(task) for task in self._tasks)

    @property
    def dropped(self) -> int:
        """How many decisions, outcomes and accepted feedbacks were never written."""
        return self._backlog.dropped + self.store.pending().dropped

    @property
    def capped(self) -> int:
        """How many feedbacks were kept and not learned, for their principals' shares."""
        return self._grants.capped

    @property
    def waiting(self) -> int:
        """How many decisions and outcomes are in line for the store."""
        return len(self._backlog)

    @property
    def followers(self) -> Mapping[str, Follower]:
        """Who follows each router's log, by the router's name: to look at, not to act on."""
        return self._followers

    def in_force(self, router: str) -> InForce:
        """The arms that a router has now."""
        return self._deciders[router].rosters.at(self._followers[router].knowledge)

    def router_of_arm(self, arm_id: str) -> RouterSpec:
        """The first router that has an arm now. Raises UnknownModel if none has."""
        for spec in self.routers.values():
            if arm_id in self.in_force(spec.name).roster.by_id:
                return spec
        raise UnknownModel(f"no arm is called {arm_id!r}; GET /v1/models lists all")

    def decide(
        self,
        router: str,
        request: Request,
        *,
        out: Mapping[str, str] | None = None,
        parent: Decision | None = None,
    ) -> Decision:
        """Draw the arm for a request. No I/O: takes well under a millisecond.

        ``out`` maps arms that cannot be used now to reason codes; ``parent`` is the decision
        whose call failed. Raises NoEligibleArm when nothing is left, BudgetExhausted among those.
        """
        spec = self.routers[router]
        rules = self._rules(spec, explore=request.wishes.explore)
        call = self._call(spec, request, out)
        return self._drawn(spec, rules, replace(call, parent=parent.id if parent else None))

    def decide_for_arm(
        self, arm_id: str, request: Request, *, out: Mapping[str, str] | None = None
    ) -> Decision:
        """The decision of a caller who named the arm: recorded, but nobody explored.

        ``out`` is as in :meth:`decide`. Raises UnknownModel, and NoEligibleArm when a wall
        keeps the request from that arm.
        """
        spec = self.router_of_arm(arm_id)
        rules = Rules(Fixed(arm_id), floor=0.0, seed=spec.rules.seed)
        made = self._drawn(spec, rules, replace(self._call(spec, request, out), named=arm_id))
        return replace(made, explored=False)

    def remember(self, decision: Decision) -> None:
        """Put a decision in line for the store, without waiting."""
        self._backlog.add(decision.router, decision)

    def record(self, decision: Decision, outcome: Outcome) -> None:
        """Put the outcome of a call in line for the store, without waiting."""
        self._backlog.add(decision.router, outcome)

    async def settled(self, decision: Decision) -> bool:
        """Wait a short while until a decision is written, so that feedback will find it.

        Not at all while the store refuses writes: an answer never waits for an outage.
        """
        if self._backlog.stuck:
            return False
        return await self._backlog.settled([decision.id], SETTLE_S, whole=False)

    async def report(self, outcome: Outcome) -> Learned:
        """Record the outcome of a call that the client made itself, durably.

        Raises UnknownDecision, OutcomeConflict, StoreUnavailable.
        """
        router = self._router_of(outcome.decision_id)
        await self._written([outcome.decision_id])
        return (await self.store.record(router, [outcome]))[0]

    async def learn(
        self, changes: Sequence[FeedbackChange], by: Principal | None = None
    ) -> list[Learned]:
        """Apply feedbacks and retractions in order, all or nothing, durably.

        What is said ``by`` a principal counts up to its share; beyond it, it is only kept.
        Raises UnknownDecision or SourceQuarantined with ``param`` the index of the first such
        one, and StoreUnavailable; nothing is learned then.
        """
        routers = [self._router_of(change.decision_id, at) for at, change in enumerate(changes)]
        for at, (change, router) in enumerate(zip(changes, routers, strict=True)):
            if isinstance(change, Feedback) and self._is_quarantined(router, change.source):
                raise SourceQuarantined(change.source, param=str(at))
        await self._written(change.decision_id for change in changes)
        async with self._grants.granting(changes, routers, by) as granted:
            if len(set(routers)) > 1:
                await self._rehearse(granted, routers)
            learned: dict[int, Learned] = {}
            for router in dict.fromkeys(routers):
                places = [at for at, name in enumerate(routers) if name == router]
                learned |= await self._absorb(router, granted, places)
        return [learned[at] for at in range(len(changes))]

    async def receipt(self, decision_id: DecisionId) -> DecisionRecord:
        """A decision with its outcome and feedback. Raises UnknownDecision, StoreUnavailable."""
        router = self._router_of(decision_id)
        await self._written([decision_id])
        record = await self.store.find(router, decision_id)
        if record is None:
            raise UnknownDecision(
                "this decision is not known: its id is wrong, or it is older than the store's "
                "decision_ttl"
            )
        return record

    async def replay(self, decision_id: DecisionId) -> Choice:
        """Make a logged decision again, from the log as it was then.

        Raises UnknownDecision, and StoreError where the log no longer reaches back that far.
        """
        decision = (await self.receipt(decision_id)).decision
        follower = self._followers[decision.router]
        return recompute(decision, await follower.knowledge_at(decision.position))

    async def level(self, router: str) -> Knowledge:
        """What is known of a router once everything that is now in its log is folded here.

        Raises UnknownModel, StoreUnavailable.
        """
        if router not in self.routers:
            raise UnknownModel(f"no router is called {router!r}", param="router")
        return await self._followers[router].level(LEVEL_S)

    async def announce(self, router: str, news: News) -> Learned:
        """Log an operator's news, durably; the next decision here is made in its knowledge.

        Raises InvalidRequest for a prior that nothing can be learned from, and StoreUnavailable;
        announcing it again, by the same id, changes nothing.
        """
        if isinstance(news, Prior) and (why := flaw(news, self.featurizer.dimension)):
            raise InvalidRequest(f"the prior of arm {news.arm_id!r} {why}", param="prior")
        status = await self.store.announce(router, news)
        await self.level(router)
        return status

    async def arms(self, router: str) -> tuple[int, list[ArmReport]]:
        """The log's position and what was learned up to it, arm by arm.

        Everything acknowledged before the call is in it. Raises UnknownModel.
        """
        knowledge = await self.level(router)
        roster = self._deciders[router].rosters.at(knowledge).roster
        return knowledge.position, reports(knowledge, roster, self.clock())

    async def guard(self, router: str) -> GuardReport:
        """What every arm alone would have earned, and which of them drifted.

        Raises UnknownModel.
        """
        knowledge = await self.level(router)
        return self._guarded(self.routers[router], knowledge)

    def guard_now(self, router: str) -> GuardReport:
        """As :meth:`guard`, from what is folded here, without waiting for anything."""
        return self._guarded(self.routers[router], self._followers[router].knowledge)

    def _guarded(self, spec: RouterSpec, knowledge: Knowledge) -> GuardReport:
        return guard_report(knowledge, spec.objective, restrained=_falls_behind(spec, knowledge))

    async def budgets(self, router: str) -> list[BudgetReport]:
        """How the budgets of a router stand, by everything acknowledged before the call.

        Raises UnknownModel, StoreUnavailable.
        """
        await self.level(router)
        return self.budgets_now(router)

    def budgets_now(self, router: str) -> list[BudgetReport]:
        """As :meth:`budgets`, from what is folded here, without waiting for anything."""
        ledger = Ledger(self._followers[router].knowledge.accounts, self.clock())
        return budget_reports(self._deciders[router].purse.standings(ledger), ledger.now_s)

    def spent_now(self, router: str) -> list[Spent]:
        """What was spent in a router as far as is folded here: by all, then by other payers."""
        accounts = {ROUTER: NOTHING_SPENT, **self._followers[router].knowledge.accounts}
        return [spent(payer, account, self.clock()) for payer, account in accounts.items()]

    async def digest(self, router: str) -> tuple[int, str]:
        """The position this replica has folded, and a digest of all it knows there.

        Raises UnknownModel.
        """
        if router not in self.routers:
            raise UnknownModel(f"no router is called {router!r}", param="router")
        return await self._followers[router].digest()

    def _estimates(self, router: str, knowledge: Knowledge) -> list[ArmEstimate]:
        spec = self.routers[router]
        roster = self._deciders[router].rosters.at(knowledge).roster
        return estimates(knowledge, roster, spec.objective, self.clock())

    def _rules(self, spec: RouterSpec, *, explore: bool) -> Rules:
        if not self._followers[spec.name].loaded and spec.default_arm is not None:
            return Rules(Fixed(spec.default_arm), floor=0.0, seed=spec.rules.seed)
        if not explore:
            return Rules(Greedy(), floor=0.0, seed=spec.rules.seed)
        if spec.baseline and _falls_behind(spec, self._followers[spec.name].knowledge):
            return replace(spec.rules, policy=Fixed(spec.baseline.arm_id))
        return spec.rules

    def _call(self, spec: RouterSpec, request: Request, out: Mapping[str, str] | None) -> Call:
        return Call(
            decision_id=self.mint.decision_id(spec.name),
            request=request,
            context=self.featurizer.context(request),
            out=out or {},
            prompt=kept(request.body) if spec.keep_prompts else None,
        )

    def _drawn(self, spec: RouterSpec, rules: Rules, call: Call) -> Decision:
        knowledge = self._followers[spec.name].knowledge
        made = self._deciders[spec.name].decide(call, rules, knowledge, self.clock())
        return replace(made, degraded=True) if self.degraded else made

    def _settle(self, entries: Sequence[Evidence]) -> None:
        """What calls and words cost is in the log: nothing is set aside for them any more."""
        for entry in entries:
            if isinstance(entry, QualityEvidence):
                self._grants.settle(entry)
            elif isinstance(entry, OutcomeEvidence):
                for decider in self._deciders.values():
                    decider.purse.settle(entry.decision_id)

    def _is_quarantined(self, router: str, source: str) -> bool:
        return source in self._followers[router].knowledge.quarantined

    def _router_of(self, decision_id: DecisionId, at: int | None = None) -> str:
        for name in self.routers:
            if made_for(decision_id, name):
                return name
        raise UnknownDecision(
            "no router here made this decision; check that the id is whole and of this server",
            param="id" if at is None else str(at),
        )

    async def _absorb(
        self, router: str, changes: Sequence[FeedbackChange], places: list[int]
    ) -> dict[int, Learned]:
        try:
            statuses = await self.store.absorb(router, [changes[at] for at in places])
        except InvalidRequest as error:
            if error.param is not None and error.param.isdecimal():
                error.param = str(places[int(error.param)])
            raise
        return dict(zip(places, statuses, strict=True))

    async def _rehearse(self, changes: Sequence[FeedbackChange], routers: list[str]) -> None:
        """Several logs cannot share one transaction: find out what is wrong before the first."""
        marks: dict[DecisionId, Mapping[str, Mark]] = {}
        for at, (change, router) in enumerate(zip(changes, routers, strict=True)):
            decision_id = change.decision_id
            if decision_id not in marks:
                record = await self.store.find(router, decision_id)
                if record is None:
                    raise UnknownDecision("this decision is not known", param=str(at))
                marks[decision_id] = record.marks
            try:
                marks[decision_id] = apply(marks[decision_id], change).marks
            except InvalidRequest as error:
                error.param = str(at)
                raise

    async def _written(self, decision_ids: Iterable[DecisionId]) -> None:
        """Wait for decisions that are still in line, and only shortly while writes are refused.

        Raises StoreUnavailable if they stay there: the store does not know them yet, but will.
        """
        patience_s = SETTLE_S if self._backlog.stuck else LEVEL_S
        if not await self._backlog.settled(decision_ids, patience_s):
            raise StoreUnavailable("the decision is still on its way to the store")

    async def _tune(self) -> None:
        """Log how the routers forget, where the log says otherwise: all replicas must do alike.

        Once told, again only where the store has lost it: while replicas are given another
        configuration one by one, they must not contradict each other for ever.
        """
        told: set[str] = set()
        while True:
            for name, spec in self.routers.items():
                if name in told and self._followers[name].knowledge.tuning is not None:
                    continue
                with suppress(StoreError):
                    await self._tell_tuning(name, spec)
                    told.add(name)
            await asyncio.sleep(TUNE_PAUSE_S)

    async def _tell_tuning(self, router: str, spec: RouterSpec) -> None:
        now = (await self.level(router)).tuning or Tuning("", 0.0)
        wanted = Tuning(self.mint.feedback_id(), self.clock(), *astuple(spec.forgetting))
        if not now.same_as(wanted):
            await self.announce(router, wanted)

    async def _expire(self) -> None:
        while True:
            with suppress(StoreError):
                count = await self.store.expire()
                if count:
                    logger.info("deleted expired decisions", extra={"count": count})
            await asyncio.sleep(EXPIRE_EVERY_S)


def _falls_behind(spec: RouterSpec, knowledge: Knowledge) -> bool:
    """Whether a router lost more against its baseline than it is allowed to."""
    if spec.baseline is None:
        return False
    row = knowledge.rows.get(spec.baseline.arm_id)
    return row is not None and knowledge.guard.quality_loss(row) > spec.baseline.max_quality_loss


def _is_dead(task: asyncio.Task[None]) -> bool:
    """Whether a task ended before its work was done."""
    return task.done() and (task.cancelled() or task.exception() is not None)


def _mourn(task: asyncio.Task[None]) -> None:
    """Say why one of the engine's tasks ended, which none of them does by itself."""
    if not task.cancelled() and (error := task.exception()):
        logger.error("a task of the engine died; nothing is learned from here on", exc_info=error)
