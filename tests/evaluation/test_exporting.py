"""What an export takes out of a store, whichever that is."""

import pytest
from doubles import TTL_S, Clock, asking, engine_on, memory, outcome, router, running, score
from redis_clients import fake_links

from banditroute.evaluation.exporting import Exported, Span, export_rows
from banditroute.evaluation.rows import Contents, row_of
from banditroute.stores import RedisStore, SQLiteStore

pytestmark = pytest.mark.anyio


EVERYTHING = Span()


class Gathered:
    """Takes rows as a file would; ``last`` is in it already."""

    def __init__(self, last="", **contents):
        self.last = last
        self.contents = Contents(**contents)
        self.rows = []

    def add(self, row):
        self.rows.append(row)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite", "redis"])
def store(request, clock, tmp_path):
    kept = {"decision_ttl_s": TTL_S, "clock": clock}
    if request.param == "memory":
        return memory(clock)
    if request.param == "sqlite":
        return SQLiteStore(tmp_path / "log.db", **kept)
    return RedisStore(fake_links(), **kept)


@pytest.fixture
async def lived(store, clock):
    """Two routers that decided in turns; the store, and the decisions in their order."""
    engine = engine_on(store, clock, router("a", "b"), router("a", "b", name="other"))
    async with running(engine):
        made = []
        for n in range(12):
            clock.advance(1.0)
            made.append(engine.decide("other" if n % 3 == 1 else "auto", asking(f"Question {n}")))
            await store.remember(made[-1:])
            if n % 2:
                await engine.report(outcome(made[-1]))
            if n % 4 == 1:
                await engine.learn([score(engine, made[-1], 0.5)])
        yield store, made


async def exported(store, gathered, span=EVERYTHING, routers=("auto", "other")):
    calls = []
    done = await export_rows(store, routers, gathered, span, lambda: calls.append(1))
    assert len(calls) == len(gathered.rows) == sum(one.decisions for one in done)
    return done


async def test_rows_say_what_the_store_knows_in_order_of_id(lived):
    store, made = lived
    gathered = Gathered(prompts=True, private=True)
    done = await exported(store, gathered)
    found = [await store.find(decision.router, decision.id) for decision in made]
    assert gathered.rows == [row_of(record, prompts=True, private=True) for record in found]
    assert done == [Exported("auto", 8, 4, 2), Exported("other", 4, 2, 1)]


async def test_a_file_goes_on_after_its_last_decision_in_all_routers(lived):
    store, made = lived
    gathered = Gathered(last=made[5].id)
    await exported(store, gathered, Span(after=made[2].id))
    assert [row["id"] for row in gathered.rows] == [decision.id for decision in made[6:]]


async def test_a_span_has_two_ends(lived):
    store, made = lived
    gathered = Gathered()
    done = await exported(store, gathered, Span(after=made[2].id, until=made[7].id))
    assert [row["id"] for row in gathered.rows] == [decision.id for decision in made[3:7]]
    assert [one.decisions for one in done] == [3, 1]


async def test_one_router_alone(lived):
    store, _ = lived
    gathered = Gathered()
    await exported(store, gathered, routers=("other",))
    assert {row["router"] for row in gathered.rows} == {"other"}
    assert len(gathered.rows) == 4


async def test_nothing_is_exported_of_nothing(lived):
    store, made = lived
    gathered = Gathered()
    done = await exported(store, gathered, Span(after=made[-1].id))
    assert done == [Exported("auto"), Exported("other")]
