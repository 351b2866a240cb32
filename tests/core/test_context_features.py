"""The whole of x: bounded, exact, the same everywhere, and little moved by what means nothing."""

import os
import subprocess
import sys
from hashlib import blake2b
from importlib import resources
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from banditroute.core.context import Featurizer, TaskSpec, constants
from banditroute.core.context.shape import SHAPE
from banditroute.core.context.text import shipped_projection
from banditroute.values import Request, Wishes

TASKS = (
    TaskSpec("code", ("Write a Python function that sorts a list.",)),
    TaskSpec("support", ("Where is my order?", "I want a refund.")),
    TaskSpec("law"),
)
FULL = Featurizer(tasks=TASKS)

REALISTIC = (
    "What is the capital of Australia?",
    "Write a short poem about the first snow of the year.",
    "Tom has 12 apples and gives 5 to Mary. How many apples does he have left?",
    "Why does this fail?\n```python\ndef f(x):\n    return x + '1'\n```\nTypeError: unsupported",
    "Summarize this email in two sentences:\n\nDear team, the launch moves to May. Tell clients.",
    "Which of these is a mammal?\nA. shark\nB. dolphin\nC. trout\nD. salmon\nAnswer with a letter.",
    "My order #48213 arrived damaged and nobody answers my mails. What can I do?",
    "Translate into French: The meeting has been postponed until next Tuesday at 10 am.",
    "List three advantages and three disadvantages of remote work for small companies.",
    "Compute the integral of x^2 * sin(x) from 0 to \\pi and show every step.",
)
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
ODD_CONTENT = {
    "empty": "",
    "blank": " \n\t ",
    "one letter": "a",
    "one megabyte": "word " * 200_000,
    "one megabyte without a space": "x" * 1_000_000,
    "one megabyte of digits": "7" * 1_000_000,
    "all capitals": "HELLO WORLD " * 50,
    "only punctuation": "?!.,;:" * 100,
    "like a binary": "".join(map(chr, range(256))) * 20,
    "NUL": "\0" * 100,
    "emoji": "😀🎉👩‍👩‍👧" * 50,
    "right to left": "مرحبا كيف حالك؟ " * 20,
    "Chinese": "你好，请介绍一下北京的历史和文化。" * 10,
    "grows under case folding": "ΐß" * 1000,
    "lone surrogates": "\ud800\udfff" * 10,
    "image only": [IMAGE],
    "no content": None,
    "a number": 7,
    "a mapping": {"text": "hello"},
    "parts of wrong types": [None, 3, "text", {"type": []}, {"type": "text", "text": 5}, [[]]],
    "unknown part": [{"type": "video", "video": {}}],
}
ODD_BODIES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "messages is None": {"messages": None},
    "messages is a text": {"messages": "hello"},
    "messages of wrong types": {"messages": [None, 1, "x", [], {}, {"role": []}]},
    "ten thousand messages": {"messages": [{"role": "user", "content": "hi"}] * 10_000},
    "tools only": {"messages": [{"role": "tool", "content": "42"}], "tools": [None, {}, 3]},
    "calls only": {"messages": [{"role": "assistant", "content": None, "tool_calls": [{}]}]},
    "wrong types everywhere": {
        "messages": {"role": "user"},
        "tools": {"a": 1},
        "functions": "f",
        "response_format": ["json_object"],
        "modalities": "audio",
        "max_tokens": "many",
        "max_completion_tokens": None,
    },
    "huge limit": {"max_tokens": 10**400},
}

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()), max_size=200)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=8,
)
PART = JSON | st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image_url", "input_audio"]) | JSON}, optional={"text": JSON}
)
MESSAGE = JSON | st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "system", "assistant", "tool"]) | JSON,
        "content": ANY_TEXT | st.lists(PART, max_size=3) | JSON,
    },
    optional={"tool_calls": JSON, "function_call": JSON},
)
BODY = st.fixed_dictionaries(
    {"messages": st.lists(MESSAGE, max_size=4) | JSON},
    optional={
        "tools": JSON,
        "functions": JSON,
        "response_format": JSON,
        "modalities": JSON,
        "max_tokens": JSON,
        "max_completion_tokens": JSON,
    },
)
WISHES = st.builds(
    Wishes, task=st.none() | ANY_TEXT, tags=st.lists(ANY_TEXT, max_size=5).map(tuple)
)


def asking(content: Any, **wishes: Any) -> Request:
    return Request({"messages": [{"role": "user", "content": content}]}, Wishes(**wishes))


def group(name: str, content: Any, featurizer: Featurizer = FULL) -> np.ndarray:
    places = [i for i, group in enumerate(featurizer.groups) if group == name]
    return featurizer.context(asking(content)).x[places]


def feature(name: str, body: dict[str, Any]) -> float:
    return float(FULL.context(Request(body)).x[FULL.names.index(name)])


