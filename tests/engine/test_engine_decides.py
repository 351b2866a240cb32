"""Decisions: drawn from what is logged, and never an arm behind a wall."""

import math

import pytest
from doubles import (
    Clock,
    arm,
    asking,
    decided,
    engine_on,
    grow,
    memory,
    outcome,
    router,
    running,
    score,
)
from hypothesis import given
from hypothesis import strategies as st

from banditroute.core.eligibility import FAILED, SATURATED
from banditroute.core.policies import Greedy, Uniform
from banditroute.errors import NoEligibleArm, UnknownModel
from banditroute.values import Request, Wishes

pytestmark = pytest.mark.anyio


def messages(*content, **body):
    return {"messages": [{"role": "user", "content": text} for text in content or ["hi"]], **body}


def probability(decision, arm_id):
    """The probability an arm was drawn with; 0.0 if it was no candidate."""
    return next((c.probability for c in decision.candidates if c.arm_id == arm_id), 0.0)


def test_the_propensity_is_the_drawn_candidates_probability(clock):
    engine = engine_on(memory(clock), clock, router("a", "b", "c", policy=Uniform()))
    for _ in range(50):
        decision = engine.decide("auto", asking())
        assert decision.propensity == probability(decision, decision.arm_id)
        assert math.isclose(sum(c.probability for c in decision.candidates), 1.0)


def test_arms_are_drawn_as_often_as_their_probability_says(clock):
    """400 draws at 1/2, sd 10: five of them off by chance is less than one in a million."""
    engine = engine_on(memory(clock), clock, router("a", "b", policy=Uniform()))
    drawn = [engine.decide("auto", asking()).arm_id for _ in range(400)]
    assert abs(drawn.count("a") - 200) < 50


def test_a_decision_holds_all_that_is_needed_to_make_it_again(clock):
    engine = engine_on(memory(clock), clock)
    wishes = {"task": "maths", "tags": ("x", "y"), "session_id": "s-1"}
    decision = engine.decide("auto", asking("How many?", **wishes, patience_s=9.0))
    assert (decision.task, decision.tags, decision.session_id) == ("maths", ("x", "y"), "s-1")
    assert (decision.patience_s, decision.answer_value_usd) == (9.0, 0.05)
    assert (decision.policy, decision.floor, decision.seed) == ("thompson", 0.05, 11)
    assert decision.made_at_s == clock.now_s
    assert decision.fingerprint == engine.featurizer.fingerprint
    assert decision.x.shape == (engine.featurizer.dimension,)
    assert (decision.position, decision.degraded, decision.explored) == (0, False, True)


def test_the_callers_price_of_an_answer_is_decided_with(clock):
    engine = engine_on(memory(clock), clock, router("a", policy=Greedy()))
    dear = engine.decide("auto", asking(answer_value_usd=1e-6)).candidates[0]
    cheap = engine.decide("auto", asking(answer_value_usd=1e6)).candidates[0]
    assert dear.utility < 0.0 < cheap.utility


async def test_without_exploring_the_arm_that_looks_best_is_taken(clock):
    engine = engine_on(memory(clock), clock, router("a", "b", "c", policy=Uniform()))
    async with running(engine):
        await grow(engine, engine.store, 30)
        await engine.arms("auto")
        for _ in range(20):
            decision = engine.decide("auto", asking(explore=False))
            best = max(decision.candidates, key=lambda c: c.utility)
            assert decision.arm_id == best.arm_id
            assert (decision.propensity, decision.policy) == (1.0, "greedy")


async def test_a_named_arm_is_taken_for_sure_and_nobody_explored(clock):
    engine = engine_on(memory(clock), clock, router("a", "b"), router("c", name="other"))
    async with running(engine):
        decision = engine.decide_for_arm("c", asking())
        engine.remember(decision)
        assert (decision.arm_id, decision.propensity, decision.explored) == ("c", 1.0, False)
        assert decision.router == "other"
        assert (await engine.receipt(decision.id)).decision.explored is False
        await engine.report(outcome(decision))
        await engine.learn([score(engine, decision, 1.0)])
        _, (report,) = await engine.arms("other")
        assert (report.feedback_n, report.requests_n) == (1, 1)


def test_an_arm_that_nobody_has_is_an_unknown_model(clock):
    engine = engine_on(memory(clock), clock)
    with pytest.raises(UnknownModel, match=r"no arm is called 'nope'; GET /v1/models"):
        engine.decide_for_arm("nope", asking())


async def test_the_numbers_of_an_unknown_router_are_an_unknown_model(clock):
    engine = engine_on(memory(clock), clock)
    async with running(engine):
        with pytest.raises(UnknownModel) as caught:
            await engine.arms("nope")
    assert caught.value.param == "router"


