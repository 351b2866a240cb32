"""The price at which a budget lasts, against a scan of all prices."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from core_examples import NOW_S
from hypothesis import given, settings
from hypothesis import strategies as st

from banditroute.core.pacing import (
    CARRY,
    EVERY,
    HEADROOM,
    HIGHEST,
    HORIZON,
    LOG10_PRICE,
    LOWEST,
    LUMP,
    RESERVE,
    Budget,
    Offer,
    Pacer,
    Window,
    affordable_price,
    horizon,
    reserve_usd,
    target,
    thrifty_price,
)
from banditroute.core.spending import DAY_S, Account, day_of, month_of

ARMS = ("cheap", "middle", "dear")
B = 0.01


def offer(utility, cost, quality=None, sd=0.0, rows=None) -> Offer:
    utility = np.asarray(utility, dtype=np.float64)
    return Offer(
        rows=range(len(utility)) if rows is None else rows,
        utility=utility,
        sd=np.full(len(utility), sd),
        cost_usd=np.asarray(cost, dtype=np.float64),
        quality=utility if quality is None else np.asarray(quality, dtype=np.float64),
    )


def window_of(utility, cost) -> Window:
    """A window that saw every row of ``utility`` and ``cost`` (W, K), quality being utility."""
    window = Window(tuple(map(str, range(utility.shape[1]))), size=len(utility))
    for row in range(len(utility)):
        window.note(offer(utility[row], cost[row]), np.zeros(utility.shape[1]))
    return window


def random_window(seed: int, count: int = 60, arms: int = 4) -> Window:
    rng = np.random.default_rng(seed)
    cost = 10.0 ** rng.uniform(-5.0, -1.0, size=(1, arms)) * rng.uniform(0.5, 2.0, (count, arms))
    return window_of(rng.uniform(size=(count, arms)), cost)


def pacer_of(**budget) -> Pacer:
    return Pacer(Budget(**budget), np.random.default_rng(7))


def account_of(*calls: tuple[float, float]) -> Account:
    account = Account()
    for at_s, usd in calls:
        account.charge(at_s, usd)
    return account


# the window


def test_the_best_by_utility_less_price_times_cost_is_chosen():
    window = window_of(np.array([[0.5, 0.9], [0.6, 0.7]]), np.array([[1.0, 5.0], [1.0, 5.0]]))
    assert window.chosen(0.0) == pytest.approx((5.0, 0.8))
    assert window.chosen(0.05) == pytest.approx((3.0, 0.75))
    assert window.chosen(0.2) == pytest.approx((1.0, 0.55))


def test_arms_that_were_not_eligible_are_never_chosen():
    window = Window(ARMS)
    window.note(offer([-5.0], [7.0], [0.3], rows=[1]), np.zeros(1))
    for price in (0.0, 1.0, 1e9):
        assert window.chosen(price) == (7.0, 0.3)


def test_the_oldest_decision_makes_room_for_the_newest():
    window = Window(("a",), size=3)
    for cost in (100.0, 1.0, 2.0, 3.0):
        window.note(offer([0.5], [cost]), np.zeros(1))
    assert window.chosen(0.0)[0] == 2.0
    assert window.count == 4


def test_an_arm_that_is_not_eligible_any_more_is_not_chosen_for_what_it_was_in_its_place():
    window = Window(("a", "b"), size=1)
    window.note(offer([0.9, 0.1], [5.0, 1.0]), np.zeros(2))
    window.note(offer([0.2], [1.5], rows=[1]), np.zeros(1))
    assert window.chosen(0.0) == (1.5, 0.2)


def test_utilities_are_sampled_by_the_noise():
    window = Window(("a", "b"), size=2)
    window.note(offer([0.5, 0.6], [1.0, 2.0], sd=0.1), np.array([2.0, -1.0]))
    assert window.utility[0].tolist() == pytest.approx([0.7, 0.5])
    assert window.chosen(0.0)[0] == 1.0


# prices


def scan(window: Window, scale: float):
    """Every price worth looking at: between any two arms' ties, and the bounds."""
    size = min(window.count, window.size)
    utility, cost = window.utility[:size], window.cost[:size]
    rise = utility[:, :, None] - utility[:, None, :]
    run = cost[:, :, None] - cost[:, None, :]
    with np.errstate(invalid="ignore", divide="ignore"):
        ties = rise / run
    low, high = (10.0**bound / scale for bound in LOG10_PRICE)
    ties = np.unique(ties[np.isfinite(ties) & (ties > low) & (ties < high)])
    edges = np.concatenate([[0.0, low], ties, [high]])
    return np.concatenate([[0.0], (edges[1:] + edges[:-1]) / 2.0, [high]])


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("share", [0.02, 0.2, 0.7])
def test_the_affordable_price_is_the_lowest_that_fits(seed, share):
    window = random_window(seed)
    wanted = share * window.chosen(0.0)[0]
    price = affordable_price(window, wanted)
    prices = scan(window, wanted)
    fits = [window.chosen(p)[0] <= wanted for p in prices]
    if not any(fits):
        assert price == pytest.approx(10.0 ** LOG10_PRICE[1] / wanted)
        return
    assert window.chosen(price)[0] <= wanted
    assert price <= prices[fits.index(True)]
    assert all(window.chosen(p)[0] > wanted for p in prices if p < price * (1.0 - 1e-6))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("part", [0.2, 0.6, 0.95])
