import json
from textwrap import dedent

import arro3.io
import numpy as np
import pytest
from arro3.core import Array, DataType, Table

from banditroute.datasets import load
from banditroute.errors import DataError

LONG = """\
prompt_id,prompt,task,arm,quality,cost_usd,latency_s,input_tokens,output_tokens
p1,one,code,b,1,0.2,1.5,10,20
p1,one,code,a,0.5,,1,11,21
p2,"two,
lines",,a,0.25,0.1,,,
p2,"two,
lines",,b,nan,0.1,,,
p3,three,chat,a,0,0.1,1,1,1
p3,three,chat,b,1,0.3,2,2,2
"""
WIDE = """\
prompt,task,quality:a,quality:b,cost_usd:b
one,code,0.5,1,0.2
two,,0.25,,0.1
three,chat,0,1,
"""


@pytest.fixture
def csv(tmp_path):
    def write(text, name="set.csv"):
        path = tmp_path / name
        path.write_bytes(dedent(text).encode() if isinstance(text, str) else text)
        return path

    return write


def parquet(path, columns):
    types = {str: DataType.utf8(), float: DataType.float64(), int: DataType.int64()}
    made = {name: Array(values, types[type(values[0])]) for name, values in columns.items()}
    arro3.io.write_parquet(Table.from_pydict(made), str(path))
    return path


def test_a_long_csv_is_read(csv):
    data = load(csv(LONG))
    assert data.name == "set"
    assert data.arms == ("b", "a")
    assert data.prompt_ids == ("p1", "p3")
    assert data.prompts == ("one", "three")
    assert data.tasks == ("code", "chat")
    assert data.quality.tolist() == [[1, 0.5], [1, 0]]
    np.testing.assert_array_equal(data.cost_usd, [[0.2, np.nan], [0.3, 0.1]])
    assert data.latency_s.tolist() == [[1.5, 1], [2, 1]]
    assert data.input_tokens.tolist() == [[10, 11], [2, 1]]
    assert data.output_tokens.tolist() == [[20, 21], [2, 1]]


def test_named_arms_drop_no_prompt_for_the_others(csv):
    data = load(csv(LONG), arms=["a"])
    assert data.prompt_ids == ("p1", "p2", "p3")
    assert data.prompts[1] == "two,\nlines"
    assert data.tasks == ("code", None, "chat")


def test_a_wide_csv_is_read(csv):
    data = load(csv(WIDE))
    assert data.arms == ("a", "b")
    assert data.prompt_ids == ("0", "2")
    assert data.prompts == ("one", "three")
    assert data.quality.tolist() == [[0.5, 1], [0, 1]]
    np.testing.assert_array_equal(data.cost_usd, [[np.nan, 0.2], [np.nan, np.nan]])
    assert data.latency_s is None


def test_without_a_prompt_id_the_text_is_the_prompt(lines):
    data = load(
        lines(
            "set.jsonl",
            [
                {"prompt": "one", "arm": "a", "quality": 1},
                {"prompt": "two", "arm": "a", "quality": 0.5},
                {"prompt": "one", "arm": "b", "quality": True},
                {"prompt": "two", "arm": "b", "quality": 0, "cost_usd": 3},
            ],
        )
    )
    assert data.prompts == ("one", "two")
    assert data.quality.tolist() == [[1, 1], [0.5, 0]]
    np.testing.assert_array_equal(data.cost_usd, [[np.nan, np.nan], [np.nan, 3]])


def test_a_jsonl_may_have_blank_lines_and_no_last_line_break(tmp_path):
    row = {"prompt_id": 7, "prompt": "é", "quality:a": 1, "quality:b": None}
    path = tmp_path / "set.jsonl"
    path.write_text("\n" + json.dumps(row) + "\n\n" + json.dumps(row | {"prompt_id": 8}))
    data = load(path, arms=["a"])
    assert data.prompt_ids == ("7", "8")
    assert data.prompts == ("é", "é")


@pytest.mark.parametrize("name", ["a.parquet", "b.parquet"])
def test_a_parquet_is_read_in_either_form(tmp_path, name):
    wide = {"prompt": ["one", "two"], "quality:x": [1.0, 0.5], "input_tokens:x": [3, 4]}
    long = {"prompt": ["one", "two"], "arm": ["x"] * 2, "quality": [1.0, 0.5]}
    columns = wide if name == "a.parquet" else long | {"input_tokens": [3, 4]}
    data = load(parquet(tmp_path / name, columns))
    assert data.arms == ("x",)
    assert data.quality.tolist() == [[1], [0.5]]
    assert data.input_tokens.tolist() == [[3], [4]]


def test_a_byte_order_mark_is_no_part_of_a_name(csv):
    assert load(csv(WIDE.encode("utf-8-sig"))).arms == ("a", "b")


