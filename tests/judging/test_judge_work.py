"""The judge at work: what it is asked, what is learned, and that nobody notices its troubles."""

import asyncio
import logging
from dataclasses import replace

import pytest
from doubles import STREAM, arm, asking, chunk, completion, fault, soon, until

from banditroute.core.identity import unit_interval
from banditroute.errors import UpstreamError, UpstreamFault
from banditroute.judging import Fate
from banditroute.judging import judge as judge_module
from banditroute.values import Request

pytestmark = pytest.mark.anyio

CANARY = "canary-7f3a"


async def ended(court, count=1):
    """Wait until ``count`` answers have met their fate."""
    await until(lambda: sum(court.judge.fates.values()) >= count)
    return {fate: n for fate, n in court.judge.fates.items() if n}


async def mark_of(court, decision):
    record = await court.dispatcher.engine.receipt(decision.id)
    return record.marks.get("judge")


async def test_an_answer_is_judged_and_its_score_learned_once(court):
    court = await court('{"reason": "right", "score": 8}')
    made = await court.dispatcher.complete("auto", asking("What is 2 + 2?"))
    assert await ended(court) == {Fate.JUDGED: 1}
    mark = await mark_of(court, made.decision)
    assert (mark.score, mark.kind, mark.comment) == (0.8, "score", None)
    assert await court.learned() == 1
    (asked,) = court.asked
    assert "Be strict." in asked["messages"][0]["content"]
    assert "What is 2 + 2?" in asked["messages"][1]["content"]
    assert "hello" in asked["messages"][1]["content"]


async def test_every_question_has_a_fence_of_its_own(court):
    court = await court()
    fences = iter([b"\1", b"\2"])
    court.judge._entropy = lambda count: next(fences) * count
    for _ in range(2):
        await court.dispatcher.complete("auto", asking())
    await ended(court, 2)
    last = {asked["messages"][1]["content"].split("\n")[-1] for asked in court.asked}
    assert last == {"01" * 16 + " end", "02" * 16 + " end"}


async def test_a_streamed_answer_is_judged_as_a_whole(court):
    court = await court()
    streamed = await court.dispatcher.stream("auto", asking())
    async for _ in streamed.chunks:
        assert not court.asked, "not before the answer is complete"
    assert await ended(court) == {Fate.JUDGED: 1}
    assert "\nhello\n" in court.asked[0]["messages"][1]["content"]


async def test_an_answer_whose_caller_left_or_whose_stream_broke_is_not_judged(court):
    court = await court()
    streamed = await court.dispatcher.stream("auto", asking())
    await anext(streamed.chunks)
    await streamed.chunks.aclose()
    broken = [*STREAM[:2], fault("a", UpstreamFault.INTERRUPTED)]
    court.provider.scripts |= {"a": [broken], "b": [broken]}
    async for _ in (await court.dispatcher.stream("auto", asking())).chunks:
        pass
    await until(lambda: not court.judge._tasks)
    assert not court.judge.fates
    assert not court.asked


async def test_a_failed_answer_is_not_judged_and_its_fallback_is(court):
    court = await court()
    court.provider.scripts["a"] = [fault("a")]
    answers = [await court.dispatcher.complete("auto", asking()) for _ in range(8)]
    assert {answer.decision.arm_id for answer in answers} == {"b"}
    assert await ended(court, 8) == {Fate.JUDGED: 8}
    court.provider.scripts["b"] = [fault("b")]
    with pytest.raises(UpstreamError):
        await court.dispatcher.complete("auto", asking())
    assert court.judge.fates.total() == 8


async def test_an_answer_that_calls_tools_is_not_judged(court):
    court = await court()
    call = {"index": 0, "id": "1", "type": "function", "function": {"name": "f", "arguments": ""}}
    message = {"role": "assistant", "content": "Let me look.", "tool_calls": [call]}
    whole = completion(choices=[{"index": 0, "message": message, "finish_reason": "tool_calls"}])
    chunks = [chunk("Let me"), chunk(), STREAM[-2], STREAM[-1]]
    chunks[1]["choices"][0]["delta"] = {"tool_calls": [call]}
    court.provider.scripts |= {"a": [whole, chunks], "b": [whole, chunks]}
    await court.dispatcher.complete("auto", asking())
    for script in court.provider.scripts.values():
        del script[:-1]
    async for _ in (await court.dispatcher.stream("auto", asking())).chunks:
        pass
    assert not court.judge.fates


