"""The command line: what it prints, what it refuses, and its exit codes."""

import asyncio
import json
import pickle
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import arro3.io
import httpx
import pytest
from arro3.core import Array, DataType, Table
from doubles import Clock, FlakyStore, engine_on, memory
from patience import PATIENCE_S
from serving import served

from banditroute import __version__
from banditroute.cli.app import COMMANDS, run
from banditroute.cli.console import settings_from
from banditroute.cli.serve import try_out
from banditroute.cli.workers import worker
from banditroute.config import default_text, parse

ROOT = Path(__file__).resolve().parents[2]
REAL = """
[[providers]]
name = "real"
kind = "openai"
base_url = "http://127.0.0.1:1/v1"
api_key = "${KEY}"

[[arms]]
id = "real"
provider = "real"
input_usd_per_mtok = 1.0
output_usd_per_mtok = 2.0
"""


def test_the_version_is_printed(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"banditroute {__version__}"


def test_without_a_command_the_help_names_them_all(capsys):
    run([])
    printed = capsys.readouterr().out
    assert all(f" {command} " in printed for command in COMMANDS)


def test_a_command_loads_none_of_what_only_others_need():
    serve = "from banditroute.cli.app import run; run(['serve', '--help'])"
    look = "import sys; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", f"{serve}; {look}"], capture_output=True, text=True, check=True
    )
    loaded = ran.stdout.split()
    assert "banditroute.engine" in loaded
    assert not {"banditroute.simulation", "banditroute.evaluation"}.intersection(loaded)


def test_help_prints_the_tables_of_the_configuration_that_it_names(capsys):
    run(["serve", "--help"])  # rich would take them for markup, and swallow them
    assert capsys.readouterr().out.count("[server] ") == 4


@pytest.mark.parametrize("arguments", [["nonsense"], ["serve", "--port", "x"], ["demo", "--nope"]])
def test_arguments_that_cannot_be_taken_exit_2(arguments, capsys):
    assert run(arguments) == 2
    assert capsys.readouterr().err


def test_check_takes_the_shipped_configuration_where_there_is_none(here, capsys):
    assert run(["check"]) == 0
    printed = capsys.readouterr()
    assert "sim-strong" in printed.out
    assert "no config.toml here" in printed.err


def test_check_lists_every_mistake_with_its_line_and_exits_2(here, capsys):
    (here / "config.toml").write_text("[server]\nport = -1\ntypo = 1\n")
    assert run(["check"]) == 2
    said = capsys.readouterr().err
    assert "line 2: server.port" in said
    assert "line 3: server.typo" in said


def test_a_missing_configuration_exits_2_and_says_where_it_was_looked_for(here, capsys):
    assert run(["check", "--config", "other.toml"]) == 2
    assert str(here / "other.toml") in capsys.readouterr().err


@pytest.mark.parametrize(
    ("store", "said"),
    [
        ("redis+sentinel://localhost", "SERVICE"),
        ("sqlite:////no/such/folder/x.db", "/no/such/folder"),
        ("nonsense", "memory://"),
    ],
)
def test_a_store_that_cannot_be_used_exits_2(here, capsys, store, said):
    assert run(["serve", "--port", "0", "--store", store]) == 2
    assert said in capsys.readouterr().err


def test_a_database_that_cannot_be_written_exits_2_and_is_named(here, capsys):
    (here / "x.db").write_bytes(b"this is no database, but it is long enough to be read as one" * 9)
    assert run(["serve", "--port", "0", "--store", "sqlite:///x.db"]) == 2
    assert "x.db" in capsys.readouterr().err


def test_workers_without_a_database_that_they_could_open_exit_2_and_say_so_once(here, capfd):
    (here / "x.db").write_bytes(b"this is no database, but it is long enough to be read as one" * 9)
    assert run(["serve", "--port", "0", "--workers", "3", "--store", "sqlite:///x.db"]) == 2
    said = capfd.readouterr()
    assert said.err.count("banditroute: ") == 1
    assert "listens" not in said.out


@pytest.mark.parametrize("workers", ["0", "65", "many"])
def test_a_number_of_workers_that_makes_no_sense_exits_2(here, capsys, workers):
    assert run(["serve", "--workers", workers]) == 2
    assert "--workers" in capsys.readouterr().err


def test_workers_that_would_each_learn_alone_are_refused(here, capsys):
    assert run(["serve", "--workers", "2", "--store", "memory://"]) == 2
    said = capsys.readouterr().err
    assert "workers = 2" in said
    assert "memory://" in said
    text = default_text().replace("#workers = 1 ", "workers = 3 ")
    (here / "config.toml").write_text(text.replace("sqlite:///banditroute.db", "memory://"))
    assert run(["check"]) == 2
    assert "workers = 3" in capsys.readouterr().err


