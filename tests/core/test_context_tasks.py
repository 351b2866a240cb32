"""Task slots, and likeness to the examples of tasks."""

import itertools

import numpy as np
import pytest

from banditroute.core.context import Featurizer, TaskSpec
from banditroute.core.context.tasks import MOST_TAGS, TaskSlots
from banditroute.values import Request, Wishes

TASKS = (
    TaskSpec(
        "code",
        (
            "Write a Python function that merges two sorted lists.",
            "Fix this bug: my JavaScript loop never ends.",
            "How do I sort a dictionary by value in Python?",
        ),
    ),
    TaskSpec(
        "maths",
        (
            "Tom has 12 apples and gives 5 to Mary. How many apples are left?",
            "A train travels 60 miles in 2 hours. What is its average speed?",
            "If 3 pens cost $4.50, how much do 7 pens cost?",
        ),
    ),
    TaskSpec(
        "support",
        (
            "My order has not arrived yet, where is my package?",
            "I want a refund for the item I returned last week.",
            "I cannot log in to my account, please reset my password.",
        ),
    ),
)
ASKED = {
    "code": (
        "Please implement a binary search tree in Rust",
        "Why do I get a null pointer exception in this Java method?",
        "Give me a SQL query that joins customers and orders",
        "My TypeScript code does not compile: type 'string' is not assignable to 'number'",
        "What does async/await do in JavaScript?",
        "Write unit tests for the function parse_date(text)",
        "Convert this bash script to PowerShell",
        "How can I read a CSV file with pandas?",
    ),
    "maths": (
        "Anna has 3 bags with 14 marbles each. How many marbles does she have in total?",
        "A baker makes 240 rolls in 8 hours. How many rolls does he make per hour?",
        "Peter is twice as old as Paul. Together they are 36. How old is Paul?",
        "A jacket costs $80 and is reduced by 25%. What is the new price?",
        "There were 45 birds on a tree, 17 flew away and 9 came back. How many are there now?",
        "If 5 workers need 6 days, how many days do 3 workers need?",
        "Mia saves $15 every week. After how many weeks can she buy a bike for $210?",
        "A bus drives 45 km in 30 minutes. What is its speed in km per hour?",
    ),
    "support": (
        "Where is my parcel? The tracking page shows nothing.",
        "I would like to return the shoes and get my money back",
        "I forgot my password and the reset mail never came",
        "You charged my credit card twice for one order",
        "How can I change the address of my delivery?",
        "Please cancel my account",
        "The lamp I ordered arrived broken, I want a replacement",
        "My package was supposed to come last week",
    ),
}


def request(text: str = "hello", **wishes) -> Request:
    return Request({"messages": [{"role": "user", "content": text}]}, Wishes(**wishes))


def group(featurizer: Featurizer, name: str, of: Request) -> np.ndarray:
    places = [i for i, group in enumerate(featurizer.groups) if group == name]
    return featurizer.context(of).x[places]


def test_a_declared_task_has_a_slot_of_its_own_whatever_its_case():
    slots = TaskSlots(["Support", "code"], 8)
    for sent in ("support", " SUPPORT ", "Support"):
        assert slots.vector(Wishes(task=sent)).tolist() == [1.0] + [0.0] * 9


def test_an_undeclared_task_takes_two_distinct_hashed_slots():
    slots = TaskSlots(["code"], 32)
    for i in range(300):
        x = slots.vector(Wishes(task=f"task {i}"))
        assert x[0] == 0
        assert sorted(x[x > 0]) == pytest.approx([0.5**0.5] * 2)


def test_two_names_seldom_share_both_slots():
    """40 names make 780 pairs; by chance 1 in 496 of them coincides, 1.6 in all."""
    slots = TaskSlots([], 32)
    seen = [tuple(slots.vector(Wishes(task=f"name {i}"))) for i in range(40)]
    alike = sum(a == b for a, b in itertools.combinations(seen, 2))
    assert alike <= 6


