"""The studies under ``simulations/``: each runs as it stands, and its page says what came out."""

from __future__ import annotations

import re
import tomllib
from importlib import import_module
from pathlib import Path
from shutil import copy

import numpy as np
import pytest

from banditroute.cli.app import run
from banditroute.simulation.results import Chapter, Curves, Means, Results, Run

SIMULATIONS = Path(__file__).resolve().parents[1] / "simulations"
STUDIES = sorted(file.parent.name for file in SIMULATIONS.glob("*/study.toml"))
LARGEST = 300_000  # bytes of a picture
TABLE = re.compile(r"<!-- table(?: ([\w-]+): [^>]+?)? -->\n(.*?)<!-- /table -->", re.DOTALL)
PICTURE = re.compile(r"[\w/-]*pictures/[\w-]+\.svg")
MEASURED = re.compile(r"\d+\.\d+|\d+(?= %)|\d+,\d{3}")


def page_of(name: str) -> str:
    return (SIMULATIONS / name / "README.md").read_text(encoding="utf-8")


def study_of(name: str) -> dict:
    return tomllib.loads((SIMULATIONS / name / "study.toml").read_text(encoding="utf-8"))


@pytest.fixture
def parts(monkeypatch):
    """The modules of ``run.py``, importable as it imports them."""
    monkeypatch.syspath_prepend(SIMULATIONS)
    return import_module("pages"), import_module("tables")


def test_there_are_studies():
    assert len(STUDIES) >= 6


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_runs(name, tmp_path, monkeypatch, capsys):
    """As it stands, but for the size of its world and of its runs."""
    text = (SIMULATIONS / name / "study.toml").read_text(encoding="utf-8")
    smaller, count = re.subn(r"(?m)^prompts = \d+", "prompts = 120", text)
    assert count == 1
    place = tmp_path / "studies" / name
    place.mkdir(parents=True)
    (place / "study.toml").write_text(smaller, encoding="utf-8")
    copy(SIMULATIONS / "players.py", place.parent)
    monkeypatch.chdir(place)
    options = ["--seeds", "1", "--requests", "60", "--processes", "1", "--csv", "runs.csv"]
    assert run(["simulate", "study.toml", *options]) == 0
    capsys.readouterr()
    wanted = study_of(name)
    played = len((place / "runs.csv").read_text(encoding="utf-8").splitlines()) - 1
    assert played == len(wanted["policies"]) * len(wanted["scenarios"])


@pytest.mark.parametrize("name", STUDIES)
def test_a_page_has_a_table_of_every_scenario_as_the_study_is_now(name):
    wanted, found = study_of(name), dict(TABLE.findall(page_of(name)))
    assert list(found) == [scenario["name"] for scenario in wanted["scenarios"]]
    for table in found.values():
        rows = re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE)
        assert rows == [policy.removeprefix("../players.py:") for policy in wanted["policies"]]
        assert f"{wanted['requests']:,} requests, {wanted['seeds']} seeds" in table


@pytest.mark.parametrize("name", [*STUDIES, "leaderboard"])
def test_every_number_that_a_page_speaks_of_is_in_its_tables_or_in_the_study(name):
    page = page_of(name)
    words = re.sub(r"```.*?```|`[^`]*`|<[^>]*>", "", TABLE.sub("", page), flags=re.DOTALL)
    known = "".join(table for _, table in TABLE.findall(page))
    if name in STUDIES:
        known += (SIMULATIONS / name / "study.toml").read_text(encoding="utf-8")
    numbers = MEASURED.findall(words)
    assert numbers
    unknown = [one for one in numbers if not re.search(rf"(?<![\d.]){re.escape(one)}(?!\d)", known)]
    assert unknown == []


@pytest.mark.parametrize("name", [*STUDIES, "leaderboard", ""])
def test_a_page_shows_the_pictures_that_are_there_light_and_dark(name):
    folder, page = SIMULATIONS / name, page_of(name)
    shown = {folder / picture for picture in PICTURE.findall(page)}
    assert shown
    for picture in shown:
        assert 0 < picture.stat().st_size < LARGEST
        if not picture.stem.endswith("-dark"):
            assert picture.with_stem(f"{picture.stem}-dark") in shown
    if name:
        assert shown == set((folder / "pictures").iterdir())
    assert page.count("<picture>") * 2 == len(PICTURE.findall(page))


@pytest.mark.parametrize("name", STUDIES)
def test_a_page_names_the_command_that_remakes_it(name):
    assert f"python simulations/run.py {name}\n" in page_of(name)
    index = (SIMULATIONS / "README.md").read_text(encoding="utf-8")
    assert f"]({name}/README.md)" in index


def test_every_link_of_a_page_leads_somewhere():
    for readme in SIMULATIONS.glob("**/README.md"):
        for link in re.findall(r"\]\(([^)#:]+)\)", readme.read_text(encoding="utf-8")):
            assert (readme.parent / link).exists(), f"{readme}: {link}"


