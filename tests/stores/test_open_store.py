"""Which store a url names."""

from __future__ import annotations

from pathlib import Path

import pytest
from store_examples import Clock

from banditroute.errors import StoreUnusable
from banditroute.stores import MemoryStore, OutboxStore, RedisStore, SQLiteStore, open_store
from banditroute.stores.retention import Retention, Saved, base


def test_memory_is_a_store(clock: Clock):
    assert isinstance(open_store("memory://", decision_ttl_s=1.0, clock=clock), MemoryStore)


@pytest.mark.parametrize(
    ("url", "path"),
    [("sqlite:///a/b.db", "work/a/b.db"), ("sqlite:///./x y%20.db", "work/x y%20.db")],
)
def test_three_slashes_are_relative_to_the_working_folder(
    url: str, path: str, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    store = open_store(url, decision_ttl_s=1.0, clock=clock)
    monkeypatch.chdir(tmp_path)
    assert isinstance(store, SQLiteStore)
    assert store._path == tmp_path / path


def test_four_slashes_are_absolute(clock: Clock, tmp_path: Path):
    store = open_store(f"sqlite:///{tmp_path}/x.db", decision_ttl_s=1.0, clock=clock)
    assert store._path == tmp_path / "x.db"


@pytest.mark.parametrize(
    "url",
    ["", "memory", "memory://x", "sqlite://", "sqlite:///", "sqlite://host/x", "sqlite:x.db",
     "sqlite:///:memory:", "postgres://localhost", "store.db", "redis"],
)  # fmt: skip
def test_any_other_url_is_refused_with_the_forms_there_are(url: str, clock: Clock):
    with pytest.raises(StoreUnusable, match=r"memory://, sqlite:///relative\.db or"):
        open_store(url, decision_ttl_s=1.0, clock=clock)


@pytest.mark.parametrize("url", ["redis://h/0", "rediss://h", "unix:///s", "redis+cluster://h"])
def test_a_remote_store_has_an_outbox_in_front_of_it_if_there_is_a_folder(
    url: str, clock: Clock, tmp_path: Path
):
    assert isinstance(open_store(url, decision_ttl_s=1.0, clock=clock), RedisStore)
    store = open_store(url, decision_ttl_s=1.0, clock=clock, outbox=tmp_path / "outbox")
    assert isinstance(store, OutboxStore)
    assert not (tmp_path / "outbox").exists(), "nothing is opened yet"


def test_a_password_is_never_repeated(clock: Clock):
    with pytest.raises(StoreUnusable) as caught:
        open_store("redis+sentinel://user:secret@host", decision_ttl_s=1.0, clock=clock)
    assert "no service" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("ttl_s", [0.0, -1.0, float("inf"), float("nan")])
@pytest.mark.parametrize("url", ["memory://", "sqlite:///x.db", "redis://h"])
def test_a_time_to_live_is_positive_and_finite(url: str, ttl_s: float, clock: Clock):
    with pytest.raises(ValueError, match="time to live"):
        open_store(url, decision_ttl_s=ttl_s, clock=clock)


def test_a_time_to_live_may_reach_back_before_1970():
    assert Retention(1e12).oldest(1.8e9) == "00000000-0000-7000-8000-000000000000"


def test_checkpoints_saved_by_a_clock_that_steps_back_are_thinned_and_not_lost():
    saved = [Saved(1, 100.0), Saved(2, 50.0), Saved(3, 101.0), Saved(4, 60.0)]
    assert Retention(8.0).superfluous(saved) == [2]
    assert Retention(8.0).superfluous([]) == []
    assert base(saved, 61.0) == 4
    assert base(saved, 50.0) is None
