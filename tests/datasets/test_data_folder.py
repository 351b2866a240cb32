import json
import os
from pathlib import Path

import arro3.io
import numpy as np
import pytest
from arro3.core import Array, DataType, Table

from banditroute.datasets import load_dataset
from banditroute.errors import DataError

TYPES = {
    str: DataType.large_utf8(),
    float: DataType.float64(),
    int: DataType.int32(),
}


def column(values):
    kind = next((type(value) for value in values if value is not None), str)
    return Array(values, TYPES[kind])


def write(path, columns):
    arro3.io.write_parquet(
        Table.from_pydict({name: column(values) for name, values in columns.items()}), str(path)
    )


PROMPTS = {
    "prompt_id": ["p1", "p2", "p3"],
    "prompt": ["one", "two", "three"],
    "task": ["code", None, "chat"],
}
# p3 has no outcome of b; p9 is in no prompt; c is not in the pool; rows are out of order.
OUTCOMES = {
    "prompt_id": ["p2", "p1", "p2", "p1", "p3", "p9", "p1"],
    "arm": ["b", "b", "a", "a", "a", "a", "c"],
    "quality": [0.5, 1.0, 0.25, 0.0, 1.0, 1.0, 1.0],
    "cost_usd": [0.2, None, None, None, 0.1, 0.1, 0.1],
    "input_tokens": [5, None, 7, 8, 9, 9, 9],
    "latency_s": [None, None, None, None, None, None, 1.0],
}


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "tiny"
    path.mkdir()
    write(path / "prompts.parquet", PROMPTS)
    write(path / "outcomes.parquet", OUTCOMES)
    (path / "pool.json").write_text(json.dumps({"pool": ["a", "b"]}))
    return path


def test_cells_are_joined_and_incomplete_prompts_dropped(folder):
    data = load_dataset(folder)
    assert data.name == "tiny"
    assert data.prompt_ids == ("p1", "p2")
    assert data.prompts == ("one", "two")
    assert data.tasks == ("code", None)
    assert data.arms == ("a", "b")
    assert data.quality.dtype == np.float64
    assert data.quality.tolist() == [[0.0, 1.0], [0.25, 0.5]]


def test_unknown_numbers_are_nan_and_unknown_matrices_none(folder):
    data = load_dataset(folder)
    np.testing.assert_array_equal(data.cost_usd, [[np.nan, np.nan], [np.nan, 0.2]])
    np.testing.assert_array_equal(data.input_tokens, [[8, np.nan], [7, 5]])
    assert data.latency_s is None  # known of no cell that is used
    assert data.output_tokens is None  # no such column


def test_named_arms_replace_the_pool_and_keep_their_order(folder):
    (folder / "pool.json").unlink()
    data = load_dataset(folder, ["c", "a"])
    assert data.arms == ("c", "a")
    assert data.prompt_ids == ("p1",)
    assert data.quality.tolist() == [[1.0, 0.0]]
    np.testing.assert_array_equal(data.latency_s, [[1.0, np.nan]])


def test_an_absent_task_column_is_no_task(folder):
    write(folder / "prompts.parquet", {k: v for k, v in PROMPTS.items() if k != "task"})
    assert load_dataset(folder).tasks == (None, None)


def test_the_order_of_the_prompts_is_kept(folder):
    write(folder / "prompts.parquet", {k: v[::-1] for k, v in PROMPTS.items()})
    data = load_dataset(folder)
    assert data.prompt_ids == ("p2", "p1")
    assert data.quality.tolist() == [[0.25, 0.5], [0.0, 1.0]]


def complaint(folder, arms=None):
    with pytest.raises(DataError) as caught:
        load_dataset(folder, arms)
    return str(caught.value)


def test_a_missing_folder_is_named(tmp_path):
    assert "nowhere: no such folder" in complaint(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["prompts.parquet", "outcomes.parquet", "pool.json"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    assert f"{name}: no such file" in complaint(folder)


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"PAR1PAR1", b"not parquet at all", b"PAR1xPAR1"]
)
def test_a_broken_file_is_named(folder, content, capfd):
    (folder / "outcomes.parquet").write_bytes(content)
    assert "outcomes.parquet: not a" in complaint(folder)


def test_a_truncated_file_is_named(folder):
    path = folder / "outcomes.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    assert "outcomes.parquet: not a complete Parquet file" in complaint(folder)


@pytest.mark.parametrize(
    ("file", "columns", "gone"),
    [
        ("prompts", PROMPTS, "prompt_id"),
        ("prompts", PROMPTS, "prompt"),
        ("outcomes", OUTCOMES, "prompt_id"),
        ("outcomes", OUTCOMES, "arm"),
        ("outcomes", OUTCOMES, "quality"),
    ],
)
def test_a_missing_column_is_named(folder, file, columns, gone):
    write(folder / f"{file}.parquet", {k: v for k, v in columns.items() if k != gone})
    message = complaint(folder)
    assert f"{file}.parquet: column {gone} is missing" in message


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan"), float("inf"), None])
def test_a_quality_out_of_range_is_found_by_its_row(folder, bad):
    values = [*OUTCOMES["quality"]]
    values[3] = bad
    write(folder / "outcomes.parquet", OUTCOMES | {"quality": values})
    assert "column quality, row 3 is" in complaint(folder)
    assert "between 0 and 1" in complaint(folder)


