"""``banditroute simulate``: what it prints, writes and refuses, and that it can be stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from arro3.core import Array, DataType, Table
from arro3.io import write_parquet
from patience import PATIENCE_S
from study_examples import SMALL

from banditroute.cli.app import run
from banditroute.cli.simulated import chapter_table, chapter_title
from banditroute.simulation import simulate

STUDY = """
name = "mine"
title = "Mine"
policies = ["context-free", "random", "linucb-textbook"]
scenarios = ["stationary", "outage"]
seeds = 2
answer_value_usd = 0.05
[world]
prompts = 80
arms = 3
"""


@pytest.fixture
def study(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text(STUDY)
    return file


@pytest.fixture
def folder(tmp_path):
    """A data folder of 100 prompts and four arms."""
    made, _ = SMALL.made()
    path = tmp_path / "data"
    path.mkdir()
    text, number = DataType.string(), DataType.float64()
    prompts = range(100)
    columns = {
        "prompt_id": Array(list(made.prompt_ids[:100]), text),
        "prompt": Array(list(made.prompts[:100]), text),
        "task": Array(list(made.tasks[:100]), text),
    }
    write_parquet(Table(columns), str(path / "prompts.parquet"))
    cells = [(row, column) for row in prompts for column in range(4)]
    outcomes = {
        "prompt_id": Array([made.prompt_ids[row] for row, _ in cells], text),
        "arm": Array([made.arms[column] for _, column in cells], text),
        "quality": Array([float(made.quality[cell]) for cell in cells], number),
        "cost_usd": Array([float(made.cost_usd[cell]) for cell in cells], number),
    }
    write_parquet(Table(outcomes), str(path / "outcomes.parquet"))
    (path / "pool.json").write_text(json.dumps({"pool": list(made.arms)}))
    return path


def test_a_study_prints_a_table_for_each_scenario(study, capsys):
    assert run(["simulate", str(study)]) == 0
    printed = capsys.readouterr()
    assert "80 made-up prompts × 3 arms; 12 runs" in printed.err
    assert "stationary: Nothing changes on the way." in printed.out
    assert "outage: The best arm does not answer" in printed.out
    assert "from request 32: arm-00 is down" in printed.out
    assert "− context-free" in printed.out
    for row in ("context-free", "linucb-textbook", "best arm, in hindsight", "all arms equally"):
        assert row in printed.out
    assert "±" in printed.out


def test_a_data_folder_is_simulated_and_json_keeps_the_contract(folder, tmp_path, capsys):
    file = tmp_path / "out.json"
    options = ["--policies", "thompson,random", "--seeds", "1", "--arms", "weak,strong"]
    more = ["--requests", "150", "--processes", "1", "--no-task", "--json", str(file)]
    assert run(["simulate", "--data", str(folder), *options, *more]) == 0
    printed = capsys.readouterr()
    assert "100 prompts × 2 arms" in printed.err
    assert "prompts come again" in printed.out
    assert "policies are not told the task" in printed.out
    assert "utility" not in printed.out
    view = json.loads(file.read_text())
    assert list(view) == ["runs", "baselines"]
    assert [(one["policy"], one["seed"], one["requests"]) for one in view["runs"]] == [
        ("thompson", 0, 150),
        ("random", 0, 150),
    ]
    assert view["runs"][0]["quality"] == view["runs"][0]["utility"]
    assert view["baselines"]["random"]["quality"] < view["baselines"]["oracle"]["quality"]


def test_everything_is_written_to_a_folder_and_taken_from_there_again(study, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    out, csv = tmp_path / "out", tmp_path / "runs.csv"
    given = ["--out", str(out), "--csv", str(csv), "--title", "A title"]
    command = ["simulate", str(study), "--scenarios", "outage", *given]
    assert run(command) == 0
    first = capsys.readouterr().out
    assert "A title" in (out / "report.html").read_text()
    assert (out / "runs.csv").read_text() == csv.read_text()
    assert len(json.loads((out / "results.json").read_text())["runs"]) == 6
    assert list(out.glob("pictures/*.svg"))
    assert len(list((out / "runs").iterdir())) == 6
    written = (out / "results.json").read_bytes()
    files = {file: file.stat().st_mtime_ns for file in (out / "runs").iterdir()}
    assert run(command) == 0
    assert capsys.readouterr().out == first
    assert (out / "results.json").read_bytes() == written
    assert {file: file.stat().st_mtime_ns for file in (out / "runs").iterdir()} == files


def test_options_count_instead_of_the_file(study, tmp_path, capsys):
    file = tmp_path / "o.json"
    options = ["--policies", "random", "--scenarios", "onboarding", "--seeds", "1"]
    feedback = ["--feedback-rate", "0.1", "--feedback-delay", "5", "--json", str(file)]
    assert run(["simulate", str(study), *options, *feedback, "--budget-usd-per-request", "1"]) == 0
    assert "onboarding" in capsys.readouterr().out
    assert len(json.loads(file.read_text())["runs"]) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "there are no prompts"),
        (["none.toml"], "no such file"),
        (["--data", "none"], "no such folder"),
        (["--data", "STUDY", "--format", "nothing"], "no format is called"),
        (["STUDY", "--policies", "thomson"], 'did you mean "thompson"'),
        (["STUDY", "--policies", "none.py:Mine"], "no such file"),
        (["STUDY", "--policies", "fixed:nobody"], 'no arm "nobody"'),
        (["STUDY", "--scenarios", "nothing"], 'no built-in scenario "nothing"'),
        (["STUDY", "--seeds", "0"], "--seeds"),
        (["STUDY", "--answer-value-usd", "0"], "answer_value_usd: must be > 0"),
        (
            ["STUDY", "--answer-value-usd", "1", "--budget-usd-per-request", "1"],
            "a study has one or the other",
        ),
        (["STUDY", "--arms", "a,b"], "name it with --data"),
        (["STUDY", "--json", "none/file.json"], "there is no such folder"),
        (["STUDY", "--out", "STUDY"], "is a file"),
    ],
)
def test_what_cannot_be_done_is_refused_with_exit_2(arguments, words, study, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    given = [str(study) if argument == "STUDY" else argument for argument in arguments]
    assert run(["simulate", *given]) == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert printed.out == ""


def test_a_run_that_fails_is_named_with_exit_1(study, tmp_path, capsys):
    own = tmp_path / "own.py"
    own.write_text(
        "from banditroute.simulation.rivals import Random\n"
        "class Late(Random):\n"
        "    def __init__(self, arms, dimension): pass\n"
        "    def told(self, ask, row, propensity, quality):\n"
        "        if ask.at > 60: raise OverflowError('too much')\n"
    )
    command = ["simulate", str(study), "--policies", f"random,{own}:Late", "--seeds", "1"]
    assert run(command) == 1
    said = capsys.readouterr().err
    scenario = '"(stationary|outage)"'  # whichever of them fails first
    failed = rf"policy {re.escape(str(own))}:Late failed in scenario {scenario} at seed 0: "
    assert re.search(failed + "OverflowError", said)


def test_a_narrow_terminal_is_shown_less():
    (chapter,) = simulate(SMALL, ["random"], seeds=1, requests=40).chapters
    heads = [[column.header for column in chapter_table(chapter, w).columns] for w in (80, 120)]
    assert heads[0] == ["policy", "quality", "$ / 1,000"]
    assert heads[1] == [*heads[0], "first 500", "last half"]


def test_a_single_seed_has_no_interval():
    results = simulate(SMALL, ["random"], seeds=1, requests=40, answer_value_usd=1.0)
    (chapter,) = results.chapters
    shown = chapter_table(chapter, 120)
    cells = [str(cell) for column in shown.columns for cell in column.cells]
    assert not any("±" in cell for cell in cells)
    assert f"{chapter.runs[0].means.utility:.4f}" in cells
    assert "40 requests × 1 seeds, a perfect answer worth $1" in chapter_title(chapter)


LONG = STUDY.replace("prompts = 80", "prompts = 2500").replace('textbook"', 'textbook", "thompson"')


def begin(study, out, until):
    """The study in a process group of its own, once ``until(process)`` holds."""
    command = [sys.executable, "-m", "banditroute", "simulate", str(study), "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    deadline = time.monotonic() + 180.0
    while not until(process):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    return process


def has_kept(out):
    """Until a first run is kept."""
    return lambda _: bool(list((out / "runs").glob("*.json")))


def children_of(pid):
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc")
def test_after_a_kill_no_worker_is_left_and_the_study_goes_on(tmp_path):
    pytest.importorskip("matplotlib")
    study, out = tmp_path / "study.toml", tmp_path / "out"
    study.write_text(LONG)
    process = begin(study, out, has_kept(out))
    workers = children_of(process.pid)
    assert len(workers) >= 2
    process.kill()
    process.communicate()
    deadline = time.monotonic() + PATIENCE_S
    while any(map(is_alive, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    kept = {file: file.stat().st_mtime_ns for file in (out / "runs").glob("*.json")}
    assert 0 < len(kept) < 16
    small = ["--policies", "context-free,random", "--scenarios", "stationary"]
    assert run(["simulate", str(study), "--out", str(out), *small]) == 0
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    again = tmp_path / "again.json"
    assert run(["simulate", str(study), *small, "--json", str(again)]) == 0
    assert json.loads(again.read_text()) == json.loads((out / "results.json").read_text())


def interrupted(process):
    """What a study says that is stopped as a terminal does, with all its workers."""
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert b"Traceback" not in said
    return b" ".join(said.split())


def test_ctrl_c_says_what_is_kept_and_exits_1(tmp_path):
    pytest.importorskip("matplotlib")
    study, out = tmp_path / "study.toml", tmp_path / "out"
    study.write_text(LONG)
    said = interrupted(begin(study, out, has_kept(out)))
    assert b"the same command goes on from there" in said


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc")
def test_ctrl_c_while_the_workers_start_is_as_quiet(tmp_path):
    pytest.importorskip("matplotlib")
    study, out = tmp_path / "study.toml", tmp_path / "out"
    study.write_text(LONG)
    a_worker_and_the_tracker = 2
    said = interrupted(
        begin(study, out, lambda it: len(children_of(it.pid)) >= a_worker_and_the_tracker)
    )
    assert b"of 16 runs are done" in said
