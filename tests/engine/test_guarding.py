"""The engine watches itself, keeps to its baseline, and tells every replica how to forget."""

from __future__ import annotations

from dataclasses import replace

import pytest
from doubles import asking, engine_on, memory, outcome, router, running, score, until

from banditroute.core.policies import Uniform
from banditroute.engine import Baseline, Forgetting
from banditroute.errors import UnknownModel

pytestmark = pytest.mark.anyio

QUALITY = {"a": 1.0, "b": 0.0}


def uniform(**changes):
    """A router that never learns which of its arms is the better one."""
    spec = router("a", "b", policy=Uniform())
    return replace(spec, **changes)


async def taught(engine, rounds):
    """So many answers, each judged by what its arm is worth, and known before the next."""
    for at in range(rounds):
        decision = engine.decide("auto", asking(f"Question {at}"))
        engine.remember(decision)
        engine.record(decision, outcome(decision))
        await engine.learn([score(engine, decision, QUALITY[decision.arm_id])])
        await engine.level("auto")


async def test_before_there_is_feedback_the_guard_says_that_it_knows_too_little(clock):
    async with running(engine_on(memory(clock), clock, router("a", "b"))) as engine:
        report = await engine.guard("auto")
        assert report.reward is None
        assert report.losing_to is None
        assert "Too little feedback" in report.summary
        with pytest.raises(UnknownModel):
            await engine.guard("nobody")


async def test_a_router_that_loses_to_one_of_its_arms_says_to_which_and_by_how_much(clock):
    async with running(engine_on(memory(clock), clock, uniform())) as engine:
        await taught(engine, 150)
        report = await engine.guard("auto")
        assert report.losing_to == "a"
        best = report.rivals[0]
        assert best.arm == "a"
        assert best.low < 0.5 < best.high
        assert best.low > 0.2
        assert "losing: with a alone" in report.summary


async def test_behind_its_baseline_a_router_answers_with_it_and_stays_evaluable(clock):
    spec = uniform(baseline=Baseline("a", 0.1))
    async with running(engine_on(memory(clock), clock, spec)) as engine:
        await taught(engine, 60)
        assert (await engine.guard("auto")).restrained
        made = [engine.decide("auto", asking(f"Later {at}")) for at in range(40)]
        assert sum(one.arm_id == "a" for one in made) >= 38
        assert {one.policy for one in made} == {"fixed:a"}
        assert all(0.0 < c.probability < 1.0 for one in made for c in one.candidates)
        await taught(engine, 600)
        lost = next(one for one in (await engine.guard("auto")).rivals if one.arm == "a")
        assert 0.03 < lost.lead < 0.16  # it uses its allowance, and keeps to it


async def test_a_router_within_its_allowance_is_left_alone(clock):
    spec = uniform(baseline=Baseline("b", 0.1))
    async with running(engine_on(memory(clock), clock, spec)) as engine:
        await taught(engine, 60)
        assert not (await engine.guard("auto")).restrained
        assert engine.decide("auto", asking()).policy == "uniform"


async def test_how_to_forget_is_logged_where_the_log_says_otherwise_and_only_there(clock):
    store, spec = memory(clock), replace(router("a", "b"), forgetting=Forgetting(half_life_n=200.0))
    async with running(engine_on(store, clock, spec)) as first:
        await until(lambda: first.followers["auto"].knowledge.tuning is not None)
        assert first.followers["auto"].knowledge.tuning.half_life_n == 200.0
        async with running(engine_on(store, clock, spec, seed=4)) as second:
            assert (await second.level("auto")).position == 1
        async with running(engine_on(store, clock, router("a", "b"), seed=5)) as third:
            await until(lambda: third.followers["auto"].knowledge.position == 2)
            assert third.followers["auto"].knowledge.tuning.half_life_n is None
            await until(lambda: first.followers["auto"].knowledge.position == 2)


async def test_winsorising_is_told_every_replica_and_bounds_what_a_score_counts(clock):
    spec = replace(uniform(), forgetting=Forgetting(winsorise_sd=0.5))
    async with running(engine_on(memory(clock), clock, spec)) as engine:
        await until(lambda: engine.followers["auto"].knowledge.tuning is not None)
        assert engine.followers["auto"].knowledge.tuning.winsorise_sd == 0.5
        decision = engine.decide("auto", asking())
        engine.remember(decision)
        engine.record(decision, outcome(decision))
        await engine.learn([score(engine, decision, 1.0)])
        await engine.level("auto")
        _, reports = await engine.arms("auto")
        (quality,) = (one.quality for one in reports if one.id == decision.arm_id)
        chosen = next(one for one in decision.candidates if one.arm_id == decision.arm_id)
        spread = (decision.noise + chosen.quality_sd**2) ** 0.5
        assert quality == pytest.approx(chosen.quality + 0.5 * spread)
        assert quality < 0.9


async def test_with_a_half_life_the_latest_answers_weigh_most(clock):
    spec = replace(uniform(), forgetting=Forgetting(half_life_n=50.0, detect_drift=False))
    async with running(engine_on(memory(clock), clock, spec)) as engine:
        await until(lambda: engine.followers["auto"].knowledge.tuning is not None)
        await taught(engine, 100)
        QUALITY.update(a=0.0, b=1.0)
        try:
            await taught(engine, 200)
        finally:
            QUALITY.update(a=1.0, b=0.0)
        _, reports = await engine.arms("auto")
        quality = {report.id: report.quality for report in reports}
        assert quality["a"] < 0.15  # without forgetting it would be about a third
        assert quality["b"] > 0.85
