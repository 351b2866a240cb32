"""Every mistake is reported with its line, its key, and what to change. All of them at once."""

import pytest

from banditroute.config import ServerSettings, parse
from banditroute.config.problems import translate
from banditroute.errors import ConfigError

PROVIDER = '[[providers]]\nname = "sim"\nkind = "simulated"\n'
REAL = '[[providers]]\nname = "real"\nkind = "openai"\nbase_url = "http://h/v1"\n'
PRICES = "input_usd_per_mtok = 1\noutput_usd_per_mtok = 1\n"
ARM = f'[[arms]]\nid = "one"\nprovider = "sim"\n{PRICES}'
BASE = PROVIDER + ARM
KEY = f"[[keys]]\nname = 'a'\nhash = '{'0' * 64}'\n"
BELOW = BASE.count("\n")  # a snippet added after the base begins on the next line


def problems_of(text, env=None):
    with pytest.raises(ConfigError) as caught:
        parse(text, env or {})
    return list(caught.value.problems)


# Each: what is added to a sound file, on which of its lines the mistake is, the key, the words.
ADDED = [
    ("[sever]\n", 1, "sever", 'unknown key; did you mean "server"?'),
    ("[zzz]\n", 1, "zzz", "known here: arms, budgets, features, judge"),
    ("[[rules]]\n", 1, "rules", "not supported by this version"),
    (KEY.replace("name = 'a'\n", ""), 1, "keys[0].name", "missing"),
    ("[[keys]]\nname = 'a'\n", 1, "keys[0].hash", "banditroute keys new"),
    (KEY + "role = 'admin'\n", 4, "keys[0].role", 'did you mean "roles"?'),
    ("[[keys]]\nname = 'a'\nhash = 'br-secret'\n", 3, "keys[0].hash", "the 64 hex digits"),
    (KEY + "roles = ['root']\n", 4, "keys[0].roles[0]", '"client", "feedback", "admin"'),
    (KEY + "roles = []\n", 4, "keys[0].roles", "must not be empty"),
    (KEY + KEY.replace("'a'", "'b'"), 6, "keys[1].hash", "the same key as on line"),
    (KEY + KEY.replace("0", "1"), 5, "keys[1].name", "is already keys[0].name"),
    (KEY + "feedback_share = 0\n", 4, "keys[0].feedback_share", "must be ≥ 0.001, is 0"),
    (KEY + "feedback_share = 5\n", 4, "keys[0].feedback_share", "must be ≤ 1, is 5"),
    (KEY + "feedback_share = '5%'\n", 4, "keys[0].feedback_share", "number, without quotes"),
    (KEY + "source_share = 0.1\n", 4, "keys[0].source_share", "belongs into [[routers]]"),
    ("[server]\nfeedback_share = 0.1\n", 2, "server.feedback_share", "belongs into [[keys]]"),
    ("[server]\n\nprot = 1\n", 3, "server.prot", 'did you mean "port"?'),
    ("[server]\nworkers = 0\n", 2, "server.workers", "must be ≥ 1, is 0"),
    ("[server]\nworkers = 65\n", 2, "server.workers", "must be ≤ 64, is 65"),
    ("[server]\npolicy = 'fixed'\n", 2, "server.policy", "belongs into [[routers]]"),
    ("[server]\nport = '80'\n", 2, "server.port", "must be a whole number, without quotes"),
    ("[server]\nport = 80.5\n", 2, "server.port", "must be a whole number"),
    ("[server]\nport = true\n", 2, "server.port", "must be a whole number"),
    ("[server]\nport = 70000\n", 2, "server.port", "must be ≤ 65535, is 70000"),
    ("[server]\nhost = ''\n", 2, "server.host", "must not be empty"),
    ("[server]\nhost = 1\n", 2, "server.host", "must be a string in quotes"),
    ("[server]\nmax_body_bytes = 1023\n", 2, "server.max_body_bytes", "must be ≥ 1024, is 1023"),
    ("[server]\nmax_concurrency = 0\n", 2, "server.max_concurrency", "must be ≥ 1"),
    ("[server]\nkeep_alive_s = 0\n", 2, "server.keep_alive_s", "must be ≥ 1, is 0"),
    ("[server]\nshutdown_grace_s = -0.5\n", 2, "server.shutdown_grace_s", "must be ≥ 0, is -0.5"),
    ("[[server]]\n", 1, "server", "must be one table; begin it with [server]"),
    ("[tasks]\n", 1, "tasks", "must be an array of tables; begin each with [[tasks]]"),
    ("[store]\nurl = 'redis://'\n", 2, "store.url", "HOST:PORT"),
    ("[store]\noutbox = 1\n", 2, "store.outbox", "a string in quotes"),
    ("[store]\nurl = 'file.db'\n", 2, "store.url", "sqlite:///FILE"),
    ("[store]\ndecision_ttl = 'soon'\n", 2, "store.decision_ttl", '"30d"'),
    ("[store]\ndecision_ttl = true\n", 2, "store.decision_ttl", '"30d"'),
    ("[store]\ndecision_ttl = 0\n", 2, "store.decision_ttl", "must be > 0, is 0"),
    ("[store]\ndecision_ttl = '9999d'\n", 2, "store.decision_ttl", "must be ≤ 315360000"),
    ("[store]\ndecision_ttl_s = 5\n", 2, "store.decision_ttl_s", 'did you mean "decision_ttl"?'),
    ("[features]\ntext = 'hash'\n", 2, "features.text", 'did you mean "hashed"?'),
    ("[features]\ntask_slots = 7\n", 2, "features.task_slots", "must be ≥ 8, is 7"),
    ("[features]\ntask_slots = 257\n", 2, "features.task_slots", "must be ≤ 256"),
    ("[logging]\nlevel = 'INFO'\n", 2, "logging.level", '"debug", "info", "warning", "error"'),
    ("[logging]\nprompts = 'all'\n", 2, "logging.prompts", "must be true or false"),
    ("[[tasks]]\nexamples = ['a']\n", 1, "tasks[0].name", "missing"),
    ("[[tasks]]\nname = ' a'\nexamples = ['a']\n", 2, "tasks[0].name", "without outer spaces"),
    ("[[tasks]]\nname = 'a'\nexamples = 'x'\n", 3, "tasks[0].examples", "must be an array"),
    ("[[tasks]]\nname = 'a'\nexamples = [\n'',\n]\n", 3, "tasks[0].examples[0]", "not be empty"),
    (
        "[[tasks]]\nname = 'a'\nexamples = ['x']\n" * 2,
        5,
        "tasks[1].name",
        f'"a" is already tasks[0].name on line {BELOW + 2}',
    ),
]


