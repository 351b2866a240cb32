"""Budgets in the file: what each table says, and every mistake that can be made in one."""

import pytest

from banditroute.config import parse
from banditroute.core.pacing import Budget
from banditroute.errors import ConfigError

BASE = """
[[providers]]
name = "sim"
kind = "simulated"

[[arms]]
id = "one"
provider = "sim"
input_usd_per_mtok = 1
output_usd_per_mtok = 1

[[keys]]
name = "team-a"
hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

"""
BELOW = BASE.count("\n")  # a snippet added after the base begins on the next line
TWO = '[[routers]]\nname = "r-1"\n{budget}\n[[routers]]\nname = "r-2"\n'


def budgets_of(text, router=0):
    settings = parse(text, {})
    return settings.budgets_of(settings.routers[router])


def test_without_its_tables_nothing_is_limited():
    assert budgets_of(BASE) == ()


def test_a_routers_budget_is_its_own():
    text = BASE + TWO.format(budget="[routers.budget]\nusd_per_day = 2")
    assert budgets_of(text) == (Budget(payer="", usd_per_day=2.0),)
    assert budgets_of(text, router=1) == ()


def test_every_limit_of_a_budget_holds_at_once():
    text = TWO.format(
        budget="budget = {usd_per_request = 0.5, usd_per_day = 2, usd_per_month = 30, "
        'min_quality = 0.75, when_spent = "refuse"}'
    )
    assert budgets_of(BASE + text) == (
        Budget(
            payer="",
            usd_per_request=0.5,
            usd_per_day=2.0,
            usd_per_month=30.0,
            least_quality=0.75,
            refuse=True,
        ),
    )


def test_a_budget_of_a_tag_or_a_key_is_kept_by_the_routers_it_names():
    text = BASE + TWO.format(budget="") + '[[budgets]]\ntag = "batch"\nusd_per_day = 1\n'
    text += '[[budgets]]\nkey = "team-a"\nrouters = ["*-2"]\nusd_per_month = 9\n'
    tag, key = Budget(payer="tag:batch", usd_per_day=1.0), Budget("key:team-a", usd_per_month=9.0)
    assert budgets_of(text) == (tag,)
    assert budgets_of(text, router=1) == (tag, key)


def test_a_key_may_say_what_it_spends_a_day_on_a_line_of_its_own():
    assert budgets_of(BASE + "usd_per_day = 3\n") == (Budget(payer="key:team-a", usd_per_day=3.0),)


def router(line):
    return f'[[routers]]\nname = "r"\n{line}\n'


def budget(line, payer='tag = "t"'):
    return f"[[budgets]]\n{payer}\n{line}\n"


NOTHING = "limits nothing; give it usd_per_request, usd_per_day, usd_per_month or min_quality"
# Each: what is added to a sound file, on which of its lines the mistake is, the key, the words.
MISTAKES = [
    (router("[routers.budget]"), 3, "routers[0].budget", NOTHING),
    (router('budget = {when_spent = "refuse"}'), 3, "routers[0].budget", NOTHING),
    (router("budget = 1"), 3, "routers[0].budget", "must be a table"),
    (router("usd_per_day = 1"), 3, "routers[0].usd_per_day", "[routers.budget]"),
    (router("usd_per_request = 1"), 3, "routers[0].usd_per_request", "[[budgets]]"),
    (
        router("[routers.budget]\nusd_per_dya = 1"),
        4,
        "routers[0].budget.usd_per_dya",
        'did you mean "usd_per_day"?',
    ),
    (
        router("[routers.budget]\nusd_per_day = 0"),
        4,
        "routers[0].budget.usd_per_day",
        "must be > 0, is 0",
    ),
    (
        router("[routers.budget]\nusd_per_day = 1\nwhen_spent = 'stop'"),
        5,
        "routers[0].budget.when_spent",
        'must be one of "cheapest", "refuse", is "stop"',
    ),
    (
        router("[routers.budget]\nusd_per_day = 1\ntag = 't'"),
        5,
        "routers[0].budget.tag",
        "it belongs into [[budgets]]",
    ),
    (budget(""), 1, "budgets[0]", NOTHING),
    (budget("usd_per_day = 1", payer=""), 1, "budgets[0]", 'give it tag = "..." or key = "..."'),
    (
        budget("usd_per_day = 1\nkey = 'team-a'"),
        4,
        "budgets[0].key",
        "stands beside a tag; a budget is for one of the two",
    ),
    (
        budget("usd_per_day = 1", payer="key = 'taem-a'"),
        2,
        "budgets[0].key",
        'no [[keys]] is named "taem-a"; did you mean "team-a"?',
    ),
    (budget("usd_per_day = 1", payer="key = 'zzz'"), 2, "budgets[0].key", "; add it, or use one"),
    (budget("usd_per_day = 1", payer="key = 1"), 2, "budgets[0].key", "must be a string"),
    (budget("usd_per_day = 1", payer="tag = ''"), 2, "budgets[0].tag", "1 to 200 characters"),
    (budget("usd_per_request = inf"), 3, "budgets[0].usd_per_request", "finite"),
    (budget("usd_per_month = '1'"), 3, "budgets[0].usd_per_month", "without quotes"),
    (budget("min_quality = 1.5"), 3, "budgets[0].min_quality", "must be ≤ 1, is 1.5"),
    (
        budget("usd_per_day = 1\nrouters = ['*', 'atuo']"),
        4,
        "budgets[0].routers[1]",
        'no router; did you mean "auto"?',
    ),
    (budget("usd_per_day = 1\nrouters = []"), 4, "budgets[0].routers", "must not be empty"),
    ("[budgets]\nusd_per_day = 1\n", 1, "budgets", "begin each with [[budgets]]"),
]


@pytest.mark.parametrize(("snippet", "line", "key", "words"), MISTAKES)
def test_one_mistake_is_one_problem_with_line_key_and_words(snippet, line, key, words):
    with pytest.raises(ConfigError) as caught:
        parse(BASE + snippet, {})
    (problem,) = caught.value.problems
    assert problem.startswith(f"line {BELOW + line}: {key}: ")
    assert words in problem


def test_what_a_key_spends_a_day_is_above_nothing():
    with pytest.raises(ConfigError) as caught:
        parse(BASE.replace("[[keys]]", "[[keys]]\nusd_per_day = -1"), {})
    (problem,) = caught.value.problems
    assert "keys[0].usd_per_day: must be > 0, is -1" in problem


def test_mistakes_in_several_budgets_are_all_reported():
    with pytest.raises(ConfigError) as caught:
        parse(BASE + budget("") + budget("usd_per_day = 0", payer="key = 'x'"), {})
    keys = [problem.split(": ")[1] for problem in caught.value.problems]
    assert keys == ["budgets[0]", "budgets[1].key", "budgets[1].usd_per_day"]
