"""Which arms may serve a request, and why the others may not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from core_examples import BIAS_ONLY, NOW_S, OBJECTIVE, arm, beliefs, context, folded, outcome
from scipy.special import ndtri

from banditroute.core import eligibility
from banditroute.core.choice import Rules, choose, eligible
from banditroute.core.eligibility import EXPLANATIONS, excluded, explain
from banditroute.core.policies import Uniform
from banditroute.core.roster import Roster
from banditroute.values import Wishes

ALLOWED = arm(
    "a",
    capabilities=frozenset({"tools", "vision"}),
    labels=frozenset({"internal", "medical"}),
    context_window=2000,
)
CONTEXT = context(input_tokens=1000, max_output_tokens=500, needs=frozenset({"tools"}))
WISHES = Wishes(
    candidates=frozenset({"a", "b"}),
    exclude=frozenset({"c"}),
    data=frozenset({"medical"}),
    max_cost_usd=0.001,
    max_latency_s=5.0,
)
SEEN = beliefs(
    [0.5], arm_ids=["a"], cost_usd=0.001, latency_log=0.0, latency_var=0.25, latency_n=100.0
)


def reason(*, of=ALLOWED, asked=CONTEXT, wishes=WISHES, seen=SEEN, out=None):
    return excluded(Roster((of,)), asked, wishes, seen, out or {}).get("a")


def test_an_arm_inside_every_wall_is_not_excluded():
    assert reason() is None


TABLE = {
    "failed": ("failed", {"out": {"a": "failed"}}),
    "saturated": ("saturated", {"out": {"a": "saturated"}}),
    "no-labels": ("data_not_allowed:medical", {"of": replace(ALLOWED, labels=frozenset())}),
    "some-labels": (
        "data_not_allowed:legal,secret",
        {"wishes": replace(WISHES, data=frozenset({"medical", "secret", "legal"}))},
    ),
    "no-candidate": ("not_a_candidate", {"wishes": replace(WISHES, candidates=frozenset({"b"}))}),
    "none-at-all": ("not_a_candidate", {"wishes": replace(WISHES, candidates=frozenset())}),
    "excluded": ("excluded_by_caller", {"wishes": replace(WISHES, exclude=frozenset({"a"}))}),
    "incapable": (
        "missing_capability:audio,json",
        {"asked": replace(CONTEXT, needs=frozenset({"tools", "json", "audio"}))},
    ),
    "too-long": ("context_window", {"asked": replace(CONTEXT, input_tokens=1501)}),
    "answer-too-long": ("context_window", {"asked": replace(CONTEXT, max_output_tokens=1001)}),
    "too-dear": ("over_max_cost_usd", {"wishes": replace(WISHES, max_cost_usd=0.00099)}),
    "too-late": ("over_max_latency_s", {"wishes": replace(WISHES, max_latency_s=1.0)}),
}


@pytest.mark.parametrize(("expected", "changes"), TABLE.values(), ids=TABLE)
def test_each_wall_has_its_reason(expected, changes):
    assert reason(**changes) == expected


INSIDE = {
    "just-fits": {"asked": replace(CONTEXT, input_tokens=1500)},
    "no-window": {
        "of": replace(ALLOWED, context_window=None),
        "asked": replace(CONTEXT, input_tokens=10**9),
    },
    "no-limit-on-the-answer": {
        "asked": replace(CONTEXT, input_tokens=2000, max_output_tokens=None)
    },
    "no-candidates-named": {"wishes": replace(WISHES, candidates=None)},
    "no-cost-limit": {"wishes": replace(WISHES, max_cost_usd=None)},
    "no-latency-limit": {"wishes": replace(WISHES, max_latency_s=None)},
    "no-wishes": {"wishes": Wishes()},
    "another-arm-is-out": {"out": {"b": "failed"}},
}


@pytest.mark.parametrize("changes", INSIDE.values(), ids=INSIDE)
def test_an_arm_on_the_inner_edge_of_a_wall_is_inside(changes):
    assert reason(**changes) is None


def test_governance_is_named_first_then_the_caller_then_failures_and_limits():
    """Every wall stands in the way; one after the other is taken down."""
    of = replace(ALLOWED, labels=frozenset(), context_window=10)
    asked = replace(CONTEXT, needs=frozenset({"json"}))
    wishes = replace(
        WISHES,
        candidates=frozenset({"b"}),
        exclude=frozenset({"a"}),
        max_cost_usd=0.0,
        max_latency_s=0.01,
    )
    out = {"a": "failed"}
    seen = [reason(of=of, asked=asked, wishes=wishes, out=out)]
    of = replace(of, labels=ALLOWED.labels)
    seen.append(reason(of=of, asked=asked, wishes=wishes, out=out))
    wishes = replace(wishes, candidates=None)
    seen.append(reason(of=of, asked=asked, wishes=wishes, out=out))
    wishes = replace(wishes, exclude=frozenset())
    seen.append(reason(of=of, asked=asked, wishes=wishes, out=out))
    seen.append(reason(of=of, asked=asked, wishes=wishes))
    asked = replace(asked, needs=frozenset())
    seen.append(reason(of=of, asked=asked, wishes=wishes))
    of = replace(of, context_window=None)
    seen.append(reason(of=of, asked=asked, wishes=wishes))
    wishes = replace(wishes, max_cost_usd=None)
    seen.append(reason(of=of, asked=asked, wishes=wishes))
    assert seen == [
        "data_not_allowed:medical",
        "not_a_candidate",
        "excluded_by_caller",
        "failed",
        "missing_capability:json",
        "context_window",
        "over_max_cost_usd",
        "over_max_latency_s",
    ]


# latency


def test_an_arm_is_late_when_it_misses_the_limit_oftener_than_one_in_twenty():
    """P(latency > limit) = 5% exactly at the limit exp(0.95-quantile of the log)."""
    edge = float(np.exp(-ndtri(0.05) * 0.5))
    assert reason(wishes=replace(WISHES, max_latency_s=edge * 1.0001)) is None
    late = replace(WISHES, max_latency_s=edge * 0.9999)
    assert reason(wishes=late) == "over_max_latency_s"


def test_an_arm_with_little_recent_evidence_is_given_the_benefit_of_the_doubt():
    late = replace(WISHES, max_latency_s=0.1)
    for n, expected in ((3.0, "over_max_latency_s"), (2.99, None), (0.0, None)):
        seen = SEEN._replace(latency_n=np.array([n]))
        assert reason(wishes=late, seen=seen) == expected


def test_a_slow_arm_is_tried_again_when_its_evidence_has_faded():
    """Ten calls of 30 s: out at a limit of 5 s, and back after 300·log₂(n/3) s without a call."""
    state = folded([outcome(n, "a", latency_s=30.0) for n in range(1, 11)], BIAS_ONLY)
    knowledge, wishes = state.knowledge(), Wishes(max_latency_s=5.0)
    back_s = NOW_S + 300.0 * np.log2(state.usage.recent_latency_n[0] / 3.0)

    def at(now_s):
        seen = knowledge.beliefs(Roster((ALLOWED,)), context(), OBJECTIVE, now_s)
        return excluded(Roster((ALLOWED,)), context(), wishes, seen, {})

    assert at(NOW_S) == at(back_s - 1.0) == {"a": "over_max_latency_s"}
    assert at(back_s + 1.0) == {}


# many arms


def test_every_arm_is_judged_by_its_own_numbers():
    arms = Roster((arm("a"), arm("b", context_window=10), arm("c"), arm("d"), arm("e")))
    seen = beliefs(
        [0.5] * 5,
        arm_ids=arms.ids,
        cost_usd=[0.001, 0.001, 0.01, 0.001, 0.001],
        latency_log=[0.0, 0.0, 0.0, 3.0, 3.0],
        latency_n=[9.0, 9.0, 9.0, 9.0, 0.0],
    )
    wishes = Wishes(max_cost_usd=0.005, max_latency_s=5.0)
    assert excluded(arms, context(), wishes, seen, {}) == {
        "b": "context_window",
        "c": "over_max_cost_usd",
        "d": "over_max_latency_s",
    }


def test_an_arm_outside_a_wall_has_no_probability_and_no_entry():
    arms = Roster((arm("a"), arm("b"), arm("c")))
    seen = beliefs([0.1, 0.9, 0.2], arm_ids=arms.ids)
    reasons = excluded(arms, context(), Wishes(exclude=frozenset({"b"})), seen, {})
    left = eligible(seen, reasons)
    assert left.arm_ids == ("a", "c")
    assert left.utility.tolist() == [0.1, 0.2]
    for decision in range(50):
        choice = choose(left, arms, Rules(Uniform(), 0.3, 1), None, f"decision-{decision}")
        assert [candidate.arm_id for candidate in choice.candidates] == ["a", "c"]
        assert sum(candidate.probability for candidate in choice.candidates) == pytest.approx(1.0)
        assert choice.arm_id in {"a", "c"}


# words


def test_every_reason_code_is_explained():
    codes = {
        value
        for name, value in vars(eligibility).items()
        if name.isupper() and isinstance(value, str)
    }
    assert codes == set(EXPLANATIONS)


def test_an_explanation_names_the_details():
    assert explain("saturated") == "already at its max_concurrency"
    expected = "lacks a capability that the request needs (json,tools)"
    assert explain("missing_capability:json,tools") == expected


def test_an_unknown_reason_explains_itself():
    assert explain("no_such_code") == "no_such_code"
    assert explain("no_such_code:by ops") == "no_such_code (by ops)"
