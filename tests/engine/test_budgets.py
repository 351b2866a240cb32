"""Budgets: what all replicas spend lasts, and no arm is called for more than is left."""

import asyncio
import random
from contextlib import AsyncExitStack, suppress
from itertools import cycle

import pytest
from doubles import TTL_S, arm, asking, engine_on, memory, outcome, router, running

from banditroute.config import default_text, parse
from banditroute.core.eligibility import FAILED, SATURATED
from banditroute.core.pacing import Budget
from banditroute.core.policies import Uniform
from banditroute.core.purse import RESERVED_S
from banditroute.core.spending import DAY_S, day_of
from banditroute.errors import BudgetExhausted, NoEligibleArm
from banditroute.providers.world import World
from banditroute.stores import SQLiteStore
from banditroute.values import Request, Wishes

pytestmark = pytest.mark.anyio

FREE = arm("free", input_usd_per_mtok=0.0, output_usd_per_mtok=0.0)
CHEAP = arm("cheap", input_usd_per_mtok=0.1, output_usd_per_mtok=0.4)
DEAR = arm("dear", input_usd_per_mtok=10.0, output_usd_per_mtok=40.0)
A_DAY = Budget(usd_per_day=1.0)
STRICT = Budget(usd_per_day=1.0, refuse=True)


async def spend(engine, usd, request=None, name="auto"):
    """Make a call that costs so much, and wait until its engine has learned of it."""
    decision = engine.decide(name, request or asking())
    await settle(engine, decision, usd)
    return decision


async def settle(engine, decision, usd, **changes):
    """Report what a call cost, and wait until its engine has learned of it."""
    engine.remember(decision)
    await engine.report(outcome(decision, cost_usd=usd, **changes))
    await engine.level(decision.router)


def expected_usd(decision):
    """What the chosen arm was expected to cost."""
    return next(c.cost_usd for c in decision.candidates if c.arm_id == decision.arm_id)


def paid(payers, **wishes):
    """A request that these pay for."""
    return Request(asking().body, Wishes(**wishes), tuple(payers))


def drawn(engine, request=None, count=30, **more):
    """The arms that so many requests get."""
    return {engine.decide("auto", request or asking(), **more).arm_id for _ in range(count)}


def budgeted(clock, *arms, budgets=(STRICT,), **changes):
    """An engine that draws evenly, so that only a wall keeps it from an arm."""
    spec = router(*arms or (CHEAP, DEAR), policy=Uniform(), budgets=budgets, **changes)
    return engine_on(memory(clock), clock, spec)


async def test_until_it_is_spent_a_budget_bars_nobody(clock):
    async with running(budgeted(clock)) as engine:
        await spend(engine, 0.5)
        assert drawn(engine) == {"cheap", "dear"}


async def test_a_spent_budget_that_refuses_leaves_no_arm_and_says_why(clock):
    async with running(budgeted(clock)) as engine:
        await spend(engine, 1.0)
        with pytest.raises(BudgetExhausted) as caught:
            engine.decide("auto", asking())
    assert caught.value.reasons == {"cheap": "over_budget", "dear": "over_budget"}
    assert caught.value.code == "budget_exhausted"
    assert caught.value.retry_after_s == (day_of(clock.now_s) + 1) * DAY_S - clock.now_s
    assert "router (usd_per_day = 1)" in str(caught.value)
    assert "it is renewed at 2027-01-16T00:00Z" in str(caught.value)


async def test_a_spent_budget_that_refuses_leaves_what_is_free(clock):
    async with running(budgeted(clock, FREE, CHEAP, DEAR)) as engine:
        await spend(engine, 1.0)
        assert drawn(engine) == {"free"}


async def test_a_spent_budget_that_does_not_refuse_leaves_the_cheapest_and_the_free(clock):
    async with running(budgeted(clock, budgets=(A_DAY,))) as engine:
        await spend(engine, 1.0)
        assert drawn(engine) == {"cheap"}
    async with running(budgeted(clock, FREE, CHEAP, DEAR, budgets=(A_DAY,))) as engine:
        await spend(engine, 1.0)
        assert drawn(engine) == {"free"}