def router(line, key="name = 'r'"):
    return f"[[routers]]\n{key}\n{line}\n"


ADDED += [
    (router("name2 = 1"), 3, "routers[0].name2", 'did you mean "name"?'),
    (router("floor = 0.6"), 3, "routers[0].floor", "must be ≤ 0.5, is 0.6"),
    (router("floor = nan"), 3, "routers[0].floor", "must be a finite number"),
    (router("floor = '1'"), 3, "routers[0].floor", "must be a number, without quotes"),
    (router("half_life = 'soon'"), 3, "routers[0].half_life", 'a duration above 0 such as "14d"'),
    (router("half_life = '0s'"), 3, "routers[0].half_life", "a duration above 0"),
    (router("half_life = 10"), 3, "routers[0].half_life", "a number of readings, at least 50"),
    (router("half_life = true"), 3, "routers[0].half_life", 'must be "off"'),
    (router("winsorise = -1"), 3, "routers[0].winsorise", "must be ≥ 0, is -1"),
    (router("winsorise = 101"), 3, "routers[0].winsorise", "must be ≤ 100, is 101"),
    (router("winsorise = nan"), 3, "routers[0].winsorise", "must be a finite number"),
    (router("winsorise = 'off'"), 3, "routers[0].winsorise", "must be a number, without quotes"),
    (router("source_share = 0"), 3, "routers[0].source_share", "must be ≥ 0.001, is 0"),
    (router("source_share = 1.5"), 3, "routers[0].source_share", "must be ≤ 1, is 1.5"),
    (router("feedback_share = 1"), 3, "routers[0].feedback_share", "belongs into [[keys]]"),
    (router("baseline_arm = 'on'"), 3, "routers[0].baseline_arm", 'did you mean "one"?'),
    (router("max_quality_loss = 2"), 3, "routers[0].max_quality_loss", "must be ≤ 1"),
    (router("rules = 1"), 3, "routers[0].rules", "not supported by this version"),
    (router("policy = 'thomson'"), 3, "routers[0].policy", 'did you mean "thompson"?'),
    (router("policy = 1"), 3, "routers[0].policy", "must be one of"),
    (router("policy = 'fixed'"), 1, "routers[0].default_arm", 'missing; policy = "fixed" needs'),
    (router("default_arm = 'on'"), 3, "routers[0].default_arm", 'did you mean "one"?'),
    (router("default_arm = 'x'"), 3, "routers[0].default_arm", "no arm of this router; it has one"),
    (router("arms = []"), 3, "routers[0].arms", "must not be empty"),
    (router("arms = '*'"), 3, "routers[0].arms", "must be an array"),
    (router("arms = ['*', 'gpt-*']"), 3, "routers[0].arms[1]", '"gpt-*" matches no arm'),
    (router("arms = ['onee']"), 3, "routers[0].arms[0]", 'did you mean "one"?'),
    (router("answer_value_usd = 0"), 3, "routers[0].answer_value_usd", "must be > 0, is 0"),
    (router("answer_value_usd = inf"), 3, "routers[0].answer_value_usd", "finite"),
    (router("patience_s = -1"), 3, "routers[0].patience_s", "must be > 0, is -1"),
    (router("max_attempts = 0"), 3, "routers[0].max_attempts", "must be ≥ 1, is 0"),
    (router("max_attempts = 11"), 3, "routers[0].max_attempts", "must be ≤ 10, is 11"),
    (router("seed = -1"), 3, "routers[0].seed", "must be ≥ 0"),
    (router("epsilon = 1.5"), 3, "routers[0].epsilon", "must be ≤ 1"),
    (router("linucb_alpha = -1"), 3, "routers[0].linucb_alpha", "must be ≥ 0"),
    (router("seed = 1", "name = 'Auto'"), 2, "routers[0].name", "small letters"),
    (router("seed = 1", "name = 'r' # x") + router(""), 5, "routers[1].name", "already routers[0]"),
    (router("", "name = 'one'"), 2, "routers[0].name", "is also arms[0].id on line 5"),
    (router("seed = 1", ""), 1, "routers[0].name", "missing"),
]


