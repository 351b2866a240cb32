"""Study files: what they may say, and how every mistake is told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from banditroute.errors import ConfigError
from banditroute.simulation import Study, load_study
from banditroute.simulation.studies.plans import plan_of, world_of
from banditroute.simulation.studies.reading import parse_study, revised
from banditroute.simulation.studies.schema import ScenarioSpec

WHOLE = """
name = "whole"
title = "All of it"
about = "Everything that a file may say."
seeds = 3
requests = 500
policies = ["thompson", "linucb:2", "fixed:best", "paretobandit", "mine.py:Mine"]
budget_usd_per_request = 0.001
task = false
floor = 0.01

[data]
path = "sets/mine"
arms = ["a", "b"]

[[scenarios]]
name = "stationary"

[[scenarios]]
name = "hard"
about = "All at once."
feedback_rate = 0.5
feedback_delay = 20
poison = {rate = 0.1, against = ["best"]}

[[scenarios.events]]
kind = "regression"
arm = "best"
at = 0.25
like = "median"

[[scenarios.events]]
kind = "outage"
arm = "dearest"
at = 100
until = 0.5
"""


def mistakes_in(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_study(text)
    return list(caught.value.problems)


def test_a_whole_file_is_read_and_its_paths_are_seen_from_here(tmp_path):
    (tmp_path / "study.toml").write_text(WHOLE)
    study = load_study(tmp_path / "study.toml")
    assert study.data.path == tmp_path / "sets" / "mine"
    assert study.policies[-1] == f"{tmp_path / 'mine.py'}:Mine"
    assert study.scenarios[0] == "stationary"
    hard = study.scenarios[1]
    assert (hard.feedback_delay, hard.poison.rate) == (20, 0.1)
    assert [event.kind for event in hard.events] == ["regression", "outage"]
    assert (study.seeds, study.requests, study.task, study.floor) == (3, 500, False, 0.01)


def test_names_and_tables_of_scenarios_mix_in_one_array():
    study = parse_study('scenarios = ["outage", {name = "few", feedback_rate = 0.1}]')
    assert study.scenarios[0] == "outage"
    assert study.scenarios[1].feedback_rate == 0.1


def test_both_ways_of_writing_scenarios_at_once_are_told_apart():
    (problem,) = mistakes_in('scenarios = ["outage"]\n[[scenarios]]\nname = "x"\n')
    assert 'a built-in one is a table too: name = "outage"' in problem


def test_a_world_is_read_with_its_arms():
    text = """
    [world]
    prompts = 50
    tasks = {chat = 1, code = 3.0}
    [[world.arms]]
    id = "a"
    skill = {chat = 0.5, default = 0.7}
    output_usd_per_mtok = 4.0
    [[world.arms]]
    id = "b"
    skill = {default = 1}
    """
    world = world_of(parse_study(text).world, "w")
    assert [arm.id for arm in world.pool] == ["a", "b"]
    assert world.pool[0].skill_at("code") == 0.7
    assert world.pool[0].output_usd_per_mtok == 4.0
    assert dict(world.tasks) == {"chat": 1.0, "code": 3.0}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seeds = 0", "line 1: seeds: must be ≥ 1, is 0"),
        ('\nseeds = "3"', "line 2: seeds: must be a whole number, without quotes"),
        ("polices = []", 'line 1: polices: unknown key; did you mean "policies"?'),
        ("xyz = 1", "line 1: xyz: unknown key; known here: name, title,"),
        ("policies = []", "line 1: policies: must not be empty"),
        ('policies = ["thomson"]', 'policies[0]: unknown policy "thomson"; did you mean "thom'),
        ('policies = ["zzz"]', "known: thompson, linucb, epsilon-greedy, greedy, uniform, fixed:A"),
        ('policies = ["fixed"]', 'needs its arm; say "fixed:ARM", or "fixed:best"'),
        ('policies = ["linucb:x"]', "must be a number from 0 to 1e+06"),
        ('policies = ["epsilon-greedy:2"]', "must be a number from 0 to 1"),
        ('policies = ["greedy:2"]', '"greedy" takes no parameter; take ":2" out'),
        ('policies = ["greedy", "greedy"]', 'policies[1]: "greedy" is named twice'),
        ("answer_value_usd = 0.0", "answer_value_usd: must be > 0, is 0"),
        ("answer_value_usd = inf", "answer_value_usd: must be a finite number"),
        ("answer_value_usd = 1.0\nbudget_usd_per_request = 1.0", "line 2: budget_usd_per_request"),
        ("scenarios = []", "line 1: scenarios: must be an array of names and tables"),
        ('scenarios = ["outtage"]', 'scenarios[0]: no built-in scenario "outtage"; did you mean'),
        ('scenarios = ["outage", "outage"]', 'scenarios[1]: "outage" is there twice'),
        ("scenarios = [3]", "scenarios[0]: must be a name in quotes, or a table"),
        (
            '[[scenarios]]\nname = "outage"\nfeedback_rate = 0.5',
            'line 2: scenarios[0].name: "outage"',
        ),
        ("[[scenarios]]\nfeedback_rate = 2.0", "line 1: scenarios[0].name: missing"),
        (
            '[[scenarios]]\nname = "m"\nfeedback_rate = 2.0',
            "line 3: scenarios[0].feedback_rate: mus",
        ),
        ('[[scenarios]]\nname = "m"\nfeedback_delay = 1.5', "must be a share of the run between"),
        ('[[scenarios]]\nname = "m"\npoison = {rate = 2}', "scenarios[0].poison.rate: must be ≤ 1"),
        ('[[scenarios]]\nname = "m"\nevents = 3', "scenarios[0].events: must be an array"),
        (
            '[[scenarios]]\nname = "m"\n[[scenarios.events]]\nkind = "prise"',
            'did you mean "price"?',
        ),
        (
            '[[scenarios]]\nname = "m"\n[[scenarios.events]]\nkind = "price"',
            "line 3: scenarios[0].ev",
        ),
        ('[[scenarios]]\nname = "many-arms"', "draws arms, which only a made-up [world] can do"),
        ("data = 3", "line 1: data: must be one table; begin it with [data]"),
        ("[data]\nformat = 'x'", "line 1: data.path: missing"),
        ("[data]\npath = 'x'\n[world]", "line 3: world: there is [data] too"),
        ("[world]\nprompts = 1", "line 2: world.prompts: must be ≥ 10, is 1"),
        ("[world]\narms = 0", "line 2: world.arms: must be ≥ 1, is 0"),
        ("[world]\ntasks = {a = -1}", "line 2: world.tasks: must be ≥ 0"),
        ("[[world.arms]]\nid = 'a'", "line 1: world.arms[0].skill: missing"),
        (
            "[[world.arms]]\nid='a'\nskill={x=1}\n[[world.arms]]\nid='a'\nskill={x=1}",
            "line 5: world.a",
        ),
        ("name = ", "not valid TOML"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_to_change(text, words):
    assert any(words in problem for problem in mistakes_in(text)), mistakes_in(text)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ('kind = "regression"\narm = "a"\nat = 0.5', "needs either like"),
        ('kind = "regression"\narm = "a"\nat = 0.5\nlike = "b"\nfactor = 0.5', "not both"),
        (
            'kind = "regression"\narm = "a"\nat = true\nfactor = 0.5',
            "events[0].at: must be a share",
        ),
        ('kind = "price"\narm = "a"\nat = 0.5\nfactor = 0.0', "events[0].factor: must be > 0"),
        ('kind = "traffic"\nat = 0\ntasks = {a = 0}', "events[0].tasks: needs a share above 0"),
        (
            'kind = "outage"\narm = "a"\nat = 0.5\nuntil = 0.4',
            "must be later than at = 0.5, is 0.4",
        ),
        ('kind = "arrival"\narm = "a"\nat = 9\nfactor = 2', "events[0].factor: unknown key"),
    ],
)
def test_a_mistake_in_an_event_is_told_at_the_event(event, words):
    problems = mistakes_in(f'[[scenarios]]\nname = "m"\n[[scenarios.events]]\n{event}')
    assert any(words in problem for problem in problems), problems


def test_every_mistake_is_told_at_once_in_the_order_of_the_file():
    problems = mistakes_in("seeds = 0\nrequests = 0\nxyz = 1\n[world]\nprompts = 1\n")
    assert [problem.partition(":")[0] for problem in problems] == [
        f"line {line}" for line in (1, 2, 3, 5)
    ]


def test_a_file_that_cannot_be_read_says_why(tmp_path):
    with pytest.raises(ConfigError, match="no such file; name a study file"):
        load_study(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="is a folder"):
        load_study(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"name = '\xe9'")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_study(tmp_path / "latin.toml")


def test_options_count_instead_of_the_file():
    study = parse_study("answer_value_usd = 1.0\n[world]\narms = 3")
    other = revised(study, {"budget_usd_per_request": 0.1, "seeds": 2}, {"feedback_rate": 0.5}, {})
    assert (other.answer_value_usd, other.budget_usd_per_request, other.seeds) == (None, 0.1, 2)
    (spec,) = other.scenarios
    assert (spec.name, spec.feedback_rate) == ("stationary", 0.5)
    assert "50.0% of the answers" in spec.about
    moved = revised(study, {}, {}, {"path": Path("elsewhere"), "arms": ["a"]})
    assert moved.world is None
    assert (moved.data.path, moved.data.arms) == (Path("elsewhere"), ("a",))


def test_options_that_contradict_each_other_are_refused():
    with pytest.raises(ConfigError, match="a study has one or the other"):
        revised(Study(), {"answer_value_usd": 1.0, "budget_usd_per_request": 1.0}, {}, {})
    with pytest.raises(ConfigError, match="name it with --data"):
        revised(Study(), {}, {}, {"arms": ["a"]})


def test_a_study_without_prompts_says_how_to_name_some():
    with pytest.raises(ConfigError, match="say --data FOLDER, or"):
        plan_of(Study())


def test_a_study_made_in_python_is_checked_like_a_file():
    with pytest.raises(ConfigError, match=r'policies\[0\]: unknown policy "thomson"'):
        plan_of(Study(policies=["thomson"]))
    assert Study(scenarios=[ScenarioSpec(name="a")]).scenarios[0].name == "a"
