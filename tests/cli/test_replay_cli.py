"""``banditroute replay``: one decision side by side, or a whole log."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from doubles import asking, grow, score

from banditroute.bootstrap import build_engine
from banditroute.cli import replay as replay_module
from banditroute.cli.app import run
from banditroute.cli.console import DEFAULT_CONFIG, settings_from
from banditroute.stores.packing import pack_decision
from banditroute.values import Decision

STORE = "sqlite:///log.db"
NAMED = "small"


@pytest.fixture
def lived(here) -> list[Decision]:
    """A store in ``log.db`` whose router learned and decided in turns; all its decisions."""
    return asyncio.run(live())


async def live() -> list[Decision]:
    engine = build_engine(settings_from(DEFAULT_CONFIG, store=STORE))
    await engine.start()
    made: list[Decision] = []
    for seed in range(8):
        made += await grow(engine, engine.store, 6, seed=seed)
        await engine.learn([score(engine, made[-1], 1.0, source="judge")])
        await engine.level("auto")
    named = engine.decide_for_arm(engine.in_force("auto").roster.ids[0], asking())
    engine.remember(named)
    assert await engine.settled(named)
    await engine.stop()
    return [*made, named]


def tamper(decision: Decision, **changes: Any) -> None:
    db = sqlite3.connect("log.db")
    with db:
        body = pack_decision(replace(decision, **changes))
        db.execute("UPDATE decisions SET body = ? WHERE id = ?", (body, decision.id))
    db.close()


def replay(*arguments: str) -> int:
    return run(["replay", "--store", STORE, *arguments])


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    capsys.readouterr()
    assert replay(*arguments, "--json") == code
    return json.loads(capsys.readouterr().out)


def test_a_decision_is_shown_beside_itself(lived, capsys):
    decision = lived[30]
    view = printed(capsys, f"chatcmpl-{decision.id}")
    assert view["same"]
    assert view["differences"] == []
    assert view["arm"] == {"logged": decision.arm_id, "again": decision.arm_id}
    assert view["position"] == decision.position > 0
    assert view["probabilities"] == {
        c.arm_id: {"logged": c.probability, "again": c.probability} for c in decision.candidates
    }
    assert replay(decision.id) == 0
    said = capsys.readouterr().out
    assert "the same arm, propensity and probabilities" in said
    assert f"{decision.arm_id} ◀ logged ◀ again" in said
    assert f"{decision.propensity:.9f}" in said
    assert "+0.0e+00" in said


def test_a_named_arm_is_the_same_too(lived, capsys):
    view = printed(capsys, lived[-1].id)
    assert (view["explored"], view["same"]) == (False, True)
    assert view["propensity"] == {"logged": 1.0, "again": 1.0}


def test_a_whole_log_is_verified(lived, capsys):
    verified = printed(capsys, "--all")
    count = len(lived)
    assert verified == {
        "tolerance": 1e-9,
        "routers": [
            {
                "router": "auto",
                "decisions": count,
                "same": count,
                "different": 0,
                "unverifiable": {},
                "mismatches": [],
            }
        ],
    }
    assert replay("--all") == 0
    assert "not verifiable" in capsys.readouterr().out


def test_the_tampered_decision_is_found_and_exits_1(lived, capsys):
    victim = lived[33]
    tamper(victim, propensity=victim.propensity / 2)
    [auto] = printed(capsys, "--all", code=1)["routers"]
    assert (auto["same"], auto["different"]) == (len(lived) - 1, 1)
    [found] = auto["mismatches"]
    assert (found["id"], found["differences"]) == (victim.id, ["propensity"])
    assert found["propensity"] == {"logged": victim.propensity / 2, "again": victim.propensity}
    assert found["arm"]["logged"] == victim.arm_id
    assert replay("--all") == 1
    said = " ".join(capsys.readouterr().out.split())
    assert f"{victim.id}: logged {victim.arm_id} at {victim.propensity / 2:.9f}" in said
    assert f"again {victim.arm_id} at {victim.propensity:.9f}" in said
    assert replay(victim.id) == 1
    assert "NOT the same: propensity" in " ".join(capsys.readouterr().out.split())


def test_only_so_many_mismatches_are_printed(lived, capsys, monkeypatch):
    monkeypatch.setattr(replay_module, "MOST_PRINTED", 2)
    for decision in lived[:5]:
        tamper(decision, propensity=decision.propensity / 2, degraded=True)
    assert replay("--all") == 1
    said = capsys.readouterr().out
    assert said.count("NOT the same") == 2
    assert "and 3 more" in said
    assert "made while the store was away" in " ".join(said.split())


def test_numbers_that_nothing_comes_of_are_shown(lived, capsys):
    tamper(lived[7], answer_value_usd=0.0)
    assert replay(lived[7].id) == 1
    assert "no choice comes of these numbers" in capsys.readouterr().out
    assert replay("--all") == 1
    assert "again nothing" in " ".join(capsys.readouterr().out.split())
    assert printed(capsys, lived[7].id, code=1)["arm"]["again"] is None


def test_what_is_out_of_reach_is_counted_with_its_reason(lived, capsys):
    tamper(lived[7], policy="mine")
    [auto] = printed(capsys, "--all")["routers"]
    assert auto["unverifiable"] == {"policy mine is not known here": 1}
    assert replay("--all") == 0
    assert "1 not verifiable: policy mine is not known here" in capsys.readouterr().out
    assert replay(lived[7].id) == 2
    assert "not known here" in capsys.readouterr().err


def test_only_what_was_decided_since(lived, capsys):
    [auto] = printed(capsys, "--all", "--since", "1h")["routers"]
    assert auto["decisions"] == len(lived)
    [auto] = printed(capsys, "--all", "--since", "0s", "--router", "auto")["routers"]
    assert auto["decisions"] == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "either the ID of a decision, or --all"),
        (["--since", "1h", "019f2a4c-7d5e-7a01-8c3b-5f0e6f1d2a3b"], "--since goes with --all"),
        (["first"], "neither a decision id nor a completion id"),
        (["019f2a4c-7d5e-7a01-8c3b-5f0e6f1d2a3b"], "none of the routers auto made this decision"),
        (["--all", "--router", "typo"], "nothing to replay of router typo"),
        (["--all", "--since", "soon"], "neither a time"),
    ],
)
def test_what_cannot_be_asked_for_exits_2(lived, capsys, arguments, says):
    assert replay(*arguments) == 2
    assert says in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_an_id_and_all_do_not_go_together(lived, capsys):
    assert replay(lived[0].id, "--all") == 2
    assert "either" in capsys.readouterr().err


def test_an_unknown_decision_exits_1(lived, capsys):
    first = lived[0].id
    assert replay(f"{first[:24]}{'0' * 8}{first[32:]}") == 1
    assert "not known" in capsys.readouterr().err


def test_another_configurations_features_exit_2(lived, capsys):
    Path("config.toml").write_text(
        '[[routers]]\nname = "auto"\n[[providers]]\nname = "p"\nkind = "simulated"\n'
        '[[arms]]\nid = "a"\nprovider = "p"\ninput_usd_per_mtok = 1.0\n'
        'output_usd_per_mtok = 1.0\n[features]\ntext = "none"\n'
    )
    assert replay("--all") == 2
    assert "[features]" in capsys.readouterr().err


@pytest.mark.parametrize("store", ["memory://", "sqlite:///typo.db"])
def test_a_store_that_has_nothing_exits_2(here, capsys, store):
    assert run(["replay", "--all", "--store", store]) == 2
    assert "--store" in capsys.readouterr().err
    assert list(here.iterdir()) == []