async def test_a_day_is_renewed_at_midnight_and_a_month_on_its_first_day(clock):
    budgets = (Budget(usd_per_day=1.0, usd_per_month=2.0, refuse=True),)
    async with running(budgeted(clock, budgets=budgets)) as engine:
        await spend(engine, 1.0)
        clock.advance(DAY_S)
        assert await spend(engine, 1.0)
        clock.advance(DAY_S)
        with pytest.raises(BudgetExhausted, match="renewed at 2027-02-01T00:00Z") as caught:
            engine.decide("auto", asking())
        clock.advance(caught.value.retry_after_s)
        assert engine.decide("auto", asking())


async def test_waiting_is_not_advised_where_it_does_not_help(clock):
    """A call that costs more than a whole day's budget."""
    async with running(
        budgeted(clock, DEAR, budgets=(Budget(usd_per_day=1e-5, refuse=True),))
    ) as e:
        with pytest.raises(BudgetExhausted, match="raise the budget") as caught:
            e.decide("auto", asking())
        assert caught.value.retry_after_s is None


async def test_exploration_fallbacks_wishes_and_names_never_cross_the_wall(clock):
    """Not even where the budget leaves the cheapest, and that one cannot answer now."""
    async with running(budgeted(clock, budgets=(A_DAY,), floor=0.5)) as engine:
        parent = await spend(engine, 1.0)
        assert drawn(engine, count=200) == {"cheap"}
        for code in (FAILED, SATURATED):
            with pytest.raises(NoEligibleArm) as caught:
                engine.decide("auto", asking(), out={"cheap": code}, parent=parent)
            assert caught.value.reasons == {"cheap": code, "dear": "over_budget"}
        for wishes in ({"exclude": frozenset({"cheap"})}, {"candidates": frozenset({"dear"})}):
            with pytest.raises(BudgetExhausted):
                engine.decide("auto", asking(**wishes))
        with pytest.raises(BudgetExhausted) as caught:
            engine.decide_for_arm("dear", asking())
        assert caught.value.reasons == {"dear": "over_budget"}
        assert engine.decide_for_arm("cheap", asking()).arm_id == "cheap"


async def test_where_the_cheapest_cannot_serve_a_request_at_all_the_next_one_does(clock):
    small = arm("small", context_window=10, input_usd_per_mtok=0.0001, output_usd_per_mtok=0.0001)
    async with running(budgeted(clock, small, CHEAP, DEAR, budgets=(A_DAY,))) as engine:
        await spend(engine, 1.0)
        assert drawn(engine, asking("word " * 100)) == {"cheap"}


async def test_what_a_running_call_may_cost_is_not_spent_twice(clock):
    async with running(budgeted(clock, DEAR)) as engine:
        cost = expected_usd(engine.decide("auto", asking()))
    whole = Budget(usd_per_day=2.5 * cost, refuse=True)
    async with running(budgeted(clock, DEAR, budgets=(whole,))) as engine:
        first, second = engine.decide("auto", asking()), engine.decide("auto", asking())
        with pytest.raises(BudgetExhausted, match="try again in a moment") as caught:
            engine.decide("auto", asking())
        assert caught.value.retry_after_s == 1.0
        await settle(engine, first, 0.0, error="timeout")
        third = engine.decide("auto", asking())
        with pytest.raises(BudgetExhausted):
            engine.decide("auto", asking())
        await settle(engine, second, cost, error="timeout")
        await settle(engine, third, cost, error="timeout")
        (report,) = await engine.budgets("auto")
        assert (report.reserved_usd, report.spent.requests) == (0.0, 3)
        assert report.left_usd == pytest.approx(0.5 * cost)


