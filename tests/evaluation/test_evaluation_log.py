"""A log as arrays: which decisions count, where they come from, and what is refused."""

from __future__ import annotations

import asyncio
import copy
import json

import numpy as np
import pytest
from doubles import Clock, asking, engine_on, memory, outcome, running, score
from evaluation_examples import drawn, rows

from banditroute.errors import DataError
from banditroute.evaluation import Log
from banditroute.evaluation.gathering import CERTAIN, FAILED, NAMED


def row(**changes):
    """One row of an engine's log, changed."""
    return {**copy.deepcopy(rows(20)[7]), **changes}


def test_a_log_holds_what_its_rows_say():
    told = rows(60)
    log = Log.of_rows(iter(told))
    assert len(log) == 60
    assert log.arms == ("cheap", "dear", "middle")
    for at in (0, 17, 59):
        one = told[at]
        assert log.arms[log.arm[at]] == one["arm"]
        assert log.propensity[at] == one["propensity"]
        assert log.quality[at] == one["feedback"]["quality"]
        assert log.cost_usd[at] == one["outcome"]["cost_usd"]
        assert (log.tasks[at], log.tags[at]) == (one["task"], ("all", one["task"]))
        for said in one["candidates"]:
            place = at, log.arms.index(said["arm"])
            assert log.probabilities[place] == said["probability"]
            assert log.predictions.utility[place] == said["utility"]
        assert np.array_equal(log.x[at], one["x"])
        assert log.judged_share[at] == one["judged_share"]
        assert log.usual_cost_usd[at] == pytest.approx(one["usual_cost_usd"] or np.nan, nan_ok=True)
    assert not log.left_out
    assert not log.by_judge.any()


def test_an_arm_that_was_not_eligible_has_no_probability():
    sure = row(id="sure", propensity=1.0)
    sure["candidates"] = [{**sure["candidates"][0], "probability": 1.0}]
    sure["arm"] = sure["candidates"][0]["arm"]
    log = Log.of_rows([row(), sure])
    assert log.eligible.sum(axis=1).tolist() == [3, 1]
    assert log.probabilities.sum(axis=1) == pytest.approx(1.0)
    assert np.isnan(log.predictions.quality[1][~log.eligible[1]]).all()


def test_what_is_no_round_is_left_out_and_counted():
    named = row(explored=False)
    failed, left = (row(outcome={**row()["outcome"], "error": w}) for w in ("timeout", "abandoned"))
    certain = row(propensity=1.0)
    for one in certain["candidates"]:
        one["probability"] = float(one["arm"] == certain["arm"])
    log = Log.of_rows([row(), named, failed, failed, left, certain])
    assert len(log) == 2
    assert log.left_out == {NAMED: 1, FAILED: 2, CERTAIN: 1}


def test_what_is_not_known_is_not_a_number():
    log = Log.of_rows([row(outcome=None, feedback=None, usual_cost_usd=None), row()])
    for values in (log.quality, log.cost_usd, log.latency_s, log.usual_cost_usd):
        assert np.isnan(values[0])
    assert log.judged.tolist() == [False, True]


def test_who_spoke_is_read_from_maps_and_from_pairs():
    said = {"quality": 1.0, "weight": 1.0}
    word = {"score": 1.0}
    sources = (
        {"user": word},
        {"judge": word},
        [("judge:gpt", word)],
        [{"key": "judge", "value": word}],
        [("user", word)],
    )
    log = Log.of_rows(row(feedback={**said, "sources": one}) for one in sources)
    assert log.by_judge.tolist() == [False, True, True, True, False]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"arm": "typo"}, "'typo' is no candidate"),
        ({"propensity": 0.123}, "its propensity 0.123"),
        ({"candidates": None}, "no row of `banditroute export`"),
        ({"candidates": [{"arm": "cheap"}]}, "no row of `banditroute export`"),
    ],
)
def test_a_row_that_cannot_be_right_is_refused_by_its_id(changes, said):
    with pytest.raises(DataError, match=r"decision one: .*") as refused:
        Log.of_rows([row(), row(id="one", **changes)])
    assert said in str(refused.value)


