import pytest

from banditroute.datasets import load

HEADER = "prompt_id,model_id,category_id,label,model_name,prompt,category\n"
TRAIN = HEADER + (
    "7,0,3,1,lab__one,first,gsm8k\n"
    "7,1,3,0,lab__two,first,gsm8k\n"
    '8,0,4,0,lab__one,"second, with comma",mmlu\n'
    '8,1,4,1,lab__two,"second, with comma",mmlu\n'
    "9,0,4,1,lab__one,third,mmlu\n"
)
TEST = HEADER + "10,1,3,1,lab__two,fourth,gsm8k\n10,0,3,1,lab__one,fourth,gsm8k\n"


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "embedllm"
    path.mkdir()
    (path / "train.csv").write_text(TRAIN)
    (path / "test.csv").write_text(TEST)
    (path / "model_order.csv").write_text("model_id,model_name\n0,lab__one\n")
    (path / "question_order.csv").write_text("prompt_id,prompt\n7,first\n")
    return path


def test_one_split_is_read(folder):
    data = load(folder / "train.csv")
    assert data.arms == ("lab__one", "lab__two")
    assert data.prompt_ids == ("7", "8")
    assert data.prompts == ("first", "second, with comma")
    assert data.tasks == ("gsm8k", "mmlu")
    assert data.quality.tolist() == [[1, 0], [0, 1]]
    assert data.cost_usd is None


def test_the_splits_of_a_folder_are_joined(folder):
    data = load(folder)
    assert data.name == "embedllm"
    assert data.prompt_ids == ("7", "8", "10")


def test_a_repeated_prompt_and_model_has_its_highest_label(folder):
    again = "8,0,5,1,lab__one,second,other\n8,0,5,0,lab__one,second,other\n"
    (folder / "train.csv").write_text(TRAIN + again)
    assert load(folder / "train.csv").quality.tolist() == [[1, 0], [1, 1]]


def test_without_names_of_the_categories_their_ids_are_the_tasks(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("prompt_id,model_id,category_id,label,model_name,prompt\n7,0,3,1,m,first\n")
    assert load(path).tasks == ("3",)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("8,0,3,2,m,first,x\n", "column label, row 1 is 2; it must be between 0 and 1"),
        ("8,0,3,yes,m,first,x\n", "column label, row 1 is a str; it must be a number"),
        ("8,0,3,1,,first,x\n", "column model_name, row 1 is None; every row needs a text"),
        (",0,3,1,m,first,x\n", "column prompt_id, row 1 is None; every row needs a text"),
        ("8,0\n", "not a readable CSV file; write it again (incorrect number of fields"),
    ],
)
def test_a_malformed_row_is_refused_with_its_place(tmp_path, complaint, row, said):
    path = tmp_path / "x.csv"
    path.write_text(f"{HEADER}7,0,3,1,m,first,x\n{row}")
    assert f"{path}: {said}" in complaint(path)


def test_a_folder_without_a_split_is_refused(folder, complaint):
    for name in ("train.csv", "test.csv"):
        (folder / name).unlink()
    assert "it has none of train.csv, val.csv, test.csv" in complaint(folder, "embedllm")


def test_an_empty_split_has_no_arm(tmp_path, complaint):
    path = tmp_path / "x.csv"
    path.write_text(HEADER)
    assert "no arm at all" in complaint(path)