def test_the_leaderboard_ranks_every_policy_on_every_board(monkeypatch):
    monkeypatch.syspath_prepend(SIMULATIONS / "leaderboard")
    boards = import_module("boards")
    page = page_of("leaderboard")
    ranks, *tables = re.findall(r"^\*\*.+?\*\*\n\n((?:\|.*\n)+)", page, re.MULTILINE)
    assert len(tables) == len(boards.SETS)
    for policy in boards.POLICIES:
        named = re.compile(rf"^\| (\*\*)?{policy}(\*\*)? \|", re.MULTILINE)
        assert all(named.search(table) for table in tables)
        assert bool(named.search(ranks)) == (policy != boards.HINDSIGHT)


def played(policy: str, seed: int, quality: float, cost_usd: float, shares: list[float]) -> Run:
    """A run in four parts of 50 requests; ``shares`` are those of the second of two arms."""
    parts, second = np.ones(4), np.array(shares)
    rows = np.stack([1.0 - second, second], axis=1)
    curves = Curves(
        parts, np.array([0.0, 0.2, 0.4, 0.6]), cost_usd * parts, parts, rows, quality * parts
    )
    means = Means(quality, cost_usd, quality)
    return Run(policy, seed, means, quality, quality, 0.25, 0, curves)


@pytest.fixture
def results():
    runs = (
        played("ours", 0, 0.7, 0.001, [0.0, 0.0, 0.4, 1.0]),
        played("ours", 1, 0.9, 0.001, [0.0, 0.0, 1.0, 1.0]),
        played("fixed:big", 0, 0.8, 0.004, [0.0, 0.0, 0.0, 0.0]),
        played("fixed:big", 1, 0.8, 0.004, [0.0, 0.0, 0.0, 0.0]),
    )
    ends, two = np.array([50, 100, 150, 200]), np.array([0.5, 0.5])
    base = {"best_fixed": Means(0.8, 0.004, 0.8), "random": Means(0.5, 0.002, 0.5)}
    mark = ((100, "new is added"),)
    chapter = Chapter(
        "here", "", mark, ("big", "new"), two, two, np.inf, 0.002, 200, ends, base, runs
    )
    return Results("mine", "Mine", "made up", (chapter,), ())


@pytest.mark.parametrize(
    ("column", "ours", "theirs", "best"),
    [
        ("quality", "0.800 ± 1.271", "0.800 ± 0.000", "0.800"),
        ("quality 0.5-1", "0.500 ± 0.000", "0.500 ± 0.000", None),
        ("worst", "0.700", "0.800", None),
        ("cost", "$1.00", "$4.00", "$4.00"),
        ("regret", "0.250 ± 0.000", "0.250 ± 0.000", None),
        ("less fixed:big", "0.000 ± 1.271", "–", None),
        ("saved fixed:big", "75.0 %", "–", None),
        ("share new 0.5-1", "85.0 %", "0 %", None),
        ("until new", "100", "not found at 2 of 2 seeds", None),
        ("spent", "50.0 % (worst 50.0 %)", "200.0 % (worst 200.0 %)", None),
    ],
)
def test_a_column_says_what_the_runs_say(parts, results, column, ours, theirs, best):
    _, tables = parts
    _, _, *rows = tables.table(results.chapters[0], [column]).splitlines()
    assert rows[0] == f"| `ours` | {ours} |"
    assert rows[1] == f"| `fixed:big` | {theirs} |"
    assert rows[2:3] == ([] if best is None else [f"| one arm, the best in hindsight | {best} |"])


def test_an_unknown_column_is_named(parts, results):
    _, tables = parts
    with pytest.raises(ValueError, match='no column "qualty"; there are quality'):
        tables.table(results.chapters[0], ["qualty"])


def test_a_page_is_filled_between_its_marks_and_nowhere_else(parts, results):
    pages, _ = parts
    page = "# Before\n\n<!-- table here: quality, cost -->\nold\n<!-- /table -->\n\nafter\n"
    once = pages.filled(page, results)
    assert once.startswith("# Before\n\n<!-- table here: quality, cost -->\n\n| policy |")
    assert once.endswith("<!-- /table -->\n\nafter\n")
    assert "old" not in once
    assert "200 requests, 2 seeds" in once
    assert pages.filled(once, results) == once


def test_pictures_come_from_the_report_and_stale_ones_go(parts, tmp_path):
    pages, _ = parts
    report, study = tmp_path / "report", tmp_path / "study"
    (report / "pictures").mkdir(parents=True)
    (report / "pictures" / "here-reward.svg").write_text("new")
    (report / "pictures" / "here-regret.svg").write_text("not shown")
    (study / "pictures").mkdir(parents=True)
    (study / "pictures" / "stale.svg").write_text("old")
    pages.bring('<img src="pictures/here-reward.svg">', report, study)
    assert [file.name for file in (study / "pictures").iterdir()] == ["here-reward.svg"]
    assert (study / "pictures" / "here-reward.svg").read_text() == "new"