async def test_a_request_with_a_picture_is_not_judged(court):
    court = await court()
    court.judge.spec = replace(court.judge.spec, arm=arm("judge", labels=frozenset({"x"})))
    decision = court.dispatcher.engine.decide("auto", asking())
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    parts = [{"type": "text", "text": "What is this?"}, picture]
    request = Request({"messages": [{"role": "user", "content": parts}]})
    court.judge.offer(decision, request, "A cat.")
    assert not court.judge.fates
    assert not court.judge._tasks


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
async def test_which_answers_are_drawn_depends_on_their_ids_alone(court, share):
    court = await court(share=share)
    decisions = [court.dispatcher.engine.decide("auto", asking()) for _ in range(400)]
    drawn = [court.judge.draws(d) for d in decisions]
    assert drawn == [unit_interval(d.seed, d.id, "judge") < share for d in decisions]
    assert abs(sum(drawn) - 400 * share) <= 5 * (400 * share * (1 - share)) ** 0.5


async def test_only_the_answers_of_its_routers_are_drawn(court):
    court = await court(routers=frozenset({"other"}))
    await court.dispatcher.complete("auto", asking())
    assert not court.judge.draws(court.dispatcher.engine.decide("auto", asking()))


async def test_an_arm_grades_its_own_answers_only_if_told_to(court):
    court = await court(arm=arm("a"))
    decisions = [court.dispatcher.engine.decide("auto", asking()) for _ in range(40)]
    assert {d.arm_id for d in decisions if court.judge.draws(d)} == {"b"}
    court.judge.spec = replace(court.judge.spec, skip_own=False)
    assert {d.arm_id for d in decisions if court.judge.draws(d)} == {"a", "b"}


@pytest.mark.parametrize(
    ("wishes", "fate"),
    [
        ({"data": frozenset({"personal"})}, Fate.BARRED),
        ({"exclude": frozenset({"judge"})}, Fate.BARRED),
        ({"candidates": frozenset({"a"})}, Fate.BARRED),
        ({"candidates": frozenset({"a", "judge"})}, Fate.JUDGED),
        ({"data": frozenset({"internal"})}, Fate.JUDGED),
    ],
)
async def test_no_request_passes_a_wall_to_be_judged(court, wishes, fate):
    court = await court(arm=arm("judge", labels=frozenset({"internal"})))
    made = await court.dispatcher.complete("auto", asking())
    await ended(court)
    court.judge.fates.clear()
    court.provider.calls.clear()
    court.judge.offer(made.decision, asking(CANARY, **wishes), "fine")
    assert await ended(court) == {fate: 1}
    assert bool(court.asked) == (fate is Fate.JUDGED)


async def test_a_reply_without_a_plain_score_is_counted_and_nothing_is_learned(court, caplog):
    court = await court(f"{CANARY}: 8 of 10")
    made = await court.dispatcher.complete("auto", asking(CANARY))
    assert await ended(court) == {Fate.UNPARSABLE: 1}
    assert await mark_of(court, made.decision) is None
    assert made.decision.id in {getattr(r, "decision", None) for r in caplog.records}
    assert CANARY not in written(caplog)


@pytest.mark.parametrize("trouble", [fault("judge"), ValueError(CANARY)])
async def test_a_call_that_fails_is_counted_and_logged_without_any_text(court, trouble, caplog):
    court = await court(trouble)
    answer = await court.dispatcher.complete("auto", asking(CANARY))
    assert answer.body["model"] in {"a", "b"}
    assert await ended(court) == {Fate.FAILED: 1}
    assert answer.decision.id in {getattr(r, "decision", None) for r in caplog.records}
    assert CANARY not in written(caplog)
    assert await court.learned() == 0


def written(caplog):
    """All that was logged, as it would be written."""
    form = logging.Formatter()
    return "\n".join(form.format(r) + str(vars(r)) for r in caplog.records)


async def test_the_judge_holds_nobody_up(court):
    stuck = asyncio.Event()
    court = await court(stuck, max_concurrency=2, queue=3)
    for _ in range(8):
        await soon(court.dispatcher.complete("auto", asking()))
    assert len(court.asked) == 2, "as many at once as allowed"
    assert len(court.judge._queue) == 3, "as many in line as allowed"
    assert court.judge.fates == {Fate.DROPPED: 3}
    stuck.set()
    court.provider.scripts["judge"] = [completion('{"score": 5}')]
    await ended(court, 8)
    assert len(court.asked) == 5
    assert not court.judge._tasks


async def test_what_waits_is_cut(court):
    court = await court(asyncio.Event(), max_concurrency=1)
    big = "x" * 1_000_000
    court.provider.scripts |= {"a": [completion(big)], "b": [completion(big)]}
    for _ in range(2):
        await court.dispatcher.complete("auto", asking(big))
    (waiting,) = court.judge._queue
    assert sum(len(message.text) for message in waiting.quoted) < 20_000