def test_an_arm_that_was_drawn_with_no_probability_is_refused():
    wrong = row(id="one", propensity=0.0)
    others = [one for one in wrong["candidates"] if one["arm"] != wrong["arm"]]
    for one in wrong["candidates"]:
        one["probability"] = 1.0 if one is others[0] else 0.0
    with pytest.raises(DataError, match=r"decision one: .*probability 0"):
        Log.of_rows([wrong])


def test_routers_and_features_that_are_mixed_are_noted():
    assert Log.of_rows([row(), row()]).notes == ()
    mixed = Log.of_rows([row(), row(router="other", fingerprint="other", x=[1.0, 2.0])])
    assert mixed.x is None
    assert "auto, other" in mixed.notes[0]
    assert "context features" in mixed.notes[1]


def test_no_rows_are_a_log_without_rounds():
    log = Log.of_rows([])
    assert (len(log), log.arms, log.predictions) == (0, (), None)


def test_a_store_makes_the_same_log_as_its_rows():
    async def both():
        clock = Clock()
        store = memory(clock)
        async with running(engine_on(store, clock)) as engine:
            made = [engine.decide("auto", asking(task=f"t{n % 2}")) for n in range(5)]
            await store.remember(made)
            await store.record("auto", [outcome(one, cost_usd=0.25) for one in made])
            await store.absorb("auto", [score(engine, made[0], 0.5)])
            return made, await Log.of_records(store.decisions("auto"))

    made, log = asyncio.run(both())
    assert [log.arms[place] for place in log.arm] == [one.arm_id for one in made]
    assert log.propensity.tolist() == [one.propensity for one in made]
    assert log.quality[0] == 0.5
    assert log.judged.sum() == 1
    assert log.cost_usd.tolist() == [0.25] * 5


def test_some_of_the_rounds_are_a_log():
    log = Log.of_rows(rows(60))
    part = log.take(np.array([3, 1]))
    assert part.tasks == (log.tasks[3], log.tasks[1])
    assert np.array_equal(part.predictions.quality, log.predictions.quality[[3, 1]])
    assert part.made_at_s.tolist() == log.made_at_s[[3, 1]].tolist()
    assert part.arms == log.arms
    mask = log.arm == 1
    assert len(log.take(mask)) == mask.sum()


def test_arrays_make_a_log_by_ids_and_by_rows():
    by_id = Log.of_arrays(["x", "y"], ["y", "x"], quality=[1.0, np.nan], propensity=[0.25, 0.5])
    by_row = Log.of_arrays(["x", "y"], [1, 0], quality=[1.0, np.nan], propensity=[0.25, 0.5])
    assert by_id.arm.tolist() == by_row.arm.tolist() == [1, 0]
    assert by_id.probabilities.tolist() == [[0.75, 0.25], [0.5, 0.5]]
    assert by_id.notes == ()
    assert by_id.judged.tolist() == [True, False]
    assert np.isinf(by_id.answer_value_usd).all()


