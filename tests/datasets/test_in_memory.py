import numpy as np
import pandas as pd
import pytest

from banditroute.datasets import from_arrays, from_frame
from banditroute.errors import DataError

QUALITY = [[1.0, 0.5], [np.nan, 1.0], [0.0, 0.25]]


class Columns:
    """The least that a frame must have, as neither pandas nor polars."""

    def __init__(self, **columns):
        self.columns = list(columns)
        self._columns = columns

    def __getitem__(self, name):
        return self._columns[name]


def test_arrays_become_a_dataset_without_texts():
    data = from_arrays(QUALITY, ["a", "b"], cost_usd=[0.1, 0.2])
    assert data.name == "arrays"
    assert data.arms == ("a", "b")
    assert data.prompts == ("", "")
    assert data.prompt_ids == ("0", "2")
    assert data.tasks == (None, None)
    assert data.quality.tolist() == [[1.0, 0.5], [0.0, 0.25]]
    assert data.cost_usd.tolist() == [[0.1, 0.2], [0.1, 0.2]]
    assert data.latency_s is None


def test_all_that_is_known_of_arrays_is_kept():
    data = from_arrays(
        np.array(QUALITY)[[0, 2]],
        ("a", "b"),
        prompts=["one", "two"],
        prompt_ids=["p1", "p2"],
        tasks=["code", None],
        latency_s=[[1, 2], [3, np.nan]],
        input_tokens=[[1, 2], [3, 4]],
        output_tokens=[[5, 6], [7, 8]],
        name="mine",
    )
    assert (data.name, data.prompts, data.prompt_ids) == ("mine", ("one", "two"), ("p1", "p2"))
    assert data.tasks == ("code", None)
    np.testing.assert_array_equal(data.latency_s, [[1, 2], [3, np.nan]])
    assert data.input_tokens.tolist() == [[1, 2], [3, 4]]
    assert data.output_tokens.tolist() == [[5, 6], [7, 8]]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"quality": [[1, 2]]}, "arrays: quality[0, 1] is 2; it must be between 0 and 1"),
        ({"quality": [1, 0]}, "quality has shape (2,); it must be prompts × arms"),
        ({"quality": [[1, 0], [1]]}, "quality must hold numbers alone"),
        ({"quality": [["x", "y"]]}, "quality must hold numbers alone"),
        ({"quality": np.empty((0, 2))}, "no outcome of a, b"),
        ({"quality": [[np.nan, 1], [1, np.nan]]}, "no prompt has an outcome of every arm"),
        ({"arms": ["a"]}, "1 arms for 2 columns of quality"),
        ({"arms": ["a", "a"]}, "an arm is named twice"),
        ({"cost_usd": [[1, -1]]}, "cost_usd[0, 1] is -1; it must be finite and not negative"),
        ({"cost_usd": [1, 2, 3]}, "cost_usd has shape (3,); it must have that of quality, (1, 2)"),
        ({"prompts": ["x", "y"]}, "2 prompts for 1 rows of quality"),
        ({"tasks": []}, "0 tasks for 1 rows of quality"),
        ({"quality": [[1, 1]] * 2, "prompt_ids": ["p", "p"]}, "a prompt_id is named twice"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(given, said):
    with pytest.raises(DataError) as caught:
        from_arrays(**({"quality": [[1, 0]], "arms": ["a", "b"]} | given))
    assert said in str(caught.value)


LONG = {
    "prompt_id": [1, 1, 2, 2],
    "prompt": ["one", "one", "two", "two"],
    "arm": ["a", "b", "a", "b"],
    "quality": [1.0, 0.5, 0.0, None],
    "cost_usd": [0.1, None, 0.1, 0.1],
}


@pytest.mark.parametrize("kind", [pd.DataFrame, lambda columns: Columns(**columns)])
def test_a_long_frame_becomes_a_dataset(kind):
    data = from_frame(kind(LONG))
    assert data.name == "frame"
    assert data.arms == ("a", "b")
    assert data.prompt_ids == ("1",)
    assert data.quality.tolist() == [[1.0, 0.5]]
    np.testing.assert_array_equal(data.cost_usd, [[0.1, np.nan]])


def test_the_missing_values_of_pandas_are_unknown():
    frame = pd.DataFrame(LONG | {"task": [None, None, "x", "x"]}).convert_dtypes()
    assert frame["quality"].isna().sum() == 1
    data = from_frame(frame, arms=["a"], name="mine")
    assert (data.name, data.prompts, data.tasks) == ("mine", ("one", "two"), (None, "x"))
    assert data.cost_usd.tolist() == [[0.1], [0.1]]


def test_a_wide_frame_becomes_a_dataset():
    frame = pd.DataFrame({"prompt": ["one"], "quality:a": [1], "quality:b": [0.5]})
    assert from_frame(frame).quality.tolist() == [[1, 0.5]]


def test_a_frame_that_does_not_fit_is_refused():
    frame = pd.DataFrame(LONG | {"quality": [1.0, 0.5, 3.0, 1.0]})
    with pytest.raises(DataError, match=r"frame: column quality, row 2 is 3; it must be between"):
        from_frame(frame)
    with pytest.raises(DataError, match=r"frame: it has no row"):
        from_frame(frame[:0])