@pytest.mark.parametrize("bad", [-0.1, float("inf")])
def test_a_cost_that_is_none_is_found_by_its_row(folder, bad):
    write(folder / "outcomes.parquet", OUTCOMES | {"cost_usd": [bad, *OUTCOMES["cost_usd"][1:]]})
    assert "column cost_usd, row 0 is" in complaint(folder)


def test_what_is_wrong_with_other_arms_does_no_harm(folder):
    values = [*OUTCOMES["quality"][:-1], 7.0]
    write(folder / "outcomes.parquet", OUTCOMES | {"quality": values})
    assert load_dataset(folder).arms == ("a", "b")
    assert "row 6" in complaint(folder, ["a", "c"])


def test_a_column_of_words_is_no_column_of_numbers(folder):
    write(folder / "outcomes.parquet", OUTCOMES | {"quality": ["good"] * 7})
    assert "column quality must hold numbers" in complaint(folder)


def test_a_missing_text_is_found_by_its_row(folder):
    write(folder / "prompts.parquet", PROMPTS | {"prompt": ["one", None, "three"]})
    assert "column prompt, row 1 is None" in complaint(folder)


def test_a_repeated_prompt_is_found_by_its_row(folder):
    write(folder / "prompts.parquet", PROMPTS | {"prompt_id": ["p1", "p2", "p1"]})
    assert "prompts.parquet: column prompt_id, row 2 repeats 'p1'" in complaint(folder)


def test_a_repeated_outcome_is_found_by_its_row(folder):
    ids = ["p2", "p1", "p2", "p1", "p1", "p9", "p1"]
    write(folder / "outcomes.parquet", OUTCOMES | {"prompt_id": ids})
    message = complaint(folder)
    assert "outcomes.parquet: column quality, row 4 repeats the outcome" in message
    assert "prompt 'p1' and arm 'a'" in message


def test_an_unknown_arm_is_named_with_the_known_ones(folder):
    message = complaint(folder, ["a", "z"])
    assert "outcomes.parquet: no outcome of z; it has a, b, c" in message


def test_the_arm_with_the_fewest_outcomes_is_named(folder):
    outcomes = {name: values[:2] for name, values in OUTCOMES.items()}
    write(folder / "outcomes.parquet", outcomes | {"arm": ["b", "a"]})
    assert "a has 1 of 3" in complaint(folder)


def test_a_set_without_one_complete_prompt_is_refused(folder):
    write(folder / "outcomes.parquet", OUTCOMES | {"prompt_id": [f"x{n}" for n in range(7)]})
    message = complaint(folder)
    assert "outcomes.parquet: no prompt has an outcome of every arm (2 arms;" in message


def test_an_empty_set_is_refused(folder):
    write(folder / "prompts.parquet", {name: [] for name in PROMPTS})
    assert "no prompt has an outcome of every arm" in complaint(folder)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not JSON"),
        ("[]", "it must read"),
        ('{"pool": "a"}', "it must read"),
        ('{"pool": [1]}', "it must read"),
        ('{"pool": []}', "no arm at all"),
        ('{"pool": ["a", "a"]}', "named twice"),
        ("\ud800", "not JSON"),
    ],
)
def test_a_pool_that_is_none_is_refused(folder, content, said):
    (folder / "pool.json").write_bytes(content.encode("utf-8", "surrogatepass"))
    message = complaint(folder)
    assert "pool.json" in message
    assert said in message


@pytest.mark.parametrize(("arms", "said"), [([], "no arm at all"), (["a", "a"], "named twice")])
def test_named_arms_must_be_some_and_distinct(folder, arms, said):
    assert said in complaint(folder, arms)


DATA = Path(os.environ.get("BANDITROUTE_DATA") or Path(__file__).parents[3] / "shared" / "data")


# name, prompts × arms of the pool, mean quality of a random arm, of the best one
REAL = [
    ("mmlu_pro", 14, 0.496, 0.7205),
    ("paretobandit_val", 4, 0.895, 0.934),
    ("llmrouter_ulab", 9, 0.424, 0.6165),
    ("bfcl_tools", 14, 0.812, 0.9053),
]


@pytest.mark.parametrize(("name", "arms", "mean", "best"), REAL)
def test_the_real_folders_have_their_published_means(name, arms, mean, best):
    if not (DATA / name).is_dir():
        pytest.skip(f"set BANDITROUTE_DATA to a folder that holds {name}")
    data = load_dataset(DATA / name)
    assert data.quality.shape == (len(data.prompts), arms)
    assert data.quality.mean() == pytest.approx(mean, abs=0.002)
    assert data.quality.mean(axis=0).max() == pytest.approx(best, abs=0.002)
