"""Every decision of a log comes out again as it was logged, and nothing else does."""

from dataclasses import replace

import pytest
from doubles import TTL_S, Clock, asking, engine_on, grow, memory, router, running
from log_worlds import FEATURES, live, tamper, with_probability, world

from banditroute.core.choice import recompute
from banditroute.core.identity import lowest_id
from banditroute.engine import engine as engine_module
from banditroute.engine import follower as follower_module
from banditroute.errors import FeatureMismatch, UnknownDecision
from banditroute.evaluation import past as past_module
from banditroute.evaluation.exporting import Span
from banditroute.evaluation.past import BEYOND, TRIMMED, OutOfReach, Past
from banditroute.evaluation.replaying import EXPIRED, OTHER_FEATURES, Replayed, replay, verify
from banditroute.stores import SQLiteStore

pytestmark = pytest.mark.anyio

EVERYTHING = Span()


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    """Checkpoints and batches come often; nobody gives up waiting."""
    monkeypatch.setattr(follower_module, "CHECKPOINT_EVERY", 40)
    monkeypatch.setattr(past_module, "BATCH", 30)
    monkeypatch.setattr(engine_module, "SETTLE_S", 10.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
def store(request, clock, tmp_path):
    return memory(clock) if request.param == "memory" else sqlite(tmp_path, clock)


def sqlite(folder, clock):
    return SQLiteStore(folder / "log.db", decision_ttl_s=TTL_S, clock=clock, poll_s=0.01)


@pytest.fixture
async def lived(tmp_path, clock):
    """A store whose log has all that can happen to a router, and the decisions in it."""
    store = sqlite(tmp_path, clock)
    async with running(world(store, clock)) as engine:
        made = await live(engine, clock, 60)
    await store.open()
    yield store, made
    await store.close()


async def test_a_whole_log_comes_out_as_it_was_logged(store, clock):
    async with running(world(store, clock)) as engine:
        made = await live(engine, clock, 60)
    await store.open()
    assert len(await store.checkpoints("auto")) > 1
    done = await verify(store, "auto", FEATURES, EVERYTHING)
    await store.close()
    assert (done.decisions, done.same) == (len(made), len(made))
    assert (done.different, done.mismatches, dict(done.unverifiable)) == (0, [], {})
    assert {decision.explored for decision in made} == {True, False}
    assert any(decision.parent_id for decision in made)
    assert any(decision.budget_price > 0.0 for decision in made)
    assert len({c.output_usd_per_mtok for d in made for c in d.candidates}) > 5


async def test_one_decision_comes_out_as_it_was_logged(lived):
    store, made = lived
    for decision in made[::9]:
        replayed = await replay(store, "auto", FEATURES, decision.id)
        assert replayed.differences == ()
        assert replayed.again.candidates == decision.candidates
        assert replayed.again.propensity == decision.propensity


async def test_the_log_is_read_once_and_nothing_is_written(lived, monkeypatch):
    store, made = lived
    head, asked = await store.head("auto"), []
    evidence = store.evidence

    async def counted(router, after, limit):
        asked.append(after)
        return await evidence(router, after, limit)

    monkeypatch.setattr(store, "evidence", counted)
    for name in ("remember", "record", "absorb", "announce", "claim", "save_checkpoint"):
        monkeypatch.delattr(SQLiteStore, name)
    seen = []
    done = await verify(store, "auto", FEATURES, EVERYTHING, lambda *at: seen.append(at))
    assert done.same == len(made)
    assert len(asked) == len(set(asked)) <= head / 30 + 2
    assert seen == [(n + 1, len(made)) for n in range(len(made))]


async def test_decisions_since_a_moment_begin_at_a_checkpoint(lived, monkeypatch):
    store, made = lived
    last = made[-10:]
    after = []
    evidence = store.evidence

    async def watched(router, position, limit):
        after.append(position)
        return await evidence(router, position, limit)

    monkeypatch.setattr(store, "evidence", watched)
    span = Span(lowest_id(int(last[0].made_at_s * 1000)))
    done = await verify(store, "auto", FEATURES, span)
    assert (done.decisions, done.same) == (10, 10)
    assert min(after) > 0


async def test_until_a_moment(lived):
    store, made = lived
    before = [decision for decision in made if decision.made_at_s < made[20].made_at_s]
    span = Span(until=lowest_id(int(made[20].made_at_s * 1000)))
    assert (await verify(store, "auto", FEATURES, span)).decisions == len(before) > 10


def swapped(decision):
    """Another arm than was drawn, with its own propensity: a lie that adds up."""
    other = min((c for c in decision.candidates if c.arm_id != decision.arm_id),
                key=lambda c: c.probability)  # fmt: skip
    return {"arm_id": other.arm_id, "propensity": other.probability}


def shifted(decision):
    """A probability that was a millionth larger, and the propensity with it."""
    probability = decision.propensity + 1e-6
    return {
        "propensity": probability,
        "candidates": with_probability(decision, decision.arm_id, probability),
    }


def better(decision):
    """A prediction that was never made."""
    first, *others = decision.candidates
    return {"candidates": (first._replace(quality=first.quality + 1e-3), *others)}


@pytest.mark.parametrize(
    ("lie", "names"),
    [
        (swapped, {"arm", "propensity"}),
        (shifted, {"propensity", "probabilities", "sum of probabilities"}),
        (lambda decision: {"propensity": decision.propensity - 1e-6}, {"propensity"}),
        (better, {"predictions"}),
        (lambda decision: {"position": decision.position - 3}, {"probabilities", "predictions"}),
    ],
)
async def test_the_one_decision_that_was_tampered_with_is_found(lived, tmp_path, lie, names):
    store, made = lived
    victim = next(d for d in made[40:] if len(d.candidates) == 3 and d.propensity < 0.99)
    tampered = tamper(tmp_path / "log.db", victim, **lie(victim))
    done = await verify(store, "auto", FEATURES, EVERYTHING)
    assert (done.same, done.different, len(done.mismatches)) == (len(made) - 1, 1, 1)
    found = done.mismatches[0]
    assert found.decision.id == tampered.id
    assert names <= set(found.differences)
    assert (await replay(store, "auto", FEATURES, victim.id)).differences == found.differences


async def test_what_rounding_does_is_no_difference(lived):
    store, made = lived
    decision = made[30]
    knowledge = await Past(store, "auto", FEATURES.groups).at(decision.position)
    again = recompute(decision, knowledge)

    def differs(by):
        propensity = decision.propensity + by
        candidates = with_probability(decision, decision.arm_id, propensity)
        logged = replace(decision, candidates=candidates, propensity=propensity)
        return bool(Replayed(logged, again).differences)

    assert not differs(5e-10)
    assert differs(5e-9)


async def test_numbers_that_no_choice_comes_of_are_a_difference(lived, tmp_path):
    store, made = lived
    tamper(tmp_path / "log.db", made[5], answer_value_usd=0.0)
    done = await verify(store, "auto", FEATURES, EVERYTHING)
    assert (done.same, done.different) == (len(made) - 1, 1)
    assert done.mismatches[0].again is None
    assert "no choice" in done.mismatches[0].differences[0]


async def test_what_cannot_be_made_again_is_counted_by_its_reason(lived, tmp_path):
    store, made = lived
    path = tmp_path / "log.db"
    tamper(path, made[3], policy="mine:3")
    tamper(path, made[4], fingerprint="others")
    tamper(path, made[5], position=10_000)
    done = await verify(store, "auto", FEATURES, EVERYTHING)
    assert (done.same, done.different) == (len(made) - 3, 0)
    reasons = {"policy mine:3 is not known here": 1, OTHER_FEATURES: 1, BEYOND: 1}
    assert dict(done.unverifiable) == reasons
    with pytest.raises(OutOfReach, match=BEYOND):
        await replay(store, "auto", FEATURES, made[5].id)


async def test_a_trimmed_log_verifies_what_it_still_reaches(lived):
    store, made = lived
    kept = await store.checkpoints("auto")
    begins = kept[0].checkpoint.position
    await _delete(store, "log WHERE position <= ?", begins)
    lost = [decision for decision in made if 0 < decision.position < begins]
    assert 0 < len(lost) < len(made) / 2
    done = await verify(store, "auto", FEATURES, EVERYTHING)
    assert dict(done.unverifiable) == {TRIMMED: len(lost)}
    assert done.same == len(made) - len(lost)
    with pytest.raises(OutOfReach, match=TRIMMED):
        await replay(store, "auto", FEATURES, lost[0].id)


async def test_a_hole_in_the_log_is_passed_at_the_next_checkpoint(lived):
    store, made = lived
    *_, last = await store.checkpoints("auto")
    hole = last.checkpoint.position - 20
    await _delete(store, "log WHERE position = ?", hole)
    await _delete(store, "checkpoints WHERE position < ?", last.checkpoint.position)
    lost = [d for d in made if hole <= d.position < last.checkpoint.position]
    assert lost
    done = await verify(store, "auto", FEATURES, EVERYTHING)
    assert dict(done.unverifiable) == {TRIMMED: len(lost)}
    assert done.same == len(made) - len(lost)


async def _delete(store, what, position):
    await store._write(lambda db: db.execute(f"DELETE FROM {what}", (position,)))


async def test_a_decision_that_expires_meanwhile_is_counted(lived, clock):
    store, made = lived

    def expire(count, total):
        clock.advance(TTL_S)

    done = await verify(store, "auto", FEATURES, EVERYTHING, expire)
    assert (done.decisions, done.same) == (len(made), 1)
    assert dict(done.unverifiable) == {EXPIRED: len(made) - 1}


async def test_a_damaged_checkpoint_is_passed_over(lived, tmp_path):
    store, made = lived
    await store._write(lambda db: db.execute("UPDATE checkpoints SET payload = x'00'"))
    span = Span(made[-5].id)
    assert (await verify(store, "auto", FEATURES, span)).same == 4


async def test_another_features_log_is_refused_before_it_is_folded(lived):
    store, made = lived
    others = replace(FEATURES, fingerprint="others")
    with pytest.raises(FeatureMismatch, match=r"\[features\]"):
        await verify(store, "auto", others, EVERYTHING)
    with pytest.raises(FeatureMismatch, match=r"\[features\]"):
        await replay(store, "auto", others, made[0].id)


async def test_a_decision_nobody_made_is_unknown(lived):
    store, made = lived
    unknown = made[0].id[:-5] + "0" + made[0].id[-4:]
    with pytest.raises(UnknownDecision):
        await replay(store, "auto", FEATURES, unknown)


async def test_a_decision_made_while_the_store_was_away_comes_out_the_same(clock):
    store = memory(clock)
    async with running(engine_on(store, clock, router("a", "b"))) as engine:
        await grow(engine, store, 20)
        await engine.level("auto")
        engine.followers["auto"].away = True
        decision = engine.decide("auto", asking("Anything"))
        assert decision.degraded
        engine.remember(decision)
        await engine.settled(decision)
        assert (await replay(store, "auto", FEATURES, decision.id)).differences == ()
