"""What the outcome of a call is evidence of."""

from __future__ import annotations

import numpy as np
import pytest

from banditroute.core.outcomes import outcome_evidence, output_tokens
from banditroute.errors import InvalidRequest
from banditroute.values import Candidate, Decision, Outcome


def decision(*, arm_id: str = "small", output_usd_per_mtok: float = 8.0) -> Decision:
    prices = {"input_usd_per_mtok": 2.0, "output_usd_per_mtok": output_usd_per_mtok}
    small = Candidate("small", 1.0, 0.5, 0.1, 0.1, 0.0, 1.0, 0.0, 0.5, **prices)
    return Decision(
        id="d",
        router="auto",
        arm_id=arm_id,
        propensity=1.0,
        candidates=(small,),
        excluded={},
        x=np.ones(2),
        fingerprint="f",
        position=0,
        policy="thompson",
        floor=0.0,
        seed=0,
        answer_value_usd=0.05,
        patience_s=120.0,
        made_at_s=0.0,
        input_tokens=1000,
    )


def test_counted_tokens_are_taken_as_they_are():
    assert output_tokens(decision(), Outcome("d", output_tokens=7, cost_usd=1.0)) == 7


def test_a_cost_alone_is_as_many_tokens_as_would_have_cost_as_much():
    """(0.0028 $ − 400 · 2 $/M) / (8 $/M) = 0.002 / 8e-6 = 250 tokens."""
    outcome = Outcome("d", input_tokens=400, cost_usd=0.0028)
    assert output_tokens(decision(), outcome) == pytest.approx(250.0)


def test_the_decisions_count_stands_in_for_unknown_input_tokens():
    """(0.0028 $ − 1000 · 2 $/M) / (8 $/M) = 100 tokens."""
    assert output_tokens(decision(), Outcome("d", cost_usd=0.0028)) == pytest.approx(100.0)


def test_no_input_tokens_are_not_unknown_input_tokens():
    outcome = Outcome("d", input_tokens=0, cost_usd=0.0008)
    assert output_tokens(decision(), outcome) == pytest.approx(100.0)


def test_a_cost_below_that_of_the_input_is_no_output():
    assert output_tokens(decision(), Outcome("d", cost_usd=0.001)) == 0.0


@pytest.mark.parametrize(
    ("made", "outcome"),
    [
        (decision(), Outcome("d")),
        (decision(output_usd_per_mtok=0.0), Outcome("d", cost_usd=0.1)),
        (decision(arm_id="unlisted"), Outcome("d", cost_usd=0.1)),
    ],
)
def test_without_tokens_and_without_a_price_nothing_is_known(made, outcome):
    assert output_tokens(made, outcome) is None


def test_a_failed_call_is_evidence_too():
    outcome = Outcome("d", latency_s=60.0, ttft_s=0.5, error="timeout", cost_usd=0.0028)
    entry = outcome_evidence(decision(), outcome, position=4, at_s=9.0)
    assert (entry.position, entry.at_s, entry.arm_id) == (4, 9.0, "small")
    assert (entry.error, entry.latency_s, entry.ttft_s) == ("timeout", 60.0, 0.5)
    assert (entry.cost_usd, entry.output_tokens) == (0.0028, pytest.approx(100.0))


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
@pytest.mark.parametrize(
    "name",
    ["input_tokens", "output_tokens", "cached_input_tokens", "cost_usd", "latency_s", "ttft_s"],
)
def test_a_number_that_no_call_can_have_is_refused(name, value):
    with pytest.raises(InvalidRequest) as caught:
        outcome_evidence(decision(), Outcome("d", **{name: value}), position=1, at_s=0.0)
    assert caught.value.param == name


def test_tokens_without_a_cost_are_priced_as_at_the_decision():
    """1000 · 2 $/M + 250 · 8 $/M = 0.004 $."""
    outcome = Outcome("d", input_tokens=1000, output_tokens=250)
    entry = outcome_evidence(decision(), outcome, position=1, at_s=0.0)
    assert entry.cost_usd == pytest.approx(0.004)


def test_a_reported_cost_is_taken_as_it_is():
    outcome = Outcome("d", input_tokens=1000, output_tokens=250, cost_usd=0.5)
    assert outcome_evidence(decision(), outcome, position=1, at_s=0.0).cost_usd == 0.5


@pytest.mark.parametrize(
    ("made", "outcome"),
    [
        (decision(), Outcome("d", output_tokens=250)),
        (decision(), Outcome("d", input_tokens=1000)),
        (decision(arm_id="unlisted"), Outcome("d", input_tokens=1000, output_tokens=250)),
    ],
)
def test_a_cost_that_nobody_can_know_is_unknown_and_never_nothing(made, outcome):
    assert outcome_evidence(made, outcome, position=1, at_s=0.0).cost_usd is None