def arm(line="", arm_id="id = 'two'", provider="provider = 'sim'", prices=PRICES):
    return f"[[arms]]\n{arm_id}\n{provider}\n{line}\n{prices}"


ADDED += [
    (arm(arm_id=""), 1, "arms[1].id", "missing; every arm needs an id"),
    (arm(arm_id="id = 'a b'"), 2, "arms[1].id", "must be 1 to 128 letters"),
    (arm(arm_id="id = 'one'"), 2, "arms[1].id", '"one" is already arms[0].id on line 5'),
    (arm(arm_id="id = 'auto'"), 2, "arms[1].id", "the router of a file without [[routers]]"),
    (arm(provider=""), 1, "arms[1].provider", "missing"),
    (arm(provider="provider = 'smi'"), 3, "arms[1].provider", 'did you mean "sim"?'),
    (arm(provider="provider = 'zzzz'"), 3, "arms[1].provider", 'no [[providers]] is named "zzzz"'),
    (
        arm(prices="output_usd_per_mtok = 1"),
        1,
        "arms[1].input_usd_per_mtok",
        "missing; every arm needs a price, 0.0 for a free one",
    ),
    (
        arm(prices="input_usd_per_mtok = 0\noutput_usd_per_mtok = -1"),
        6,
        "arms[1].output_usd_per_mtok",
        "must be ≥ 0, is -1",
    ),
    (arm("context_window = 0"), 4, "arms[1].context_window", "must be > 0"),
    (arm("context_window = 1e5"), 4, "arms[1].context_window", "must be a whole number"),
    (arm("capabilities = ['tool']"), 4, "arms[1].capabilities[0]", 'did you mean "tools"?'),
    (arm("regions = 'eu'"), 4, "arms[1].regions", "must be an array"),
    (arm("labels = ['a b']"), 4, "arms[1].labels[0]", "1 to 64 letters"),
    (arm("labels = [1]"), 4, "arms[1].labels[0]", "must be a string"),
    (arm("timeout_s = 0"), 4, "arms[1].timeout_s", "must be > 0"),
    (arm("timeout_s = 3601"), 4, "arms[1].timeout_s", "must be ≤ 3600"),
    (arm("max_concurrency = 0"), 4, "arms[1].max_concurrency", "must be ≥ 1"),
    (arm("model = ''"), 4, "arms[1].model", "must not be empty"),
    (arm("cached_input_usd_per_mtok = -1"), 4, "arms[1].cached_input_usd_per_mtok", "≥ 0"),
    (arm("latency_s = 1"), 4, "arms[1].latency_s", "belongs into simulated = {...} of [[arms]]"),
    (arm("simulated = 1"), 4, "arms[1].simulated", "must be a table"),
    (arm("simulated = {skil = {}}"), 4, "arms[1].simulated.skil", 'did you mean "skill"?'),
    (arm("simulated = {skill = 1}"), 4, "arms[1].simulated.skill", "must be a table"),
    (arm("simulated.skill.code = 1.1"), 4, "arms[1].simulated.skill.code", "must be ≤ 1, is 1.1"),
    (arm("simulated.skill.'a b' = 1"), 4, 'arms[1].simulated.skill."a b"', "1 to 64 letters"),
    (arm("simulated.failure_rate = 2"), 4, "arms[1].simulated.failure_rate", "must be ≤ 1"),
    (arm("simulated.output_tokens = 0"), 4, "arms[1].simulated.output_tokens", "must be ≥ 1"),
    (arm("simulated.latency_s = -1"), 4, "arms[1].simulated.latency_s", "must be ≥ 0"),
    (
        arm("simulated = {}", provider="provider = 'real'") + REAL,
        4,
        "arms[1].simulated",
        "only for the arms of a simulated provider",
    ),
]