def test_a_prompt_may_be_long(csv):
    text = "x" * 300_000
    assert load(csv(f"prompt,quality:a\n{text},1\n")).prompts == (text,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "an empty file; its first line must name the columns"),
        ("prompt,arm,quality\n", "it has no row; write one for each prompt and arm"),
        ("prompt,arm,arm\n", "a column is named twice"),
        ("prompt,arm\nx,a\n", "neither the long form (prompt, arm, quality) nor the wide one"),
        ("arm,quality\na,1\n", "column prompt, row 0 is missing; it has arm, quality"),
        ("prompt,arm,quality\nx,a,1\n,a,1\n", "column prompt, row 1 is None; every row needs"),
        ("prompt,arm,quality\nx,,1\n", "column arm, row 0 is None; every row needs a text"),
        ("prompt,arm,quality\nx,a,1\nx,b,good\n", "column quality, row 1 is a str; it must be a n"),
        ("prompt,arm,quality\nx,a,1\nx,b,1.2\n", "column quality, row 1 is 1.2; it must be betwee"),
        ("prompt,arm,quality\nx,a,1\nx,a,0\n", "column quality, row 1 repeats the outcome of prom"),
        ("prompt,arm,quality,cost_usd\nx,a,1,-1\n", "column cost_usd, row 0 is -1; it must be fin"),
        ("prompt,arm,quality,cost_usd\nx,a,1,inf\n", "column cost_usd, row 0 is inf; it must be f"),
        ("prompt,arm,quality\nx,a,1\ny,b,1\n", "no prompt has an outcome of every arm (2 arms;"),
        ("prompt,arm,quality\nx,a,1\ny\n", "not a readable CSV file; write it again (incorrect"),
        ("prompt_id,prompt,arm,quality\n1,x,a,1\n1,y,b,1\n", "row 1 is another prompt than the o"),
        ("prompt_id,prompt,quality:a\n1,x,1\n1,y,1\n", "column prompt_id, row 1 repeats '1'"),
        ("prompt,quality:a,quality:b\nx,1,1\ny,1,2\n", "column quality:b, row 1 is 2; it must be"),
        ("prompt,quality:a,cost_usd:a\nx,1,-3\n", "column cost_usd:a, row 0 is -3; it must be fi"),
        (b"prompt,arm,quality\n\xff,a,1\n", "not a CSV file in UTF-8"),
        (b"prompt,\xff\n", "not a CSV file in UTF-8"),
    ],
)
def test_a_malformed_csv_is_refused_with_its_place(csv, complaint, text, said):
    path = csv(text)
    message = complaint(path)
    assert message.startswith(f"{path}: ")
    assert said in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it has no row"),
        (b"[1]\n", "row 0 is a list; write one object a line"),
        (b'{"prompt": "x", "arm": "a", "quality": 1}\n{', "row 1 is not JSON"),
        (b"[" * 100_000, "row 0 is not JSON"),
        (b'{"prompt": "\xff"}', "not a text in UTF-8"),
        (b'{"prompt": "\\ud800", "arm": "a", "quality": 1}', "half a surrogate pair"),
        (b'{"prompt": ["x"], "arm": "a", "quality": 1}', "key prompt, row 0 is a list"),
        (b'{"prompt": "x", "arm": 1, "quality": 1}', "key arm, row 0 is 1; every row needs a text"),
        (b'{"prompt": "x", "arm": "a", "quality": "1"}', "key quality, row 0 is a str; it must"),
        (b'{"prompt": "x", "arm": "a", "quality": 1%s}' % (b"0" * 400), "it must be a number"),
        (
            b'{"prompt": "x", "arm": "a", "quality": 1}\n{"prompt": "x", "arm": "b"}',
            "key quality, row 1 is missing; it has prompt, arm",
        ),
    ],
)
def test_a_malformed_jsonl_is_refused_with_its_place(tmp_path, complaint, content, said):
    path = tmp_path / "set.jsonl"
    path.write_bytes(content)
    assert said in complaint(path, "jsonl")


def test_a_broken_text_far_into_a_csv_is_refused(csv, complaint):
    path = csv(b"prompt,quality:a\n" + b"x,1\n" * 100_000 + b"\xff,1\n")
    assert "not a readable CSV file; write it again (Encountered invalid UTF-8" in complaint(path)


def test_a_malformed_parquet_is_refused_with_its_place(tmp_path, complaint):
    path = tmp_path / "set.parquet"
    parquet(path, {"prompt": ["one", "two"], "arm": ["x", "x"], "quality": [1.0, -1.0]})
    assert f"{path}: column quality, row 1 is -1; it must be between 0 and 1" in complaint(path)
    parquet(path, {"prompt": ["one"], "arm": ["x"], "quality": ["1"]})
    assert "column quality, row 0 is a str; it must be a number" in complaint(path)
    path.write_bytes(path.read_bytes()[:-9])
    assert "not a complete Parquet file" in complaint(path)
    path.write_bytes(b"PAR1xPAR1")
    assert "not a readable Parquet file" in complaint(path)


def test_an_error_shows_no_prompt(lines, complaint):
    path = lines("set.jsonl", [{"prompt": "secret", "arm": "a", "quality": "secret"}])
    assert "secret" not in complaint(path)


def test_what_is_wrong_with_other_arms_does_no_harm(csv):
    path = csv("prompt,arm,quality\nx,a,1\nx,b,7\n")
    assert load(path, arms=["a"]).quality.tolist() == [[1]]
    with pytest.raises(DataError):
        load(path)
