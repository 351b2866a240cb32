"""``banditroute evaluate``: from stores and files, its tables, refusals and exit codes."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path

import pytest
from doubles import Clock, asking, outcome, score

from banditroute.bootstrap import build_engine
from banditroute.cli.app import run
from banditroute.cli.console import DEFAULT_CONFIG, settings_from

STORE = "sqlite:///log.db"
GOOD = {"good": 0.9, "poor": 0.3}
HEAD = """
[[routers]]
name = "{name}"
policy = "{policy}"
floor = {floor}
"""
ARMS = """
[[providers]]
name = "simulated"
kind = "simulated"

[[arms]]
id = "good"
provider = "simulated"
input_usd_per_mtok = 2.0
output_usd_per_mtok = 2.0

[[arms]]
id = "poor"
provider = "simulated"
input_usd_per_mtok = 1.0
output_usd_per_mtok = 1.0
"""
OWN = """
import numpy as np


class Sure:
    spec = "sure"

    def probabilities(self, beliefs):
        chosen = np.array([float(arm_id == min(beliefs.arm_ids)) for arm_id in beliefs.arm_ids])
        return chosen / chosen.sum()
"""


@pytest.fixture
def logged(here):
    """A store with 150 decisions of router ``auto``, of which two in three are judged."""
    config("auto")
    asyncio.run(live("auto", 150))


def config(*routers: str, policy: str = "uniform", floor: float = 0.4, more: str = "") -> None:
    text = "".join(HEAD.format(name=name, policy=policy, floor=floor) for name in routers)
    Path("config.toml").write_text(text + ARMS + more)


async def live(router: str, count: int, judged: float = 2 / 3) -> None:
    rng = random.Random(4)
    settings = settings_from(DEFAULT_CONFIG, store=STORE)
    clock = Clock()
    engine = build_engine(settings, clock=clock, entropy=random.Random(6).randbytes)
    await engine.start()
    clock.advance(await engine.store.head(router))  # so that no id is made twice
    made = [engine.decide(router, asking(task=rng.choice("xy"))) for _ in range(count)]
    await engine.store.remember(made)
    await engine.store.record(
        router, [outcome(one, cost_usd=0.002 if one.arm_id == "good" else 0.001) for one in made]
    )
    words = [
        score(engine, one, float(rng.random() < GOOD[one.arm_id]), source="judge")
        for one in made[: int(judged * count)]
    ]
    await engine.store.absorb(router, words)
    await engine.stop()


def told(*arguments: str):
    """What a command writes as JSON."""
    assert run(["evaluate", *arguments, "--json", "found.json"]) == 0
    return json.loads(Path("found.json").read_text())


def refused(capsys, *arguments: str, code: int = 2) -> str:
    capsys.readouterr()
    assert run(["evaluate", *arguments]) == code
    said = capsys.readouterr()
    return " ".join((said.err + said.out).replace("│", " ").split())


def test_a_store_says_what_other_policies_would_have_earned(logged, capsys):
    found = told("--store", STORE, "--policy", "fixed:good", "--policy", "fixed:poor")
    assert (found["rounds"], found["judged"]) == (150, 100)
    in_force, good, poor = found["policies"]
    for one, right in ((good, GOOD["good"]), (poor, GOOD["poor"])):
        value = one["measures"]["quality"]["values"]["dr"]
        assert value["low"] < right < value["high"]
    assert good["verdict"] == "promote"
    assert poor["verdict"] == "keep"
    assert in_force["measures"]["cost_usd"]["rounds"] == 150
    said = capsys.readouterr().out
    for word in (
        *("policy in force", "fixed:good", "quality", "$/request", "utility", "lift", "ESS"),
        *("150 decisions of a policy, 100 of them judged", "promote", "however often"),
    ):
        assert word in said


def test_a_file_of_an_export_says_the_same_as_its_store(logged):
    for name in ("log.jsonl", "log.parquet"):
        assert run(["export", "--store", STORE, "--out", name]) == 0
    asked = ("--policy", "greedy", "--without", "poor", "--floor", "0", "--by", "task,tag")
    found = [told("--store", STORE, *asked), *(told("--log", f"log.{f}", *asked) for f in FORMS)]
    assert found[0] == found[1] == found[2]
    assert found[0]["policies"][1]["policy"] == "greedy, without poor, floor 0"
    assert set(found[0]["policies"][1]["groups"]) == {"task", "tag"}


FORMS = ("jsonl", "parquet")


def test_a_store_is_read_whatever_the_features_are_now(logged):
    before = told("--store", STORE)
    config("auto", more='[features]\ntext = "none"\n')
    assert told("--store", STORE) == before


def test_options_alone_change_the_policy_in_force(logged, capsys):
    found = told("--store", STORE, "--answer-value-usd", "0.001", "--patience-s", "30")
    assert [one["policy"] for one in found["policies"]] == [
        "policy in force",
        "policy in force, answers worth $0.001, patience 30 s",
    ]
    capsys.readouterr()
    assert told("--store", STORE)["policies"][0]["verdict"] == "in force"
    assert "name what to judge with --policy" in " ".join(capsys.readouterr().err.split())


def test_a_policy_of_ones_own_is_judged(logged):
    Path("mine.py").write_text(OWN)
    _, own = told("--store", STORE, "--policy", "mine.py:Sure")["policies"]
    _, good = told("--store", STORE, "--policy", "fixed:good")["policies"]
    assert own["policy"] == "sure"
    assert own["measures"] == good["measures"]


def test_savings_are_shown_with_what_they_leave_out(logged, capsys):
    found = told(
        *("--store", STORE, "--baseline", "best-fixed", "--judge-usd-per-answer", "0.0003"),
        *("--router-usd-per-request", "0.0001"),
    )["savings"]
    assert (found["baseline"], found["chosen_on_this_log"]) == ("good", True)
    assert found["judge_usd"] == pytest.approx(0.0003 * 100 / 150)
    said = " ".join(capsys.readouterr().out.split())
    for word in ("Against always good", "better than it is", "100 answers", "for all 150"):
        assert word in said
    named = told("--store", STORE, "--baseline", "poor")["savings"]
    assert (named["baseline"], named["chosen_on_this_log"]) == ("poor", False)


def test_savings_of_money_need_no_judgements(here, capsys):
    config("auto")
    asyncio.run(live("auto", 40, judged=0.0))
    said = refused(capsys, "--store", STORE, "--baseline", "good", code=1)
    assert "quality cannot be compared: 0 of 40 answers were judged" in said
    assert "saved $0.000" in said
    assert "utility +" not in said


def test_decisions_count_from_and_to_a_time(logged):
    whole = told("--store", STORE)
    assert told("--store", STORE, "--since", "1h") == whole
    assert run(["export", "--store", STORE, "--out", "log.jsonl"]) == 0
    for source in (("--store", STORE), ("--log", "log.jsonl")):
        assert run(["evaluate", *source, "--until", "1h", "--json", "none.json"]) == 1
        assert json.loads(Path("none.json").read_text())["rounds"] == 0


def test_everything_refused_exits_1_and_says_why(here, capsys):
    config("auto", policy="greedy", floor=0.0)
    asyncio.run(live("auto", 20))
    said = refused(capsys, "--store", STORE, "--policy", "fixed:good", code=1)
    assert "refused" in said
    assert "20 in which one of several arms was certain" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--without", "typo"), "no arm typo; it has good, poor"),
        (("--policy", "fixed:typo"), "no arm typo; it has good, poor"),
        (("--baseline", "typo"), "no arm 'typo'; name best-fixed or one of good, poor"),
        (("--policy", "typo"), "unknown policy 'typo'"),
        (("--estimator", "typo"), "estimator: there is no 'typo'"),
        (("--model", "typo"), "model: there is no 'typo'"),
        (("--by", "typo"), "by: there is no 'typo'"),
        (("--level", "95"), "level: give a number between 0.5 and 1"),
        (("--answer-value-usd", "0"), "--answer-value-usd: give a number above 0"),
        (("--floor", "2"), "--floor"),
        (("--router", "typo"), "router typo"),
        (("--log", "log.jsonl"), "give either --store or --log"),
        (("--since", "1h", "--until", "2h"), "--until is not after --since"),
        (("--json", "no/such/found.json"), "folder"),
    ],
)
def test_a_question_that_must_change_exits_2(logged, capsys, arguments, said):
    assert said in refused(capsys, "--store", STORE, *arguments)


def test_several_routers_must_be_told_apart(here, capsys):
    config("auto", "support")
    for name in ("auto", "support"):
        asyncio.run(live(name, 60))
    assert run(["export", "--store", STORE, "--out", "log.jsonl"]) == 0
    for source in (("--store", STORE), ("--log", "log.jsonl")):
        assert "name one of auto, support with --router" in refused(capsys, *source)
        assert told(*source, "--router", "support")["rounds"] == 60
    assert "has nothing of typo; it has auto, support" in refused(
        capsys, "--log", "log.jsonl", "--router", "typo"
    )


def test_a_log_that_is_not_there_exits_2(here, capsys):
    assert "no such file" in refused(capsys, "--log", "typo.jsonl")
    assert "typo.db" in refused(capsys, "--store", "sqlite:///typo.db")
    assert "memory://" in refused(capsys, "--store", "memory://")
    assert list(here.iterdir()) == []


def test_a_result_that_cannot_be_written_exits_1(logged, capsys):
    if not Path("/dev/full").is_char_device():
        pytest.skip("no device that is always full")
    said = refused(capsys, "--store", STORE, "--json", "/dev/full", code=1)
    assert "/dev/full cannot be written" in said


def test_the_way_is_shown_and_doubts_last(logged, capsys):
    assert run(["evaluate", "--store", STORE, "--model", "ridge", "--level", "0.9"]) == 0
    assert "lift ± 90%" in capsys.readouterr().out
    config("auto", policy="thompson")
    asyncio.run(live("auto", 20))
    assert run(["evaluate", "--store", STORE, "--policy", "fixed:good"]) == 0
    _, log, target = " ".join(capsys.readouterr().out.split()).split("Warning, ")
    assert log.startswith("the log: several policies made the log: thompson, uniform")
    assert target.startswith("fixed:good: its")