async def test_a_fallback_is_set_aside_for_too_until_both_calls_are_known(clock):
    async with running(budgeted(clock, budgets=(A_DAY,))) as engine:
        first = engine.decide("auto", asking())
        second = engine.decide("auto", asking(), out={first.arm_id: FAILED}, parent=first)
        costs = [expected_usd(decision) for decision in (first, second)]
        (report,) = await engine.budgets("auto")
        assert report.reserved_usd == pytest.approx(sum(costs))
        await settle(engine, first, None, input_tokens=None, output_tokens=None, error="timeout")
        (report,) = await engine.budgets("auto")
        assert report.reserved_usd == pytest.approx(costs[1])
        await settle(engine, second, 0.25)
        (report,) = await engine.budgets("auto")
        assert (report.reserved_usd, report.spent.today_usd) == (0.0, 0.25)


async def test_a_call_that_nobody_hears_of_is_given_up_after_a_while(clock):
    """Even where everything is set aside, so that there is no decision to do it at."""
    async with running(budgeted(clock, DEAR)) as engine:
        cost = expected_usd(engine.decide("auto", asking()))
    whole = Budget(usd_per_day=1.5 * cost, refuse=True)
    async with running(budgeted(clock, DEAR, budgets=(whole,))) as engine:
        engine.decide("auto", asking())
        clock.advance(RESERVED_S - 1.0)
        with pytest.raises(BudgetExhausted):
            engine.decide("auto", asking())
        clock.advance(1.0)
        assert engine.decide("auto", asking())


async def test_tags_and_keys_have_budgets_beside_the_routers(clock):
    budgets = (
        Budget(usd_per_day=10.0, refuse=True),
        Budget("tag:batch", usd_per_day=1.0, refuse=True),
        Budget("key:team-a", usd_per_day=2.0, refuse=True),
    )
    async with running(budgeted(clock, budgets=budgets)) as engine:
        decision = await spend(engine, 1.5, paid(["key:team-a"], tags=("batch", "other")))
        assert decision.payers == ("key:team-a", "tag:batch")
        with pytest.raises(BudgetExhausted, match="budget of tag:batch") as caught:
            engine.decide("auto", asking(tags=("batch",)))
        assert set(caught.value.reasons.values()) == {"over_budget:tag:batch"}
        await spend(engine, 1.5, paid(["key:team-a"]))
        with pytest.raises(BudgetExhausted, match="budget of key:team-a"):
            engine.decide("auto", paid(["key:team-a"]))
        assert engine.decide("auto", paid(["key:team-b"], tags=("other",))).payers == ()
        spent = {report.spent.payer: report.spent.usd for report in await engine.budgets("auto")}
        assert spent == {"router": 3.0, "tag:batch": 1.5, "key:team-a": 3.0}


async def test_a_tag_that_is_said_twice_pays_once(clock):
    async with running(budgeted(clock, budgets=(Budget("tag:batch", usd_per_day=1.0),))) as engine:
        decision = await spend(engine, 0.25, asking(tags=("batch", "batch")))
        assert decision.payers == ("tag:batch",)
        assert (await engine.budgets("auto"))[0].spent.today_usd == 0.25


async def test_a_named_arm_leaves_the_price_as_it_was_found(clock):
    """The window of late decisions is not begun anew by a request with one arm to choose from."""
    async with running(budgeted(clock, budgets=(Budget(least_quality=0.0),))) as engine:
        for _ in range(9):
            engine.decide("auto", asking())
        assert (await engine.budgets("auto"))[0].price == 0.0
        engine.decide_for_arm("cheap", asking())
        assert (await engine.budgets("auto"))[0].price > 0.0


def shipped(*, budgets, **changes):
    """The router of the shipped arms, and what they answer."""
    arms = [settings.to_arm() for settings in parse(default_text(), {}).arms]
    return router(*arms, floor=0.005, budgets=budgets, **changes), {a.id: a for a in arms}


WORLD = World(0)
PROMPTS = (
    "Write a Python function that sorts {}",
    "Solve for x: 3x + {} = 9",
    "Translate into French: {}",
    "Summarise this: {}",
    "Hi! {}",
)


