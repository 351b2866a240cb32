"""Budget pacing: the price of a dollar at which a budget lasts.

A budget of B dollars a request enters every choice as a price λ of a dollar beyond its worth:
arms are compared by utility − λ·cost (the Lagrangian of a knapsack constraint: Badanidiyuru,
Kleinberg & Slivkins 2013; Agrawal & Devanur 2016). λ is found on the decisions of late: the
one at which choosing the best of each by *sampled* utility would have cost B on average, B
corrected by what was spent too much or too little so far. Posterior means would overspend,
because exploration costs money too.

A wall stands behind it: an arm that would cost more than is left is not eligible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from banditroute.core.spending import DAY_S, ROUTER, Account, day_of, month_of
from banditroute.values import Vector

WINDOW = 500  # W: decisions that λ is found on
EVERY = 10  # decisions between two findings
CARRY = 10.0  # what is saved up and paced for, in requests: a fall in price must end in no spree
HEADROOM = 10.0  # requests whose budget may be used up beyond what was ever saved
HORIZON = 50.0  # requests over which spending is brought back to the budget; 500 runs into the wall
LUMP = 10.0  # carry for, and pace over, so many of the dearest chosen call where that is more
RESERVE = 0.75  # of a headroom or a dearest chosen call is never paced for: means end below B
LOWEST, HIGHEST = 0.01, 4.0  # bounds of the corrected target, in B
LOG10_PRICE = (-7.0, 3.0)  # λ·B lies between 10 to these powers
STEPS = 30  # of bisection


@dataclass(frozen=True, slots=True)
class Offer:
    """What the eligible arms ``rows`` of one decision promised: ``utility`` ± ``sd`` without λ."""

    rows: Sequence[int]
    utility: Vector
    sd: Vector
    cost_usd: Vector
    quality: Vector


@dataclass(slots=True)
class Window:
    """The latest decisions: what each of K arms was thought to yield and cost.

    ``utility`` (W, K) is sampled, without λ; ``cost`` (W, K) in dollars; −inf and 0 for arms
    that were not eligible; ``quality`` (W, K) the predicted one.
    """

    arms: tuple[str, ...]
    size: int = WINDOW
    count: int = 0
    utility: Vector = field(init=False)
    cost: Vector = field(init=False)
    quality: Vector = field(init=False)

    def __post_init__(self) -> None:
        shape = (self.size, len(self.arms))
        self.utility = np.full(shape, -np.inf)
        self.cost = np.zeros(shape)
        self.quality = np.zeros(shape)

    def note(self, offer: Offer, noise: Vector) -> None:
        """Add one decision, sampled by standard normal ``noise``, in place of the oldest."""
        at = self.count % self.size
        self.utility[at] = -np.inf
        self.utility[at, offer.rows] = offer.utility + offer.sd * noise
        self.cost[at, offer.rows] = offer.cost_usd
        self.quality[at, offer.rows] = offer.quality
        self.count += 1

    def chosen(self, price: float) -> tuple[float, float]:
        """Mean cost and mean quality of choosing the best by utility − price·cost."""
        places = self._best(price)
        return float(self.cost[places].mean()), float(self.quality[places].mean())

    def dearest(self, price: float) -> float:
        """The cost of the dearest call that would be chosen."""
        return float(self.cost[self._best(price)].max())

    def _best(self, price: float) -> tuple[np.ndarray, np.ndarray]:
        size = min(self.count, self.size)
        return np.arange(size), np.argmax(self.utility[:size] - price * self.cost[:size], axis=1)


def affordable_price(window: Window, target_usd: float) -> float:
    """The lowest λ ≥ 0 at which the window's choices cost ``target_usd`` a request at most.

    0 where they cost no more without any price; the highest where none is high enough.
    """
    if window.chosen(0.0)[0] <= target_usd:
        return 0.0
    low, high = LOG10_PRICE
    for _ in range(STEPS):
        middle = (low + high) / 2.0
        if window.chosen(10.0**middle / target_usd)[0] > target_usd:
            low = middle
        else:
            high = middle
    price: float = 10.0**high / target_usd
    return price


def thrifty_price(window: Window, least_quality: float) -> float:
    """The highest λ ≥ 0 at which the window's choices are still ``least_quality`` good on average.

    0 where they are not even without a price.
    """
    if window.chosen(0.0)[1] < least_quality:
        return 0.0
    size = min(window.count, window.size)
    scale = float(window.cost[:size].max())
    if scale <= 0.0:
        return 0.0
    low, high = LOG10_PRICE
    for _ in range(STEPS):
        middle = (low + high) / 2.0
        if window.chosen(10.0**middle / scale)[1] >= least_quality:
            low = middle
        else:
            high = middle
    price: float = 10.0**low / scale
    return price


def horizon(budget_usd: float, dearest_usd: float) -> float:
    """Over how many requests to bring spending back to the budget.

    Where a single call costs many B it takes longer: one such call must not send all the
    requests after it to the cheapest arm.
    """
    return max(HORIZON, LUMP * dearest_usd / budget_usd)


def reserve_usd(budget_usd: float, dearest_usd: float) -> float:
    """What to keep saved, so that the wall is seldom met."""
    return RESERVE * max(HEADROOM * budget_usd, dearest_usd)


def target(budget_usd: float, credit_usd: float, horizon_n: float = HORIZON) -> float:
    """What to spend a request: B plus its part of what was saved, within (0.01 B, 4 B)."""
    wanted = budget_usd + credit_usd / horizon_n
    return min(max(wanted, LOWEST * budget_usd), HIGHEST * budget_usd)


@dataclass(frozen=True, slots=True)
class Budget:
    """What a payer may spend, and how well it must be answered. None is no limit.

    ``least_quality`` asks for the cheapest mix of arms that is still so good on average.
    ``refuse`` says what happens when nothing is left: no arm at all, or the cheapest.
    """

    payer: str = ROUTER
    usd_per_request: float | None = None
    usd_per_day: float | None = None
    usd_per_month: float | None = None
    least_quality: float | None = None
    refuse: bool = False


class Pacer:
    """Keeps one budget. ``price`` is λ: what a dollar costs now, in reward per dollar.

    What was saved is carried as far as a few of the dearest calls that are chosen now would use
    it up: a mean of few dear calls swings by that much, and when prices fall it falls with them.

    Every replica paces its own requests, by what all of them spent together: the accounts of
    the log they share. ``rng`` samples the utilities that λ is found on.
    """

    def __init__(self, budget: Budget, rng: np.random.Generator) -> None:
        self.budget = budget
        self.price = 0.0
        self._rng = rng
        self._window: Window | None = None
        self._credit_usd = 0.0
        self._saved_usd = 0.0
        self._dearest_usd = 0.0
        self._seen: tuple[float, int] | None = None

    def left_usd(self, account: Account, reserved_usd: float, now_s: float) -> float:
        """What one more call may cost; infinite without a limit in dollars."""
        budget = self.budget
        left = [whole - spent - reserved_usd for whole, spent, _ in self.periods(account, now_s)]
        if budget.usd_per_request is not None:
            self._save_up(account)
            saved = self._saved_usd + HEADROOM * budget.usd_per_request - reserved_usd
            left.append(max(saved, budget.usd_per_request))  # B itself adds to no debt
        return min(left, default=float("inf"))

    def note(self, arms: tuple[str, ...], offer: Offer, account: Account, now_s: float) -> None:
        """Take in a decision among ``arms``; find the price anew at times."""
        if self._window is None or self._window.arms != arms:
            self._window = Window(arms)
        self._window.note(offer, self._rng.standard_normal(len(offer.rows)))
        if self._window.count % EVERY == 0:
            self._reprice(self._window, account, now_s)

    def periods(self, account: Account, now_s: float) -> list[tuple[float, float, float]]:
        """The budget, what was spent and the end, of every period that has a limit."""
        day, periods = day_of(now_s), []
        if self.budget.usd_per_day is not None:
            spent = account.usd_between(day, day)
            periods.append((self.budget.usd_per_day, spent, (day + 1) * DAY_S))
        if self.budget.usd_per_month is not None:
            first, after = month_of(now_s)
            spent = account.usd_between(first, day)
            periods.append((self.budget.usd_per_month, spent, after * DAY_S))
        return periods

    def _reprice(self, window: Window, account: Account, now_s: float) -> None:
        targets = self._targets(window, account, now_s)
        prices = [affordable_price(window, wanted) for wanted in targets]
        if self.budget.least_quality is not None:
            prices.append(thrifty_price(window, self.budget.least_quality))
        self.price = max(prices, default=0.0)

    def _targets(self, window: Window, account: Account, now_s: float) -> list[float]:
        """What a request may cost on average, by each limit; above 0."""
        wanted = [
            max(whole - spent, 1e-9 * whole) / account.expected_by(end_s, now_s)
            for whole, spent, end_s in self.periods(account, now_s)
        ]
        if self.budget.usd_per_request is not None:
            self._save_up(account)
            budget_usd = self.budget.usd_per_request
            self._dearest_usd = window.dearest(self.price)
            spare_usd = self._credit_usd - reserve_usd(budget_usd, self._dearest_usd)
            horizon_n = horizon(budget_usd, self._dearest_usd)
            wanted.append(target(budget_usd, spare_usd, horizon_n))
        return wanted

    def _save_up(self, account: Account) -> None:
        """Count what was spent since the last look, against B for every request.

        The wall knows all that was saved; the price only what may be carried.
        """
        budget_usd = self.budget.usd_per_request or 0.0
        usd, requests = self._seen or (
            account.usd - account.usd_on(account.day),
            account.requests - account.requests_today,
        )
        earned = budget_usd * (account.requests - requests) - (account.usd - usd)
        most_usd = max(CARRY * budget_usd, LUMP * self._dearest_usd)
        self._credit_usd = min(self._credit_usd + earned, most_usd)
        self._saved_usd += earned
        self._seen = account.usd, account.requests