def test_the_thrifty_price_is_the_highest_that_is_good_enough(seed, part):
    window = random_window(seed)
    best, worst = window.chosen(0.0)[1], window.chosen(1e12)[1]
    wanted = worst + part * (best - worst)
    price = thrifty_price(window, wanted)
    prices = scan(window, float(window.cost.max()))
    good = [p for p in prices if window.chosen(p)[1] >= wanted]
    assert window.chosen(price)[1] >= wanted
    assert price >= max(good) * (1.0 - 1e-6)
    assert all(window.chosen(p)[1] < wanted for p in prices if p > price * (1.0 + 1e-6))


def test_a_budget_that_is_never_reached_has_no_price():
    window = random_window(3)
    assert affordable_price(window, 2.0 * window.chosen(0.0)[0]) == 0.0


def test_a_quality_that_is_out_of_reach_costs_no_thrift():
    window = random_window(3)
    assert thrifty_price(window, window.chosen(0.0)[1] + 1e-6) == 0.0


def test_free_arms_have_no_price():
    window = window_of(np.array([[0.5, 0.9]]), np.zeros((1, 2)))
    assert affordable_price(window, 1e-9) == 0.0
    assert thrifty_price(window, 0.1) == 0.0


@given(st.integers(0, 10_000), st.floats(1e-9, 1e3))
@settings(max_examples=50)
def test_a_smaller_budget_never_has_a_lower_price(seed, wanted):
    window = random_window(seed, count=20)
    less, more = affordable_price(window, wanted / 2.0), affordable_price(window, wanted)
    assert np.isfinite(less)
    assert less >= more * (1.0 - 1e-6) >= 0.0


# what to spend


def test_the_target_is_the_budget_and_its_part_of_what_was_saved():
    assert target(B, 0.0) == B
    assert target(B, 10.0 * B) == pytest.approx(B * (1.0 + 10.0 / HORIZON))
    assert target(B, -25.0 * B) == pytest.approx(B * (1.0 - 25.0 / HORIZON))


@given(st.floats(1e-9, 1e6), st.floats(-1e9, 1e9))
def test_the_target_stays_within_its_bounds(budget, credit):
    assert LOWEST * budget <= target(budget, credit) <= HIGHEST * budget


# pacing


def test_the_price_is_found_every_ten_decisions():
    pacer, account = pacer_of(usd_per_request=B), account_of((NOW_S, 0.5))
    prices = []
    for _ in range(2 * EVERY):
        pacer.note(ARMS, offer([0.3, 0.5, 0.9], [B / 9.0, B, 9.0 * B]), account, NOW_S)
        prices.append(pacer.price)
    assert prices[: EVERY - 1] == [0.0] * (EVERY - 1)
    assert prices[EVERY - 1] > 0.0
    assert len(set(prices[EVERY - 1 : -1])) == 1