async def calls(engine, arms, rng, at_once=5):
    """Requests at the same time, each paid for as the simulated world says, without feedback.

    Returns what each one cost. Raises BudgetExhausted.
    """
    await engine.level("auto")
    asked = [asking(rng.choice(PROMPTS).format(rng.random())) for _ in range(at_once)]
    decisions = [engine.decide("auto", request) for request in asked]
    spent, known = [], []
    for decision, request in zip(decisions, asked, strict=True):
        cell = WORLD.answer(arms[decision.arm_id], request.body)
        spent.append(arms[decision.arm_id].cost_usd(cell.input_tokens, cell.output_tokens))
        seen = {"output_tokens": cell.output_tokens, "latency_s": cell.latency_s}
        known.append(outcome(decision, cost_usd=spent[-1], **seen))
    await engine.store.remember(decisions)
    await engine.store.record("auto", known)
    engine.clock.advance(at_once * 10.0)
    return spent


@pytest.mark.parametrize("usd", [3e-4, 1e-3])
async def test_a_budget_a_request_is_kept_on_average_without_any_feedback(clock, usd):
    """By what calls cost alone. Without a budget these cost $0.0017 on average."""
    spec, arms = shipped(budgets=(Budget(usd_per_request=usd),))
    async with running(engine_on(memory(clock), clock, spec)) as engine:
        rng = random.Random(1)
        spent = [usd for _ in range(400) for usd in await calls(engine, arms, rng)]
        (report,) = await engine.budgets("auto")
    assert sum(spent) / len(spent) <= 1.01 * usd
    assert sum(spent) / len(spent) >= 0.5 * usd, "what may be spent is spent"
    assert report.spent.usd == pytest.approx(sum(spent))
    assert report.price > 0.0


async def test_two_engines_on_one_file_hold_one_budget_together(clock, tmp_path):
    """Each alone would spend it whole. Only the last call may cost more than is left."""
    whole, rng = 0.06, random.Random(3)
    spec, arms = shipped(budgets=(Budget(usd_per_day=whole, refuse=True),))
    stores = [
        SQLiteStore(tmp_path / "log.db", decision_ttl_s=TTL_S, clock=clock, poll_s=0.001)
        for _ in range(2)
    ]
    async with AsyncExitStack() as stack:
        engines = [
            await stack.enter_async_context(running(engine_on(store, clock, spec, seed=seed)))
            for seed, store in enumerate(stores)
        ]
        spent = []
        with suppress(BudgetExhausted):
            for engine in cycle(engines):
                spent += await calls(engine, arms, rng, 1)
        for engine in engines:
            (report,) = await engine.budgets("auto")
            assert report.spent.usd == pytest.approx(sum(spent))
            with pytest.raises(BudgetExhausted):
                engine.decide_for_arm("sim-strong", asking())
    assert len(spent) > 100
    assert 0.99 * whole < sum(spent) <= whole + max(spent)


async def test_a_decision_made_at_a_price_is_made_again_to_the_same_probabilities(clock):
    spec, arms = shipped(budgets=(Budget(usd_per_request=3e-4), Budget("tag:t", usd_per_day=1e-9)))
    async with running(engine_on(memory(clock), clock, spec)) as engine:
        for seed in range(20):
            await calls(engine, arms, random.Random(seed))
        await engine.level("auto")
        for request in (asking(), asking(tags=("t",)), asking(explore=False)):
            decision = engine.decide("auto", request)
            assert decision.budget_price > 0.0
            engine.remember(decision)
            again = await engine.replay(decision.id)
            assert again.arm_id == decision.arm_id
            assert again.candidates == decision.candidates


async def test_a_reservation_ends_when_the_cost_is_known_and_not_before(clock):
    """In between, a decision would take the same dollars for unspent."""
    async with running(budgeted(clock)) as engine:
        follower, seen = engine.followers["auto"], []
        heard, publish = follower._heard, follower._publish

        def hear(entries):
            heard(entries)
            asyncio.get_running_loop().call_soon(seen.append, "somebody may decide")

        def show(knowledge):
            publish(knowledge)
            seen.append("known")

        follower._heard, follower._publish = hear, show
        await spend(engine, 0.5)
        assert seen == ["known", "somebody may decide"]
