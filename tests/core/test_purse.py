"""Budgets last, walls hold, and reservations come back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import pytest
from core_examples import NOW_S, OBJECTIVE, beliefs, outcome
from hypothesis import given
from hypothesis import strategies as st

from banditroute.core.beliefs import Beliefs
from banditroute.core.choice import eligible
from banditroute.core.eligibility import OVER_BUDGET
from banditroute.core.pacing import HEADROOM, Budget
from banditroute.core.policies import Thompson
from banditroute.core.purse import RESERVED_S, Ledger, Purse
from banditroute.core.selection import distribution
from banditroute.core.spending import DAY_S, ROUTER, Account, Spending, day_of

ARMS = ("cheap", "middle", "dear")
COSTS = (0.0001, 0.001, 0.01)
QUALITIES = (0.6, 0.75, 0.9)
B = 0.001
LEDGER = Ledger({}, NOW_S)


def purse_of(*budgets: Budget) -> Purse:
    return Purse(budgets, seed=5)


def seen(costs: Sequence[float] = COSTS, utility: Sequence[float] = QUALITIES) -> Beliefs:
    return beliefs(utility, arm_ids=ARMS, cost_usd=costs)


def spent(usd: float, payer: str = ROUTER, requests: int = 1) -> Ledger:
    account = Account()
    for _ in range(requests):
        account.charge(NOW_S, usd / requests)
    return Ledger({payer: account}, NOW_S)


# walls


def test_arms_that_cost_more_than_is_left_are_out():
    purse = purse_of(Budget(usd_per_day=1.0))
    assert purse.over_budget(seen(), {}, (), spent(0.9)) == {}
    assert purse.over_budget(seen(), {}, (), spent(0.995)) == {"dear": OVER_BUDGET}


@pytest.mark.parametrize("overspent", [1.0, 50.0])
def test_the_cheapest_stays_when_nothing_is_left(overspent):
    purse = purse_of(Budget(usd_per_day=1.0))
    assert set(purse.over_budget(seen(), {}, (), spent(overspent))) == {"middle", "dear"}


def test_nothing_stays_when_a_budget_says_to_refuse():
    purse = purse_of(Budget(usd_per_day=1.0, refuse=True))
    assert set(purse.over_budget(seen(), {}, (), spent(1.0))) == set(ARMS)


@pytest.mark.parametrize("refuse", [False, True])
def test_free_arms_stay_whatever_was_spent(refuse):
    purse = purse_of(Budget(usd_per_day=1.0, refuse=refuse))
    free = seen((0.001, 0.0, 0.01))
    assert set(purse.over_budget(free, {}, (), spent(50.0))) == {"cheap", "dear"}


def test_the_cheapest_of_those_that_may_be_used_at_all_stays():
    purse = purse_of(Budget(usd_per_day=1.0))
    over = purse.over_budget(seen(), {"cheap": "paused"}, (), spent(1.0))
    assert over == {"dear": OVER_BUDGET}


def test_where_no_arm_is_left_none_is_over_budget():
    purse = purse_of(Budget(usd_per_day=1.0))
    assert purse.over_budget(seen(), dict.fromkeys(ARMS, "paused"), (), spent(9.0)) == {}


def test_only_the_budgets_of_those_who_pay_count_and_the_reason_names_them():
    purse = purse_of(Budget("team", usd_per_day=1.0))
    ledger = spent(0.995, "team")
    assert purse.over_budget(seen(), {}, (), ledger) == {}
    assert purse.over_budget(seen(), {}, ("others",), ledger) == {}
    assert purse.over_budget(seen(), {}, ("team",), ledger) == {"dear": f"{OVER_BUDGET}:team"}
    assert purse.watched(("others", "team")) == ("team",)


def test_an_arm_over_the_budget_has_no_probability():
    purse = purse_of(Budget(usd_per_day=1.0))
    over = purse.over_budget(seen(), {}, (), spent(0.9995))
    left = eligible(seen(), over)
    assert left.arm_ids == ("cheap",)
    assert distribution(Thompson(), left, 0.05, None).tolist() == [1.0]


def test_a_new_price_counts_at_the_very_next_decision():
    purse = purse_of(Budget(usd_per_day=1.0))
    ledger = spent(0.995)
    assert "dear" in purse.over_budget(seen(), {}, (), ledger)
    assert purse.over_budget(seen((0.0001, 0.02, 0.001)), {}, (), ledger) == {"middle": OVER_BUDGET}


def test_the_order_of_the_arms_changes_no_wall(rng):
    purse, costs = purse_of(Budget(usd_per_day=1.0)), rng.uniform(0.001, 0.1, size=6)
    ids = [f"arm-{n}" for n in range(6)]
    expected = purse.over_budget(beliefs(costs, cost_usd=costs, arm_ids=ids), {}, (), spent(0.95))
    order = rng.permutation(6)
    shuffled = beliefs(costs, cost_usd=costs[order], arm_ids=[ids[place] for place in order])
    assert 0 < len(expected) < 6
    assert purse.over_budget(shuffled, {}, (), spent(0.95)) == expected


amounts = st.floats(0.0, 1e12)


@given(st.lists(amounts, min_size=3, max_size=3), amounts, amounts, st.booleans())
def test_walls_hold_for_any_amounts(costs, usd, held, refuse):
    """What stays is affordable, free, or the one that is cheapest."""
    purse = purse_of(Budget(usd_per_day=1.0, refuse=refuse))
    purse.reserve("d", held, (), NOW_S)
    over = purse.over_budget(seen(costs), {}, (), spent(usd))
    stay = [cost for arm_id, cost in zip(ARMS, costs, strict=True) if arm_id not in over]
    left = max(1.0 - usd - held, 0.0)
    assert stay or refuse
    assert all(cost <= left for cost in stay) or (stay == [min(costs)] and not refuse)
    assert all(costs[ARMS.index(arm_id)] > left for arm_id in over)


# reservations


def test_what_calls_under_way_may_cost_is_set_aside_until_it_is_known():
    purse, ledger = purse_of(Budget(usd_per_day=1.0)), spent(0.9)
    for n in range(9):
        purse.reserve(f"d-{n}", 0.0105, (), NOW_S)
    assert "dear" in purse.over_budget(seen(), {}, (), ledger)
    purse.settle("d-3")
    assert purse.over_budget(seen(), {}, (), ledger) == {}


def test_settling_twice_or_what_was_never_reserved_changes_nothing():
    purse, ledger = purse_of(Budget(usd_per_day=1.0)), spent(0.9)
    purse.reserve("a", 0.05, (), NOW_S)
    purse.reserve("b", 0.045, (), NOW_S)
    for decision_id in ("a", "a", "a", "elsewhere"):
        purse.settle(decision_id)
    purse.reserve("c", 0.05, (), NOW_S)
    assert "dear" in purse.over_budget(seen(), {}, (), ledger)


def test_reserving_anew_replaces_what_was_reserved():
    purse, ledger = purse_of(Budget(usd_per_day=1.0)), spent(0.9)
    purse.reserve("other", 0.0, (), NOW_S)
    for usd in (0.05, 0.05, 0.05):
        purse.reserve("a", usd, (), NOW_S)
    assert purse.over_budget(seen(), {}, (), ledger) == {}
    purse.settle("a")
    purse.reserve("b", 0.085, (), NOW_S)
    assert purse.over_budget(seen(), {}, (), ledger) == {}


def test_a_call_that_nobody_heard_of_is_given_up():
    purse, ledger = purse_of(Budget(usd_per_day=1.0)), spent(0.9)
    purse.reserve("lost", 0.0999, (), NOW_S)
    purse.reserve("found", 0.0, (), NOW_S + RESERVED_S - 1.0)
    assert "dear" in purse.over_budget(seen(), {}, (), ledger)
    later = replace(ledger, now_s=NOW_S + RESERVED_S)
    assert purse.over_budget(seen(), {}, (), later) == {}


def test_a_reservation_counts_for_each_payer_and_no_other():
    purse = purse_of(Budget("team", usd_per_day=1.0), Budget("guests", usd_per_day=1.0))
    purse.reserve("d", 0.995, ("team",), NOW_S)
    assert "dear" in purse.over_budget(seen(), {}, ("team",), LEDGER)
    assert purse.over_budget(seen(), {}, ("guests",), LEDGER) == {}


def test_reserving_and_settling_leaves_no_residue():
    purse = purse_of(Budget(usd_per_day=1.0))
    for n in range(1000):
        purse.reserve(f"d-{n}", 0.1 * (n % 7), (), NOW_S)
    for n in range(1000):
        purse.settle(f"d-{n}")
    assert purse.over_budget(seen((0.0, 0.5, 1.0)), {}, (), LEDGER) == {}


def test_every_budget_says_how_it_stands():
    purse = purse_of(Budget(usd_per_day=1.0), Budget("team", usd_per_request=B))
    purse.reserve("d", 0.1, ("team",), NOW_S)
    of_router, of_team = purse.standings(spent(0.3))
    assert (of_router.budget.payer, of_team.budget.payer) == (ROUTER, "team")
    assert (of_router.account.usd, of_team.account.usd) == (0.3, 0.0)
    assert of_router.reserved_usd == of_team.reserved_usd == 0.1
    assert of_router.left_usd == pytest.approx(0.6)
    assert of_team.left_usd == B
    midnight = (day_of(NOW_S) + 1) * DAY_S
    assert of_router.periods == ((1.0, 0.3, midnight),)
    assert (of_team.periods, of_team.price) == ((), 0.0)


# prices


def test_without_budgets_there_is_nothing_to_keep():
    purse = purse_of()
    assert not purse
    purse.note(ARMS, seen(), OBJECTIVE, (), LEDGER)
    purse.reserve("d", 1.0, (), NOW_S)
    purse.settle("d")
    assert purse.price(("team",)) == 0.0
    assert purse.over_budget(seen(), {}, ("team",), LEDGER) == {}
    assert purse_of(Budget())


def test_prices_of_every_budget_concerned_add_up():
    purse = purse_of(Budget(usd_per_request=B), Budget("team", usd_per_request=B / 5.0))
    for _ in range(50):
        purse.note(ARMS, seen(), OBJECTIVE, ("team",), LEDGER)
    alone, both = purse.price(()), purse.price(("team",))
    assert 0.0 < alone < both
    assert purse.price(("others",)) == alone


def test_the_price_in_force_is_no_part_of_what_the_next_is_found_on():
    """Beliefs hold utilities less λ·cost; the same request at any λ gives the same price."""
    prices = []
    for price in (0.0, 40.0, 4000.0):
        purse, objective = (
            purse_of(Budget(usd_per_request=B)),
            replace(OBJECTIVE, budget_price=price),
        )
        for _ in range(50):
            paid = seen(utility=np.array(QUALITIES) - price * np.array(COSTS))
            purse.note(ARMS, paid, objective, (), LEDGER)
        prices.append(purse.price(()))
    assert prices[0] > 0.0
    assert prices == pytest.approx([prices[0]] * 3, rel=1e-6)


def test_the_same_seed_gives_the_same_prices():
    def price(seed):
        purse = Purse([Budget(usd_per_request=B)], seed)
        for _ in range(50):
            purse.note(ARMS, seen(), OBJECTIVE, (), LEDGER)
        return purse.price(())

    assert price(1) == price(1) != price(2)


# whole streams


@dataclass
class Stream:
    """A router that keeps a budget: decides, calls, and learns of each cost ``delay`` calls later.

    Calls cost up to twice what was expected, as much on average.
    """

    purse: Purse
    delay: int = 0
    seed: int = 1
    costs: Sequence[float] = COSTS
    spending: Spending = field(default_factory=Spending)
    under_way: list = field(default_factory=list)
    quality: float = 0.0
    calls: int = 0

    @property
    def usd(self) -> float:
        account = self.spending.accounts.get(ROUTER)
        return 0.0 if account is None else account.usd

    def __post_init__(self):
        self.rng = np.random.default_rng(self.seed)

    def ask(self, now_s: float) -> str | None:
        """Answer one request; returns the arm, if any was left."""
        rng, price = self.rng, self.purse.price(())
        costs = np.array(self.costs) * rng.lognormal(-0.125, 0.5)
        quality = np.clip(np.array(QUALITIES) + rng.normal(0.0, 0.1, size=3), 0.0, 1.0)
        ledger = Ledger(self.spending.accounts, now_s)
        believed = seen(costs, quality - price * costs)._replace(quality=quality)
        over = self.purse.over_budget(believed, {}, (), ledger)
        self.calls += 1
        if len(over) == len(ARMS):
            return None
        left = eligible(believed, over)
        objective = replace(OBJECTIVE, budget_price=price)
        self.purse.note(ARMS, left, objective, (), ledger)
        place = int(np.argmax(left.utility + rng.normal(0.0, 0.05, size=len(left.arm_ids))))
        arm_id, expected = left.arm_ids[place], float(left.cost_usd[place])
        decision_id = f"d-{self.calls:06d}"
        self.purse.reserve(decision_id, expected, (), now_s)
        self.quality += float(quality[ARMS.index(arm_id)])
        self.under_way.append((decision_id, expected * rng.uniform(0.0, 2.0), now_s))
        while len(self.under_way) > self.delay:
            self.learn(*self.under_way.pop(0))
        return arm_id

    def learn(self, decision_id: str, usd: float, now_s: float) -> None:
        self.spending.observe(outcome(decision_id=decision_id, cost_usd=usd, at_s=now_s))
        self.purse.settle(decision_id)


def asked(
    stream: Stream, count: int, every_s: float = 1.0, start_s: float = NOW_S
) -> Iterator[str]:
    for n in range(count):
        yield stream.ask(start_s + n * every_s)


@pytest.mark.parametrize(
    ("budget", "delay", "seed"),
    [(0.0003, 0, 1), (0.001, 0, 2), (0.001, 5, 3), (0.004, 5, 4)],
)
def test_a_budget_per_request_is_spent_and_not_overspent(budget, delay, seed):
    """4,000 requests where dearer is better: between 90% and 101% of the budget."""
    stream = Stream(purse_of(Budget(usd_per_request=budget)), delay, seed)
    used = set(asked(stream, 4000))
    assert 0.9 * budget * 4000 < stream.usd < 1.01 * budget * 4000
    assert len(used) > 1


def test_at_no_time_is_more_spent_than_was_earned_and_the_headroom():
    """One call's surprise aside: a call costs twice what was expected at most."""
    stream = Stream(purse_of(Budget(usd_per_request=B)))
    for n, _ in enumerate(asked(stream, 2000), start=1):
        assert stream.usd <= B * (n + HEADROOM) + 2.0 * max(COSTS)


