"""What was spent, by whom and when: in days and months of UTC."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from core_examples import NOW_S, outcome
from hypothesis import given
from hypothesis import strategies as st

from banditroute.core.spending import (
    DAY_S,
    MOST_PAYERS,
    RATE_HALF_LIFE_S,
    ROUTER,
    Account,
    Spending,
    day_of,
    month_of,
)

TODAY = day_of(NOW_S)
MIDNIGHT_S = TODAY * DAY_S


def at(*date: int) -> float:
    return datetime(*date, tzinfo=UTC).timestamp()


def charged(*calls: tuple[float, float]) -> Account:
    account = Account()
    for at_s, usd in calls:
        account.charge(at_s, usd)
    return account


# days and months


def test_a_day_ends_at_midnight_utc():
    assert (
        day_of(at(2026, 3, 1)) == day_of(at(2026, 3, 1, 23, 59, 59)) == day_of(at(2026, 3, 2)) - 1
    )
    assert day_of(0.0) == 0


@pytest.mark.parametrize(
    ("date", "days"),
    [((2026, 1, 31), 31), ((2026, 2, 28), 28), ((2028, 2, 1), 29), ((2026, 4, 30), 30)],
)
def test_a_month_is_from_its_first_day_to_the_next_months(date, days):
    first, after = month_of(at(*date, 23, 59))
    assert first == day_of(at(date[0], date[1], 1))
    assert after - first == days


@given(st.integers(0, 60_000))
def test_every_day_lies_in_its_month_and_months_follow_each_other(day):
    first, after = month_of(day * DAY_S)
    assert first <= day < after
    assert month_of((after - 1) * DAY_S) == (first, after)
    assert month_of(after * DAY_S)[0] == after


# accounts


def test_a_call_counts_in_all_today_and_in_its_day():
    account = charged((NOW_S, 0.25), (NOW_S + 1.0, 0.5))
    assert (account.usd, account.requests, account.requests_today) == (0.75, 2, 2)
    assert account.usd_on(TODAY) == 0.75
    assert account.usd_on(TODAY - 1) == 0.0


def test_at_midnight_the_day_begins_anew_and_nothing_in_all_is_lost():
    account = charged((MIDNIGHT_S - 1.0, 1.0), (MIDNIGHT_S, 2.0))
    assert (account.usd_on(TODAY - 1), account.usd_on(TODAY)) == (1.0, 2.0)
    assert (account.requests_before, account.requests_today, account.requests) == (1, 1, 2)
    assert account.usd == 3.0


def test_a_day_without_calls_in_between_leaves_no_requests_before():
    account = charged((NOW_S, 1.0), (NOW_S + 2.0 * DAY_S, 1.0))
    assert (account.requests_before, account.requests_today) == (0, 1)


def test_a_call_recorded_late_counts_in_its_own_day():
    account = charged((NOW_S, 1.0), (NOW_S - DAY_S, 5.0))
    assert (account.usd_on(TODAY), account.usd_on(TODAY - 1)) == (1.0, 5.0)
    assert (account.requests, account.requests_today, account.day) == (2, 1, TODAY)
    assert account.latest_s == NOW_S


def test_dollars_between_days_include_both():
    account = charged(*((NOW_S + n * DAY_S, 1.0 + n) for n in range(5)))
    assert account.usd_between(TODAY + 1, TODAY + 3) == 2.0 + 3.0 + 4.0
    assert account.usd_between(TODAY + 9, TODAY + 10) == 0.0


def test_dollars_are_added_exactly():
    """``sum()`` would not, and differently from one version of Python to the next."""
    account = charged(*((NOW_S + n * DAY_S, 0.1) for n in range(10)))
    assert account.usd_between(TODAY, TODAY + 9) == 1.0


def test_a_whole_month_of_31_days_is_kept_and_no_more():
    account = charged(*((at(2026, 1, 1) + n * DAY_S, 1.0) for n in range(31)))
    first, after = month_of(at(2026, 1, 31))
    assert account.usd_between(first, after - 1) == 31.0
    account.charge(at(2026, 2, 1), 1.0)
    assert len(account.days) == 31
    assert first not in account.days


def test_the_order_within_a_day_changes_no_dollars(rng):
    calls = [(NOW_S + float(s), float(usd)) for s, usd in rng.uniform(0.0, 9.0, size=(40, 2))]
    forth, back = charged(*calls), charged(*reversed(calls))
    assert forth.usd == pytest.approx(back.usd)
    assert forth.days == pytest.approx(back.days)
    assert (forth.requests, forth.latest_s) == (back.requests, back.latest_s)


# rates


def test_the_rate_of_steady_calls_is_theirs():
    """One call every 20 seconds for ten hours; what a count of 260 halves by blurs it by 1%."""
    account = charged(*((NOW_S + 20.0 * n, 0.0) for n in range(1800)))
    assert account.requests_per_s(NOW_S + 36_000.0) == pytest.approx(1.0 / 20.0, rel=0.01)


def test_the_rate_halves_in_an_hour_without_calls():
    account = charged((NOW_S, 0.0), (NOW_S, 0.0))
    now = account.requests_per_s(NOW_S)
    assert account.requests_per_s(NOW_S + RATE_HALF_LIFE_S) == pytest.approx(now / 2.0)
    assert account.requests_per_s(NOW_S - 5.0) == now


def test_as_many_calls_are_expected_as_yesterday_had_for_what_is_left_of_the_day():
    account = charged(*((MIDNIGHT_S - 40_000.0, 0.0) for _ in range(200)), (MIDNIGHT_S, 0.0))
    noon_s, end_s = MIDNIGHT_S + DAY_S / 2.0, MIDNIGHT_S + DAY_S
    assert account.expected_by(end_s, noon_s) == pytest.approx(100.0, rel=0.01)


def test_yesterday_is_the_accounts_day_where_nobody_called_today():
    account = charged(*((MIDNIGHT_S - 60_000.0, 0.0) for _ in range(200)))
    assert account.expected_by(MIDNIGHT_S + DAY_S, MIDNIGHT_S) == pytest.approx(200.0, rel=0.01)


def test_calls_that_come_faster_than_yesterday_count():
    account = charged(*((NOW_S + 10.0 * n, 0.0) for n in range(3600)))
    now_s = NOW_S + 36_000.0
    assert account.expected_by(now_s + 1000.0, now_s) == pytest.approx(100.0, rel=0.02)


def test_at_least_one_call_is_expected():
    assert Account().expected_by(NOW_S + DAY_S, NOW_S) == 1.0
    assert charged((NOW_S, 0.0)).expected_by(NOW_S, NOW_S + 9.0) == 1.0


# payers


def test_every_call_is_charged_to_the_router_and_to_each_payer():
    spending = Spending()
    spending.observe(outcome(1, cost_usd=0.25, payers=("team", "user-7")))
    spending.observe(outcome(2, cost_usd=0.5, payers=("team",)))
    spending.observe(outcome(3, cost_usd=1.0))
    spent = {payer: account.usd for payer, account in spending.accounts.items()}
    assert spent == {ROUTER: 1.75, "team": 0.75, "user-7": 0.25}


def test_a_call_whose_cost_is_unknown_is_a_request_without_dollars():
    spending = Spending()
    spending.observe(outcome(cost_usd=None))
    account = spending.accounts[ROUTER]
    assert (account.requests, account.usd) == (1, 0.0)


def test_a_flood_of_payers_is_bounded_and_the_router_keeps_its_account():
    spending = Spending()
    for n in range(MOST_PAYERS + 10):
        spending.observe(outcome(n + 1, cost_usd=1.0, payers=(f"user-{n}",)))
    spending.observe(outcome(9999, cost_usd=1.0, payers=("user-0",)))
    assert len(spending.accounts) == MOST_PAYERS
    assert spending.accounts[ROUTER].usd == MOST_PAYERS + 11.0
    assert spending.accounts["user-0"].usd == 2.0


def test_a_copy_is_not_touched_by_later_charges():
    spending = Spending()
    spending.observe(outcome(1, cost_usd=1.0))
    copy = spending.copy()
    assert copy == spending
    spending.observe(outcome(2, cost_usd=1.0, payers=("team",)))
    account = copy.accounts[ROUTER]
    assert (account.usd, account.requests, account.days) == (1.0, 1, {TODAY: 1.0})
    assert set(copy.accounts) == {ROUTER}