IMAGE = [{"type": "image_url", "image_url": {"url": "data:,"}}]
WALLED = arm(
    "walled",
    capabilities=frozenset(),
    labels=frozenset({"public"}),
    context_window=200,
    output_usd_per_mtok=1e6,
)
OPEN = {
    "capabilities": frozenset({"tools", "json", "vision"}),
    "labels": frozenset({"public", "personal"}),
}
WALLS = {
    "not_a_candidate": (messages(), {"candidates": frozenset({"b", "c"})}, {}),
    "excluded_by_caller": (messages(), {"exclude": frozenset({"walled"})}, {}),
    "data_not_allowed:personal": (messages(), {"data": frozenset({"public", "personal"})}, {}),
    "missing_capability:vision": (
        {"messages": [{"role": "user", "content": IMAGE}]},
        {},
        {},
    ),
    "missing_capability:tools": (messages(tools=[{"type": "function"}]), {}, {}),
    "missing_capability:json": (messages(response_format={"type": "json_object"}), {}, {}),
    "context_window": (messages("word " * 500), {}, {}),
    "over_max_cost_usd": (messages(), {"max_cost_usd": 1.0}, {}),
    FAILED: (messages(), {}, {"walled": FAILED}),
    SATURATED: (messages(), {}, {"walled": SATURATED}),
}


@pytest.mark.parametrize("reason", WALLS)
def test_an_arm_behind_a_wall_has_no_probability_at_all(clock, reason):
    """As first choice, as fallback, and whatever the exploration floor."""
    body, wishes, out = WALLS[reason]
    arms = [WALLED, arm("b", **OPEN), arm("c", **OPEN)]
    engine = engine_on(memory(clock), clock, router(*arms, policy=Uniform(), floor=0.5))
    request = Request(body, Wishes(**wishes))
    first = engine.decide("auto", request, out=out)
    assert first.excluded == {"walled": reason}
    assert {c.arm_id for c in first.candidates} == {"b", "c"}
    failed = out | {first.arm_id: FAILED}
    second = engine.decide("auto", request, out=failed, parent=first)
    assert second.parent_id == first.id
    assert second.excluded == {"walled": reason, first.arm_id: FAILED}
    assert second.propensity == 1.0
    assert [c.arm_id for c in second.candidates] == [second.arm_id]


async def test_an_arm_known_to_be_slow_is_out_when_the_caller_cannot_wait(clock):
    engine = engine_on(memory(clock), clock, router("a", "b", policy=Uniform()))
    async with running(engine):
        for _ in range(40):
            decision = await decided(engine)
            slow = decision.arm_id == "a"
            await engine.report(outcome(decision, latency_s=60.0 if slow else 0.1))
        await engine.arms("auto")
        decision = engine.decide("auto", asking(max_latency_s=5.0))
        assert decision.excluded == {"a": "over_max_latency_s"}


@given(
    out=st.dictionaries(st.sampled_from("abcd"), st.sampled_from([FAILED, SATURATED])),
    candidates=st.none() | st.frozensets(st.sampled_from("abcd"), min_size=1),
    exclude=st.frozensets(st.sampled_from("abcd")),
    explore=st.booleans(),
)
def test_whoever_is_out_is_never_drawn(out, candidates, exclude, explore):
    engine = _ENGINE
    allowed = (candidates or set("abcd")) - exclude - set(out)
    request = asking(candidates=candidates, exclude=exclude, explore=explore)
    if not allowed:
        with pytest.raises(NoEligibleArm):
            engine.decide("auto", request, out=out)
        return
    decision = engine.decide("auto", request, out=out)
    assert decision.arm_id in allowed
    assert {c.arm_id for c in decision.candidates} == allowed
    assert set(decision.excluded) == set("abcd") - allowed
    assert all(c.probability > 0.0 for c in decision.candidates) or not explore


_ENGINE = engine_on(memory(Clock()), Clock(), router("a", "b", "c", "d", floor=0.2))


def test_when_no_arm_is_left_the_message_says_why_of_each(clock):
    engine = engine_on(memory(clock), clock, router("a", "b"))
    with pytest.raises(NoEligibleArm) as caught:
        engine.decide("auto", asking(exclude=frozenset("a"), data=frozenset()), out={"b": FAILED})
    assert caught.value.reasons == {"a": "excluded_by_caller", "b": "failed"}
    said = str(caught.value)
    assert "router 'auto'" in said
    assert "a: named in the request's banditroute.exclude" in said
    assert "b: its call for this request failed" in said


def test_the_message_shows_ten_reasons_and_counts_the_rest(clock):
    names = [f"arm-{number:02}" for number in range(14)]
    engine = engine_on(memory(clock), clock, router(*names))
    with pytest.raises(NoEligibleArm) as caught:
        engine.decide("auto", asking(exclude=frozenset(names)))
    assert str(caught.value).count("banditroute.exclude") == 10
    assert str(caught.value).endswith("and 4 more)")


def test_a_named_arm_is_kept_behind_its_walls_too(clock):
    engine = engine_on(memory(clock), clock, router(WALLED))
    with pytest.raises(NoEligibleArm) as caught:
        engine.decide_for_arm("walled", asking(data=frozenset({"personal"})))
    assert caught.value.reasons == {"walled": "data_not_allowed:personal"}


def test_until_the_log_was_read_the_default_arm_is_taken(clock):
    spec = router("a", "b", "c", default_arm="b")
    engine = engine_on(memory(clock), clock, spec)  # not started
    assert {engine.decide("auto", asking()).arm_id for _ in range(20)} == {"b"}
    assert engine.decide("auto", asking(), out={"b": FAILED}).arm_id in {"a", "c"}


async def test_once_the_log_was_read_the_policy_chooses(clock):
    engine = engine_on(memory(clock), clock, router("a", "b", policy=Uniform(), default_arm="b"))
    async with running(engine):
        assert {engine.decide("auto", asking()).arm_id for _ in range(30)} == {"a", "b"}
