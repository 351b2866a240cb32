"""Secrets come from the environment, and are seen nowhere but in the value itself."""

import logging
import traceback

import pytest

from banditroute.config import parse
from banditroute.errors import ConfigError

CANARY = "sk-canary-7f3a91"
ARM = '[[arms]]\nid = "one"\nprovider = "real"\ninput_usd_per_mtok = 1\noutput_usd_per_mtok = 1\n'


def with_provider(*lines):
    return "\n".join(
        [ARM, '[[providers]]\nname = "real"\nkind = "openai"\nbase_url = "https://h/v1"', *lines]
    )


def error_of(text, env=None):
    with pytest.raises(ConfigError) as caught:
        parse(text, env or {})
    return caught.value


def test_a_variable_is_filled_in_whole_or_inside_a_string():
    text = with_provider(
        'api_key = "${KEY}"',
        'headers = {Authorization = "Bearer ${KEY}", X-Both = "${A}-${KEY}", X-Plain = "v1"}',
    )
    (provider,) = parse(text, {"KEY": CANARY, "A": "a"}).providers
    assert provider.api_key.get_secret_value() == CANARY
    assert {name: value.get_secret_value() for name, value in provider.headers.items()} == {
        "Authorization": f"Bearer {CANARY}",
        "X-Both": f"a-{CANARY}",
        "X-Plain": "v1",
    }


def test_the_line_break_behind_a_key_that_was_read_from_a_file_is_dropped():
    (provider,) = parse(with_provider('api_key = "${KEY}"'), {"KEY": f" {CANARY}\n"}).providers
    assert provider.api_key.get_secret_value() == CANARY


def test_what_a_variable_holds_is_not_filled_in_again():
    (provider,) = parse(with_provider('api_key = "${A}"'), {"A": "${B}", "B": CANARY}).providers
    assert provider.api_key.get_secret_value() == "${B}"


def test_settings_never_show_a_secret(caplog):
    text = with_provider('api_key = "${KEY}"', 'headers = {X-Team = "${KEY}"}')
    settings = parse(text, {"KEY": CANARY})
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").info("settings %s %r", settings, settings.providers[0])
    seen = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert CANARY not in seen + caplog.text


def test_a_missing_variable_is_named_with_its_key_and_line():
    error = error_of(with_provider('api_key = "${MY_KEY}"', 'headers = {X-A = "${ONE} ${TWO}"}'))
    places = [
        ("line 11: providers[0].api_key", "MY_KEY"),
        ("line 12: providers[0].headers.X-A", "ONE"),
        ("line 12: providers[0].headers.X-A", "TWO"),
    ]
    way_out = "is not set; set it before starting"
    assert list(error.problems) == [
        f"{place}: environment variable {name} {way_out}" for place, name in places
    ]


@pytest.mark.parametrize("value", ["", " \n"])
def test_an_empty_variable_counts_as_missing(value):
    error = error_of(with_provider('api_key = "${MY_KEY}"'), {"MY_KEY": value})
    assert "environment variable MY_KEY is empty" in str(error)


def test_a_provider_that_no_arm_uses_needs_no_variables():
    idle = (
        '\n[[providers]]\nname = "idle"\nkind = "openai"\nbase_url = "http://i"\napi_key = "${NO}"'
    )
    settings = parse(with_provider() + idle, {})
    assert [provider.name for provider in settings.providers] == ["real"]


@pytest.mark.parametrize(
    ("line", "key"),
    [
        (f'api_key = "{CANARY}"', "api_key"),
        ('api_key = ""', "api_key"),
        ('api_key = "$KEY"', "api_key"),
        (f'headers = {{Authorization = "Bearer {CANARY}"}}', "headers.Authorization"),
        (f'headers = {{x-api-key = "{CANARY}"}}', "headers.x-api-key"),
        (f'headers = {{X-Whatever = "Bearer {CANARY}"}}', "headers.X-Whatever"),
        (f'headers = {{X-Whatever = "{CANARY}"}}', "headers.X-Whatever"),
    ],
)
def test_a_literal_secret_is_refused_with_the_way_out(line, key):
    error = error_of(with_provider(line), {"KEY": CANARY})
    (problem,) = error.problems
    assert problem.startswith(f"line 11: providers[0].{key}: a secret never stands in the file;")
    assert problem.endswith('write "${REAL_API_KEY}" and set that environment variable')