def test_without_a_limit_there_is_no_price_and_no_wall():
    pacer = pacer_of()
    for _ in range(EVERY):
        pacer.note(ARMS, offer([0.3, 0.5, 0.9], [0.1, 1.0, 9.0]), Account(), NOW_S)
    assert pacer.price == 0.0
    assert pacer.left_usd(account_of((NOW_S, 1e9)), 1e9, NOW_S) == float("inf")


def test_of_several_limits_the_one_that_asks_for_most_sets_the_price():
    def price(**budget):
        pacer, rng = pacer_of(**budget), np.random.default_rng(1)
        for _ in range(100):
            utility = np.array([0.4, 0.6, 0.8]) + rng.normal(0.0, 0.1, size=3)
            pacer.note(ARMS, offer(utility, [0.001, 0.01, 0.1]), Account(), NOW_S)
        return pacer.price

    lax, strict = price(usd_per_request=0.05), price(usd_per_request=0.005)
    quality = price(least_quality=0.5)
    assert 0.0 < lax < strict
    assert price(usd_per_request=0.005, usd_per_day=1e6) == strict
    assert price(usd_per_request=0.05, least_quality=0.5) == max(lax, quality)


def test_a_change_of_arms_starts_a_new_window():
    pacer = pacer_of(usd_per_request=B)
    for _ in range(EVERY):
        pacer.note(ARMS, offer([0.3, 0.5, 0.9], [B / 9.0, B, 9.0 * B]), Account(), NOW_S)
    assert pacer.price > 0.0
    for _ in range(EVERY):
        pacer.note(ARMS[:1], offer([0.3], [B / 9.0]), Account(), NOW_S)
    assert pacer.price == 0.0


def test_debt_raises_the_price_and_savings_lower_it():
    def price(*calls):
        pacer, rng = pacer_of(usd_per_request=B), np.random.default_rng(1)
        for _ in range(200):
            utility = np.array([0.4, 0.6, 0.8]) + rng.normal(0.0, 0.1, size=3)
            pacer.note(ARMS, offer(utility, [B / 9.0, B, 9.0 * B]), account_of(*calls), NOW_S)
        return pacer.price

    even = price((NOW_S, B))
    assert price((NOW_S, 30.0 * B)) > even > price(*((NOW_S, 0.0) for _ in range(10)))


# what is left


def test_what_is_left_of_a_budget_per_request_by_hand():
    """Ten calls earned 10 B, of which 4 B are spent and 1 B is reserved; 10 B are headroom."""
    account = account_of(*((NOW_S, 0.4 * B) for _ in range(10)))
    left = pacer_of(usd_per_request=B).left_usd(account, B, NOW_S)
    assert left == pytest.approx((10.0 - 4.0 - 1.0 + HEADROOM) * B)


def test_the_budget_itself_is_left_even_in_debt():
    account = account_of((NOW_S, 1000.0 * B))
    assert pacer_of(usd_per_request=B).left_usd(account, 0.0, NOW_S) == B


CHEAP = Window(("a",))  # one decision, for one cheap call: no call is a lump
CHEAP.note(Offer([0], np.zeros(1), np.zeros(1), np.full(1, B), np.zeros(1)), np.zeros(1))


def test_where_one_call_costs_many_requests_budgets_spending_is_brought_back_slowly():
    """At 23 B a call the horizon is 230 requests, so the debt of one costs each a tenth of B."""
    assert horizon(B, 0.5 * B) == HORIZON
    assert horizon(B, 23.0 * B) == pytest.approx(10.0 * 23.0)
    assert target(B, -23.0 * B, horizon(B, 23.0 * B)) == pytest.approx(0.9 * B)
    window = Window(("cheap", "dear"))
    cost = np.array([B, 23.0 * B])
    window.note(Offer([0, 1], np.array([0.5, 0.6]), np.zeros(2), cost, np.zeros(2)), np.zeros(2))
    assert window.dearest(0.0) == 23.0 * B
    assert window.dearest(1.0 / B) == B


def test_savings_count_whole_for_the_wall_and_capped_for_the_price():
    account = account_of(*((NOW_S, 0.0) for _ in range(500)))
    pacer = pacer_of(usd_per_request=B)
    assert pacer.left_usd(account, 0.0, NOW_S) == pytest.approx((500.0 + HEADROOM) * B)
    spare = CARRY - reserve_usd(B, 0.0) / B
    assert pacer._targets(CHEAP, account, NOW_S) == [pytest.approx(B * (1.0 + spare / HORIZON))]


