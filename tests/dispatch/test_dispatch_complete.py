"""Whole answers: signed, priced, recorded, and found elsewhere when an arm fails."""

import asyncio

import pytest
from doubles import (
    ScriptedProvider,
    arm,
    asking,
    completion,
    fault,
    router,
    score,
    soon,
    until,
)

from banditroute.core.policies import Fixed
from banditroute.errors import (
    InvalidRequest,
    NoEligibleArm,
    UnknownModel,
    UpstreamError,
    UpstreamFault,
)
from banditroute.providers.base import Completion
from banditroute.values import Request

pytestmark = pytest.mark.anyio

RETRYABLE = [word for word in UpstreamFault if word is not UpstreamFault.BAD_REQUEST]
FIRST_A = {"policy": Fixed("a"), "floor": 0.0}


async def kept(dispatcher, name="auto"):
    """Every decision with its outcome, in order."""
    await until(lambda: not len(dispatcher.engine._backlog))
    return [record async for record in dispatcher.engine.store.decisions(name)]


async def test_an_answer_carries_the_decision_and_is_otherwise_as_it_came(dispatching):
    provider = ScriptedProvider()
    dispatcher = await dispatching(provider, router("a", "b", **FIRST_A))
    request = Request({"messages": [{"role": "user", "content": "hi"}], "seed": 7, "new": [1]})
    answer = await dispatcher.complete("auto", request)
    decision = answer.decision
    assert answer.body == {
        **completion(),
        "id": f"chatcmpl-{decision.id}",
        "model": "a",
        "banditroute": {
            "decision_id": decision.id,
            "router": "auto",
            "model": "a",
            "policy": "fixed:a",
            "propensity": 1.0,
            "cost_usd": 0.003,
        },
    }
    assert provider.calls == [("a", request.body)]
    assert (answer.attempts, answer.cost_usd) == (1, 0.003)


async def test_what_the_call_did_is_recorded(dispatching, ticks):
    provider = ScriptedProvider({"a": [lambda: ticks.advance(2.5) or completion()]})
    dispatcher = await dispatching(provider, router("a"))
    answer = await dispatcher.complete("auto", asking())
    (record,) = await kept(dispatcher)
    assert record.decision.id == answer.decision.id
    assert record.outcome.latency_s == answer.upstream_s == 2.5
    assert (record.outcome.input_tokens, record.outcome.output_tokens) == (1000, 500)
    assert (record.outcome.cost_usd, record.outcome.error) == (0.003, None)


@pytest.mark.parametrize("call", ["complete", "stream", "route"])
async def test_when_the_answer_is_there_the_decision_is_in_the_store(dispatching, call):
    """So that feedback finds it at once, also through another replica."""
    dispatcher = await dispatching(ScriptedProvider(), router("a"))
    made = await getattr(dispatcher, call)("auto", asking())
    if call == "stream":
        async for _ in made.chunks:
            pass
    decision = made if call == "route" else made.decision
    assert await dispatcher.engine.store.find("auto", decision.id)


@pytest.mark.parametrize("word", RETRYABLE)
async def test_a_failed_call_leads_to_a_new_decision_without_that_arm(dispatching, word):
    provider = ScriptedProvider({"a": [fault("a", word)]})
    dispatcher = await dispatching(provider, router("a", "b", "c", policy=Fixed("a"), floor=0.3))
    answer = None
    while answer is None or answer.attempts == 1:  # the floor may draw b or c first
        answer = await dispatcher.complete("auto", asking())
    records = await kept(dispatcher)
    first, second = records[-2].decision, records[-1].decision
    assert provider.called[-2:] == ["a", second.arm_id]
    assert answer.decision.id == second.id
    assert answer.body["model"] == second.arm_id
    assert second.parent_id == first.id
    assert second.excluded == {"a": "failed"}
    drawn = {c.arm_id: c.probability for c in second.candidates}
    assert drawn.keys() == {"b", "c"}
    assert second.propensity == drawn[second.arm_id] < 1.0
    assert sum(drawn.values()) == pytest.approx(1.0)
    assert records[-2].outcome.error == word.value
    assert records[-1].outcome.error is None


async def test_nothing_is_learned_of_the_quality_of_an_arm_that_failed(dispatching):
    provider = ScriptedProvider({"a": [fault("a")]})
    dispatcher = await dispatching(provider, router("a", "b", **FIRST_A))
    answer = await dispatcher.complete("auto", asking())
    await dispatcher.engine.learn([score(dispatcher.engine, answer.decision, 1.0)])
    await kept(dispatcher)
    _, (a, b) = await dispatcher.engine.arms("auto")
    assert (a.feedback_n, a.quality, a.requests_n, a.cost_usd) == (0, None, 1, None)
    assert (b.feedback_n, b.quality, b.requests_n) == (1, 1.0, 1)
    assert a.error_rate > b.error_rate == 0.0