def test_a_mix_beats_the_dearest_arm_that_fits_the_budget():
    """At 2.5 times the middle arm's cost, a mix with the dear one answers better."""
    stream = Stream(purse_of(Budget(usd_per_request=0.0025)))
    list(asked(stream, 4000))
    assert stream.quality / 4000 > QUALITIES[1] + 0.02


def test_a_rise_in_prices_ends_in_no_debt_and_a_fall_in_no_spree():
    """Ten times as dear for 1,500 requests, and back: within 5% of the budget in each phase."""
    stream, before = Stream(purse_of(Budget(usd_per_request=0.002))), 0.0
    for phase, factor in enumerate((1.0, 10.0, 1.0)):
        stream.costs = tuple(factor * cost for cost in COSTS)
        list(asked(stream, 1500, start_s=NOW_S + 2000.0 * phase))
        assert stream.usd - before < 1.05 * 0.002 * 1500
        before = stream.usd
    assert stream.usd > 0.9 * 0.002 * 4500


@pytest.mark.parametrize("refuse", [False, True])
@pytest.mark.parametrize("usd_per_day", [0.5, 2.0])
def test_a_day_never_costs_more_than_its_budget_by_one_calls_surprise(refuse, usd_per_day):
    """Three days of 1,440 requests; whoever is not refused still gets the cheapest arm."""
    stream = Stream(purse_of(Budget(usd_per_day=usd_per_day, refuse=refuse)))
    start_s = (day_of(NOW_S) + 1) * DAY_S
    arms = list(asked(stream, 3 * 1440, every_s=60.0, start_s=start_s))
    days = stream.spending.accounts[ROUTER].days
    surprise = 2.0 * max(COSTS) + (0.0 if refuse else 1440 * 2.0 * COSTS[0])
    assert len(days) == 3
    assert all(0.85 * usd_per_day < usd <= usd_per_day + surprise for usd in days.values())
    assert (None in arms) <= refuse


