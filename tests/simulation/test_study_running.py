"""Studies that run: in any number of processes, again, after a kill, and when a run fails."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from study_examples import SMALL, problem

from banditroute.errors import ConfigError, PluginError, StudyError
from banditroute.simulation import ScenarioSpec, Study, World, simulate
from banditroute.simulation.rivals import ContextFree
from banditroute.simulation.studies.files import results_view, runs_csv
from banditroute.simulation.studies.keeping import Shelf, fingerprint, packed, unpacked
from banditroute.simulation.studies.plans import plan_of
from banditroute.simulation.studies.running import run
from banditroute.simulation.studies.schema import Arrival

TINY = World(prompts=60, arms=3, tasks={"chat": 1.0, "code": 1.0})
STUDY = Study(
    policies=["thompson", "context-free"],
    seeds=2,
    scenarios=["stationary", "outage"],
    world={"prompts": 60},
    answer_value_usd=0.05,
)
OWN = """
import numpy as np
from banditroute.simulation.rivals.base import Learner

class First(Learner):
    def __init__(self, arms, dimension):
        super().__init__()

    def choose(self, ask, rows):
        chances = np.zeros(len(rows))
        chances[0] = 1.0
        return chances

    def learn(self, ask, row, reward):
        if ask.at > 50:
            raise RuntimeError("enough learned")
