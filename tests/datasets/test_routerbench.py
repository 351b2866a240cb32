import importlib.util
import os
import pickle
import sys

import numpy as np
import pandas as pd
import pytest

from banditroute.datasets import load

FRAME = pd.DataFrame(
    {
        "sample_id": ["gsm.dev.1", "gsm.dev.2", "mmlu.val.1"],
        "prompt": ["['What is 2+2?']", "['Be brief.', \"It's 3?\"]", "no list ["],
        "eval_name": ["gsm", "gsm", "mmlu"],
        "meta/llama": pd.Series([0.0, np.float64(0.75), np.bool_(True)], dtype=object),
        "gpt-4": [1.0, 1.0, np.nan],
        "meta/llama|model_response": ["['4']", "['3']", "['A']"],
        "gpt-4|model_response": ["['4']", "['3']", "['A']"],
        "meta/llama|total_cost": [1e-5, 2e-5, 3e-5],
        "gpt-4|total_cost": [1e-3, 2e-3, 3e-3],
        "oracle_model_to_route_to": ["gpt-4", "gpt-4", "meta/llama"],
    }
)


@pytest.fixture
def pickled(tmp_path):
    def write(frame, protocol=5):
        path = tmp_path / "routerbench_0shot.pkl"
        path.write_bytes(pickle.dumps(frame, protocol))
        return path

    return write


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_the_published_columns_are_read(pickled, protocol):
    data = load(pickled(FRAME, protocol))
    assert data.name == "routerbench_0shot"
    assert data.arms == ("meta/llama", "gpt-4")
    assert data.prompt_ids == ("gsm.dev.1", "gsm.dev.2")
    assert data.prompts == ("What is 2+2?", "Be brief.\nIt's 3?")
    assert data.tasks == ("gsm", "gsm")
    assert data.quality.tolist() == [[0, 1], [0.75, 1]]
    assert data.cost_usd.tolist() == [[1e-5, 1e-3], [2e-5, 2e-3]]


@pytest.mark.parametrize("index", [[3, 5, 7], ["r", "s", "t"], [0.5, 1.5, 2.5]])
def test_any_index_and_columns_of_objects_are_read(pickled, index):
    texts = ["sample_id", "prompt", "eval_name"]
    frame = FRAME.astype(dict.fromkeys(texts, object)).set_axis(index)
    frame.columns.name = "model_name"
    data = load(pickled(frame), arms=["meta/llama"])
    assert data.prompts[2] == "no list ["
    assert data.quality.tolist() == [[0], [0.75], [1]]


def test_the_names_of_older_versions_are_read(pickled):
    path = pickled(FRAME.set_axis([3, 5, 7]), protocol=2)
    new = path.read_bytes()
    old = (
        new.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
        .replace(b"cpandas\nDataFrame\n", b"cpandas.core.frame\nDataFrame\n")
        .replace(b"cpandas\nIndex\n", b"cpandas.core.indexes.numeric\nInt64Index\n", 1)
    )
    assert len(old) > len(new) + 20
    path.write_bytes(old)
    assert load(path).quality.tolist() == [[0, 1], [0.75, 1]]


class Call:
    """Pickles as a call of anything."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


def test_a_hostile_pickle_runs_no_code(pickled, complaint, tmp_path):
    mark = tmp_path / "mark"
    hostile = Call(os.system, f"touch {mark}")
    for content in (hostile, FRAME.assign(x=[hostile] * 3), [FRAME, hostile]):
        path = pickled(content)
        message = complaint(path)
        assert f"{path}: refused, for it asks for " in message
        assert "system" in message
    pickle.loads(path.read_bytes())  # what it would have done
    assert mark.exists()


@pytest.mark.parametrize(
    "hostile",
    [
        Call(eval, "print('run')"),
        Call(getattr, "x", "upper"),
        Call(importlib.util.find_spec, "os"),
        Call(pd.eval, "1"),
        Call(pd.read_pickle, "other.pkl"),
        Call(np.load, "other.npy"),
        Call(str.encode, "x", "punycode"),
    ],
)
def test_a_pickle_reaches_nothing_but_the_parts_of_a_frame(pickled, complaint, hostile, capfd):
    assert "refused, for it asks for" in complaint(pickled(hostile))
    assert capfd.readouterr().out == ""


def test_a_dotted_name_reaches_nothing_through_an_admitted_module(tmp_path, complaint):
    path = tmp_path / "dotted.pkl"
    path.write_bytes(b"\x80\x04\x8c\x06pandas\x8c\x0fDataFrame.query\x93.")
    assert "asks for pandas.DataFrame.query" in complaint(path)
    path.write_bytes(b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00xX\x08\x00\x00\x00punycode\x86R.")
    assert "asks for the encoding punycode" in complaint(path)


@pytest.mark.parametrize("content", [b"", b"\x80", b"no pickle", b"\x80\x04\x95\xff\xff\xff\xff"])
def test_a_broken_pickle_is_refused(tmp_path, complaint, content):
    path = tmp_path / "routerbench_0shot.pkl"
    path.write_bytes(content)
    assert f"{path}: not a readable pickle; write or copy it again" in complaint(path)


def test_a_pickle_of_something_else_is_refused(pickled, complaint):
    assert "holds no DataFrame" in complaint(pickled({"sample_id": ["x"]}))
    assert "no column MODEL with one MODEL|total_cost" in complaint(pickled(FRAME[["gpt-4"]]))


def test_without_pandas_the_remedy_is_named(pickled, complaint, monkeypatch):
    path = pickled(FRAME)
    monkeypatch.setitem(sys.modules, "pandas", None)
    message = complaint(path)
    assert message == f"{path}: needs pandas: pip install 'banditroute[data]'"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"gpt-4": [1.0, 5.0, 1.0]}, "column gpt-4, row 1 is 5; it must be between 0 and 1"),
        ({"gpt-4": ["A", "B", "C"]}, "column gpt-4, row 0 is a str; it must be a number"),
        ({"gpt-4|total_cost": [-1.0, 1, 1]}, "column gpt-4|total_cost, row 0 is -1; it must be fi"),
        ({"sample_id": ["x", "x", "y"]}, "column sample_id, row 1 repeats 'x'; keep one"),
        ({"prompt": ["x", None, "y"]}, "column prompt, row 1 is "),
    ],
)
def test_a_malformed_frame_is_refused_with_its_place(pickled, complaint, changed, said):
    path = pickled(FRAME.assign(**changed))
    message = complaint(path)
    assert message.startswith(f"{path}: ")
    assert said in message


def test_a_missing_column_is_named(pickled, complaint):
    assert "column prompt, row 0 is missing" in complaint(pickled(FRAME.drop(columns="prompt")))
