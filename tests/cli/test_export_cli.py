"""``banditroute export`` of a decision log: files, pipes, refusals, and a kill on the way."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from config_texts import ARM, ROUTER
from doubles import asking, outcome, score

from banditroute.bootstrap import build_engine
from banditroute.cli import decision_log
from banditroute.cli.app import run
from banditroute.cli.console import DEFAULT_CONFIG, settings_from
from banditroute.cli.progress import counting
from banditroute.evaluation import exporting
from banditroute.evaluation.reading import read_rows
from banditroute.evaluation.writing import PAGE
from banditroute.values import Decision

STORE = "sqlite:///old.db"
SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")


@pytest.fixture
def taught(here) -> list[Decision]:
    """A store whose router made ten decisions; every second has an outcome, every fifth a word."""
    return asyncio.run(teach(10))


async def teach(count: int, router: str = "auto") -> list[Decision]:
    engine = build_engine(settings_from(DEFAULT_CONFIG, store=STORE))
    await engine.start()
    made = [engine.decide(router, asking(f"Question {n}")) for n in range(count)]
    await engine.store.remember(made)
    await engine.store.record(router, [outcome(decision) for decision in made[::2]])
    await engine.store.absorb(
        router, [score(engine, decision, 0.5, comment="hush") for decision in made[::5]]
    )
    await engine.stop()
    return made


def export(*arguments: str) -> int:
    return run(["export", "--store", STORE, *arguments])


def ids(path: str | Path) -> list[str]:
    return [row["id"] for row in read_rows(Path(path))]


def files(folder: Path) -> list[str]:
    """What is there beside the store and the configuration."""
    names = (path.name for path in folder.iterdir())
    return sorted(name for name in names if not name.startswith(("old.db", "config.toml")))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_decision_is_a_row(taught, here, capsys, suffix):
    assert export("--out", f"log{suffix}", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {
        "routers": [{"router": "auto", "decisions": 10, "outcomes": 5, "judged": 2}],
        "bytes": Path(f"log{suffix}").stat().st_size,
        "after": None,
        "format": "parquet" if suffix == ".parquet" else "jsonl",
    }
    assert ids(f"log{suffix}") == [decision.id for decision in taught]
    assert files(here) == [f"log{suffix}"]


def test_the_summary_is_a_table(taught, capsys):
    assert export("--out", "a[bold].jsonl") == 0
    said = capsys.readouterr().out
    assert [w for w in ("a[bold].jsonl", "auto", "outcomes", "judged", "10") if w not in said] == []


def test_the_form_can_be_said_whatever_the_name(taught):
    assert export("--out", "a.txt", "--format", "jsonl") == 0
    assert export("--out", "a.jsonl") == 0
    assert Path("a.txt").read_bytes() == Path("a.jsonl").read_bytes()
    assert export("--out", "b.jsonl", "--format", "state") == 0
    assert run(["import", "b.jsonl", "--store", "sqlite:///new.db"]) == 0


def test_a_pipe_carries_the_lines_and_nothing_else(taught, capsysbinary):
    assert export("--out", "a.jsonl") == 0
    capsysbinary.readouterr()
    assert export("--out", "-", "--format", "jsonl") == 0
    data, said = capsysbinary.readouterr()
    assert data == Path("a.jsonl").read_bytes()
    assert b"exported to -" in said
    assert export("--out", "-", "--format", "jsonl", "--json") == 0
    data, said = capsysbinary.readouterr()
    assert json.loads(said[said.index(b"{") :])["bytes"] == len(data)


def test_what_is_private_stays_here_unless_it_is_asked_for(taught):
    assert export("--out", "a.jsonl") == 0
    assert export("--out", "b.jsonl", "--private") == 0
    assert "hush" not in Path("a.jsonl").read_text()
    assert "hush" in Path("b.jsonl").read_text()


def test_prompts_are_written_where_they_are_kept_and_asked_for(here):
    config("auto")
    with Path("config.toml").open("a") as file:
        file.write("[logging]\nprompts = true\n")
    asyncio.run(teach(2))
    assert export("--out", "a.jsonl") == 0
    assert export("--out", "b.jsonl", "--prompts") == 0
    assert "Question 1" not in Path("a.jsonl").read_text()
    assert [json.loads(row["prompt"])[0]["content"] for row in read_rows(Path("b.jsonl"))] == [
        "Question 0",
        "Question 1",
    ]


def config(*routers: str) -> None:
    Path("config.toml").write_text("".join(ROUTER.format(name=name) for name in routers) + ARM)


def test_all_routers_together_are_in_order_of_id(here, capsys):
    config("auto", "support", "idle")
    first = asyncio.run(teach(3, "support"))
    time.sleep(0.002)
    second = asyncio.run(teach(2, "auto"))
    time.sleep(0.002)
    third = asyncio.run(teach(2, "support"))
    assert export("--out", "a.jsonl") == 0
    assert "router idle has nothing" in capsys.readouterr().err
    assert ids("a.jsonl") == [decision.id for decision in first + second + third]
    assert export("--out", "b.jsonl", "--router", "auto") == 0
    assert ids("b.jsonl") == [decision.id for decision in second]


def test_a_span_of_time_and_of_ids(here):
    first = asyncio.run(teach(3))
    time.sleep(0.002)
    second = asyncio.run(teach(2))
    iso = datetime.fromtimestamp(first[-1].made_at_s + 0.001, UTC).isoformat(
        timespec="milliseconds"
    )
    assert export("--out", "a.jsonl", "--since", iso) == 0
    assert export("--out", "b.jsonl", "--until", iso) == 0
    assert export("--out", "c.jsonl", "--after", f"chatcmpl-{first[1].id}") == 0
    assert export("--out", "d.jsonl", "--since", "1h", "--until", "0s") == 0
    assert export("--out", "e.jsonl", "--until", "1h") == 0
    assert ids("a.jsonl") == [decision.id for decision in second]
    assert ids("b.jsonl") == [decision.id for decision in first]
    assert ids("c.jsonl") == [decision.id for decision in first[2:] + second]
    assert ids("d.jsonl") == [decision.id for decision in first + second]
    assert ids("e.jsonl") == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--out", "a.bin", "--resume", "--prompts"], "--resume, --prompts"),
        (["--out", "a.bin", "--since", "1d"], "--since"),
        (["--out", "a.jsonl", "--format", "state", "--private"], "--private"),
        (["--out", "-", "--format", "parquet"], "Parquet needs a file"),
        (["--out", "-", "--format", "jsonl", "--resume"], "--resume needs a file"),
        (["--out", "a.jsonl", "--since", "yesterday"], "neither a time"),
        (["--out", "a.jsonl", "--since", "1969-12-31"], "before 1970"),
        (["--out", "a.jsonl", "--until", "99999w"], "before 1970"),
        (["--out", "a.jsonl", "--since", "1h", "--until", "2h"], "nothing lies between"),
        (["--out", "a.jsonl", "--after", "first"], "neither a decision id"),
        (["--out", "a.jsonl", "--router", "typo"], "nothing to export of router typo"),
        (["--out", "no/such/a.jsonl"], "folder"),
        (["--out", "a.jsonl", "--format", "csv"], "csv"),
    ],
)
def test_what_does_not_go_together_exits_2_and_leaves_nothing(
    taught, here, capsys, arguments, says
):
    assert export(*arguments) == 2
    said = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert says in said
    assert files(here) == []


def test_a_folder_is_no_file(taught, here, capsys):
    (here / "a.jsonl").mkdir()
    assert export("--out", "a.jsonl") == 2
    assert "folder" in capsys.readouterr().err


def test_a_file_is_replaced_only_when_told_to(taught, capsys):
    target = Path("a.jsonl")
    target.write_text("precious")
    assert export("--out", "a.jsonl") == 2
    assert "--force" in capsys.readouterr().err
    assert target.read_text() == "precious"
    assert export("--out", "a.jsonl", "--force") == 0
    assert len(ids(target)) == 10


def test_a_link_goes_on_pointing_at_the_file_that_is_replaced(taught):
    Path("real.jsonl").write_text("precious")
    Path("a.jsonl").symlink_to("real.jsonl")
    assert export("--out", "a.jsonl", "--force") == 0
    assert Path("a.jsonl").is_symlink()
    assert len(ids("real.jsonl")) == 10


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="a device that is always full")
def test_a_full_disk_exits_1(taught, capsys):
    assert export("--out", "/dev/full", "--format", "jsonl") == 1
    assert "/dev/full cannot be written: No space left" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_exits_1_and_says_how_to_go_on(taught, here, capsys):
    (here / "a.parquet.whole").mkdir()
    assert export("--out", "a.parquet") == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "a.parquet cannot be written" in said
    assert "go on with --resume" in said
    (here / "a.parquet.whole").rmdir()
    assert export("--out", "a.parquet", "--resume") == 0
    assert len(ids("a.parquet")) == 10


def test_a_log_grows_night_by_night(here, capsys):
    first = asyncio.run(teach(3))
    assert export("--out", "a.jsonl", "--resume") == 0
    time.sleep(0.002)
    second = asyncio.run(teach(4))
    capsys.readouterr()
    assert export("--out", "a.jsonl", "--resume") == 0
    said = capsys.readouterr()
    assert f"after decision {first[-1].id}" in " ".join(said.err.split())
    assert ids("a.jsonl") == [decision.id for decision in first + second]
    assert export("--out", "a.jsonl", "--resume") == 0
    assert ids("a.jsonl") == [decision.id for decision in first + second]


def test_a_whole_parquet_file_names_the_way_on(taught, capsys):
    assert export("--out", "a.parquet") == 0
    assert export("--out", "a.parquet", "--resume") == 2
    assert f"--after {taught[-1].id}" in capsys.readouterr().err


def test_what_an_interrupted_export_left_is_named(taught, here, capsys, monkeypatch):
    monkeypatch.setattr(exporting, "row_of", interrupting(exporting.row_of, after=7))
    monkeypatch.setattr("banditroute.evaluation.writing.PAGE", 2)
    assert export("--out", "a.jsonl") == 130
    monkeypatch.undo()
    os.chdir(here)
    said = " ".join(capsys.readouterr().err.split())
    assert "a.jsonl.partial keeps what was exported so far: go on with --resume" in said
    assert files(here) == ["a.jsonl.partial"]
    assert export("--out", "a.jsonl") == 2
    assert export("--out", "a.jsonl", "--resume") == 0
    assert ids("a.jsonl") == [decision.id for decision in taught]


def interrupting(function: Any, after: int) -> Any:
    """The function, until Ctrl-C is pressed."""
    calls = iter(range(after))

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return function(*args, **kwargs)

    return interrupted


@pytest.fixture(scope="module")
def crowded(tmp_path_factory) -> tuple[str, list[str]]:
    """A store with some thousand decisions, and their ids."""
    path = tmp_path_factory.mktemp("crowded") / "log.db"
    url = f"sqlite:///{path}"
    return url, asyncio.run(crowd(url, 10 * PAGE))


async def crowd(url: str, count: int) -> list[str]:
    engine = build_engine(settings_from(DEFAULT_CONFIG, store=url))
    made = [engine.decide("auto", asking(f"Question {n}")) for n in range(count)]
    await engine.store.open()
    await engine.store.remember(made)
    await engine.store.record("auto", [outcome(decision) for decision in made[::2]])
    await engine.store.close()
    return [decision.id for decision in made]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_export_that_is_killed_is_gone_on_with_to_the_same_bytes(here, crowded, suffix):
    url, made = crowded
    command = ["export", "--store", url, "--out"]
    assert run([*command, f"whole{suffix}"]) == 0
    killed = Path(f"log{suffix}")
    partial = killed.with_name(f"{killed.name}.partial")
    kill_midway([*command, killed.name], killed, partial)
    assert partial.stat().st_size > 0
    assert run([*command, killed.name, "--resume"]) == 0
    assert killed.read_bytes() == Path(f"whole{suffix}").read_bytes()
    assert ids(killed) == made
    assert files(here) == sorted([killed.name, f"whole{suffix}"])


def kill_midway(arguments: list[str], target: Path, partial: Path) -> None:
    """Start an export in a process of its own and kill it once the first page is written."""
    command = [sys.executable, "-m", "banditroute", *arguments]
    for _ in range(20):
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and not (partial.exists() and partial.stat().st_size):
                time.sleep(0.0005)
            process.kill()
        if not target.exists():
            return
        target.unlink()  # it was faster than we
    pytest.fail("no export could be caught on its way")


def test_a_bar_counts_on_a_terminal(taught, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(decision_log, "SHOW_EVERY", 1)
    with counting("export decisions") as show:
        show(7, 9)
    assert "7/9" in capsys.readouterr().err
    assert export("--out", "a.jsonl") == 0
    assert "export decisions" in capsys.readouterr().err