"""


class Breaking(ContextFree):
    def learn(self, ask, row, reward):
        raise ZeroDivisionError("nothing divides")


def breaking(posed, seed, scenario):
    return Breaking(len(posed.roster)) if seed == 1 else ContextFree(len(posed.roster))


def content(results):
    return json.dumps([results_view(results), runs_csv(results)])


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    return folder, run(plan_of(STUDY, TINY), processes=2, folder=folder)


def test_one_process_and_two_give_the_same_numbers(once):
    _, two = once
    one = run(plan_of(STUDY, TINY), processes=1)
    assert content(one) == content(two)
    for chapter, other in zip(one.chapters, two.chapters, strict=True):
        for mine, theirs in zip(chapter.runs, other.runs, strict=True):
            assert np.array_equal(mine.curves.shares, theirs.curves.shares)
            assert np.array_equal(mine.curves.utility, theirs.curves.utility)


def test_runs_come_in_the_order_of_policies_and_seeds(once):
    _, results = once
    assert [chapter.scenario for chapter in results.chapters] == ["stationary", "outage"]
    for chapter in results.chapters:
        assert [(one.policy, one.seed) for one in chapter.runs] == [
            ("thompson", 0),
            ("thompson", 1),
            ("context-free", 0),
            ("context-free", 1),
        ]


def test_what_was_kept_is_not_played_again(once):
    folder, first = once
    plan = plan_of(STUDY, TINY)
    files = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert set(files) == {folder / f"{key}.json" for key in plan.keys}
    seen = []
    again = run(plan, folder=folder, watch=seen.append)
    assert content(again) == content(first)
    assert (seen[0].kept, seen[0].runs, seen[-1].requests) == (8, 8, 480)
    assert {file: file.stat().st_mtime_ns for file in folder.iterdir()} == files


def test_a_study_goes_on_with_what_is_missing(once, tmp_path):
    folder, first = once
    kept = sorted(folder.iterdir())[:3]
    for file in kept:
        (tmp_path / file.name).write_bytes(file.read_bytes())
    seen = []
    again = run(plan_of(STUDY, TINY), folder=tmp_path, watch=seen.append)
    assert seen[0].kept == 3
    assert content(again) == content(first)
    assert len(list(tmp_path.iterdir())) == 8


def test_a_damaged_file_is_played_again(once, tmp_path):
    folder, first = once
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes()[:100])
    assert content(run(plan_of(STUDY, TINY), folder=tmp_path)) == content(first)


@pytest.mark.parametrize(
    "other",
    [
        {"answer_value_usd": 0.06},
        {"floor": 0.01},
        {"requests": 50},
        {"task": False},
        {"policies": ("linucb", "linucb:3")},
        {"scenarios": ("regression", "onboarding")},
    ],
)
def test_a_run_of_another_study_is_another_run(other):
    keys = set(plan_of(STUDY, TINY).keys)
    assert keys.isdisjoint(plan_of(STUDY.model_copy(update=other), TINY).keys)


def test_a_title_more_seeds_and_more_policies_change_no_run():
    keys = set(plan_of(STUDY, TINY).keys)
    update = {"title": "x", "seeds": 3, "policies": ("greedy", *STUDY.policies), "name": "y"}
    more = plan_of(STUDY.model_copy(update=update), TINY)
    assert keys < set(more.keys)
    assert len(more.jobs) == 18


def test_other_data_is_told_from_the_same_data():
    posed = problem()
    assert fingerprint(posed) == fingerprint(problem())
    assert fingerprint(posed) != fingerprint(posed.repriced(0, 1.1))
    assert fingerprint(posed) != fingerprint(posed.swapped(0, 1))


def test_a_run_is_the_same_after_it_was_kept(once):
    _, results = once
    one = results.chapters[1].runs[0]
    assert packed(unpacked(packed(one))) == packed(one)


def test_progress_ends_where_it_should(once):
    seen = []
    run(plan_of(STUDY, TINY), watch=seen.append)
    assert (seen[0].requests, seen[0].of_requests, seen[0].of_runs) == (0, 480, 8)
    assert (seen[-1].requests, seen[-1].runs) == (480, 8)
    done = [progress.requests for progress in seen]
    assert done == sorted(done)


def test_a_failing_run_is_named_and_finished_ones_are_kept(tmp_path):
    with pytest.raises(
        StudyError, match=r'policy breaking failed in scenario "stationary" at seed 1: ZeroDivision'
    ):
        simulate(TINY, [breaking], seeds=2, folder=tmp_path)
    own = tmp_path / "own.py"
    own.write_text(OWN)
    spec = f"{own}:First"
    with pytest.raises(StudyError, match=r"at seed 0: RuntimeError: enough learned \(.*own\.py, l"):
        simulate(TINY, ["random", spec], seeds=1, folder=tmp_path / "runs")
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_a_users_own_class_plays_in_other_processes_and_its_source_counts(tmp_path):
    own = tmp_path / "own.py"
    own.write_text(OWN.replace("> 50", "> 5000"))
    study = Study(policies=[f"{own}:First"], seeds=1)
    results = run(plan_of(study, TINY))
    assert results.chapters[0].runs[0].curves.shares[:, 0].min() == 1.0
    before = plan_of(study, TINY).keys
    own.write_text(OWN.replace("> 50", "> 50_000"))
    assert plan_of(study, TINY).keys != before


def test_a_class_that_is_not_there_is_said_before_anything_is_played(tmp_path):
    with pytest.raises(PluginError, match="no such file"):
        simulate(TINY, ["random", f"{tmp_path}/none.py:Mine"], seeds=1)


def test_functions_play_beside_names_and_are_numbered_where_their_names_are_alike():
    makers = [lambda posed, *_: ContextFree(len(posed.roster)) for _ in range(2)]
    results = simulate(TINY, ["context-free", *makers], seeds=1)
    (chapter,) = results.chapters
    assert chapter.policies == ("context-free", "lambda", "lambda#2")
    assert len({one.means.quality for one in chapter.runs}) == 1
    named = simulate(TINY, {"mine": makers[0]}, seeds=1)
    assert named.chapters[0].policies == ("mine",)


def test_a_problem_a_data_set_and_a_world_can_be_simulated():
    data, _ = SMALL.made()
    for given in (SMALL.problem(), data, SMALL):
        results = simulate(given, ["random"], seeds=1, requests=40)
        assert results.chapters[0].requests == 40
        assert "300" in results.data


def test_without_the_task_policies_are_told_none():
    plan = plan_of(Study(task=False), TINY)
    assert "policies are not told the task of a prompt" in plan.notes()
    told = plan_of(Study(), TINY)
    assert told.courses[0].problem.groups.dimension > plan.courses[0].problem.groups.dimension


def test_a_budget_reaches_the_policies_that_have_one_and_the_others_are_named():
    results = simulate(
        SMALL,
        ["thompson", "paretobandit", "static-mix", "context-free"],
        seeds=2,
        requests=600,
        budget_usd_per_request=1e-3,
    )
    (chapter,) = results.chapters
    spent = {
        policy: np.mean([r.means.cost_usd for r in chapter.of(policy)])
        for policy in chapter.policies
    }
    assert spent["thompson"] <= 1.02e-3
    assert spent["static-mix"] == pytest.approx(1e-3, rel=0.1)
    assert spent["context-free"] > 1.3e-3
    assert any("know nothing: context-free" in note for note in results.notes)
    assert any("come again" in note for note in results.notes)


def test_what_a_study_is_about_is_the_first_of_its_notes():
    plan = plan_of(STUDY.model_copy(update={"about": "Why.", "task": False}), TINY)
    assert next(plan.notes()) == "Why."


def test_a_policy_that_is_nothing_without_a_budget_says_so():
    with pytest.raises(ConfigError, match='"static-mix" needs a budget in scenario "stationary"'):
        simulate(SMALL, ["static-mix"], seeds=1)


def test_an_arm_of_a_fixed_policy_must_exist_and_may_be_a_role():
    with pytest.raises(ConfigError, match="policy fixed:storng"):
        simulate(SMALL, ["fixed:storng"], seeds=1)
    results = simulate(SMALL, ["fixed:best"], seeds=1, requests=100, floor=0.0)
    chapter = results.chapters[0]
    assert chapter.runs[0].curves.shares[:, 2].min() == 1.0


def test_a_scenario_of_ones_own_is_played():
    spec = ScenarioSpec(name="late", events=[Arrival(arm="strong", at=50)])
    results = simulate(SMALL, ["random"], seeds=1, requests=100, scenario=spec)
    shares = results.chapters[0].runs[0].curves.shares
    assert shares[:50, 2].max() == 0.0
    assert shares[50:, 2].max() == 1.0


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="name another folder"):
        Shelf.at(tmp_path / "file" / "runs")


def test_a_run_writes_its_file_whole_or_not_at_all(once, tmp_path):
    _, results = once
    shelf = Shelf.at(tmp_path)
    shelf.keep("key", results.chapters[0].runs[0])
    assert [file.name for file in Path(tmp_path).iterdir()] == ["key.json"]
    assert shelf.find("key") is not None
    assert shelf.find("other") is None
