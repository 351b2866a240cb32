"""Which arms are in force: what the configuration says, and what was changed since."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core_examples import arm, arm_change, roster

from banditroute.core.roster import Roster, digest, effective, standing
from banditroute.values import ArmStatus

CONFIGURED = roster("a", "b")
A = CONFIGURED.by_id["a"]
DEAR = replace(A, output_usd_per_mtok=9.0)


def changed(*changes):
    return effective(CONFIGURED, {change.arm_id: change for change in changes})


def of_a(**changes):
    return arm_change("a", **{"basis": digest(A), "arm": None} | changes)


def test_without_changes_the_configured_roster_is_in_force():
    found, paused = effective(CONFIGURED, {})
    assert found is CONFIGURED
    assert paused == frozenset()


def test_a_redefined_arm_keeps_its_place():
    found, paused = changed(of_a(arm=DEAR))
    assert found.arms == (DEAR, CONFIGURED.by_id["b"])
    assert found.output_price.tolist() == [9.0, 4.0]
    assert not paused


def test_a_paused_arm_stays_and_is_named():
    assert changed(of_a(status=ArmStatus.PAUSED)) == (CONFIGURED, {"a"})
    found, paused = changed(of_a(status=ArmStatus.PAUSED, arm=DEAR))
    assert (found.by_id["a"], paused) == (DEAR, {"a"})


def test_a_removed_arm_vanishes_even_if_it_is_the_last():
    found, paused = changed(of_a(status=ArmStatus.REMOVED))
    assert (found.ids, paused) == (("b",), frozenset())
    gone = of_a(status=ArmStatus.REMOVED)
    assert len(effective(Roster((A,)), {"a": gone})[0]) == 0


def test_added_arms_come_last_in_the_order_they_were_told_of():
    found, paused = changed(arm_change("z"), arm_change("c", status=ArmStatus.PAUSED))
    assert found.ids == ("a", "b", "z", "c")
    assert paused == {"c"}
    assert changed(arm_change("z", status=ArmStatus.REMOVED, arm=None))[0].ids == ("a", "b")


@pytest.mark.parametrize(
    "change",
    [
        of_a(status=ArmStatus.REMOVED, basis=digest(DEAR)),
        of_a(arm=DEAR, basis=""),
        arm_change("gone", basis=digest(A), status=ArmStatus.PAUSED),
    ],
    ids=["edited since", "added to the file since", "taken out of the file since"],
)
def test_a_change_of_what_the_configuration_no_longer_says_is_void(change):
    assert changed(change) == (CONFIGURED, frozenset())
    assert standing(CONFIGURED, {change.arm_id: change}) == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "other"},
        {"output_usd_per_mtok": 5.0},
        {"cached_input_usd_per_mtok": 0.0},
        {"capabilities": frozenset({"vision"})},
        {"labels": frozenset({"eu"})},
        {"settings": {"skill": {"code": 0.5}}},
        {"timeout_s": 61.0},
    ],
)
def test_a_digest_tells_any_two_definitions_apart(changes):
    assert digest(replace(A, **changes)) != digest(A)
    assert digest(replace(A, **changes)) == digest(replace(A, **changes))


def test_a_digest_does_not_depend_on_the_order_of_a_set_or_of_settings():
    one = arm("a", labels=frozenset("abcdefgh"), settings={"x": 1, "y": 2})
    other = arm("a", labels=frozenset("hgfedcba"), settings={"y": 2, "x": 1})
    assert digest(one) == digest(other)
    assert digest(None) == ""
