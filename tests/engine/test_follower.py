"""A router's knowledge keeps level with its log, whatever happens to log, store and checkpoints."""

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest
from doubles import (
    TTL_S,
    FlakyStore,
    decided,
    engine_on,
    featurizer,
    grow,
    outcome,
    router,
    running,
    score,
    until,
)
from patience import PATIENCE_S

from banditroute.core import checkpoint
from banditroute.core.fold import RouterState
from banditroute.core.posterior import FeatureGroups
from banditroute.core.quality import QualityModel
from banditroute.engine import follower as follower_module
from banditroute.engine.follower import Features, Follower
from banditroute.errors import FeatureMismatch, StoreError
from banditroute.values import Checkpoint

pytestmark = pytest.mark.anyio

GROUPS = FeatureGroups(featurizer().groups)
FINGERPRINT = featurizer().fingerprint


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(follower_module, "WAIT_S", 0.01)
    monkeypatch.setattr(follower_module, "PAUSE_S", 0.001)


@pytest.fixture
async def kept(store):
    """The store, open, and easy to take away."""
    flaky = FlakyStore(store)
    await flaky.open()
    yield flaky
    await flaky.close()


@pytest.fixture
def engine(kept, clock):
    """Writes the log; it is never started, so it decides from nothing."""
    return engine_on(kept, clock, router())


def following(store, fingerprint=FINGERPRINT):
    return Follower(store, "auto", Features(GROUPS, fingerprint))


@asynccontextmanager
async def at_work(follower):
    task = asyncio.create_task(follower.run())
    try:
        yield follower
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def packed(state):
    return checkpoint.save(state, FINGERPRINT).payload


async def refolded(store):
    """The state that a fold over the whole log gives."""
    state = RouterState.empty(GROUPS)
    state.fold(await store.evidence("auto", 0, 100_000))
    return packed(state)


async def save_and_trim(store, follower, clock):
    """Save a checkpoint, and let the log begin there, as it does a time to live later."""
    await follower.save()
    clock.advance(TTL_S + 1.0)
    await store.expire()


async def test_starting_folds_the_whole_log(kept, engine):
    await grow(engine, kept, 30)
    follower = following(kept)
    assert not follower.loaded
    await follower.start()
    assert follower.loaded
    assert follower.knowledge.position == 60
    assert packed(follower._state) == await refolded(kept)


async def test_a_log_longer_than_a_batch_is_folded_whole(kept, engine, monkeypatch):
    monkeypatch.setattr(follower_module, "BATCH", 7)
    await grow(engine, kept, 10)
    follower = following(kept)
    await follower.start()
    assert packed(follower._state) == await refolded(kept)


async def test_an_empty_log_is_followed_from_nothing(kept):
    follower = following(kept)
    await follower.start()
    assert (follower.loaded, follower.knowledge.position) == (True, 0)


async def test_a_checkpoint_spares_reading_the_log_before_it(kept, engine, monkeypatch):
    await grow(engine, kept, 20)
    first = following(kept)
    await first.start()
    await first.save()
    await grow(engine, kept, 5, seed=6)
    asked = []
    real = kept.store.evidence
    monkeypatch.setattr(
        kept.store,
        "evidence",
        lambda name, after, limit: (asked.append(after), real(name, after, limit))[1],
    )
    second = following(kept)
    await second.start()
    assert min(asked) == 40
    assert packed(second._state) == await refolded(kept)


async def test_a_checkpoint_without_a_tail_is_published(kept, engine):
    await grow(engine, kept, 4)
    first = following(kept)
    await first.start()
    await first.save()
    second = following(kept)
    await second.start()
    assert second.knowledge.position == 8


@pytest.mark.parametrize("payload", [b"", b"garbage", "one byte changed"])
async def test_a_bad_checkpoint_is_refused_and_the_log_folded_to_the_same_bytes(
    kept, engine, payload
):
    await grow(engine, kept, 12)
    state = RouterState.empty(GROUPS)
    state.fold(await kept.evidence("auto", 0, 100))
    if payload == "one byte changed":
        good = packed(state)
        at = good.index(b"noise") + 6  # the exponent of σ²
        payload = good[:at] + b"\xff\xff" + good[at + 2 :]
    await kept.save_checkpoint("auto", Checkpoint(24, FINGERPRINT, payload))
    follower = following(kept)
    await follower.start()
    assert packed(follower._state) == packed(state)


async def test_behind_a_bad_checkpoint_the_one_before_it_is_used(kept, engine, clock):
    await grow(engine, kept, 6)
    first = following(kept)
    await first.start()
    await save_and_trim(kept, first, clock)  # so without it the log could not be folded
    await grow(engine, kept, 6, seed=6)
    await kept.save_checkpoint("auto", Checkpoint(20, FINGERPRINT, b"garbage"))
    follower = following(kept)
    await follower.start()
    assert follower.knowledge.position == 24


async def test_other_features_are_refused_at_start(kept, engine):
    await grow(engine, kept, 1)
    await following(kept).start()
    with pytest.raises(FeatureMismatch, match="restore the earlier"):
        await following(kept, fingerprint="another").start()


async def test_what_is_appended_is_published(kept, engine):
    follower = following(kept)
    await follower.start()
    before = follower.knowledge
    async with at_work(follower):
        await grow(engine, kept, 3)
        await until(lambda: follower.knowledge.position == 6)
    assert before.position == 0, "published knowledge never changes"
    assert packed(follower._state) == await refolded(kept)