def check(request: Request) -> None:
    context = FULL.context(request)
    x = context.x
    assert x.shape == (FULL.dimension,)
    assert x.dtype == np.float64
    assert np.isfinite(x).all()
    assert np.abs(x).max() <= 4
    assert (x == x.astype(np.float32)).all()
    assert not x.flags.writeable
    assert context.input_tokens >= 0
    assert context.needs <= {"tools", "vision", "audio", "json"}
    assert (FULL.context(request).x == x).all()


@pytest.mark.parametrize("content", ODD_CONTENT.values(), ids=ODD_CONTENT)
def test_odd_content_gives_a_bounded_vector_that_float32_holds(content):
    check(asking(content))


@pytest.mark.parametrize("body", ODD_BODIES.values(), ids=ODD_BODIES)
def test_odd_bodies_give_a_bounded_vector_that_float32_holds(body):
    check(Request(body))


@given(BODY, WISHES)
def test_any_body_gives_a_bounded_vector_that_float32_holds(body, wishes):
    check(Request(body, wishes))


def test_names_and_groups_describe_x_in_order():
    assert len(FULL.names) == len(FULL.groups) == FULL.dimension == len(set(FULL.names))
    assert list(dict.fromkeys(FULL.groups)) == ["bias", "shape", "text", "task", "similar"]
    assert sorted(FULL.groups, key=["bias", "shape", "text", "task", "similar"].index) == list(
        FULL.groups
    )
    assert {"bias", "shape:code", "text:07", "task:support", "task:#12", "similar:support"} <= set(
        FULL.names
    )
    assert "similar:law" not in FULL.names
    assert FULL.context(asking("x")).x[0] == 1


def test_without_text_only_the_text_group_is_missing():
    bare = Featurizer(text="none", tasks=TASKS)
    kept = [i for i, name in enumerate(FULL.groups) if name != "text"]
    assert bare.names == tuple(FULL.names[i] for i in kept)
    request = asking(REALISTIC[2], task="law")
    assert (bare.context(request).x == FULL.context(request).x[kept]).all()


def test_the_text_group_is_the_same_with_and_without_examples():
    alone = Featurizer(task_slots=0)
    for text in REALISTIC:
        assert (group("text", text, alone) == group("text", text)).all()


def test_without_text_and_examples_no_word_is_counted(monkeypatch):
    monkeypatch.setattr("banditroute.core.context.text.grams", None)
    x = Featurizer(text="none", task_slots=0).context(asking(REALISTIC[0])).x
    assert len(x) == 1 + len(SHAPE)


def test_a_projection_of_another_layout_is_refused(monkeypatch, tmp_path):
    np.save(tmp_path / "projection.npy", np.zeros((3, 4), dtype=np.float16))
    monkeypatch.setattr("banditroute.core.context.text.resources.files", lambda _: tmp_path)
    with pytest.raises(ValueError, match="reinstall"):
        shipped_projection.__wrapped__()


def test_an_unknown_text_mode_is_refused():
    with pytest.raises(ValueError, match="text must be"):
        Featurizer(text="static")  # type: ignore[arg-type]


def test_the_fingerprint_changes_with_whatever_changes_a_feature():
    variants = [
        Featurizer(),
        Featurizer(text="none"),
        Featurizer(task_slots=16),
        Featurizer(tasks=[TaskSpec("a")]),
        Featurizer(tasks=[TaskSpec("b")]),
        Featurizer(tasks=[TaskSpec("a"), TaskSpec("b")]),
        Featurizer(tasks=[TaskSpec("b"), TaskSpec("a")]),
        Featurizer(tasks=[TaskSpec("a", ("one",))]),
        Featurizer(tasks=[TaskSpec("a", ("two",))]),
        Featurizer(tasks=[TaskSpec("a", ("one", "two"))]),
    ]
    assert len({variant.fingerprint for variant in variants}) == len(variants)
    assert Featurizer().fingerprint == variants[0].fingerprint


def test_the_fingerprint_changes_with_the_constants(monkeypatch):
    before = Featurizer().fingerprint
    monkeypatch.setattr(constants, "VERSION", "other")
    assert Featurizer().fingerprint != before


ELSEWHERE = """
from banditroute.core.context import Featurizer, TaskSpec
from banditroute.values import Request, Wishes
featurizer = Featurizer(tasks=[TaskSpec("code", ("Write a Python function.",)), TaskSpec("law")])
body = {"messages": [{"role": "user", "content": "Is 48 a prime number? \\u00e9\\u4f60"}]}
x = featurizer.context(Request(body, Wishes(task="billing", tags=("eu", "vip")))).x
print(featurizer.fingerprint, x.tobytes().hex())
"""


