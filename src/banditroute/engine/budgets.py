"""How budgets stand, in numbers for people and programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from banditroute.core.pacing import Budget
from banditroute.core.purse import Standing
from banditroute.core.spending import ROUTER, Account, day_of, month_of


@dataclass(frozen=True, slots=True)
class Spent:
    """What a payer spent in all, today and this month (UTC), and for how many requests."""

    payer: str
    usd: float
    today_usd: float
    month_usd: float
    requests: int
    requests_today: int


@dataclass(frozen=True, slots=True)
class BudgetReport:
    """A budget, what its payer spent, and what is left of it.

    ``price`` is what a dollar costs here now, in reward, beyond 1 / ``answer_value_usd``;
    ``reserved_usd`` is set aside here for calls that are not accounted for yet; ``left_usd``
    is what one more call may cost, None without a limit in dollars.
    """

    budget: Budget
    spent: Spent
    price: float
    reserved_usd: float
    left_usd: float | None


def shown(payer: str) -> str:
    """A payer as people read it."""
    return "router" if payer == ROUTER else payer


def spent(payer: str, account: Account, now_s: float) -> Spent:
    """What an account says as of now."""
    today, (first, _) = day_of(now_s), month_of(now_s)
    return Spent(
        payer=shown(payer),
        usd=account.usd,
        today_usd=account.usd_on(today),
        month_usd=account.usd_between(first, today),
        requests=account.requests,
        requests_today=account.requests_today if account.day == today else 0,
    )


def budget_reports(standings: Sequence[Standing], now_s: float) -> list[BudgetReport]:
    """A report of every budget, in order."""
    return [
        BudgetReport(
            budget=standing.budget,
            spent=spent(standing.budget.payer, standing.account, now_s),
            price=standing.price,
            reserved_usd=standing.reserved_usd,
            left_usd=standing.left_usd if isfinite(standing.left_usd) else None,
        )
        for standing in standings
    ]
