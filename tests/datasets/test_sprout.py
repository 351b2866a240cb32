import arro3.io
import pytest
from arro3.core import Array, DataType, Field, Table, struct_array

from banditroute.datasets import load


def model(scores, tokens):
    floats, ints = DataType.float64(), DataType.int64()
    return struct_array(
        [
            Array(tokens, ints),
            Array([2 * count for count in tokens], ints),
            Array(["answer"] * len(scores), DataType.utf8()),
            Array(scores, floats),
        ],
        fields=[
            Field("num_input_tokens", ints),
            Field("num_output_tokens", ints),
            Field("response", DataType.utf8()),
            Field("score", floats),
        ],
    )


def write(path, prompts, **models):
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = {
        "key": [f"{number}" for number in range(len(prompts))],
        "dataset": ["math"] * len(prompts),
        "prompt": prompts,
        "golden_answer": ["42"] * len(prompts),
    }
    columns = {name: Array(values, DataType.utf8()) for name, values in texts.items()}
    arro3.io.write_parquet(Table.from_pydict(columns | models), str(path))
    return path


def test_the_struct_of_every_model_is_read(tmp_path):
    path = write(
        tmp_path / "test-00000-of-00001.parquet",
        ["one", "two", "three"],
        **{"openai-gpt-4o": model([1.0, 0.5, 0.0], [1, 2, 3]), "x": model([0, 1, None], [4, 5, 6])},
    )
    data = load(path)
    assert data.arms == ("openai-gpt-4o", "x")
    assert data.prompts == ("one", "two")
    assert data.tasks == ("math", "math")
    assert data.quality.tolist() == [[1, 0], [0.5, 1]]
    assert data.input_tokens.tolist() == [[1, 4], [2, 5]]
    assert data.output_tokens.tolist() == [[2, 8], [4, 10]]
    assert data.cost_usd is None


def test_the_files_of_a_folder_are_joined(tmp_path):
    for split, prompts in (("train", ["one", "two"]), ("test", ["one"])):
        name = f"sprout/data/{split}-00000-of-00001.parquet"
        write(tmp_path / name, prompts, m=model([1.0] * len(prompts), [1] * len(prompts)))
    data = load(tmp_path / "sprout")
    assert data.name == "sprout"
    assert data.prompts == ("one", "one", "two")
    assert len(set(data.prompt_ids)) == 3


def test_a_malformed_file_is_refused_with_its_place(tmp_path, complaint):
    path = write(tmp_path / "x.parquet", ["one", "two"], m=model([1.0, 3.0], [1, 1]))
    assert f"{path}: column m.score, row 1 is 3; it must be between 0 and 1" in complaint(path)
    write(path, ["one"], m=model([1.0], [-1]))
    assert f"{path}: column m.num_input_tokens, row 0 is -1; it must be" in complaint(path)
    write(path, ["one", None], m=model([1.0, 1.0], [1, 1]))
    assert f"{path}: column prompt, row 1 is None; every row needs a text" in complaint(path)


@pytest.mark.parametrize("content", [b"PAR1", b"PAR1xPAR1"])
def test_a_broken_file_is_refused(tmp_path, complaint, content):
    path = tmp_path / "x.parquet"
    path.write_bytes(content)
    assert f"{path}: not a" in complaint(path, "sprout")


def test_a_file_without_structs_has_no_arm(tmp_path, complaint):
    assert "no arm at all" in complaint(write(tmp_path / "x.parquet", ["one"]), "sprout")