def test_processes_with_other_hash_seeds_agree_on_fingerprint_and_numbers():
    said = {
        subprocess.run(
            [sys.executable, "-c", ELSEWHERE],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1
    assert "" not in said


def test_the_version_is_the_digest_of_the_shipped_numbers():
    """Whoever edits constants.py or projection.npy by hand must not keep the version."""
    folder = resources.files("banditroute.core.context")
    source = folder.joinpath("constants.py").read_text(encoding="utf-8")
    numbers = source[source.index("SHAPE_MEANS") :]
    packed = folder.joinpath("projection.npy").read_bytes()
    digest = blake2b(numbers.encode() + packed, digest_size=6).hexdigest()
    assert digest == constants.VERSION
    assert len(constants.SHAPE_MEANS) == len(constants.SHAPE_SDS) == len(SHAPE)


@pytest.mark.parametrize("text", REALISTIC)
def test_case_and_spaces_leave_the_text_group_as_it_is(text):
    for edited in (text.upper(), text.lower(), text.replace(" ", "   "), f"\n {text}\t"):
        assert group("text", edited) == pytest.approx(group("text", text), abs=1e-12)


def distances(name: str) -> float:
    """The median distance of two different realistic prompts."""
    rows = np.array([group(name, text) for text in REALISTIC])
    apart = np.linalg.norm(rows[:, None] - rows[None], axis=2)
    return float(np.median(apart[np.triu_indices(len(rows), 1)]))


EDITS = {
    "capitals": str.upper,
    "lower case": str.lower,
    "spaces": lambda text: text.replace(" ", "  "),
    "please": lambda text: f"Please {text}",
    "thanks": lambda text: f"{text} Thanks a lot!",
    "a typo": lambda text: text.replace("e", "", 1),
    "swapped letters": lambda text: text[:7] + text[8] + text[7] + text[9:],
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("name", ["shape", "text"])
def test_meaningless_edits_move_x_little(name, edit):
    """Far less than the distance of two prompts: on average by a third of it at most."""
    moved = [np.linalg.norm(group(name, edit(text)) - group(name, text)) for text in REALISTIC]
    assert np.mean(moved) < distances(name) / 3


@pytest.mark.parametrize("name", ["shape", "text", "similar"])
def test_groups_of_realistic_prompts_have_a_squared_length_of_about_one(name):
    squares = [float((group(name, text) ** 2).sum()) for text in REALISTIC]
    assert 0.25 < np.mean(squares) < 4


def told(name: str, text: str) -> float:
    return feature(f"shape:{name}", {"messages": [{"role": "user", "content": text}]})


@pytest.mark.parametrize(
    ("name", "more", "less"),
    [
        ("length", "word " * 100, "word"),
        ("uppercase", "NASA AND ESA", "nasa and esa"),
        ("non_ascii", "Grüße aus Köln", "Regards from Bonn"),
        ("digits", "from 1990 to 2024", "from then to now"),
        ("punctuation", "well, yes; no: stop.", "well yes no stop"),
        ("quotes", 'he said "no" and "never"', "he said no and never"),
        ("brackets", "f(x)[0] {1}", "f x 0 1"),
        ("operators", "a + b = c / d", "a and b are c and d"),
        ("word_length", "internationalisation considerations", "to be or not to be"),
        ("numbers", "1 22 333", "122333"),
        ("newlines", "a\nb\nc", "a b c"),
        ("questions", "who? what?", "who what"),
        ("list", "\n- one\n- two\n* three", " one two three"),
        ("choices", "Which?\nA. one\n(b) two\nc) three", "Which? one two three"),
        ("code", "```\nfor x in y: print(x)\n```", "for all who sing"),
        ("maths", "how many apples in total, x^2 = 9?", "who likes apples?"),
        ("writing", "write a poem", "read a book"),
        ("urls", "see https://example.org/a", "see example"),
    ],
)
def test_lexical_numbers_rise_with_what_they_are_named_after(name, more, less):
    assert told(name, more) > told(name, less)


def test_single_letters_without_a_mark_are_no_labels_of_answers():
    assert told("choices", "a b (c d e") == told("choices", "xx yy")


USER = {"role": "user", "content": "hello"}
TOOL = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("history", {"messages": [{"role": "user", "content": "before" * 50}, USER]}),
        ("turns", {"messages": [USER, USER]}),
        ("system", {"messages": [{"role": "developer", "content": "be brief"}, USER]}),
        ("tools", {"messages": [USER], "tools": [TOOL]}),
        ("images", {"messages": [{"role": "user", "content": [IMAGE]}]}),
        ("json_mode", {"messages": [USER], "response_format": {"type": "json_object"}}),
        ("max_tokens", {"messages": [USER], "max_tokens": 8000}),
    ],
)
def test_structure_is_zero_for_a_plain_question_and_rises_with_what_it_is_named_after(name, body):
    assert feature(f"shape:{name}", {"messages": [USER]}) == 0
    assert feature(f"shape:{name}", body) > 0.1
