"""Prompts are kept with decisions only where the operator asked for that."""

import json
from dataclasses import replace

import pytest
from doubles import asking, decided, engine_on, router, running

from banditroute.engine.prompts import MOST_BYTES, kept

pytestmark = pytest.mark.anyio


async def test_a_decision_keeps_no_prompt_unless_asked(store, clock):
    async with running(engine_on(store, clock, router("a", "b"))) as engine:
        made = await decided(engine, "a secret")
        record = await store.find("auto", made.id)
        assert record.decision.prompt is None


async def test_a_router_that_keeps_prompts_keeps_the_whole_conversation(store, clock):
    spec = replace(router("a", "b"), keep_prompts=True)
    async with running(engine_on(store, clock, spec)) as engine:
        made = await decided(engine, "Wie geht's?")
        record = await store.find("auto", made.id)
        assert json.loads(record.decision.prompt) == asking("Wie geht's?").body["messages"]


async def test_a_decision_keeps_what_its_policy_saw_beside_the_arms(store, clock):
    async with running(engine_on(store, clock, router("a", "b"))) as engine:
        made = await decided(engine)
        knowledge = await engine.level("auto")
        assert made.judged_share == knowledge.judged_share
        assert made.usual_cost_usd == knowledge.usage.recent_spend_usd()


def test_what_is_too_long_or_no_json_is_not_kept():
    long = {"messages": [{"role": "user", "content": "x" * MOST_BYTES}]}
    assert kept(long) is None
    assert kept({"messages": [{"role": "user", "content": object()}]}) is None
    assert kept({}) is None
    assert kept({"messages": []}) == "[]"
