"""Every key is found on the line where it stands."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banditroute.config.lines import Lines, spell

TEXT = r"""# a comment with [brackets] and "quotes
top = 1

[server]  # with a comment
host = "a # no comment ] }"
'quoted.key' = "it's"
[[arms]]
id = "one"
list = [
  "a", # not the end ]
  { deep = 1 },
]
after = 1
[[arms]]
id = '''
id = "a lie"
[[arms]]
'''
text = ~~~
[server]
\~~~ still inside ~~~""
simulated.skill.code = 0.5
inline = { a = { b = [1, 2] } }
[arms.sub]
x = 1
[[arms.parts]]
y = 1
[[arms.parts]]
y = 2
[a.b]
c = 1
""".replace("~~~", '"' * 3)


@pytest.fixture(scope="module")
def lines():
    tomllib.loads(TEXT)
    return Lines(TEXT)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("server",), 4),
        (("server", "host"), 5),
        (("server", "quoted.key"), 6),
        (("arms", 0), 7),
        (("arms", 0, "id"), 8),
        (("arms", 0, "list"), 9),
        (("arms", 0, "list", 1, "deep"), 9),
        (("arms", 0, "after"), 13),
        (("arms", 1), 14),
        (("arms", 1, "id"), 15),
        (("arms", 1, "text"), 19),
        (("arms", 1, "simulated", "skill", "code"), 22),
        (("arms", 1, "simulated"), 22),
        (("arms", 1, "inline", "a", "b", 1), 23),
        (("arms", 1, "sub", "x"), 25),
        (("arms", 1, "parts", 0, "y"), 27),
        (("arms", 1, "parts", 1, "y"), 29),
        (("a",), 30),
        (("a", "b", "c"), 31),
    ],
)
def test_a_key_is_found_on_its_line(lines, path, line):
    assert lines.of(path) == line


def test_a_missing_key_has_the_line_of_the_table_around_it(lines):
    assert lines.of(("arms", 1, "price")) == 14
    assert lines.of(("server", "host", "x")) == 5


def test_what_is_nowhere_has_no_line(lines):
    assert lines.of(("routers", 0, "name")) is None
    assert lines.of(()) is None


def test_windows_line_ends_count_once():
    assert Lines("a = 1\r\n\r\nb = [\r\n1]\r\nc = 2\r\n").of(("c",)) == 5


@pytest.mark.parametrize("quote", ['"', "'"])
@pytest.mark.parametrize("inner", [1, 2])
def test_quotes_right_before_the_closing_ones_belong_to_the_string(quote, inner):
    string = quote * 3 + "a" + quote * (inner + 3)
    text = f"list = [{string}, {quote}]{quote}]\nafter = 1\n"
    assert tomllib.loads(text)["list"] == ["a" + quote * inner, "]"]
    assert Lines(text).of(("after",)) == 2


def test_a_path_is_spelled_as_people_write_it():
    assert spell(("arms", 2, "id")) == "arms[2].id"
    assert spell(("headers", "a b")) == 'headers."a b"'
    assert spell(()) == ""


values = st.one_of(
    st.integers(-9, 9).map(str),
    st.text(alphabet="ab#[]{}='\n", max_size=8).map(lambda t: f'"""{t}"""'),
    st.text(alphabet='ab#[]{}="\n', max_size=8).map(lambda t: f"'''{t}'''"),
    st.text(alphabet="ab#[]{}='", max_size=8).map(lambda t: f'"{t}"'),
    st.text(alphabet='ab#[]{}="\\', max_size=8).map(lambda t: f"'{t}'"),
    st.lists(st.sampled_from(["1", "'# ]'", "# [\n 2"]), max_size=3).map(
        lambda items: "[" + "".join(f"\n{item}\n," for item in items) + "]"
    ),
)


@given(
    st.lists(st.tuples(values, st.sampled_from(["", " # it's [ \"", "\n", "\n# {"])), max_size=6)
)
def test_no_value_shifts_the_lines_after_it(pairs):
    text, expected = "", []
    for index, (value, gap) in enumerate(pairs):
        expected.append(text.count("\n") + 1)
        text += f"k{index} = {value}{gap}\n"
    tomllib.loads(text)
    lines = Lines(text)
    assert [lines.of((f"k{index}",)) for index in range(len(pairs))] == expected