def test_propensities_alone_leave_the_rest_to_the_others_evenly_and_say_so():
    log = Log.of_arrays(
        "abc",
        [0, 1],
        quality=[1.0, 0.0],
        propensity=[0.4, 0.7],
        eligible=[[True, True, True], [True, True, False]],
    )
    np.testing.assert_allclose(log.probabilities, [[0.4, 0.3, 0.3], [0.3, 0.7, 0.0]])
    assert "evenly" in log.notes[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"arm": ["a", "d"]}, "d are not among the arms a, b, c"),
        ({"arm": [0, 3]}, "between 0 and 2"),
        ({"arm": [0.5, 1.0]}, "whole numbers"),
        ({"arms": "aab"}, "each arm's id once"),
        ({"quality": [1.0]}, r"quality: has shape \(1,\); there are 2 rounds"),
        ({"quality": [1.0, 7.0]}, "between 0 and 1"),
        ({"propensity": [0.5, 0.5]}, "either all probabilities"),
        ({"probabilities": None}, "either all probabilities"),
        ({"probabilities": [[1.0, 0.0], [1.0, 0.0]]}, r"needs \(2, 3\)"),
        ({"probabilities": [[0.5, 0.5, 0.5]] * 2}, "add up to 1"),
        ({"probabilities": [[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]}, "an arm of probability 0"),
        ({"probabilities": [[1.5, -0.5, 0.0], [0.0, 1.0, 0.0]]}, "between 0 and 1"),
        ({"eligible": [[True] * 3, [False, True, True]]}, "between 0 and 1, and are 0"),
        ({"eligible": [[True] * 2] * 2}, r"eligible: has shape"),
        ({"x": [[1.0]]}, "give 2 contexts"),
        ({"predictions": {"cost_usd": [[0.0] * 3] * 2}}, "give quality"),
        ({"predictions": {"quality": [[0.0] * 3]}}, "quality: has shape"),
        ({"tasks": ["one"]}, "tasks: there are 1, and 2 rounds"),
        ({"patience": 3.0}, "a log has no patience; it has .*patience_s"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes, said):
    good = {
        "arms": "abc",
        "arm": [0, 1],
        "quality": [1.0, 0.0],
        "probabilities": [[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]],
    }
    assert len(Log.of_arrays(**good)) == 2
    with pytest.raises(DataError, match=said):
        Log.of_arrays(**{**good, **changes})


def test_an_arm_that_was_not_eligible_cannot_have_been_drawn():
    with pytest.raises(DataError, match="drew an arm that was not eligible"):
        Log.of_arrays("ab", [0], quality=[1.0], propensity=[0.5], eligible=[[False, True]])


class Frame:
    """What pandas and polars frames have in common here, and one of their ways to iterate."""

    def __init__(self, columns):
        self.columns = list(columns)
        self._columns = columns

    def __getitem__(self, name):
        return self._columns[name]


class Polars(Frame):
    def iter_rows(self, *, named):
        assert named
        for line in zip(*self._columns.values(), strict=True):
            yield dict(zip(self.columns, line, strict=True))


class Pandas(Frame):
    def itertuples(self, *, index, name):
        assert not index
        assert name is None
        return zip(*self._columns.values(), strict=True)


@pytest.mark.parametrize("frame", [Polars, Pandas])
def test_a_frame_of_an_export_is_the_log_of_its_rows(frame):
    told = rows(60)
    log = Log.of_frame(frame({name: [one[name] for one in told] for name in told[0]}))
    whole = Log.of_rows(told)
    assert np.array_equal(log.probabilities, whole.probabilities)
    assert np.array_equal(log.quality, whole.quality)
    assert log.tags == whole.tags


def test_a_real_frame_is_read_too():
    pandas = pytest.importorskip("pandas")
    told = [json.loads(json.dumps(one)) for one in (*rows(20), row(feedback=None, task=None))]
    log = Log.of_frame(pandas.DataFrame(told))
    assert log.judged.tolist() == [True] * 20 + [False]
    assert log.tasks[20] is None
    flat = pandas.DataFrame(
        {"arm": ["x", "y"], "propensity": [0.5, 0.9], "reward": [1.0, 0.0], "task": ["t", "u"]}
    )
    log = Log.of_frame(flat)
    assert (log.arms, log.tasks) == (("x", "y"), ("t", "u"))
    assert log.quality.tolist() == [1.0, 0.0]


def test_a_flat_frame_that_lacks_a_column_is_refused():
    with pytest.raises(DataError, match="no column propensity, quality"):
        Log.of_frame(Polars({"arm": ["x"]}))


def test_numbers_stand_for_all_rounds():
    log = drawn(5, answer_value_usd=0.5, by_judge=[True] * 5, tasks="one")
    assert log.answer_value_usd.tolist() == [0.5] * 5
    assert log.by_judge.all()
    assert log.tasks == ("one",) * 5