def test_what_the_command_line_says_of_workers_and_store_wins(here):
    text = default_text().replace("#workers = 1 ", "workers = 3 ")
    path = here / "config.toml"
    path.write_text(text.replace("sqlite:///banditroute.db", "memory://"))
    assert settings_from(path, workers=1).server.workers == 1
    settings = settings_from(path, store="sqlite:///x.db")
    assert (settings.server.workers, settings.store.url) == (3, "sqlite:///x.db")
    assert settings_from(path, store="sqlite:///x.db", workers=2).server.workers == 2


def test_a_store_that_is_only_away_keeps_no_worker_from_starting(monkeypatch):
    clock = Clock()
    store = FlakyStore(memory(clock))
    store.down = True
    engine = engine_on(store, clock)
    asyncio.run(try_out(engine))
    assert store.calls["claim"]
    assert not engine._tasks


def test_a_worker_is_made_of_settings_that_came_through_a_pipe():
    text = default_text() + REAL
    settings = parse(text.replace("sqlite:///banditroute.db", "memory://"), {"KEY": "sk-secret"})
    sent = pickle.loads(pickle.dumps(settings))
    assert sent == settings
    (provider,) = [one for one in sent.providers if one.name == "real"]
    assert provider.api_key.get_secret_value() == "sk-secret"
    reread = pickle.loads(pickle.dumps(partial(settings_from, Path("config.toml"), workers=2)))
    app = worker(sent, reread)
    assert app.state.parts.desk.reread is reread
    assert set(app.state.parts.engine.routers) == {"auto"}


def test_a_port_that_is_taken_exits_2(here, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["serve", "--port", str(port), "--store", "memory://"]) == 2
    said = capsys.readouterr().err
    assert str(port) in said
    assert "--port" in said


def test_check_explains_what_would_be_decided_without_keeping_it(here, capsys):
    request = {"messages": [{"role": "user", "content": "Hi!"}], "tools": [{"type": "function"}]}
    (here / "request.json").write_text(json.dumps(request))
    arguments = ["check", "--explain", "request.json", "--store", "sqlite:///x.db", "--json"]
    assert run(arguments) == 0
    view = json.loads(capsys.readouterr().out)
    assert view["arm"] in {candidate["arm"] for candidate in view["candidates"]}
    assert "was drawn with probability" in view["summary"]
    assert run(["inspect", view["decision_id"], "--store", "sqlite:///x.db"]) == 1
    assert "not known" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["{", "[]", '{"messages": []}'])
def test_check_refuses_a_request_that_is_none(here, capsys, content):
    (here / "request.json").write_text(content)
    assert run(["check", "--explain", "request.json"]) == 2
    assert "request.json" in capsys.readouterr().err


def test_inspect_makes_no_database_where_there_is_none(here, capsys):
    assert run(["inspect", "--store", "sqlite:///typo.db"]) == 2
    assert "typo.db" in capsys.readouterr().err
    assert not (here / "typo.db").exists()


def test_the_demo_learns_and_inspect_shows_what(here, capsys):
    arguments = ["demo", "--requests", "400", "--store", "sqlite:///demo.db", "--json", "demo.json"]
    assert run(arguments) == 0
    shown = capsys.readouterr().out
    assert "always the best, in hindsight" in shown
    result = json.loads((here / "demo.json").read_text())
    assert result["requests"] + result["failed"] == 400
    assert set(result) >= {"router", "uniform", "cheapest", "best_fixed"}
    assert result["router"]["utility"] > result["uniform"]["utility"]
    assert result["router"]["utility"] > result["cheapest"]["utility"]

    assert run(["inspect", "--store", "sqlite:///demo.db", "--json"]) == 0
    learned = json.loads(capsys.readouterr().out)["auto"]["arms"]
    assert sum(arm["feedback_n"] for arm in learned) == result["requests"]
    assert run(["inspect", "--store", "sqlite:///demo.db"]) == 0
    assert "sim-strong" in capsys.readouterr().out


def test_inspect_shows_why_an_arm_was_chosen(here, capsys):
    with served(here) as (url, _):
        asked = {"model": "auto", "messages": [{"role": "user", "content": "Hi!"}]}
        made = httpx.post(f"{url}/v1/route", json=asked, timeout=PATIENCE_S).json()
        said = {"id": made["id"], "score": 0.5}
        httpx.post(f"{url}/feedback", json=said, timeout=PATIENCE_S)
    assert run(["inspect", made["id"]]) == 0
    shown = capsys.readouterr().out
    assert f"{made['arm']} ◀" in shown
    assert "was drawn with probability" in shown
    assert "the same probabilities and draw" in shown
    assert run(["inspect", "nonsense"]) == 1
    assert "neither a decision id nor a completion id" in capsys.readouterr().err


