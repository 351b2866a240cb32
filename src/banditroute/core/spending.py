"""What was spent, by whom: charged at completion, from real usage, never at feedback.

The log is shared, so replicas that each know the whole log hold one budget together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from math import fsum

from banditroute.values import OutcomeEvidence

ROUTER = ""  # the payer of every call: the router itself
DAY_S = 86_400.0
RATE_HALF_LIFE_S = 3_600.0
EPOCH = date(1970, 1, 1)
LN2 = 0.6931471805599453
MOST_PAYERS = 4_096


def day_of(at_s: float) -> int:
    """The day, in UTC, as a number."""
    return int(at_s // DAY_S)


def month_of(at_s: float) -> tuple[int, int]:
    """The first day of the month, in UTC, and the first of the next."""
    first = datetime.fromtimestamp(at_s, UTC).date().replace(day=1)
    after = (first + timedelta(days=31)).replace(day=1)
    return (first - EPOCH).days, (after - EPOCH).days


@dataclass(slots=True)
class Account:
    """One payer's calls: ``usd`` and ``requests`` in all, and the requests of ``day`` (UTC).

    ``days`` holds the dollars of each of the last 31 days that had any.
    ``requests_before`` are those of the day before; ``rate`` is a count of calls that halves
    every ``RATE_HALF_LIFE_S``, as of ``latest_s``.
    """

    usd: float = 0.0
    requests: int = 0
    day: int = 0
    requests_today: int = 0
    requests_before: int = 0
    days: dict[int, float] = field(default_factory=dict)
    rate: float = 0.0
    latest_s: float = 0.0

    def charge(self, at_s: float, usd: float) -> None:
        """Add one call. A call of an earlier day, recorded late, counts in its own day."""
        self._turn(day_of(at_s))
        self.usd += usd
        self.requests += 1
        day = day_of(at_s)
        self.requests_today += int(day == self.day)
        self.days[day] = self.days.get(day, 0.0) + usd
        self.rate = self.rate * _kept(at_s - self.latest_s) + 1.0
        self.latest_s = max(self.latest_s, at_s)

    def usd_on(self, day: int) -> float:
        """Dollars of a day."""
        return self.days.get(day, 0.0)

    def usd_between(self, first: int, last: int) -> float:
        """Dollars of the days from ``first`` to ``last``, both included; 31 days are kept."""
        return fsum(usd for day, usd in self.days.items() if first <= day <= last)

    def requests_per_s(self, now_s: float) -> float:
        """How many calls come a second, of late."""
        return self.rate * _kept(now_s - self.latest_s) * LN2 / RATE_HALF_LIFE_S

    def expected_by(self, end_s: float, now_s: float) -> float:
        """How many calls may come until ``end_s``: as of late, or as yesterday, whichever is more.

        At least one.
        """
        left_s = max(end_s - now_s, 0.0)
        yesterday = self.requests_before if self.day == day_of(now_s) else self.requests_today
        daily = max(yesterday, self.requests_per_s(now_s) * DAY_S)
        return max(daily * left_s / DAY_S, 1.0)

    def copy(self) -> Account:
        """An account that later charges do not touch."""
        made = Account(*(getattr(self, name) for name in self.__slots__))
        made.days = dict(self.days)
        return made

    def _turn(self, day: int) -> None:
        if day <= self.day:
            return
        self.requests_before = self.requests_today if day == self.day + 1 else 0
        self.day, self.requests_today = day, 0
        for old in [known for known in self.days if known <= day - 31]:
            del self.days[old]


@dataclass(slots=True)
class Spending:
    """Every payer's account."""

    accounts: dict[str, Account] = field(default_factory=dict)

    def observe(self, outcome: OutcomeEvidence) -> None:
        """Charge a call to the router and to everybody else who pays for it."""
        for payer in (ROUTER, *outcome.payers):
            account = self.accounts.get(payer)
            if account is None:
                if len(self.accounts) >= MOST_PAYERS:
                    continue
                account = self.accounts[payer] = Account()
            account.charge(outcome.at_s, outcome.cost_usd or 0.0)

    def copy(self) -> Spending:
        """The accounts as they are now."""
        return Spending({payer: account.copy() for payer, account in self.accounts.items()})


def _kept(age_s: float) -> float:
    """What is left of a count after so many seconds."""
    kept: float = 0.5 ** (max(age_s, 0.0) / RATE_HALF_LIFE_S)
    return kept