@pytest.mark.parametrize("count", [1, 2, 5, 20])
def test_tags_share_one_weight(count):
    tags = [f"tag-{i}" for i in range(count)]
    x = TaskSlots(tags, 0).vector(Wishes(tags=tuple(tags)))
    assert x == pytest.approx([count**-0.5] * count)


def test_tags_are_a_set_and_the_task_is_not_counted_again():
    slots = TaskSlots(["a", "b"], 4)
    once = slots.vector(Wishes(task="a", tags=("b",)))
    assert once.tolist() == [1, 1, 0, 0, 0, 0]
    assert (slots.vector(Wishes(task="a", tags=("b", "A", "B ", "", "b"))) == once).all()


def test_only_so_many_tags_are_looked_at():
    slots = TaskSlots([], 32)
    few = tuple(f"t{i}" for i in range(MOST_TAGS))
    many = few + tuple(f"u{i}" for i in range(10_000))
    assert (slots.vector(Wishes(tags=many)) == slots.vector(Wishes(tags=few))).all()


def test_without_hashed_slots_an_undeclared_name_is_not_seen():
    assert not TaskSlots(["code"], 0).vector(Wishes(task="law", tags=("eu",))).any()


@pytest.mark.parametrize("wrong", [1, -1])
def test_hashed_slots_number_none_or_at_least_two(wrong):
    with pytest.raises(ValueError, match="task_slots"):
        Featurizer(task_slots=wrong)


def test_declared_names_that_differ_only_by_case_are_refused():
    with pytest.raises(ValueError, match="case"):
        Featurizer(tasks=[TaskSpec("Code"), TaskSpec("code ")])


def test_likeness_ranks_the_right_task_first_for_most_paraphrases():
    featurizer = Featurizer(tasks=TASKS)
    names = [task.name for task in TASKS]
    hits = {
        name: sum(
            names[group(featurizer, "similar", request(text)).argmax()] == name for text in texts
        )
        for name, texts in ASKED.items()
    }
    assert all(hit >= 6 for hit in hits.values()), hits
    assert sum(hits.values()) >= 21, hits


def test_an_example_itself_is_most_like_its_own_task():
    featurizer = Featurizer(tasks=TASKS)
    for i, task in enumerate(TASKS):
        for example in task.examples:
            x = group(featurizer, "similar", request(example))
            assert x.argmax() == i
            assert x[i] > 0.8


def test_function_words_do_not_make_two_prompts_alike():
    featurizer = Featurizer(
        tasks=[
            TaskSpec("a", ("What is it that you have had to do for them and with these?",)),
            TaskSpec("b", ("Parcel tracking number",)),
        ]
    )
    asked = request("What is it that you have had to do with the parcel tracking number?")
    a, b = group(featurizer, "similar", asked)
    assert b > a


def test_only_tasks_with_examples_have_a_likeness():
    featurizer = Featurizer(tasks=[TaskSpec("law"), *TASKS])
    similar = [name for name in featurizer.names if name.startswith("similar:")]
    assert similar == ["similar:code", "similar:maths", "similar:support"]


def test_a_single_task_is_compared_with_prompts_in_general():
    featurizer = Featurizer(tasks=TASKS[1:2])
    like = group(featurizer, "similar", request("Sue had 20 pears and ate 4. How many are left?"))
    unlike = group(featurizer, "similar", request("Write a poem about autumn"))
    assert like[0] > 1
    assert unlike[0] < like[0] - 1


def test_an_example_of_a_single_task_is_as_like_it_as_a_number_may_be():
    featurizer = Featurizer(tasks=[TaskSpec("poems", ("Write a poem about autumn",))])
    assert group(featurizer, "similar", request("Write a poem about autumn")).tolist() == [4.0]


def test_what_a_prompt_has_in_common_with_all_tasks_counts_for_nothing():
    featurizer = Featurizer(tasks=TASKS)
    for text in ("hello", "My order", ASKED["code"][0]):
        assert group(featurizer, "similar", request(text)).sum() == pytest.approx(0, abs=1e-5)
