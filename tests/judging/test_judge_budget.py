"""The judge's budget: handed out evenly, never more than its dollars in any 24 hours."""

import random

import pytest
from doubles import Clock

from banditroute.judging.budget import DAY_S, Budget


def test_it_starts_empty_and_fills_with_time():
    clock = Clock()
    budget = Budget(8.0, clock)
    assert not budget.reserve(0.001)
    clock.advance(DAY_S / 7)  # a seventh of seven dollars
    assert not budget.reserve(1.001)
    assert budget.reserve(0.999)


def test_what_costs_nothing_is_always_affordable():
    assert Budget(8.0, Clock()).reserve(0.0)


def test_no_more_is_saved_up_than_an_eighth():
    clock = Clock()
    budget = Budget(8.0, clock)
    clock.advance(30 * DAY_S)
    assert budget.most_usd == 1.0
    assert budget.reserve(1.0)
    assert not budget.reserve(0.001)


def test_what_was_reserved_and_not_spent_comes_back():
    clock = Clock()
    budget = Budget(8.0, clock)
    clock.advance(DAY_S)
    assert budget.reserve(1.0)
    budget.settle(1.0, 0.25)
    assert not budget.reserve(0.76)
    assert budget.reserve(0.75)


def test_a_call_that_cost_more_than_reserved_is_paid_off_first():
    clock = Clock()
    budget = Budget(8.0, clock)
    clock.advance(DAY_S)
    assert budget.reserve(0.5)
    budget.settle(0.5, 2.0)
    assert not budget.reserve(0.0)
    clock.advance(DAY_S / 7 + 1)
    assert budget.reserve(0.0)


def test_a_clock_that_stands_still_grants_nothing_however_often_it_is_asked():
    clock = Clock()
    budget = Budget(8.0, clock)
    clock.advance(60.0)
    asked = [budget.reserve(8.0 * 60.0 / DAY_S / 4) for _ in range(100)]
    assert sum(asked) == 3  # seven eighths of a minute's share


@pytest.mark.parametrize("restart_every", [None, 1, 7, 200])
def test_in_any_24_hours_no_more_is_spent_than_the_day_has_also_with_restarts(restart_every):
    rng, clock, spent = random.Random(5), Clock(), []
    budget = Budget(1.0, clock)
    for step in range(4000):
        if restart_every and step % restart_every == 0:
            budget = Budget(1.0, clock)
        clock.advance(rng.expovariate(1 / 120.0))
        reserved = rng.uniform(0.0, 0.004)
        if budget.reserve(reserved):
            clock.advance(rng.uniform(0.0, 60.0))
            cost = reserved * rng.random()
            budget.settle(reserved, cost)
            spent.append((clock.now_s, cost))
    worst = max(sum(c for t, c in spent if at - DAY_S < t <= at) for at, _ in spent[::20])
    assert 0.0 < worst <= 1.0
    assert sum(cost for _, cost in spent) > 1.0 or restart_every == 1, "days went by"