async def test_level_waits_for_everything_that_is_in_the_log_now(kept, engine):
    follower = following(kept)
    await follower.start()
    await grow(engine, kept, 3)
    waiting = asyncio.create_task(follower.level(PATIENCE_S))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    async with at_work(follower):
        assert (await waiting).position == 6


async def test_level_gives_what_is_known_when_time_is_up(kept, engine):
    follower = following(kept)
    await follower.start()
    await grow(engine, kept, 3)
    assert (await follower.level(0.001)).position == 0


async def test_while_the_store_is_away_the_last_knowledge_stays_and_then_catches_up(kept, engine):
    follower = following(kept)
    await follower.start()
    await grow(engine, kept, 3)
    async with at_work(follower):
        await until(lambda: follower.knowledge.position == 6)
        kept.down = True
        await until(lambda: follower.away)
        assert follower.knowledge.position == 6
        kept.down = False
        await until(lambda: not follower.away)
        await grow(engine, kept, 3, seed=6)
        await until(lambda: follower.knowledge.position == 12)
    assert packed(follower._state) == await refolded(kept)


@pytest.mark.parametrize("tail", [0, 4])
async def test_a_replica_whose_log_was_trimmed_goes_on_from_a_checkpoint(kept, engine, clock, tail):
    """Also when nothing was appended after the checkpoint, and the log is empty."""
    late, other = following(kept), following(kept)
    await late.start()
    await grow(engine, kept, 10)
    await other.start()
    await save_and_trim(kept, other, clock)
    if tail:
        await grow(engine, kept, tail, seed=6)
    async with at_work(late), at_work(other):
        head = 20 + 2 * tail
        await until(lambda: late.knowledge.position == other.knowledge.position == head)
    assert packed(late._state) == packed(other._state)


async def test_a_trimmed_log_without_a_usable_checkpoint_is_said_plainly(kept, engine, clock):
    await grow(engine, kept, 5)
    await kept.save_checkpoint("auto", Checkpoint(10, FINGERPRINT, b"garbage"))
    clock.advance(TTL_S + 1.0)
    await kept.expire()
    await grow(engine, kept, 5, seed=6)
    with pytest.raises(StoreError, match=r"begins at position 11 .* restore the store"):
        await following(kept).start()


async def test_a_checkpoint_is_saved_whenever_the_log_has_grown_enough(kept, engine, monkeypatch):
    monkeypatch.setattr(follower_module, "CHECKPOINT_EVERY", 10)
    follower = following(kept)
    await follower.start()
    async with at_work(follower):
        await grow(engine, kept, 4)
        await until(lambda: follower.knowledge.position == 8)
        assert await kept.load_checkpoint("auto") is None
        await grow(engine, kept, 4, seed=6)
        await until(lambda: follower._saved)
    saved = await kept.load_checkpoint("auto")
    assert saved.position >= 10


async def test_nothing_new_is_not_saved_again(kept, engine):
    await grow(engine, kept, 2)
    follower = following(kept)
    await follower.start()
    await follower.save()
    await follower.save()
    again = following(kept)
    await again.start()
    await again.save()
    assert kept.calls["save_checkpoint"] == 1


async def test_what_was_known_earlier_can_be_folded_again(kept, engine, monkeypatch):
    monkeypatch.setattr(follower_module, "BATCH", 4)
    await grow(engine, kept, 10)
    follower = following(kept)
    await follower.start()
    state = RouterState.empty(GROUPS)
    state.fold(await kept.evidence("auto", 0, 13))
    known = await follower.knowledge_at(13)
    assert known.position == 13
    assert known.means.tobytes() == state.knowledge().means.tobytes()
    assert (await follower.knowledge_at(0)).position == 0


@pytest.mark.parametrize("tail", [0, 2])
async def test_what_was_known_before_the_log_begins_is_said_to_be_gone(kept, engine, clock, tail):
    await grow(engine, kept, 5)
    follower = following(kept)
    await follower.start()
    await save_and_trim(kept, follower, clock)
    if tail:
        await grow(engine, kept, tail, seed=6)
    with pytest.raises(StoreError, match="no longer reaches back to position 3"):
        await follower.knowledge_at(3)


async def test_stopping_in_the_middle_of_a_fold_saves_no_half_folded_state(
    store, clock, monkeypatch
):
    """The thread that folds cannot be cancelled: a checkpoint must not be taken beside it."""
    monkeypatch.undo()  # no pauses, and so no second batch
    halfway, go_on = threading.Event(), threading.Event()
    revise = QualityModel.revise

    def slow(self, row, entry):
        revise(self, row, entry)
        halfway.set()
        go_on.wait(PATIENCE_S)

    engine = engine_on(store, clock, router())
    await engine.start()
    decision = await decided(engine)
    await engine.report(outcome(decision))
    await engine.arms("auto")  # folded: so there is something to save
    monkeypatch.setattr(QualityModel, "revise", slow)
    await engine.learn([score(engine, decision, 1.0)])
    assert await asyncio.to_thread(halfway.wait, PATIENCE_S)
    stopping = asyncio.create_task(engine.stop())
    for _ in range(200):  # time to do it wrong: the fold is held in its middle
        await asyncio.sleep(0.001)
    assert not stopping.done()
    go_on.set()
    await stopping
    monkeypatch.setattr(QualityModel, "revise", revise)
    again = engine_on(store, clock, router())
    async with running(again):
        _, reports = await again.arms("auto")
    assert sum(report.feedback_n for report in reports) == 1
