"""The soak at a small size: two replicas, eight clients, seven things that go wrong."""

import asyncio

import pytest
from redis_servers import a_binary

from soak.schedule import MOST_WIPES, Kind, schedule
from soak.trial import Size, soak

SMALL = Size(feedbacks=600, replicas=2, clients=8, events=7, lag_s=0.3)


@pytest.mark.parametrize("seed", [9, 20])  # of which one or the other has every kind of trouble
def test_every_acknowledged_word_is_learned_once_and_by_all_whatever_goes_wrong(tmp_path, seed):
    report = asyncio.run(soak(seed, SMALL, tmp_path, a_binary(), lambda *_: None))
    assert report.failures == []
    assert report.counts["words heard"] >= SMALL.feedbacks
    assert report.events.total() == SMALL.events


def test_the_two_small_runs_have_every_kind_of_trouble():
    kinds = {
        event.kind for seed in (9, 20) for event in schedule(seed, SMALL.events, SMALL.replicas)
    }
    assert kinds == set(Kind)


def test_a_seed_always_has_the_same_trouble():
    assert schedule(7, 100, 4) == schedule(7, 100, 4)
    assert schedule(7, 100, 4) != schedule(8, 100, 4)


def test_redis_is_wiped_twice_a_run_at_most():
    for seed in range(20):
        kinds = [event.kind for event in schedule(seed, 200, 4)]
        assert kinds.count(Kind.WIPE) <= MOST_WIPES