async def test_what_a_judgement_costs_is_paid_from_the_budget_and_shown(court):
    court = await court()
    await court.dispatcher.complete("auto", asking())
    await ended(court)
    assert court.judge.cost_usd == pytest.approx(0.003)  # 1000 tokens in, 500 out
    assert court.judge._budget._left_usd == pytest.approx(court.judge._budget.most_usd - 0.003)
    assert court.judge._budget._reserved_usd == 0.0
    assert sum(court.dispatcher.tally.cost_usd.values()) == pytest.approx(0.003), "the answer's"


async def test_without_a_budget_left_nobody_is_asked(court):
    court = await court(usd_per_day=8 * 0.0041)  # room for one: at most 0.004 and its prompt
    await court.dispatcher.complete("auto", asking())
    assert await ended(court) == {Fate.OVER_BUDGET: 1}
    court.judge._budget.most_usd *= 2
    court.ticks.advance(86_400.0)
    for count in (2, 3):
        await court.dispatcher.complete("auto", asking())
        await ended(court, count)
    assert court.judge.fates == {Fate.OVER_BUDGET: 1, Fate.JUDGED: 2}
    await court.dispatcher.complete("auto", asking())
    assert (await ended(court, 4))[Fate.OVER_BUDGET] == 2


@pytest.mark.parametrize(
    ("word", "paid"),
    [(UpstreamFault.CONNECTION, False), (UpstreamFault.TIMEOUT, True)],
)
async def test_a_failed_call_is_paid_for_where_it_may_be_billed(court, word, paid):
    court = await court(fault("judge", word))
    await court.dispatcher.complete("auto", asking())
    await ended(court)
    budget = court.judge._budget
    assert budget._reserved_usd == 0.0
    assert (budget._left_usd < budget.most_usd) == paid
    assert court.judge.cost_usd == 0.0, "nobody knows it"


async def test_a_call_of_unknown_cost_is_paid_as_reserved(court):
    court = await court(completion('{"score": 8}', usage=None))
    await court.dispatcher.complete("auto", asking())
    assert await ended(court) == {Fate.JUDGED: 1}
    budget = court.judge._budget
    assert budget.most_usd - budget._left_usd > 0.004  # a thousand output tokens at least
    assert court.judge.cost_usd == 0.0


async def test_a_score_waits_for_the_store_and_counts_once(court, monkeypatch):
    monkeypatch.setattr(judge_module, "RETRY_PAUSES_S", (0.01,) * 200)
    court = await court()
    court.store.loses_replies.add("absorb")
    made = await court.dispatcher.complete("auto", asking())
    await until(lambda: court.store.calls["absorb"] >= 3)
    court.store.loses_replies.clear()
    assert await ended(court) == {Fate.JUDGED: 1}
    assert (await mark_of(court, made.decision)).score == 0.8
    _, reports = await court.dispatcher.engine.arms("auto")
    assert sum(report.feedback_n for report in reports) == 1


async def test_a_score_that_finds_no_store_is_dropped_and_counted(court, monkeypatch):
    monkeypatch.setattr(judge_module, "RETRY_PAUSES_S", (0.001, 0.001))
    court = await court()
    court.store.broken.add("absorb")
    await court.dispatcher.complete("auto", asking())
    assert await ended(court) == {Fate.UNLEARNED: 1}
    assert court.store.calls["absorb"] == 3


async def test_the_score_of_a_decision_that_is_gone_is_dropped_at_once(court):
    court = await court()
    never_kept = court.dispatcher.engine.decide("auto", asking())
    court.judge.offer(never_kept, asking(), "fine")
    assert await ended(court) == {Fate.UNLEARNED: 1}


async def test_at_the_end_what_waits_is_dropped_and_what_runs_may_finish(court):
    verdict = asyncio.Event()
    court = await court(lambda: verdict.set() or completion('{"score": 8}'), max_concurrency=1)
    for _ in range(3):
        await court.dispatcher.complete("auto", asking())
    await soon(court.dispatcher.close())
    assert court.judge.fates.total() == 3
    assert set(court.judge.fates) <= {Fate.JUDGED, Fate.DROPPED}
    made = await court.dispatcher.complete("auto", asking())
    assert court.judge.draws(made.decision)
    assert court.judge.fates.total() == 4
    assert not court.judge._tasks


async def test_the_end_waits_for_no_judge_that_hangs(court, monkeypatch):
    monkeypatch.setattr(judge_module, "GRACE_S", 0.01)
    court = await court(asyncio.Event(), max_concurrency=1)
    for _ in range(2):
        await court.dispatcher.complete("auto", asking())
    await until(lambda: court.asked)
    await soon(court.dispatcher.close())
    assert court.judge.fates == {Fate.DROPPED: 2}
    assert not court.judge._tasks
