from collections import Counter

import pytest

from banditroute.providers.prompts import MAX_PROMPTS, demo_prompts
from banditroute.providers.tasks import TASKS, task_of


def test_prompts_are_distinct_and_the_same_for_the_same_seed():
    prompts = demo_prompts(5000, seed=3)
    assert prompts == demo_prompts(5000, seed=3)
    assert len({prompt for _, prompt in prompts}) == 5000
    assert not {p for _, p in demo_prompts(100, 4)} <= {p for _, p in demo_prompts(100, 3)}


def test_a_longer_list_begins_with_the_shorter_one():
    assert demo_prompts(200, seed=1)[:50] == demo_prompts(50, seed=1)


def test_the_six_tasks_come_about_equally_often():
    count = 6000
    tasks = Counter(task for task, _ in demo_prompts(count, seed=0))
    assert set(tasks) == set(TASKS)
    sd = (count * (1 / 6) * (5 / 6)) ** 0.5
    assert all(abs(n - count / 6) < 5 * sd for n in tasks.values())


def test_every_template_is_filled():
    assert not any("{" in prompt or "}" in prompt for _, prompt in demo_prompts(5000, seed=2))


def test_the_rules_name_the_task_of_every_demo_prompt():
    assert [p for task, p in demo_prompts(MAX_PROMPTS, seed=5) if task_of(p) != task] == []


@pytest.mark.parametrize("count", [-1, MAX_PROMPTS + 1])
def test_a_count_that_cannot_be_had_is_refused(count):
    with pytest.raises(ValueError, match="count"):
        demo_prompts(count, seed=0)


def test_nothing_is_a_list_too():
    assert demo_prompts(0, seed=0) == []


@pytest.mark.parametrize(
    ("prompt", "task"),
    [
        ("Translate 'my order is late' into German", "translation"),
        ("Summarize this refund policy", "summary"),
        ("def f(x): fix my Python", "code"),
        ("What is 3 + 4?", "maths"),
        ("WHERE IS MY ORDER?", "support"),
        ("Hello there", "chat"),
        ("", "chat"),
        ("x" * 5000 + " translate", "chat"),
    ],
)
def test_the_rules_go_by_what_is_to_be_done_first(prompt, task):
    assert task_of(prompt) == task