def provider(line="", name="name = 'x'", kind="kind = 'openai'", url="base_url = 'http://h'"):
    return f"[[providers]]\n{name}\n{kind}\n{url}\n{line}\n"


ADDED += [
    (provider(name=""), 1, "providers[1].name", "missing"),
    (provider(name="name = 'sim'"), 2, "providers[1].name", "is already providers[0].name"),
    (provider(kind=""), 1, "providers[1].kind", 'missing; say kind = "openai" or'),
    (provider(kind="kind = 'opnai'"), 3, "providers[1].kind", 'must be one of "openai", "simu'),
    (provider(kind="kind = 'x'", url=""), 3, "providers[1].kind", 'must be one of "openai", "simu'),
    (provider(url=""), 1, "providers[1].base_url", "missing; say where its API is"),
    (provider(url="base_url = 'h/v1'"), 4, "providers[1].base_url", "http:// or https://"),
    (provider(url="base_url = 'http://169.254.169.254'"), 4, "providers[1].base_url", "metadata"),
    (provider(url="base_url = 1"), 4, "providers[1].base_url", "must be a string"),
    (provider(kind="kind = 'simulated'"), 4, "providers[1].base_url", 'of kind "openai"'),
    (provider("seed = 1"), 5, "providers[1].seed", "belongs into [[routers]] or [[providers]] of"),
    (provider("data = 'x'"), 5, "providers[1].data", 'of kind "simulated"'),
    (provider("headers = 1"), 5, "providers[1].headers", "must be a table"),
    (provider("headers = {a = 1}"), 5, "providers[1].headers.a", "must be a string"),
    (provider("headers.'a b' = 'x'"), 5, 'providers[1].headers."a b"', "named as HTTP headers"),
    (provider("api_key = 1"), 5, "providers[1].api_key", "must be a string"),
    (
        provider("time_scale = -1", kind="kind = 'simulated'", url=""),
        5,
        "providers[1].time_scale",
        "must be ≥ 0",
    ),
    (provider("data = 3", kind="kind = 'simulated'", url=""), 5, "providers[1].data", "a string"),
]


def judge(line="", arm_name="arm = 'one'"):
    return f"[judge]\n{arm_name}\n{line}\n"


ADDED += [
    (judge(arm_name=""), 1, "judge.arm", "missing; name the arm that judges"),
    (
        judge(arm_name="arm = 'on'"),
        2,
        "judge.arm",
        'no [[arms]] has the id "on"; did you mean "one"?',
    ),
    (judge(arm_name="arm = 1"), 2, "judge.arm", "must be a string in quotes"),
    (judge(arm_name="arm = 'two'") + arm("capabilities = []"), 2, "judge.arm", 'capability "json"'),
    (judge("model = 'x'"), 3, "judge.model", "it belongs into [[arms]]"),
    (judge("shares = 0.5"), 3, "judge.shares", 'did you mean "share"?'),
    (judge("share = 1.5"), 3, "judge.share", "must be ≤ 1, is 1.5"),
    (judge("rubric = ''"), 3, "judge.rubric", "must not be empty"),
    (judge("rubric = '${RUBRIC}'"), 3, "judge.rubric", "write it out"),
    (judge("routers = []"), 3, "judge.routers", "must not be empty"),
    (judge("routers = 'auto'"), 3, "judge.routers", "must be an array"),
    (judge("routers = ['*', 'atuo']"), 3, "judge.routers[1]", 'no router; did you mean "auto"?'),
    (judge("routers = ['auto']") + router(""), 3, "judge.routers[0]", '"auto" matches no router'),
    (judge("skip_own = 1"), 3, "judge.skip_own", "must be true or false"),
    (judge("usd_per_day = 0"), 3, "judge.usd_per_day", "must be > 0, is 0"),
    (judge("usd_per_day = inf"), 3, "judge.usd_per_day", "finite"),
    (judge("max_concurrency = 0"), 3, "judge.max_concurrency", "must be ≥ 1"),
    (judge("max_concurrency = 65"), 3, "judge.max_concurrency", "must be ≤ 64"),
    (judge("queue = 0"), 3, "judge.queue", "must be ≥ 1, is 0"),
    (judge("queue = 10001"), 3, "judge.queue", "must be ≤ 10000"),
    (judge("timeout_s = 0"), 3, "judge.timeout_s", "must be > 0"),
    ("[[judge]]\narm = 'one'\n", 1, "judge", "must be one table; begin it with [judge]"),
    ("[server]\nskip_own = true\n", 2, "server.skip_own", "it belongs into [judge]"),
]


