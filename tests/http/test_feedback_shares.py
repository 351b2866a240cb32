"""Caps over the wire: a key that floods, a source that does, and everybody else beside them."""

import pytest
from prometheus_client.parser import text_string_to_metric_families
from wire import CONFIG
from wire import served as serve

from banditroute.http.keyring import hash_of

pytestmark = pytest.mark.anyio

ONE_ARM = CONFIG.replace('arms = ["small", "large"]', 'arms = ["small"]')


def key(name, line=""):
    return f'[[keys]]\nname = "{name}"\nhash = "{hash_of(name)}"\nroles = ["client"]\n{line}\n'


KEYS = ONE_ARM + key("capped", "feedback_share = 0.002") + key("trusted")


def bearing(name):
    return {"authorization": f"Bearer {name}"}


async def decide(served, name):
    """The id of a decision that a key asked for."""
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hello!"}]}
    response = await served.post("/v1/route", body, headers=bearing(name))
    return response.json()["decision_id"]


async def feedback_n(served, name="trusted"):
    response = await served.client.get("/v1/arms", headers=bearing(name))
    return response.json()["data"][0]["feedback_n"]


async def word_on(served, decision_id):
    response = await served.client.get(f"/v1/decisions/{decision_id}", headers=bearing("trusted"))
    [word] = response.json()["feedback"]
    return word


async def capped(served):
    families = text_string_to_metric_families((await served.get("/metrics")).text)
    [value] = [s.value for f in families for s in f.samples if "capped_total" in s.name]
    return value


@pytest.mark.parametrize("path", ["/feedback", "/v1/feedback"])
@pytest.mark.parametrize("many", [True, False], ids=["a list", "one by one"])
async def test_a_key_teaches_up_to_its_share_and_other_keys_as_ever(path, many):
    async with serve(KEYS) as served:
        ids = [await decide(served, "capped") for _ in range(5)]
        flood = [{"id": id_, "score": 0, "source": f"user:{n}"} for n, id_ in enumerate(ids)]
        for body in [flood] if many else flood:
            answer = await served.post(path, body, headers=bearing("capped"))
            assert answer.status_code == 200
            items = answer.json() if many else [answer.json()]
            assert {item["status"] for item in items} == {"learned"}
        assert await feedback_n(served) == 2
        assert await capped(served) == 3.0
        honest = [{"id": await decide(served, "trusted"), "score": 1} for _ in range(9)]
        answer = await served.post(path, honest, headers=bearing("trusted"))
        assert {item["status"] for item in answer.json()} == {"learned"}
        assert await feedback_n(served) == 11
        assert await capped(served) == 3.0


async def test_a_receipt_shows_the_grant_of_what_was_not_learned():
    async with serve(KEYS) as served:
        ids = [await decide(served, "capped") for _ in range(3)]
        said = [{"id": id_, "score": 0.5, "comment": "meh"} for id_ in ids]
        await served.post("/feedback", said, headers=bearing("capped"))
        learned, kept = await word_on(served, ids[0]), await word_on(served, ids[-1])
        assert "grant" not in learned
        assert "granted" not in learned
        assert kept == {**learned, "grant": 0.0}
        again = await served.post("/feedback", said[-1], headers=bearing("trusted"))
        assert again.json()["status"] == "unchanged"
        assert await word_on(served, ids[-1]) == kept


async def test_what_was_not_learned_can_be_amended_and_taken_back():
    async with serve(KEYS) as served:
        ids = [await decide(served, "capped") for _ in range(3)]
        said = [{"id": id_, "score": 0.5} for id_ in ids]
        await served.post("/feedback", said, headers=bearing("capped"))
        amended = {"id": ids[-1], "score": 0.75}
        answer = await served.post("/feedback", amended, headers=bearing("capped"))
        assert answer.json()["status"] == "amended"
        assert (await word_on(served, ids[-1]))["grant"] == 0.0
        taken = await served.client.delete(f"/feedback/{ids[-1]}", headers=bearing("capped"))
        assert taken.json()["status"] == "retracted"
        assert await feedback_n(served) == 2


async def test_each_source_of_a_router_has_its_share():
    config = ONE_ARM.replace('name = "auto"', 'name = "auto"\nsource_share = 0.002')
    async with serve(config) as served:
        for source in ("user:ann", "user:bob"):
            ids = [await served.decide() for _ in range(4)]
            said = [{"id": id_, "score": 1, "source": source} for id_ in ids]
            assert (await served.post("/feedback", said)).status_code == 200
        assert await served.learned() == 4
        assert await capped(served) == 4.0