def test_check_explains_in_words_why_arms_are_excluded(here, capsys):
    request = {"model": "auto", "messages": [{"role": "user", "content": "Hi!"}]}
    (here / "request.json").write_text(
        json.dumps({**request, "banditroute": {"exclude": ["sim-strong"]}})
    )
    assert run(["check", "--explain", "request.json", "--store", "memory://"]) == 0
    shown = capsys.readouterr().out
    assert "excluded: sim-strong: named in the request's banditroute.exclude" in shown
    (here / "named.json").write_text(json.dumps({**request, "model": "sim-code"}))
    assert run(["check", "--explain", "named.json", "--store", "memory://"]) == 0
    assert "The caller asked for sim-code by name" in capsys.readouterr().out


def test_check_prints_the_settings_as_json_without_secrets(here, capsys):
    assert run(["check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["store"]["url"] == "sqlite:///banditroute.db"


def test_a_request_file_that_is_missing_is_named(here, capsys):
    assert run(["check", "--explain", "missing.json"]) == 2
    assert "missing.json" in capsys.readouterr().err


def data_folder(folder: Path, *, tokens: bool) -> Path:
    """Two arms over thirty prompts: one right and dear, one wrong and cheap."""
    folder.mkdir()
    ids = [f"p{n}" for n in range(30)]
    prompts = {"prompt_id": ids, "prompt": [f"Question {n}?" for n in range(30)]}
    write(folder / "prompts.parquet", {**prompts, "task": ["exam"] * 30})
    cells = [(id_, arm) for id_ in ids for arm in ("good one", "bad/one")]
    outcomes = {
        "prompt_id": [id_ for id_, _ in cells],
        "arm": [arm for _, arm in cells],
        "quality": [float(arm == "good one") for _, arm in cells],
        "cost_usd": [0.002 if arm == "good one" else 0.0001 for _, arm in cells],
    }
    if tokens:
        outcomes |= {"input_tokens": [100] * 60, "output_tokens": [200] * 60}
    write(folder / "outcomes.parquet", outcomes)
    (folder / "pool.json").write_text(json.dumps({"pool": ["good one", "bad/one"]}))
    return folder


def write(path: Path, columns: dict[str, list[object]]) -> None:
    kinds = {str: DataType.utf8(), float: DataType.float64(), int: DataType.int32()}
    arrays = [Array(column, type=kinds[type(column[0])]) for column in columns.values()]
    arro3.io.write_parquet(Table.from_arrays(arrays, names=list(columns)), str(path))


@pytest.mark.parametrize("tokens", [True, False])
def test_the_demo_replays_a_data_folder_once(here, capsys, tokens):
    folder = data_folder(here / "data", tokens=tokens)
    assert run(["demo", "--data", str(folder), "--json", "demo.json"]) == 0
    result = json.loads((here / "demo.json").read_text())
    assert result["requests"] == 30
    assert result["best_fixed"] == pytest.approx(
        {"quality": 1.0, "cost_usd": 0.002, "utility": 1.0 - 0.002 / 0.05}
    )
    assert result["cheapest"]["cost_usd"] == pytest.approx(0.0001)
    quality = result["router"]["quality"]
    assert quality > result["uniform"]["quality"]
    # What was billed is what was recorded: the cost follows from how often each arm answered.
    spent = quality * 0.002 + (1.0 - quality) * 0.0001
    assert result["router"]["cost_usd"] == pytest.approx(spent)


def test_the_demo_draws_a_picture_when_asked(here):
    assert run(["demo", "--requests", "60", "--picture", "run.png"]) == 0
    assert (here / "run.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["run.gif", "no/such/folder/run.png"])
def test_a_picture_that_cannot_be_drawn_is_refused_before_the_work(here, capsys, name):
    assert run(["demo", "--picture", name]) == 2
    assert "picture" in capsys.readouterr().err


def test_a_data_folder_that_is_none_is_refused(here, capsys):
    assert run(["demo", "--data", "nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_serve_says_where_it_listens_answers_and_ends_with_0_on_sigterm(here):
    with served(here, "--store", "memory://") as (url, process):
        asked = {"messages": [{"role": "user", "content": "x"}]}
        answer = httpx.post(f"{url}/v1/route", json=asked, timeout=PATIENCE_S)
        assert answer.status_code == 200
    assert process.returncode == 0
