"""``banditroute import --prior``: what a file may say, what it changes, and refusals."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import arro3.io
import numpy as np
import pytest
from arro3.core import Array, DataType, Table
from doubles import asking

from banditroute.bootstrap import build_engine
from banditroute.cli.app import run
from banditroute.cli.console import DEFAULT_CONFIG, settings_from
from banditroute.values import Announcement, Prior, Request, Wishes

STORE = "sqlite:///learned.db"
CONFIG = """
[[providers]]
name = "simulated"
kind = "simulated"

[[arms]]
id = "coder"
provider = "simulated"
model = "coder-2"
input_usd_per_mtok = 1.0
output_usd_per_mtok = 1.0

[[arms]]
id = "talker"
provider = "simulated"
input_usd_per_mtok = 1.0
output_usd_per_mtok = 1.0
"""
GOOD = {"prompt": "Sort a list", "task": "code", "arm": "coder", "score": 1.0}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a configuration of two arms, to run commands in."""
    monkeypatch.chdir(tmp_path)
    Path("config.toml").write_text(CONFIG)
    return tmp_path


def write(*lines: object, name: str = "probes.jsonl") -> str:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    Path(name).write_text("".join(f"{text}\n" for text in texts))
    return name


def judged(lines: int) -> list[dict[str, object]]:
    """Each task's arm was good at it, and the other one was not."""
    made: list[dict[str, object]] = []
    for at in range(lines):
        task, arm = ("code", "chat")[at % 2], ("coder", "talker")[at // 2 % 2]
        good = (task, arm) in (("code", "coder"), ("chat", "talker"))
        made.append({"prompt": f"Ask {at}", "task": task, "arm": arm, "score": 0.9 * good})
    return made


def importing(*arguments: str) -> list[str]:
    return ["import", "--store", STORE, *arguments]


def printed(capsys, *arguments):
    capsys.readouterr()
    assert run([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys, *arguments: str) -> str:
    """What is said of a command that must change before it does anything."""
    capsys.readouterr()
    assert run(importing(*arguments)) == 2
    return capsys.readouterr().err


def logged() -> list[Prior]:
    """The priors in the log."""

    async def read() -> list[Prior]:
        engine = build_engine(settings_from(DEFAULT_CONFIG, store=STORE))
        await engine.store.open()
        try:
            entries = await engine.store.evidence("auto", 0, 1000)
        finally:
            await engine.store.close()
        told = [entry.news for entry in entries if isinstance(entry, Announcement)]
        return [one for one in told if isinstance(one, Prior)]

    return asyncio.run(read())


def chosen(task: str) -> str:
    """The arm that looks best to a router that starts now."""

    async def decide() -> str:
        engine = build_engine(settings_from(DEFAULT_CONFIG, store=STORE))
        await engine.start()
        try:
            return engine.decide("auto", asking("Ask me", task=task, explore=False)).arm_id
        finally:
            await engine.stop()

    return asyncio.run(decide())


def test_a_router_starts_with_what_the_file_says(here, capsys):
    said = printed(capsys, *importing("--prior", write(*judged(500))))
    assert said["router"] == "auto"
    assert said["skipped"] == []
    coder, talker = said["priors"]
    assert (coder["arm"], coder["lines"], coder["before"]) == ("coder", 250, None)
    assert coder["score"] == pytest.approx(0.45)
    assert coder["after"] == pytest.approx(0.45)
    assert coder["readings"] == 200.0
    assert talker["arm"] == "talker"
    assert (chosen("code"), chosen("chat")) == ("coder", "talker")


def test_the_summary_is_a_table(here, capsys):
    assert run(importing("--prior", write(GOOD, {**GOOD, "arm": "talker", "score": 0.5}))) == 0
    said = capsys.readouterr().out
    for word in ("priors of router auto", "coder", "talker", "1.000", "0.500", "as readings", "–"):
        assert word in said


def test_a_line_may_say_things_in_several_ways(here, capsys):
    messages = [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hi"}]
    lines = (
        {"messages": messages, "arm": "talker", "quality": 1, "weight": 0.5, "tags": ["short"]},
        "",
        {"prompt": "Hi", "arm": "talker", "score": 0.0},
    )
    (talker,) = printed(capsys, *importing("--prior", write(*lines)))["priors"]
    assert talker["lines"] == 2
    assert talker["readings"] == 1.5
    assert talker["score"] == pytest.approx(0.5 / 1.5)
    (kept,) = logged()
    see = build_engine(settings_from(DEFAULT_CONFIG, store=STORE)).featurizer.context
    first = see(Request({"messages": messages}, Wishes(tags=("short",)))).x
    second = see(asking("Hi")).x
    np.testing.assert_allclose(kept.moment, 0.5 * first, atol=1e-12)
    np.testing.assert_allclose(kept.gram[0], 0.5 * first + second, atol=1e-12)
    assert not np.array_equal(first, second)


def test_a_later_file_replaces_an_earlier_one(here, capsys):
    printed(capsys, *importing("--prior", write(*[GOOD] * 40)))
    (second,) = printed(capsys, *importing("--prior", write({**GOOD, "score": 0.25})))["priors"]
    assert second["before"] == pytest.approx(1.0)
    assert second["after"] == pytest.approx(0.25)
    assert len(logged()) == 2


def test_none_takes_priors_back(here, capsys):
    other = {**GOOD, "arm": "talker"}
    printed(capsys, *importing("--prior", write(GOOD, other)))
    (back,) = printed(capsys, *importing("--prior", "none", "--arm", "coder"))["priors"]
    assert back == {
        "arm": "coder",
        "lines": 0,
        "score": None,
        "readings": 0.0,
        "before": 1.0,
        "after": None,
    }
    arms = printed(capsys, "inspect", "--store", STORE)["auto"]["arms"]
    assert [arm["quality"] for arm in arms] == [None, 1.0]


def test_none_needs_the_arms_by_name(here, capsys):
    assert "--arm" in refused(capsys, "--prior", "none")


def test_only_the_arms_asked_for_are_told(here, capsys):
    path = write(GOOD, {**GOOD, "arm": "talker"}, {**GOOD, "arm": "elsewhere"}, GOOD)
    said = printed(capsys, *importing("--prior", path, "--arm", "talker"))
    assert [one["arm"] for one in said["priors"]] == ["talker"]
    assert said["skipped"] == ["coder", "elsewhere"]
    assert run(importing("--prior", path, "--arm", "talker")) == 0
    assert "left out: the answers of coder, elsewhere" in capsys.readouterr().err


MISTAKES = {
    "not json": ("not valid JSON", "column"),
    '{"prompt": "x", "arm": "coder", "score": NaN}': ("not valid JSON",),
    "[1, 2]": ("must be a JSON object",),
    '{"prompt": "x", "arm": "coder", "score": 1.5}': ("score", "less than or equal to 1"),
    '{"prompt": "x", "arm": "coder", "score": -0.1}': ("score", "greater than or equal to 0"),
    '{"prompt": "x", "arm": "coder", "score": true}': ("score",),
    '{"prompt": "x", "arm": "coder", "score": "1"}': ("score",),
    '{"prompt": "x", "arm": "coder"}': ("exactly one of score, quality",),
    '{"prompt": "x", "arm": "coder", "score": 1, "quality": 1}': ("exactly one of score",),
    '{"arm": "coder", "score": 1}': ("exactly one of messages, prompt",),
    '{"messages": [], "arm": "coder", "score": 1}': ("messages", "empty"),
    '{"messages": [{"content": "x"}], "arm": "coder", "score": 1}': ("role", "required"),
    '{"prompt": "x", "score": 1}': ("arm", "required"),
    '{"prompt": "x", "arm": "typo", "score": 1}': ("arm", "coder, talker"),
    '{"prompt": "x", "arm": "coder", "score": 1, "weight": 0}': ("weight", "greater than 0"),
    '{"prompt": "x", "arm": "coder", "score": 1, "weight": 1.5}': ("weight",),
    '{"prompt": "x", "arm": "coder", "score": 1, "taks": "code"}': ("taks", "spelling"),
}


@pytest.mark.parametrize(("line", "words"), MISTAKES.items(), ids=range(len(MISTAKES)))
def test_a_mistake_is_named_with_its_line_and_nothing_is_logged(here, capsys, line, words):
    said = refused(capsys, "--prior", write(GOOD, "", line, GOOD))
    assert "probes.jsonl: 1 problem, so nothing of it is imported" in said
    assert "line 3: " in said
    for word in words:
        assert word in said
    assert logged() == []


def test_many_mistakes_are_counted_and_the_first_twenty_shown(here, capsys):
    said = refused(capsys, "--prior", write(GOOD, *["{}"] * 23))
    assert "23 problems" in said
    assert "line 21: " in said
    assert "line 22: " not in said
    assert "and 3 more" in said
    assert logged() == []


def test_what_a_line_says_is_not_echoed(here, capsys):
    said = refused(capsys, "--prior", write({**GOOD, "prompt": "my secret", "score": 2}))
    assert "secret" not in said


@pytest.mark.parametrize("lines", [(), ("", "  ")])
def test_an_empty_file_is_refused(here, capsys, lines):
    assert "it is empty" in refused(capsys, "--prior", write(*lines))


def test_an_arm_without_an_answer_in_the_file_is_refused(here, capsys):
    said = refused(capsys, "--prior", write(GOOD), "--arm", "coder", "--arm", "talker")
    assert "no judged answer of talker; it has those of coder" in said
    assert logged() == []


def test_an_arm_that_the_router_has_not_is_refused(here, capsys):
    said = refused(capsys, "--prior", write(GOOD), "--arm", "typo")
    assert "no typo" in said
    assert "coder, talker" in said


def test_a_missing_file_makes_no_database(here, capsys):
    assert "missing.jsonl" in refused(capsys, "--prior", "missing.jsonl")
    assert not Path("learned.db").exists()


@pytest.mark.parametrize(
    "arguments",
    [[], ["state.bin", "--prior", "probes.jsonl"], ["state.bin", "--arm", "coder"]],
    ids=["neither", "both", "arm-without-prior"],
)
def test_a_state_and_a_prior_are_imported_apart(here, capsys, arguments):
    assert "--prior" in refused(capsys, *arguments)


def test_one_of_several_routers_must_be_named(here, capsys):
    routers = "".join(f'[[routers]]\nname = "{name}"\n' for name in ("auto", "support"))
    Path("config.toml").write_text(routers + CONFIG)
    path = write(GOOD)
    for arguments in ([], ["--router", "typo"]):
        assert "auto, support" in refused(capsys, "--prior", path, *arguments)
    said = printed(capsys, *importing("--prior", path, "--router", "support"))
    assert said["router"] == "support"
    assert logged() == []  # of the other one


def test_a_store_of_other_features_is_refused(here, capsys):
    printed(capsys, *importing("--prior", write(GOOD)))
    Path("config.toml").write_text('[features]\ntext = "none"\n' + CONFIG)
    assert "features" in refused(capsys, "--prior", write(GOOD))


def folder_of(arms: list[str]) -> str:
    """A data folder with two prompts; the first arm of it is always right, others never."""
    folder = Path("data")
    folder.mkdir()
    text, number = DataType.large_utf8(), DataType.float64()
    prompts = {"prompt_id": ["p1", "p2"], "prompt": ["one", "two"], "task": ["code", None]}
    cells = [(prompt, arm) for prompt in ("p1", "p2") for arm in arms]
    outcomes = {
        "prompt_id": Array([prompt for prompt, _ in cells], text),
        "arm": Array([arm for _, arm in cells], text),
        "quality": Array([float(arm == arms[0]) for _, arm in cells], number),
    }
    table = Table.from_pydict({name: Array(values, text) for name, values in prompts.items()})
    arro3.io.write_parquet(table, str(folder / "prompts.parquet"))
    arro3.io.write_parquet(Table.from_pydict(outcomes), str(folder / "outcomes.parquet"))
    (folder / "pool.json").write_text(json.dumps({"pool": arms}))
    return "data"


def test_a_data_folder_tells_of_arms_by_their_ids_or_models(here, capsys):
    said = printed(capsys, *importing("--prior", folder_of(["coder-2", "talker", "unheard"])))
    assert said["skipped"] == ["unheard"]
    told = [(one["arm"], one["lines"], one["score"]) for one in said["priors"]]
    assert told == [("coder", 2, 1.0), ("talker", 2, 0.0)]


def test_a_data_folder_of_strangers_is_refused(here, capsys):
    said = refused(capsys, "--prior", folder_of(["x", "y"]))
    assert "no judged answer of coder, talker; it has those of x, y" in said
    assert logged() == []


def test_a_broken_data_folder_is_refused(here, capsys):
    Path("data").mkdir()
    assert "prompts.parquet" in refused(capsys, "--prior", "data")
