"""A sound configuration becomes frozen settings."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from banditroute.config import (
    OpenAIProviderSettings,
    SimulatedProviderSettings,
    load,
    parse,
)
from banditroute.config.units import HalfLife
from banditroute.errors import ConfigError
from banditroute.values import Arm

SMALL = """
[[providers]]
name = "sim"
kind = "simulated"

[[arms]]
id = "one"
provider = "sim"
input_usd_per_mtok = 1
output_usd_per_mtok = 2.5
"""
SECOND = SMALL + SMALL[SMALL.index("[[arms]]") :].replace('"one"', '"two"')


def problems_of(text, env=None):
    with pytest.raises(ConfigError) as caught:
        parse(text, env or {})
    return caught.value.problems


def test_everything_but_arms_and_providers_has_a_default():
    settings = parse(SMALL, {})
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8080)
    assert settings.server.max_body_bytes == 4_194_304
    assert settings.server.max_concurrency == 1000
    assert settings.server.keep_alive_s == 75
    assert settings.server.shutdown_grace_s == 10
    assert settings.store.url == "sqlite:///banditroute.db"
    assert settings.store.decision_ttl_s == 30 * 86_400
    assert (settings.features.text, settings.features.task_slots) == ("hashed", 32)
    assert (settings.logging.level, settings.logging.format) == ("info", "text")
    assert settings.tasks == ()


def test_a_file_without_routers_has_one_named_auto_with_every_arm():
    settings = parse(SECOND, {})
    (router,) = settings.routers
    assert (router.name, router.policy, router.floor) == ("auto", "thompson", 0.005)
    assert (router.answer_value_usd, router.patience_s) == (0.05, 120)
    assert (router.max_attempts, router.linucb_alpha, router.epsilon) == (3, 2.0, 0.05)
    assert (router.half_life, router.drift_detection, router.winsorise) == (HalfLife(), True, 0.0)
    assert [arm.id for arm in settings.arms_of(router)] == ["one", "two"]


def test_a_router_takes_arms_by_id_and_by_pattern_in_the_order_of_the_file():
    text = SECOND + '[[routers]]\nname = "r"\narms = ["two", "o*"]\ndefault_arm = "two"\n'
    settings = parse(text, {})
    assert [arm.id for arm in settings.arms_of(settings.routers[0])] == ["one", "two"]
    narrow = parse(text.replace(', "o*"', ""), {})
    assert [arm.id for arm in narrow.arms_of(narrow.routers[0])] == ["two"]


def test_an_arm_becomes_the_value_that_the_house_speaks_in():
    text = SMALL + (
        'model = "m"\ncached_input_usd_per_mtok = 0\ncontext_window = 8192\ntimeout_s = 5\n'
        'capabilities = ["vision"]\nregions = ["eu"]\nlabels = ["pii"]\nmax_concurrency = 2\n'
        "simulated = {skill = {code = 0.9}, latency_s = 1}\n"
    )
    assert parse(text, {}).arms[0].to_arm() == Arm(
        id="one",
        provider="sim",
        model="m",
        input_usd_per_mtok=1.0,
        output_usd_per_mtok=2.5,
        cached_input_usd_per_mtok=0.0,
        context_window=8192,
        capabilities=frozenset({"vision"}),
        regions=frozenset({"eu"}),
        labels=frozenset({"pii"}),
        timeout_s=5.0,
        max_concurrency=2,
        settings={"skill": {"code": 0.9}, "latency_s": 1.0},
    )


def test_an_arm_that_says_little_is_named_like_its_model_and_takes_text():
    arm = parse(SMALL, {}).arms[0].to_arm()
    assert (arm.model, arm.settings, arm.timeout_s) == ("one", {}, 60.0)
    assert arm.capabilities == {"tools", "json"}
    assert arm.cached_input_usd_per_mtok is arm.context_window is arm.max_concurrency is None


def test_each_kind_of_provider_has_its_own_keys():
    text = SMALL.replace('kind = "simulated"', 'kind = "simulated"\nseed = 7\ndata = "answers"')
    assert parse(text, {}).providers == (
        SimulatedProviderSettings(name="sim", kind="simulated", seed=7, data=Path("answers")),
    )
    text = SMALL.replace('"simulated"', '"openai"\nbase_url = "http://localhost:8000/v1/"')
    assert parse(text, {}).providers == (
        OpenAIProviderSettings(name="sim", kind="openai", base_url="http://localhost:8000/v1/"),
    )


def test_a_provider_that_no_arm_uses_is_left_out():
    text = SMALL + '[[providers]]\nname = "idle"\nkind = "simulated"\n'
    assert [provider.name for provider in parse(text, {}).providers] == ["sim"]


def test_durations_and_whole_numbers_serve_as_seconds():
    assert parse('[store]\ndecision_ttl = "90s"\n' + SMALL, {}).store.decision_ttl_s == 90.0
    assert parse("[store]\ndecision_ttl = 45\n" + SMALL, {}).store.decision_ttl_s == 45.0


def test_without_its_table_there_is_no_judge():
    assert parse(SMALL, {}).judge is None


def test_a_judge_needs_only_its_arm():
    settings = parse(SECOND + '[judge]\narm = "two"\n', {})
    judge = settings.judge
    assert (judge.arm, judge.share, judge.skip_own) == ("two", 0.05, True)
    assert (judge.usd_per_day, judge.max_concurrency, judge.queue) == (1.0, 2, 100)
    assert judge.timeout_s == 30.0
    assert len(judge.rubric) > 100
    assert settings.judged_by(judge) == {"auto"}


def test_a_judge_grades_the_routers_that_it_names_by_name_or_by_pattern():
    routers = "".join(f'[[routers]]\nname = "{name}"\n' for name in ("a-1", "a-2", "b", "c"))
    settings = parse(SECOND + routers + '[judge]\narm = "two"\nrouters = ["a-*", "c"]\n', {})
    assert settings.judged_by(settings.judge) == {"a-1", "a-2", "c"}


def test_settings_cannot_be_changed():
    settings = parse(SMALL, {})
    with pytest.raises(ValidationError):
        settings.server.port = 1
    with pytest.raises(ValidationError):
        settings.server = None


def test_a_file_is_loaded_with_or_without_a_byte_order_mark(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(SMALL, encoding="utf-8-sig")
    assert load(path, {}) == parse(SMALL, {})


def test_a_missing_file_says_where_it_was_looked_for_and_how_to_make_one(tmp_path):
    path = tmp_path / "nowhere.toml"
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert str(path.absolute()) in str(caught.value)
    assert "default_text" in str(caught.value)


def test_a_folder_and_a_binary_file_are_refused_in_words(tmp_path):
    with pytest.raises(ConfigError, match="is a folder"):
        load(tmp_path, {})
    (tmp_path / "latin.toml").write_bytes(b'[server]\nhost = "\xff"\n')
    with pytest.raises(ConfigError, match=r"not UTF-8 text \(byte 17\)"):
        load(tmp_path / "latin.toml", {})


def test_a_syntax_error_names_line_and_column():
    assert problems_of('[server]\nhost = "a\n') == (
        "not valid TOML: Illegal character '\\n' (at line 2, column 10)",
    )


@pytest.mark.parametrize("text", ["a = " + "[" * 9999, "a = " + "9" * 5000, "a = 1\na = 2"])
def test_hostile_toml_is_a_config_error_too(text):
    assert len(problems_of(text)) == 1


def test_a_path_that_cannot_be_read_is_refused_in_words(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be read: Not a directory"):
        load(tmp_path / "file" / "config.toml", {})


def test_the_error_names_its_source(tmp_path):
    (tmp_path / "mine.toml").write_text("")
    with pytest.raises(ConfigError, match=r"mine\.toml: 1 problem\n"):
        load(tmp_path / "mine.toml", {})