async def test_a_request_that_is_itself_at_fault_is_not_tried_elsewhere(dispatching):
    provider = ScriptedProvider({"a": [fault("a", UpstreamFault.BAD_REQUEST, status=422)]})
    dispatcher = await dispatching(provider, router("a", "b", **FIRST_A))
    with pytest.raises(UpstreamError) as caught:
        await dispatcher.complete("auto", asking())
    assert caught.value.status == 422
    assert provider.called == ["a"]
    (record,) = await kept(dispatcher)
    assert record.outcome.error == "bad_request"
    _, (a, _) = await dispatcher.engine.arms("auto")
    assert a.error_rate == 0.0, "the caller's fault is not the arm's"


@pytest.mark.parametrize("attempts", [1, 2, 3])
async def test_no_more_than_max_attempts_arms_are_tried(dispatching, attempts):
    provider = ScriptedProvider({name: [fault(name)] for name in "abcd"})
    dispatcher = await dispatching(provider, router("a", "b", "c", "d", max_attempts=attempts))
    with pytest.raises(UpstreamError):
        await dispatcher.complete("auto", asking())
    assert len(provider.called) == len(set(provider.called)) == attempts


async def test_when_every_arm_failed_the_last_error_is_raised(dispatching):
    provider = ScriptedProvider(
        {"a": [fault("a")], "b": [fault("b", UpstreamFault.RATE_LIMIT, retry_after_s=7.0)]}
    )
    dispatcher = await dispatching(provider, router("a", "b", **FIRST_A, max_attempts=5))
    with pytest.raises(UpstreamError) as caught:
        await dispatcher.complete("auto", asking())
    assert (caught.value.arm_id, caught.value.retry_after_s) == ("b", 7.0)
    assert caught.value.__suppress_context__, "that no arm was left is no news"
    assert [r.outcome.error for r in await kept(dispatcher)] == ["unavailable", "rate_limit"]


async def test_a_fallback_stays_behind_the_walls_of_the_request(dispatching):
    provider = ScriptedProvider({"a": [fault("a")]})
    dispatcher = await dispatching(provider, router("a", "b", "c", **FIRST_A))
    with pytest.raises(UpstreamError):
        await dispatcher.complete(
            "auto", asking(candidates=frozenset("ab"), exclude=frozenset("b"))
        )
    assert provider.called == ["a"]


async def test_an_arm_asked_for_by_name_is_not_replaced(dispatching):
    provider = ScriptedProvider({"a": [fault("a")]})
    dispatcher = await dispatching(provider, router("a", "b"))
    with pytest.raises(UpstreamError):
        await dispatcher.complete("a", asking())
    assert provider.called == ["a"]
    (record,) = await kept(dispatcher)
    assert (record.decision.propensity, record.decision.explored) == (1.0, False)


async def test_a_name_that_is_nothing_is_told_what_there_is(dispatching):
    dispatcher = await dispatching(ScriptedProvider(), router("a"), router("b", name="big"))
    with pytest.raises(UnknownModel, match=r"'nope' .* \(auto, big\) .* GET /v1/models"):
        await dispatcher.complete("nope", asking())


async def test_an_arm_without_a_free_place_is_out(dispatching):
    hold = asyncio.Event()
    provider = ScriptedProvider({"a": [hold]})
    spec = router(arm("a", max_concurrency=2), "b", **FIRST_A)
    dispatcher = await dispatching(provider, spec)
    held = [asyncio.create_task(dispatcher.complete("auto", asking())) for _ in range(2)]
    await until(lambda: provider.called == ["a", "a"])
    third = await soon(dispatcher.complete("auto", asking()))
    assert third.decision.arm_id == "b"
    assert third.decision.excluded == {"a": "saturated"}
    with pytest.raises(NoEligibleArm) as caught:
        await soon(dispatcher.complete("a", asking()))
    assert caught.value.reasons == {"a": "saturated"}
    hold.set()
    await asyncio.gather(*held)
    assert (await dispatcher.complete("auto", asking())).decision.arm_id == "a"


async def test_a_fallback_finds_no_place_where_there_is_none(dispatching):
    hold = asyncio.Event()
    provider = ScriptedProvider({"a": [fault("a")], "b": [hold]})
    spec = router("a", arm("b", max_concurrency=1), "c", **FIRST_A)
    dispatcher = await dispatching(provider, spec)
    held = asyncio.create_task(dispatcher.complete("b", asking()))
    await until(lambda: provider.called == ["b"])
    answer = await soon(dispatcher.complete("auto", asking()))
    assert answer.decision.excluded == {"a": "failed", "b": "saturated"}
    hold.set()
    await held