@pytest.mark.parametrize(("snippet", "line", "key", "words"), ADDED)
def test_one_mistake_is_one_problem_with_line_key_and_words(snippet, line, key, words):
    (problem,) = problems_of(BASE + snippet)
    assert problem.startswith(f"line {BELOW + line}: {key}: ")
    assert words in problem


def test_all_mistakes_in_one_file_are_reported_in_the_order_of_the_file():
    snippets = [case for case in ADDED if case[0].startswith("[[arms]]") and case[1] == 4]
    assert len(snippets) > 15
    text = BASE + "".join(snippet for snippet, *_ in snippets)
    problems = problems_of(text)
    numbers = [int(problem.removeprefix("line ").partition(":")[0]) for problem in problems]
    assert numbers == sorted(numbers)
    for index, (_, _, key, words) in enumerate(snippets):
        place = f": {key.replace('arms[1]', f'arms[{index + 1}]')}: "
        assert any(place in problem and words in problem for problem in problems)


def test_every_repetition_of_a_name_points_to_the_first():
    problems = problems_of(BASE + 2 * arm(arm_id="id = 'one'"))
    assert [problem.partition(";")[0] for problem in problems] == [
        f'line {BELOW + 2}: arms[1].id: "one" is already arms[0].id on line 5',
        f'line {BELOW + 8}: arms[2].id: "one" is already arms[0].id on line 5',
    ]


def test_an_arm_may_be_named_auto_where_the_routers_are_named_otherwise():
    settings = parse(BASE + arm(arm_id="id = 'auto'") + router(""), {})
    assert [arm.id for arm in settings.arms] == ["one", "auto"]


def test_a_table_with_one_mistake_still_shows_its_others():
    text = BASE + "[[routers]]\nname = 'R'\nfloor = 9\narms = ['x']\ndefault_arm = 'y'\n"
    keys = [problem.split(": ")[1] for problem in problems_of(text)]
    assert keys == [f"routers[0].{key}" for key in ("name", "floor", "arms[0]", "default_arm")]


def test_a_mistake_in_every_table_at_once_hides_none():
    text = (
        "[server]\nport = -1\n[store]\nurl = ''\n[features]\ntext = ''\n[logging]\nlevel = ''\n"
        "[[routers]]\nname = ''\n[[arms]]\nid = ''\n[[providers]]\nname = ''\n"
        "[[tasks]]\nname = ''\n[rules]\n"
    )
    found = {problem.split(": ")[1] for problem in problems_of(text)}
    assert found >= {
        *("server.port", "store.url", "features.text", "logging.level", "routers[0].name"),
        *("arms[0].id", "arms[0].provider", "arms[0].input_usd_per_mtok"),
        *("arms[0].output_usd_per_mtok", "providers[0].name", "providers[0].kind"),
        *("tasks[0].name", "rules"),
    }


@pytest.mark.parametrize("text", ["", "arms = []\n", PROVIDER])
def test_without_arms_there_is_one_problem_and_it_says_so(text):
    (problem,) = problems_of(text)
    assert "arms: missing; add at least one [[arms]]" in problem


def test_single_brackets_around_an_array_are_the_only_thing_said_of_it():
    assert problems_of(PROVIDER + ARM.replace("[[arms]]", "[arms]")) == [
        "line 4: arms: must be an array of tables; begin each with [[arms]]"
    ]


@pytest.mark.parametrize("text", ["arms = 1", "arms = [1]", "server = 1\narms = [[]]"])
def test_no_shape_of_a_table_breaks_the_checks(text):
    assert any("arms: must be an array of tables" in problem for problem in problems_of(text))


def test_an_error_type_that_pydantic_may_invent_is_put_into_words_without_its_input():
    error = {"type": "new", "loc": ("port",), "msg": "Input should be prime", "input": "canary"}
    problem = translate(ServerSettings, ("server",), error)
    assert (problem.path, problem.text) == (("server", "port"), "must be prime")