def test_a_literal_secret_is_refused_for_an_unused_provider_too():
    text = with_provider(f'api_key = "{CANARY}"').replace('provider = "real"', 'provider = "sim"')
    text += '\n[[providers]]\nname = "sim"\nkind = "simulated"\n'
    assert "never stands in the file" in str(error_of(text))


@pytest.mark.parametrize(
    "env_value", [f"{CANARY}\r\nx: y", f"{CANARY}\nx", f"{CANARY}é", f"a\x00{CANARY}"]
)
def test_a_value_that_cannot_be_sent_is_refused_without_showing_it(env_value):
    error = error_of(with_provider('api_key = "${KEY}"'), {"KEY": env_value})
    (problem,) = error.problems
    assert problem.startswith("line 11: providers[0].api_key: holds a line break")


@pytest.mark.parametrize(
    "lines",
    [
        ['api_key = "${KEY}"', 'base_ulr = "x"'],
        [f'api_key = "{CANARY}"'],
        [f'api_key = ["{CANARY}"]'],
        [f'headers = {{a = ["{CANARY}"], Authorization = "{CANARY}"}}'],
        [f'headers = "{CANARY}"'],
        [f'apikey = "{CANARY}"'],
        [f"api_key = {CANARY}"],
        [f'base_url = "https://u:{CANARY}@h/v1"'],
    ],
)
def test_no_error_and_no_traceback_shows_a_secret(lines):
    text = with_provider(*lines)
    if lines[0].startswith("base_url"):
        text = text.replace('base_url = "https://h/v1"\n', "")
    error = error_of(text, {"KEY": CANARY})
    shown = "".join(traceback.format_exception(error))
    assert CANARY not in shown + repr(error) + repr(error.__context__)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[server]\nhost = "${HOST}"\n' + with_provider(), "server.host"),
        (with_provider('base_url2 = "${X}"'), "providers[0].base_url2"),
        (with_provider().replace("https://h/v1", "https://${HOST}/v1"), "providers[0].base_url"),
        (with_provider().replace("[[arms]]", '[[arms]]\nlabels = ["${X}"]'), "arms[0].labels[0]"),
    ],
)
def test_a_variable_elsewhere_is_refused_instead_of_staying_as_it_is(text, key):
    problems = error_of(text, {"HOST": "h", "X": "x"}).problems
    assert any(f"{key}: ${{...}} is read only in" in problem for problem in problems)


def test_an_example_prompt_may_hold_anything():
    text = with_provider('[[tasks]]\nname = "shell"\nexamples = ["What does ${HOME} expand to?"]')
    assert parse(text, {}).tasks[0].examples == ("What does ${HOME} expand to?",)


def with_store(url):
    return with_provider(f'[store]\nurl = "{url}"')


def test_a_stores_password_is_filled_in_and_quoted():
    settings = parse(with_store("redis://me:${PASSWORD}@h/0"), {"PASSWORD": "p@/: w\n"})
    assert settings.store.url == "redis://me:p%40%2F%3A%20w@h/0"


def test_a_whole_store_url_may_be_one_variable():
    url = f"rediss://me:{CANARY}@h:1/0"
    assert parse(with_store("${REDIS_URL}"), {"REDIS_URL": f"{url}\n"}).store.url == url


def test_a_stores_password_is_never_shown():
    settings = parse(with_store("redis+sentinel://:${P}@h/m?sentinel_password=${P}"), {"P": CANARY})
    seen = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert CANARY not in seen + settings.store.shown_url
    assert CANARY in settings.store.url


@pytest.mark.parametrize(
    "url", [f"redis://:{CANARY}@h", f"redis+sentinel://h/m?sentinel_password={CANARY}"]
)
def test_a_stores_password_never_stands_in_the_file(url):
    error = error_of(with_store(url))
    assert "store.url: a secret never stands in the file" in str(error)
    assert "${REDIS_PASSWORD}" in str(error)
    assert CANARY not in str(error)


def test_a_missing_password_of_a_store_is_named():
    error = error_of(with_store("redis://:${NOT_THERE}@h"))
    assert "store.url: environment variable NOT_THERE is not set" in str(error)


def test_a_store_url_from_the_environment_that_cannot_be_used_is_not_repeated():
    error = error_of(with_store("${REDIS_URL}"), {"REDIS_URL": f"amqp://u:{CANARY}@h"})
    assert "store.url: must be" in str(error)
    assert CANARY not in str(error)
