"""Every budget that a router keeps: the price they add up to, and the walls behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import fsum

import numpy as np

from banditroute.core.beliefs import Beliefs, Objective
from banditroute.core.eligibility import OVER_BUDGET
from banditroute.core.pacing import Budget, Offer, Pacer
from banditroute.core.spending import ROUTER, Account
from banditroute.values import DecisionId

NOTHING_SPENT = Account()
RESERVED_S = 900.0  # a call that nobody heard of for so long is not waited for any more


@dataclass(frozen=True, slots=True)
class Ledger:
    """What every payer had spent, as far as is known at ``now_s``."""

    accounts: Mapping[str, Account]
    now_s: float

    def account(self, payer: str) -> Account:
        """A payer's account; an empty one for who never paid."""
        return self.accounts.get(payer, NOTHING_SPENT)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a budget stands: its price, what is set aside, and what one more call may cost.

    ``periods`` are the whole, what was spent of it and the end, day before month, of every
    period that has a limit.
    """

    budget: Budget
    account: Account
    price: float
    reserved_usd: float
    left_usd: float
    periods: tuple[tuple[float, float, float], ...]


class Purse:
    """The budgets of one router on one replica.

    A call is charged to the router and to its ``payers``; what it may cost is reserved from
    the decision on, until the log knows what it did cost.
    """

    def __init__(self, budgets: Sequence[Budget], seed: int) -> None:
        rngs = np.random.SeedSequence(seed).spawn(len(budgets))
        self._pacers: dict[str, list[Pacer]] = {}
        for budget, rng in zip(budgets, rngs, strict=True):
            pacer = Pacer(budget, np.random.default_rng(rng))
            self._pacers.setdefault(budget.payer, []).append(pacer)
        self._reserved: dict[DecisionId, tuple[float, float, tuple[str, ...]]] = {}
        self._reserved_usd: dict[str, float] = {}

    def __bool__(self) -> bool:
        """Whether there is any budget to keep."""
        return bool(self._pacers)

    def watched(self, payers: Sequence[str]) -> tuple[str, ...]:
        """Those of some payers that have a budget; the others need no account."""
        return tuple(payer for payer in payers if payer in self._pacers)

    def price(self, payers: Sequence[str]) -> float:
        """λ: what a dollar costs, in reward, for a call that these pay for."""
        return fsum(pacer.price for _, pacer in self._concerned(payers))

    def over_budget(
        self,
        beliefs: Beliefs,
        excluded: Mapping[str, str],
        payers: Sequence[str],
        ledger: Ledger,
    ) -> dict[str, str]:
        """The arms, among those not excluded, that would cost more than is left of a budget.

        The cheapest of them stays where a budget does not say to refuse; so does what is free.
        """
        over: dict[str, str] = {}
        self._give_up(ledger.now_s)
        for payer, pacer in self._concerned(payers):
            reserved = self._reserved_usd.get(payer, 0.0)
            left = pacer.left_usd(ledger.account(payer), reserved, ledger.now_s)
            for arm_id in _dearer(beliefs, excluded, left, keep_one=not pacer.budget.refuse):
                over[arm_id] = f"{OVER_BUDGET}:{payer}" if payer else OVER_BUDGET
        return over

    def standings(self, ledger: Ledger) -> list[Standing]:
        """How every budget stands, in the order they were given in, payer by payer."""
        self._give_up(ledger.now_s)
        return [
            self._standing(pacer, ledger.account(payer), ledger.now_s)
            for payer, pacers in self._pacers.items()
            for pacer in pacers
        ]

    def note(
        self,
        arms: tuple[str, ...],
        beliefs: Beliefs,
        objective: Objective,
        payers: Sequence[str],
        ledger: Ledger,
    ) -> None:
        """Take in the beliefs that a decision was made on, over its eligible ``arms``."""
        if not self._pacers:
            return
        place = {arm_id: row for row, arm_id in enumerate(arms)}
        offer = Offer(
            rows=[place[arm_id] for arm_id in beliefs.arm_ids],
            utility=beliefs.utility + objective.budget_price * beliefs.cost_usd,
            sd=beliefs.sampling_sd,
            cost_usd=beliefs.cost_usd,
            quality=beliefs.quality,
        )
        for payer, pacer in self._concerned(payers):
            pacer.note(arms, offer, ledger.account(payer), ledger.now_s)

    def reserve(
        self, decision_id: DecisionId, usd: float, payers: Sequence[str], now_s: float
    ) -> None:
        """Set aside what a call may cost, until it is known."""
        if not self._pacers:
            return
        self.settle(decision_id)
        self._give_up(now_s)
        held = (ROUTER, *payers)
        self._reserved[decision_id] = (now_s, usd, held)
        for payer in held:
            self._reserved_usd[payer] = self._reserved_usd.get(payer, 0.0) + usd

    def settle(self, decision_id: DecisionId) -> None:
        """The log knows what a call cost, or it was never made."""
        found = self._reserved.pop(decision_id, None)
        if found is None:
            return
        for payer in found[2]:
            self._reserved_usd[payer] -= found[1]
        if not self._reserved:
            self._reserved_usd.clear()  # no rounding residue builds up

    def _standing(self, pacer: Pacer, account: Account, now_s: float) -> Standing:
        reserved = self._reserved_usd.get(pacer.budget.payer, 0.0)
        return Standing(
            budget=pacer.budget,
            account=account,
            price=pacer.price,
            reserved_usd=reserved,
            left_usd=pacer.left_usd(account, reserved, now_s),
            periods=tuple(pacer.periods(account, now_s)),
        )

    def _give_up(self, now_s: float) -> None:
        while self._reserved:
            oldest = next(iter(self._reserved))
            if now_s - self._reserved[oldest][0] < RESERVED_S:
                break
            self.settle(oldest)

    def _concerned(self, payers: Sequence[str]) -> Iterator[tuple[str, Pacer]]:
        for payer in (ROUTER, *payers):
            for pacer in self._pacers.get(payer, ()):
                yield payer, pacer


def _dearer(
    beliefs: Beliefs, excluded: Mapping[str, str], left_usd: float, *, keep_one: bool
) -> list[str]:
    """The arms that cost something and more than is left, but for the cheapest to keep."""
    costs = dict(zip(beliefs.arm_ids, beliefs.cost_usd.tolist(), strict=True))
    allowed = [arm_id for arm_id in beliefs.arm_ids if arm_id not in excluded]
    dearer = [arm_id for arm_id in allowed if costs[arm_id] > max(left_usd, 0.0)]
    if keep_one and dearer and len(dearer) == len(allowed):
        dearer.remove(min(dearer, key=costs.__getitem__))
    return dearer