@pytest.mark.parametrize("ending", ["failed", "cancelled", "broken"])
async def test_a_place_is_given_back_however_the_call_ends(dispatching, ending):
    hold = asyncio.Event()
    step = {"failed": fault("a"), "cancelled": hold, "broken": ZeroDivisionError()}[ending]
    provider = ScriptedProvider({"a": [step, completion()]})
    dispatcher = await dispatching(provider, router(arm("a", max_concurrency=1)))
    call = asyncio.create_task(dispatcher.complete("auto", asking()))
    await until(lambda: provider.called)
    if ending == "cancelled":
        call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert (await dispatcher.complete("auto", asking())).decision.arm_id == "a"


async def test_a_call_that_was_given_up_is_recorded_as_abandoned(dispatching):
    provider = ScriptedProvider({"a": [asyncio.Event()]})
    dispatcher = await dispatching(provider, router("a"))
    call = asyncio.create_task(dispatcher.complete("auto", asking()))
    await until(lambda: provider.called)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    (record,) = await kept(dispatcher)
    assert (record.outcome.error, record.outcome.cost_usd) == ("abandoned", None)


async def test_an_error_of_our_own_is_not_blamed_on_another_arm(dispatching):
    provider = ScriptedProvider({"a": [ZeroDivisionError()]})
    dispatcher = await dispatching(provider, router("a", "b", **FIRST_A))
    with pytest.raises(ZeroDivisionError):
        await dispatcher.complete("auto", asking())
    assert provider.called == ["a"]
    (record,) = await kept(dispatcher)
    assert record.outcome.error == "abandoned"


USAGE = {"prompt_tokens": 1000, "completion_tokens": 500}
CACHED = {**USAGE, "prompt_tokens_details": {"cached_tokens": 600}}
COSTS = {
    "by the price list": (USAGE, 0.003),
    "cached tokens are cheaper": (CACHED, (400 * 1.0 + 600 * 0.1 + 500 * 4.0) / 1e6),
    "as billed": ({**CACHED, "cost": 0.0123}, 0.0123),
    "billed at nothing": ({**USAGE, "cost": 0}, 0.0),
    "billed though not counted": ({"cost": 0.5}, 0.5),
    "no usage": (None, None),
    "usage of nothing": ({}, None),
    "input only": ({"prompt_tokens": 5}, None),
    "output only": ({"completion_tokens": 5}, None),
    "nonsense": ({"prompt_tokens": "5", "completion_tokens": -1, "cost": "free"}, None),
}


@pytest.mark.parametrize("case", COSTS)
async def test_a_cost_is_as_billed_or_as_listed_and_never_made_up(dispatching, case):
    usage, cost = COSTS[case]
    provider = ScriptedProvider({"a": [completion(usage=usage)]})
    spec = router(arm("a", cached_input_usd_per_mtok=0.1))
    dispatcher = await dispatching(provider, spec)
    answer = await dispatcher.complete("auto", asking())
    (record,) = await kept(dispatcher)
    for found in (answer.cost_usd, answer.body["banditroute"]["cost_usd"], record.outcome.cost_usd):
        assert found == (None if cost is None else pytest.approx(cost))
    _, (a,) = await dispatcher.engine.arms("auto")
    assert a.cost_usd == (None if cost is None else pytest.approx(cost))


async def test_simulated_time_counts_as_if_it_had_passed(dispatching, ticks):
    provider = ScriptedProvider({"a": [Completion(completion(), latency_s=4.5)]})
    dispatcher = await dispatching(provider, router("a"))
    answer = await dispatcher.complete("auto", asking())
    (record,) = await kept(dispatcher)
    assert record.outcome.latency_s == 4.5
    assert answer.upstream_s == 0.0, "nobody waited"


async def test_the_time_spent_on_failed_arms_is_upstream_time_too(dispatching, ticks):
    def fail():
        ticks.advance(3.0)
        return fault("a")

    provider = ScriptedProvider({"a": [fail], "b": [lambda: ticks.advance(1.5) or completion()]})
    dispatcher = await dispatching(provider, router("a", "b", **FIRST_A))
    answer = await dispatcher.complete("auto", asking())
    assert (answer.upstream_s, answer.attempts) == (4.5, 2)
    assert [r.outcome.latency_s for r in await kept(dispatcher)] == [3.0, 1.5]


async def test_routing_decides_and_calls_nobody(dispatching):
    provider = ScriptedProvider()
    dispatcher = await dispatching(provider, router("a", "b"))
    decision = await dispatcher.route("auto", asking())
    assert provider.calls == []
    assert (await dispatcher.engine.receipt(decision.id)).outcome is None


async def test_a_refused_request_reaches_nobody(dispatching):
    provider = ScriptedProvider()
    dispatcher = await dispatching(provider, router("a"))
    with pytest.raises(InvalidRequest):
        await dispatcher.complete("auto", asking(exclude=frozenset("a")))
    assert provider.calls == []


async def test_closing_closes_every_provider(dispatching):
    provider = ScriptedProvider()
    dispatcher = await dispatching(provider)
    await dispatcher.close()
    assert provider.closed == 1