def test_a_day_that_is_used_up_refuses_until_midnight_utc():
    """The dear arm alone, a cent a call, and a dollar a day: about a hundred calls."""
    stream = Stream(purse_of(Budget(usd_per_day=1.0, refuse=True)), costs=(0.01, 0.01, 0.01))
    midnight = (day_of(NOW_S) + 1) * DAY_S
    late = list(asked(stream, 400, every_s=1.0, start_s=midnight - 400.0))
    assert late[-1] is None
    assert 0.9 < stream.usd < 1.0 + 2.0 * 0.1
    assert stream.ask(midnight - 0.001) is None
    assert stream.ask(midnight) is not None


def test_a_month_is_spread_over_its_days():
    """31 days of 48 requests: no day spends a fifth of the month, and the month is kept."""
    stream = Stream(purse_of(Budget(usd_per_month=3.0)))
    start_s = datetime(2026, 12, 1, tzinfo=UTC).timestamp()
    list(asked(stream, 31 * 48, every_s=1800.0, start_s=start_s))
    days = stream.spending.accounts[ROUTER].days
    assert 0.85 * 3.0 < sum(days.values()) < 1.01 * 3.0
    assert max(days.values()) < 0.6


@pytest.mark.parametrize("least", [0.65, 0.7, 0.8])
def test_a_least_quality_is_met_as_cheaply_as_a_mix_can(least):
    """Predicted quality is the true one here, so only the sampling keeps it off the mark."""
    stream = Stream(purse_of(Budget(least_quality=least)))
    list(asked(stream, 3000))
    assert stream.quality / 3000 == pytest.approx(least, abs=0.03)
    unpaced = Stream(purse_of(Budget()))
    list(asked(unpaced, 3000))
    assert stream.usd < 0.6 * unpaced.usd


def test_two_replicas_hold_one_budget_together():
    """Each decides half of the requests, on accounts of the log that both share."""
    first = Stream(purse_of(Budget(usd_per_request=B)))
    second = Stream(purse_of(Budget(usd_per_request=B)), seed=2, spending=first.spending)
    for n in range(2000):
        first.ask(NOW_S + n)
        second.ask(NOW_S + n)
    assert 0.9 * B * 4000 < first.usd < 1.01 * B * 4000
