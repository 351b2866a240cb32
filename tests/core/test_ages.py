"""What is left of old evidence is what the scalings since have left."""

from __future__ import annotations

from math import prod

import pytest
from core_examples import id_at
from hypothesis import given
from hypothesis import strategies as st

from banditroute.core.ages import EVERY_ARM, MOST_SCALINGS, Ages
from banditroute.values import Tuning


def met(*ids: str) -> Ages:
    ages = Ages()
    for decision_id in ids:
        ages.meet(decision_id)
    return ages


def test_all_is_left_where_nothing_was_scaled():
    assert met("a", "b").left(0, "a") == 1.0
    assert Ages().left(3, "never-heard-of") == 1.0


def test_a_scaling_covers_its_arm_up_to_the_newest_decision_by_hand():
    ages = met("b", "d", "c")
    ages.scale(0, 0.25)
    assert [ages.left(0, at) for at in ("a", "c", "d", "e")] == pytest.approx([0.25] * 3 + [1.0])
    assert ages.left(1, "a") == 1.0


def test_scalings_multiply_and_those_of_every_arm_count_for_each():
    ages = met("b")
    ages.scale(0, 0.5)
    ages.meet("d")
    ages.scale(EVERY_ARM, 0.1)
    assert ages.left(0, "a") == pytest.approx(0.05)
    assert ages.left(1, "a") == ages.left(0, "c") == pytest.approx(0.1)
    assert ages.left(0, "e") == 1.0


def test_an_older_decision_heard_of_late_does_not_turn_time_back():
    ages = met("d", "a")
    ages.scale(0, 0.5)
    assert ages.newest == "d"
    assert ages.left(0, "c") == pytest.approx(0.5)


def test_a_decision_is_outlived_by_an_alarm_of_its_arm_and_by_nothing_else():
    ages = met("b")
    ages.scale(0, 0.5)
    ages.meet("d")
    ages.scale(EVERY_ARM, 0.9)
    assert [ages.outlived(0, at) for at in ("a", "b", "c", "e")] == [True, True, False, False]
    assert not ages.outlived(1, "a")


steps = st.lists(
    st.one_of(
        st.integers(0, 30).map(lambda n: f"{n:02d}"),
        st.tuples(st.sampled_from([EVERY_ARM, 0, 1]), st.floats(0.01, 1.0)),
    ),
    max_size=30,
)


@given(steps)
def test_what_is_left_is_the_product_of_the_scalings_that_came_later(history):
    """The second opinion keeps a share for each decision, and scales those that were made."""
    ages, newest = Ages(), ""
    shares = {(row, f"{n:02d}"): [1.0] for row in (0, 1) for n in range(31)}
    for step in history:
        if isinstance(step, str):
            ages.meet(step)
            newest = max(newest, step)
            continue
        row, kept = step
        ages.scale(row, kept)
        for (arm, made), factors in shares.items():
            if made <= newest and row in (arm, EVERY_ARM):
                factors.append(kept)
    for (arm, made), factors in shares.items():
        assert ages.left(arm, made) == pytest.approx(prod(factors), rel=1e-9)


def test_a_bounded_number_of_scalings_is_kept_the_latest():
    ages = Ages()
    for n in range(MOST_SCALINGS + 5):
        ages.meet(f"{n:06d}")
        ages.scale(0, 1.0 - n * 1e-6)
    assert len(ages.scalings) == MOST_SCALINGS
    assert ages.scalings[0].until == "000005"
    assert ages.scalings[-1].kept == 1.0 - (MOST_SCALINGS + 4) * 1e-6


# age


def due(ages: Ages, second: float, readings: int = 0, **half_lives) -> float:
    return ages.due(Tuning("1", 0.0, **half_lives), readings, id_at(second))


def test_nothing_is_due_until_a_64th_of_a_half_life_has_passed():
    ages = Ages()
    assert due(ages, 0.0, half_life_s=640.0) == 1.0
    assert due(ages, 9.0, half_life_s=640.0) == 1.0
    assert due(ages, 10.0, half_life_s=640.0) == pytest.approx(0.5 ** (1.0 / 64.0))
    assert due(ages, 11.0, half_life_s=640.0) == 1.0
    assert due(ages, 650.0, half_life_s=640.0) == pytest.approx(0.5)


def test_readings_count_as_seconds_do_and_both_add_up():
    ages = Ages()
    assert due(ages, 0.0, 0, half_life_n=10.0) == 1.0
    assert due(ages, 0.0, 5, half_life_n=10.0) == pytest.approx(0.5**0.5)
    assert due(ages, 30.0, 15, half_life_n=10.0, half_life_s=30.0) == pytest.approx(0.25)


def test_without_a_half_life_nothing_is_ever_due():
    assert due(Ages(), 0.0, 10**6) == due(met(id_at(0.0)), 1e9, 10**6) == 1.0


def test_an_older_decision_makes_nothing_due():
    ages = met(id_at(1000.0))
    assert due(ages, 1000.0, half_life_s=1.0) == 1.0
    assert due(ages, 0.0, half_life_s=1.0) == 1.0
    assert ages.aged_id == id_at(1000.0)


def test_what_is_due_after_any_pause_is_not_nothing():
    ages = met(id_at(0.0))
    ages.begin("", 0)
    assert 0.0 < due(ages, 1e9, half_life_s=1e-3) < 1e-15


def test_something_is_left_however_often_evidence_was_scaled():
    """What is divided by it must not be divided by 0."""
    ages = met("b")
    for _ in range(MOST_SCALINGS):
        ages.scale(0, 0.01)
    assert 0.0 < ages.left(0, "a") < 1e-100
