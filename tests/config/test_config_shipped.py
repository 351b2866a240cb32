"""The shipped file runs as it is, and documents every key that exists, and no other."""

import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from banditroute.config import Settings, SimulatedProviderSettings, default_text, load, parse
from banditroute.config.table import Table

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "config.toml").read_text(encoding="utf-8")
EVERYTHING_ON = re.sub(r"(?m)^#(?=\S)", "", TEXT)
ENV = {"OPENAI_API_KEY": "a", "ANTHROPIC_API_KEY": "b", "GATEWAY_KEY": "c"}
FREE = {"headers", "skill"}  # tables whose keys are the operator's


def keys_in(value, prefix=""):
    if isinstance(value, list):
        return {key for item in value for key in keys_in(item, prefix)}
    if not isinstance(value, dict):
        return set()
    keys = set()
    for key, inner in value.items():
        keys.add(prefix + key)
        keys |= set() if key in FREE else keys_in(inner, f"{prefix}{key}.")
    return keys


def keys_of(annotation, prefix=""):
    if not (isinstance(annotation, type) and issubclass(annotation, Table)):
        return {key for inner in get_args(annotation) for key in keys_of(inner, prefix)}
    keys = set()
    for name, field in annotation.model_fields.items():
        key = prefix + (field.alias or name)
        keys |= {key} | keys_of(field.annotation, f"{key}.")
    return keys


def test_every_key_is_documented_and_every_documented_key_exists():
    assert keys_in(tomllib.loads(EVERYTHING_ON)) == keys_of(Settings)


def test_the_shipped_file_runs_without_any_environment():
    settings = load(ROOT / "config.toml", {})
    assert settings.store.url.startswith("sqlite:///")
    assert [router.name for router in settings.routers] == ["auto"]
    assert all(isinstance(p, SimulatedProviderSettings) for p in settings.providers)
    assert len(settings.arms_of(settings.routers[0])) == len(settings.arms) == 4


def test_the_file_with_every_comment_taken_away_is_sound():
    settings = parse(EVERYTHING_ON, ENV)
    assert [router.name for router in settings.routers] == ["auto", "private"]
    assert {provider.name for provider in settings.providers} == {
        *("simulated", "openai", "anthropic", "local")
    }


def test_a_commented_setting_of_a_live_table_shows_its_default():
    live, _, _ = TEXT.partition("Real models ─")
    assert live.count("\n#") > 40
    assert parse(re.sub(r"(?m)^#(?=\S)", "", live), {}) == parse(live, {})


def test_every_setting_of_the_file_has_words_beside_or_above_it():
    bare = [
        line
        for line in TEXT.partition("Real models ─")[0].splitlines()
        if re.match(r"#[a-z]", line) and "  # " not in line
    ]
    assert bare == []


def test_simulated_arms_differ_so_that_there_is_something_to_learn():
    """No arm is best at every task once its price and latency are taken off."""
    settings = parse(TEXT, {})
    (router,) = settings.routers
    tasks = [task.name for task in settings.tasks]
    best = {
        task: max(
            settings.arms,
            key=lambda arm, task=task: (
                arm.simulated.skill[task]
                - arm.to_arm().cost_usd(60, arm.simulated.output_tokens) / router.answer_value_usd
                - arm.simulated.latency_s / router.patience_s
            ),
        ).id
        for task in tasks
    }
    assert set(best) == {"code", "maths", "translation", "summary", "support", "chat"}
    assert set(best.values()) == {arm.id for arm in settings.arms}


@pytest.mark.parametrize("task", parse(TEXT, {}).tasks, ids=lambda task: task.name)
def test_each_task_shows_three_or_four_examples(task):
    assert 3 <= len(set(task.examples)) <= 4


def test_a_checkout_finds_the_shipped_file_at_its_root():
    assert default_text() == TEXT


def test_an_installed_wheel_finds_the_shipped_file_beside_the_package(tmp_path, monkeypatch):
    (tmp_path / "default.toml").write_text("# packaged\n", encoding="utf-8")
    monkeypatch.setattr("banditroute.config.loading.files", lambda package: tmp_path)
    assert default_text() == "# packaged\n"


def test_the_wheel_carries_the_shipped_file_where_it_is_looked_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"config.toml": "banditroute/config/default.toml"}
