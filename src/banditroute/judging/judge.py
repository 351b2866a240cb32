"""The judge at work: draws answers, asks an arm for a verdict, and learns its score.

Nobody waits for it, and what goes wrong here ends in a count and a line in the log, neither of
which repeats a prompt or an answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from banditroute.core.context.request import read
from banditroute.core.eligibility import barred
from banditroute.core.identity import unit_interval
from banditroute.engine import Engine
from banditroute.errors import BanditrouteError, StoreUnavailable, UpstreamError, UpstreamFault
from banditroute.judging.budget import Budget
from banditroute.judging.prompt import MOST_OUTPUT_TOKENS, Quoted, answer, conversation, question
from banditroute.judging.verdict import score_of
from banditroute.providers.base import Provider, usage_of
from banditroute.stores.tasks import end
from banditroute.values import Arm, Decision, DecisionId, Feedback, Request

logger = logging.getLogger(__name__)

SOURCE = "judge"
FENCE_BYTES = 16
RETRY_PAUSES_S = (0.5, 2.0, 8.0)  # between attempts to teach a store that is away
GRACE_S = 2.0  # at the end, for what is being judged
UNSEEN = frozenset({"vision", "audio"})  # a judge reads text only
UNBILLED = frozenset(UpstreamFault) - {
    UpstreamFault.TIMEOUT,
    UpstreamFault.MALFORMED,
    UpstreamFault.INTERRUPTED,
}


class Fate(StrEnum):
    """What became of an answer that was drawn. Each has exactly one."""

    JUDGED = "judged"
    UNPARSABLE = "unparsable"  # the judge gave no plain score
    FAILED = "failed"  # the judge's call did
    OVER_BUDGET = "over_budget"
    DROPPED = "dropped"  # the queue was full, or the process was stopping
    BARRED = "barred"  # the request may not go to the judge's arm
    UNLEARNED = "unlearned"  # the store was away for too long, or does not take the score


@dataclass(frozen=True, slots=True)
class JudgeSpec:
    """Who judges, by which rubric, and which share of the answers of which routers."""

    arm: Arm
    rubric: str
    share: float
    routers: frozenset[str]
    skip_own: bool = True
    max_concurrency: int = 2
    queue: int = 100

    @property
    def least_usd(self) -> float:
        """What must be reserved for the shortest judgement there is."""
        return most_usd(self.arm, question(self.rubric, (), ""))


@dataclass(frozen=True, slots=True)
class _Sample:
    """An answer in line, and what was asked: in memory only, and cut."""

    decision_id: DecisionId
    quoted: tuple[Quoted, ...]


class Judge:
    """Takes answers without waiting; judges them in tasks of its own.

    ``fates`` counts what became of those that were drawn, ``cost_usd`` adds up what its calls
    cost as far as that is known. ``entropy(n)`` gives n random bytes.
    """

    def __init__(
        self,
        spec: JudgeSpec,
        provider: Provider,
        engine: Engine,
        budget: Budget,
        entropy: Callable[[int], bytes],
    ) -> None:
        self.spec = spec
        self.fates: Counter[Fate] = Counter()
        self.cost_usd = 0.0
        self._provider = provider
        self._engine = engine
        self._budget = budget
        self._entropy = entropy
        self._queue: deque[_Sample] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False

    def draws(self, decision: Decision) -> bool:
        """Whether the answer to a decision is to be judged: the same on every replica."""
        spec = self.spec
        if decision.router not in spec.routers:
            return False
        if spec.skip_own and decision.arm_id == spec.arm.id:
            return False
        return unit_interval(decision.seed, decision.id, SOURCE) < spec.share

    def offer(self, decision: Decision, request: Request, text: str | None) -> None:
        """Put the answer of a decision that was drawn in line. Never waits.

        Left alone are answers without a text, and requests with pictures or sound, of which
        the judge would see nothing.
        """
        if text is None or read(request.body).needs & UNSEEN:
            return
        if barred(self.spec.arm, request.wishes):
            self.fates[Fate.BARRED] += 1
        elif self._stopped or len(self._queue) >= self.spec.queue:
            self.fates[Fate.DROPPED] += 1
        else:
            quoted = (*conversation(request.body), answer(text))
            self._queue.append(_Sample(decision.id, quoted))
            self._wake()

    async def stop(self) -> None:
        """Drop what is in line, and give what is being judged a moment to end."""
        self._stopped = True
        self.fates[Fate.DROPPED] += len(self._queue)
        self._queue.clear()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GRACE_S)
        await end(self._tasks)

    def _wake(self) -> None:
        working = sum(not task.done() for task in self._tasks)
        if working < self.spec.max_concurrency:
            task = asyncio.create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self) -> None:
        """Judge what is in line until nothing is."""
        while self._queue:
            sample, fate = self._queue.popleft(), Fate.DROPPED  # unless it comes to an end
            try:
                fate = await self._fate_of(sample)
            except Exception as error:  # noqa: BLE001 - its text, and a traceback, might quote
                fate = Fate.FAILED
                _log("a judgement failed", sample, error=type(error).__name__)
            finally:
                self.fates[fate] += 1

    async def _fate_of(self, sample: _Sample) -> Fate:
        """Judge one answer."""
        fence = self._entropy(FENCE_BYTES).hex()
        body = question(self.spec.rubric, sample.quoted, fence)
        reserved_usd = most_usd(self.spec.arm, body)
        if not self._budget.reserve(reserved_usd):
            return Fate.OVER_BUDGET
        try:
            reply = await self._ask(body, reserved_usd)
        except UpstreamError as error:
            _log("the judge did not answer", sample, fault=str(error.fault))
            return Fate.FAILED
        score = score_of(reply)
        if score is None:
            _log("the judge gave no plain score", sample)
            return Fate.UNPARSABLE
        return await self._teach(sample, score)

    async def _ask(self, body: dict[str, Any], reserved_usd: float) -> dict[str, Any]:
        """The judge's completion, paid for. A cost that stays unknown is paid as reserved."""
        spent_usd = reserved_usd
        try:
            completion = await self._provider.complete(self.spec.arm, body)
            known_usd = usage_of(completion.body).cost_at(self.spec.arm)
            if known_usd is not None:
                spent_usd = known_usd
                self.cost_usd += known_usd
        except UpstreamError as error:
            if error.fault in UNBILLED:
                spent_usd = 0.0
            raise
        finally:
            self._budget.settle(reserved_usd, spent_usd)
        return completion.body

    async def _teach(self, sample: _Sample, score: float) -> Fate:
        """Learn a score, once, however often that has to be tried."""
        id_ = self._engine.mint.feedback_id()  # the same in every attempt, which makes it one
        feedback = Feedback(id_, sample.decision_id, score, source=SOURCE)
        for pause_s in (*RETRY_PAUSES_S, None):
            try:
                await self._engine.learn([feedback])
            except StoreUnavailable:
                if pause_s is not None:
                    await asyncio.sleep(pause_s)
            except BanditrouteError as error:
                _log("a judge's score was refused", sample, error=type(error).__name__)
                return Fate.UNLEARNED
            else:
                return Fate.JUDGED
        _log("a judge's score found no store", sample)
        return Fate.UNLEARNED


def most_usd(arm: Arm, body: Mapping[str, Any]) -> float:
    """What a judge's call may cost: its input as estimated, its output as long as it may get."""
    return arm.cost_usd(read(body).input_tokens, MOST_OUTPUT_TOKENS)


def _log(event: str, sample: _Sample, **fields: str) -> None:
    logger.warning(event, extra={"decision": sample.decision_id, **fields})
