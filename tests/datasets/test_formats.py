from pathlib import Path

import pytest

from banditroute.datasets import FORMAT_NAMES, load

ROOT = Path(__file__).parents[2]


def test_what_is_not_there_is_named(tmp_path, complaint):
    assert complaint(tmp_path / "none") == f"{tmp_path / 'none'}: no such folder or file"


def test_an_unknown_name_is_refused_with_the_known_ones(tmp_path, complaint):
    message = complaint(tmp_path, "excel")
    assert f"{tmp_path}: no format is called 'excel'" in message
    assert all(name in message for name in FORMAT_NAMES)


@pytest.mark.parametrize("name", ["x.txt", "x", "x.json"])
def test_a_file_that_tells_nothing_is_refused_with_the_known_formats(document, complaint, name):
    path = document(name, {"some": "thing"})
    message = complaint(path)
    assert f"{path}: cannot tell its format; name it" in message
    assert all(known in message for known in FORMAT_NAMES)


def test_an_empty_folder_is_refused_with_the_known_formats(tmp_path, complaint):
    assert "cannot tell its format; name it, or one file; known are folder" in complaint(tmp_path)


def test_a_folder_of_generic_files_is_refused(lines, tmp_path, complaint):
    path = lines("set.jsonl", [{"prompt": "x", "quality:a": 1}])
    assert "cannot tell its format" in complaint(tmp_path)
    assert "jsonl is one file; name it and not its folder" in complaint(tmp_path, "jsonl")
    assert load(path).arms == ("a",)


def test_a_folder_of_two_formats_is_refused(lines, document, tmp_path, complaint):
    document("a.json", [{"instruction": "x", "generator_2": "m", "preference": 1}])
    lines("b.jsonl", [{"global_index": "a_1", "llm_selected": "m"}])
    said = "cannot tell its format (alpacaeval and routerarena are there); name it"
    assert said in complaint(tmp_path)


def test_a_named_format_needs_no_suffix(lines):
    path = lines("set.txt", [{"prompt": "x", "quality:a": 1}])
    assert load(path, "jsonl").quality.tolist() == [[1]]


def test_half_a_data_folder_is_one(tmp_path, complaint):
    (tmp_path / "outcomes.parquet").touch()
    assert "prompts.parquet: no such file; a data folder needs it" in complaint(tmp_path)


def test_the_document_names_every_format():
    document = (ROOT / "docs/data.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in document for name in FORMAT_NAMES)
