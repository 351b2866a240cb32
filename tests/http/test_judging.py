"""A judge behind the whole application: an upstream grades, and the router learns from it."""

import asyncio

import httpx
import orjson
import pytest
from doubles import completion, soon
from prometheus_client.parser import text_string_to_metric_families
from wire import CANARY, CONFIG, KEY, UPSTREAM, chat
from wire import served as serve

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"
JUDGED = (
    UPSTREAM
    + """
[[arms]]
id = "critic"
provider = "cloud"
model = "critic-model"
input_usd_per_mtok = 1.0
output_usd_per_mtok = 2.0

[[routers]]
name = "auto"
arms = ["one"]

[judge]
arm = "critic"
share = 1
usd_per_day = 1e9
"""
)


class Upstream:
    """Answers chats, and judges them; keeps what it was asked."""

    def __init__(self, verdict='{"reason": "good", "score": 9}'):
        self.verdict = verdict
        self.judged = []

    def __call__(self, request):
        body = orjson.loads(request.content)
        if body["model"] != "critic-model":
            return httpx.Response(200, json=completion(f"an answer with {CANARY}"))
        assert body["response_format"] == {"type": "json_object"}
        self.judged.append(body["messages"])
        return httpx.Response(200, json=completion(self.verdict))


async def metrics(served):
    """The judge's metrics: the counts that are not 0, by fate, and the dollars."""
    text = (await served.get("/metrics")).text
    samples = {
        (sample.name, sample.labels.get("fate")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("banditroute_judge") and sample.value
    }
    cost_usd = samples.pop(("banditroute_judge_cost_usd_total", None), 0.0)
    return {fate: value for (_, fate), value in samples.items()}, cost_usd


async def judged(served, count):
    """Wait until so many answers have met their fate."""

    async def look():
        while sum((await metrics(served))[0].values()) < count:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.001)

    await soon(look())


async def test_the_judges_scores_are_learned_and_shown_everywhere():
    upstream = Upstream()
    async with serve(JUDGED, transport=httpx.MockTransport(upstream)) as running:
        assert await running.learned() == 0
        ids = []
        for at in range(3):
            answer = await running.post(CHAT, chat(f"question {at}"))
            ids.append(answer.json()["id"])
        await judged(running, 3)
        assert await running.learned() == 3
        receipt = (await running.get(f"/v1/decisions/{ids[0]}")).json()
        assert await metrics(running) == ({"judged": 3.0}, pytest.approx(3 * 0.002))
        arms = (await running.get("/v1/arms")).json()["data"]
    assert [(mark["source"], mark["score"]) for mark in receipt["feedback"]] == [("judge", 0.9)]
    assert receipt["quality"] == pytest.approx(0.9)
    assert [arm["id"] for arm in arms] == ["one"], "who judges need not answer"
    assert any("question 0" in messages[1]["content"] for messages in upstream.judged)


async def test_a_judge_and_a_user_speak_of_one_decision():
    async with serve(JUDGED, transport=httpx.MockTransport(Upstream())) as running:
        answer = (await running.post(CHAT, chat())).json()
        await judged(running, 1)
        await running.post("/feedback", {"id": answer["id"], "score": 0.1})
        receipt = (await running.get(f"/v1/decisions/{answer['id']}")).json()
        assert {mark["source"] for mark in receipt["feedback"]} == {"judge", "user"}
        assert 0.1 < receipt["quality"] < 0.9
        assert await running.learned() == 1


async def test_neither_prompt_nor_answer_nor_key_is_seen_of_a_judge_that_rambles(caplog):
    upstream = Upstream(f"I saw {CANARY} and give it 10")
    async with serve(JUDGED, transport=httpx.MockTransport(upstream)) as running:
        answer = (await running.post(CHAT, chat(CANARY))).json()
        await judged(running, 1)
        assert await metrics(running) == ({"unparsable": 1.0}, pytest.approx(0.002))
        shown = (await running.get("/metrics")).text
        shown += (await running.get(f"/v1/decisions/{answer['id']}")).text
        assert await running.learned() == 0
    shown += "".join(str(vars(record)) for record in caplog.records if "judg" in record.name)
    assert "no plain score" in shown
    assert CANARY not in shown
    assert KEY not in shown


async def test_an_upstream_that_judges_badly_breaks_no_answer():
    def broken(request):
        asked = orjson.loads(request.content)["model"] == "critic-model"
        return httpx.Response(500) if asked else httpx.Response(200, json=completion())

    async with serve(JUDGED, transport=httpx.MockTransport(broken)) as running:
        for _ in range(3):
            assert (await running.post(CHAT, chat())).status_code == 200
        await judged(running, 3)
        assert await metrics(running) == ({"failed": 3.0}, 0.0)


async def test_without_the_table_nobody_judges_and_no_metric_speaks_of_it(served):
    await served.post(CHAT, chat())
    assert served.application.dispatcher.judge is None
    assert "judge" not in (await served.get("/metrics")).text


async def test_a_simulated_arm_reads_the_worth_off_a_simulated_answer():
    text = CONFIG + '[judge]\narm = "local"\nshare = 1\n'  # which is free, so the budget is enough
    async with serve(text) as running:
        for stream in (False, True):
            answer = await running.post(CHAT, chat("Write a poem about rain.", stream=stream))
            assert answer.status_code == 200
        whole = (await running.post(CHAT, chat("What is the capital of France?"))).json()
        await judged(running, 3)
        assert (await metrics(running))[0] == {"judged": 3.0}
        receipt = (await running.get(f"/v1/decisions/{whole['id']}")).json()
    (mark,) = receipt["feedback"]
    assert mark["score"] == pytest.approx(whole["simulated"]["quality"], abs=0.0051)
