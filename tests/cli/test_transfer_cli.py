"""``banditroute export`` and ``import``: files, summaries, refusals and exit codes."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from config_texts import ARM, ROUTER
from doubles import asking, outcome, score

from banditroute.bootstrap import build_engine
from banditroute.cli.app import run
from banditroute.cli.console import DEFAULT_CONFIG, settings_from
from banditroute.cli.progress import moving
from banditroute.values import Decision

OLD, NEW = "sqlite:///old.db", "sqlite:///new.db"


@pytest.fixture
def taught(here) -> Decision:
    """A store in ``old.db`` whose router learned from three decisions; the last of them."""
    return asyncio.run(teach("auto"))


async def teach(router: str) -> Decision:
    engine = build_engine(settings_from(DEFAULT_CONFIG, store=OLD))
    await engine.start()
    for text in ("Hi!", "Write code", "How many?"):
        decision = engine.decide(router, asking(text))
        engine.remember(decision)
        assert await engine.settled(decision)
        await engine.report(outcome(decision))
        await engine.learn([score(engine, decision, 0.5)])
    await engine.stop()
    return decision


def config(*routers: str, features: str = "") -> None:
    Path("config.toml").write_text(
        "".join(ROUTER.format(name=name) for name in routers) + ARM + features
    )


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """What a command that ends well prints as JSON."""
    capsys.readouterr()
    assert run([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_router_goes_on_in_another_store(taught, capsys):
    wrote = printed(capsys, "export", "--store", OLD, "--out", "state.bin")
    read = printed(capsys, "import", "state.bin", "--store", NEW)
    assert wrote == read
    [auto] = wrote["routers"]
    assert (auto["router"], auto["head"], auto["decisions"], auto["entries"]) == ("auto", 6, 3, 6)
    assert auto["bytes"] <= Path("state.bin").stat().st_size
    assert [path.name for path in Path.cwd().glob("*state*")] == ["state.bin"]
    arms = [printed(capsys, "inspect", "--store", store) for store in (OLD, NEW)]
    assert arms[0] == arms[1]
    receipts = [printed(capsys, "inspect", taught.id, "--store", store) for store in (OLD, NEW)]
    assert receipts[0] == receipts[1]
    assert receipts[1]["replay"]["same"]


def test_the_summary_is_a_table(taught, capsys):
    name = "a[bold].bin"  # which a terminal must not take for markup
    for arguments in (["export", "--out", name, "--store", OLD], ["import", name, "--store", NEW]):
        assert run(arguments) == 0
        said = capsys.readouterr()
        for word in (
            name,
            "router",
            "decisions",
            "entries",
            "checkpoints",
            "head",
            "bytes",
            "auto",
        ):
            assert word in said.out
        assert "features" not in said.err


def test_a_pipe_carries_the_file_and_nothing_else(taught, capsysbinary, monkeypatch):
    assert run(["export", "--out", "-", "--store", OLD]) == 0
    data, said = capsysbinary.readouterr()
    assert b"exported to -" in said
    assert run(["export", "--out", "state.bin", "--store", OLD]) == 0
    assert Path("state.bin").read_bytes() == data
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert run(["import", "-", "--store", NEW]) == 0
    assert run(["export", "--out", "again.bin", "--store", NEW]) == 0
    assert Path("again.bin").read_bytes() == data


def test_a_terminal_is_not_sent_a_file(taught, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run(["export", "--out", "-", "--store", OLD]) == 2
    assert "terminal" in capsys.readouterr().err


def test_a_file_is_replaced_only_when_told_to(taught, capsys):
    target = Path("state.bin")
    target.write_text("precious")
    arguments = ["export", "--out", "state.bin", "--store", OLD]
    assert run(arguments) == 2
    assert "--force" in capsys.readouterr().err
    assert target.read_text() == "precious"
    assert run([*arguments, "--force"]) == 0
    assert run(["import", "state.bin", "--store", NEW]) == 0


def test_an_export_that_fails_leaves_the_old_file_and_nothing_else(taught, capsys):
    target = Path("state.bin")
    target.write_text("precious")
    arguments = ["export", "--out", "state.bin", "--store", OLD, "--router", "typo", "--force"]
    assert run(arguments) == 2
    assert "router typo" in capsys.readouterr().err
    assert target.read_text() == "precious"
    assert [path.name for path in Path.cwd().glob("*state*")] == ["state.bin"]


def test_a_link_goes_on_pointing_at_the_file_that_is_replaced(taught):
    Path("real.bin").write_text("precious")
    Path("state.bin").symlink_to("real.bin")
    assert run(["export", "--out", "state.bin", "--store", OLD, "--force"]) == 0
    assert Path("state.bin").is_symlink()
    assert run(["import", "real.bin", "--store", NEW]) == 0


@pytest.mark.parametrize("target", ["no/such/state.bin", "."])
def test_a_target_that_can_be_no_file_exits_2(taught, capsys, target):
    assert run(["export", "--out", target, "--store", OLD]) == 2
    assert "folder" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="a device that is always full")
def test_a_full_disk_exits_1(taught, capsys):
    assert run(["export", "--out", "/dev/full", "--store", OLD]) == 1
    assert "/dev/full cannot be written: No space left" in capsys.readouterr().err
    assert Path("/dev/full").is_char_device()


def test_the_configured_routers_that_have_anything_are_exported(here, capsys):
    config("auto", "support", "idle")
    for name in ("auto", "support"):
        asyncio.run(teach(name))
    assert run(["export", "--out", "state.bin", "--store", OLD]) == 0
    said = capsys.readouterr()
    assert "support" in said.out
    assert "router idle has nothing in this store" in said.err
    one = printed(capsys, "export", "--out", "one", "--store", OLD, "--router", "support")
    assert [router["router"] for router in one["routers"]] == ["support"]
    both = printed(capsys, "import", "state.bin", "--store", NEW)
    assert [router["router"] for router in both["routers"]] == ["auto", "support"]


def test_a_store_without_any_of_the_routers_exits_2(taught, capsys):
    config("other")
    assert run(["export", "--out", "state.bin", "--store", OLD]) == 2
    said = capsys.readouterr().err
    assert "nothing to export of router other" in said
    assert "--router" in said
    assert not Path("state.bin").exists()


@pytest.mark.parametrize("arguments", [["export", "--out", "state.bin"], ["import", "x"]])
def test_a_store_that_does_not_last_exits_2(here, capsys, arguments):
    assert run([*arguments, "--store", "memory://"]) == 2
    assert "--store" in capsys.readouterr().err


def test_exporting_makes_no_database_where_there_is_none(here, capsys):
    assert run(["export", "--out", "state.bin", "--store", "sqlite:///typo.db"]) == 2
    assert "typo.db" in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_a_file_that_is_missing_exits_2_and_makes_no_database(here, capsys):
    assert run(["import", "missing.bin", "--store", NEW]) == 2
    assert "missing.bin" in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_importing_twice_exits_2(taught, capsys):
    assert run(["export", "--out", "state.bin", "--store", OLD]) == 0
    assert run(["import", "state.bin", "--store", NEW]) == 0
    assert run(["import", "state.bin", "--store", NEW]) == 2
    assert "router 'auto' already has" in capsys.readouterr().err


def test_a_damaged_file_exits_2_and_a_good_one_can_follow(taught, capsys):
    assert run(["export", "--out", "state.bin", "--store", OLD]) == 0
    Path("short.bin").write_bytes(Path("state.bin").read_bytes()[:-5])
    assert run(["import", "short.bin", "--store", NEW]) == 2
    assert "cut short" in capsys.readouterr().err
    assert run(["inspect", "--store", NEW]) == 2
    assert "run `banditroute import` again" in capsys.readouterr().err
    assert run(["import", "state.bin", "--store", NEW]) == 0
    assert run(["inspect", "--store", NEW]) == 0


def test_what_was_learned_from_other_features_is_imported_with_a_note(taught, capsys):
    assert run(["export", "--out", "state.bin", "--store", OLD]) == 0
    config("auto", features='[features]\ntext = "none"\n')
    assert run(["import", "state.bin", "--store", NEW]) == 0
    assert "learned from other context features" in " ".join(capsys.readouterr().err.split())
    assert run(["inspect", "--store", NEW]) == 2
    assert "context features" in capsys.readouterr().err


def test_a_bar_is_shown_on_a_terminal_alone(taught, capsys, monkeypatch):
    assert run(["export", "--out", "state.bin", "--store", OLD]) == 0
    assert "bytes" not in capsys.readouterr().err
    monkeypatch.setenv("FORCE_COLOR", "1")
    with moving("import", 2_000_000) as advance:
        advance(1_000_000)
    assert "1.0/2.0 MB" in capsys.readouterr().err