def test_what_is_carried_and_kept_back_follows_the_dearest_call_that_is_chosen():
    assert reserve_usd(B, 0.0) == pytest.approx(RESERVE * HEADROOM * B)
    assert reserve_usd(B, 40.0 * B) == pytest.approx(RESERVE * 40.0 * B)
    account = account_of(*((NOW_S, 0.0) for _ in range(2000)))
    pacer = pacer_of(usd_per_request=B)
    pacer._dearest_usd = 40.0 * B
    pacer._save_up(account)
    assert pacer._credit_usd == pytest.approx(LUMP * 40.0 * B)
    pacer._dearest_usd = 4.0 * B  # its price fell to a tenth: no spree on what was saved for it
    pacer._save_up(account)
    assert pacer._credit_usd == pytest.approx(LUMP * 4.0 * B)


def test_looking_twice_counts_nothing_twice():
    account = account_of(*((NOW_S, 0.4 * B) for _ in range(10)))
    pacer = pacer_of(usd_per_request=B)
    first = pacer.left_usd(account, 0.0, NOW_S)
    assert pacer.left_usd(account, 0.0, NOW_S) == first
    account.charge(NOW_S, 3.0 * B)
    assert pacer.left_usd(account, 0.0, NOW_S) == pytest.approx(first - 2.0 * B)


def test_a_replica_that_starts_counts_today_and_leaves_the_days_before_alone():
    account = account_of((NOW_S - DAY_S, 5000.0 * B), (NOW_S, 3.0 * B))
    left = pacer_of(usd_per_request=B).left_usd(account, 0.0, NOW_S)
    assert left == pytest.approx((1.0 - 3.0 + HEADROOM) * B)


def test_a_day_starts_with_its_whole_budget_at_midnight():
    midnight = (day_of(NOW_S) + 1) * DAY_S
    account = account_of((midnight - 5.0, 0.7))
    pacer = pacer_of(usd_per_day=1.0)
    assert pacer.left_usd(account, 0.1, midnight - 1.0) == pytest.approx(0.2)
    assert pacer.left_usd(account, 0.1, midnight) == pytest.approx(0.9)


@pytest.mark.parametrize("month", [(2027, 1), (2027, 2), (2028, 2), (2027, 4)])
def test_a_month_starts_with_its_whole_budget(month):
    first, after = month_of(datetime(*month, 15, tzinfo=UTC).timestamp())
    days = after - first
    account = account_of(*((day * DAY_S + 60.0, 0.01) for day in range(first, after)))
    pacer = pacer_of(usd_per_month=1.0)
    assert pacer.left_usd(account, 0.0, after * DAY_S - 1.0) == pytest.approx(1.0 - 0.01 * days)
    assert pacer.left_usd(account, 0.0, after * DAY_S) == pytest.approx(1.0)


def test_of_several_limits_the_tightest_is_what_is_left():
    account = account_of((NOW_S, 0.3))
    pacer = pacer_of(usd_per_day=1.0, usd_per_month=0.5, usd_per_request=B)
    assert pacer.left_usd(account, 0.0, NOW_S) == B
    assert pacer_of(usd_per_day=1.0, usd_per_month=0.5).left_usd(account, 0.0, NOW_S) == (
        pytest.approx(0.2)
    )


def test_the_target_of_a_day_is_what_is_left_for_each_request_to_come():
    """Yesterday 1,000 requests; at noon half of them are to come, for half of the budget."""
    midnight = day_of(NOW_S) * DAY_S
    yesterday = [(midnight - 50_000.0, 0.0) for _ in range(1000)]
    account = account_of(*yesterday, (midnight + 1.0, 0.5))
    (wanted,) = pacer_of(usd_per_day=1.0)._targets(CHEAP, account, midnight + DAY_S / 2.0)
    assert wanted == pytest.approx(0.5 / 500.0, rel=0.01)


def test_a_day_that_has_spent_everything_still_has_a_target_above_zero():
    account = account_of((NOW_S, 5.0))
    (wanted,) = pacer_of(usd_per_day=1.0)._targets(CHEAP, account, NOW_S)
    assert 0.0 < wanted <= 1e-9
