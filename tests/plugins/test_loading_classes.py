"""Classes by name: found, found again, and missed with a word on what there is."""

from __future__ import annotations

import os
import sys
from dataclasses import fields

import pytest

from banditroute.core.policies import Fixed
from banditroute.errors import PluginError
from banditroute.plugins import load_class, source_of

TWO = "class Mine:\n    number = 1\n\nclass Other:\n    pass\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "my_policy.py").write_text(TWO)
    return tmp_path


def refusal(spec, folder):
    with pytest.raises(PluginError) as refused:
        load_class(spec, folder)
    text = str(refused.value)
    assert text.startswith(f"{spec}: ")
    return text


def test_a_class_is_found_by_its_file(folder):
    assert load_class("my_policy.py:Mine", folder).number == 1
    assert load_class(f"{folder}/my_policy.py:Mine").number == 1
    assert load_class(f"../{folder.name}/my_policy.py:Other", folder).__name__ == "Other"


def test_a_path_is_relative_to_the_working_directory_unless_another_is_named(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert load_class("my_policy.py:Mine").number == 1


def test_a_class_is_found_by_its_module():
    assert load_class("banditroute.core.policies:Fixed") is Fixed


def test_a_module_may_be_one_in_the_folder(folder, monkeypatch):
    (folder / "some_package_of_mine").mkdir()
    (folder / "some_package_of_mine" / "policies.py").write_text(TWO)
    monkeypatch.delitem(sys.modules, "some_package_of_mine", raising=False)
    path = list(sys.path)
    assert load_class("some_package_of_mine.policies:Mine", folder).number == 1
    assert sys.path == path


def test_a_parameter_does_not_change_the_class(folder):
    mine = load_class("my_policy.py:Mine", folder)
    assert load_class("my_policy.py:Mine:0.3", folder) is mine
    assert load_class("my_policy.py:Mine:a:b", folder) is mine


def test_one_process_gets_the_same_class_until_the_file_changes(folder):
    file = folder / "my_policy.py"
    first = load_class("my_policy.py:Mine", folder)
    assert load_class(f"{file}:Mine") is first
    about = file.stat()
    file.write_text(TWO.replace("1", "2"))  # as long, and in the same second
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns + 1))
    assert load_class("my_policy.py:Mine", folder).number == 2
    assert first.number == 1


def test_loading_leaves_no_bytecode_behind(folder):
    load_class("my_policy.py:Mine", folder)
    assert list(folder.iterdir()) == [folder / "my_policy.py"]


def test_files_of_the_same_name_are_kept_apart(folder):
    (folder / "other").mkdir()
    (folder / "other" / "my_policy.py").write_text(TWO.replace("1", "7"))
    mine = load_class("my_policy.py:Mine", folder)
    other = load_class("other/my_policy.py:Mine", folder)
    assert (mine.number, other.number) == (1, 7)
    assert mine.__module__ != other.__module__


def test_modules_beside_the_file_can_be_imported(folder):
    (folder / "beside_my_policy.py").write_text("NUMBER = 5\n")
    (folder / "my_policy.py").write_text(
        "from beside_my_policy import NUMBER\nclass Mine:\n    number = NUMBER\n"
    )
    path = list(sys.path)
    assert load_class("my_policy.py:Mine", folder).number == 5
    assert sys.path == path


def test_a_dataclass_with_postponed_annotations_can_be_loaded(folder):
    (folder / "my_policy.py").write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from typing import ClassVar\n\n"
        "@dataclass\nclass Mine:\n    alpha: float = 1.0\n    shared: ClassVar[int] = 3\n"
    )
    assert [each.name for each in fields(load_class("my_policy.py:Mine", folder))] == ["alpha"]


def test_the_source_is_that_of_the_file_or_of_the_module(folder):
    assert source_of("my_policy.py:Mine", folder) == TWO.encode()
    assert b"class Thompson" in source_of("banditroute.core.policies:Thompson")
    assert source_of("builtins:int") == b""


def test_a_missing_file_is_named_by_its_whole_path(folder):
    text = refusal("mine.py:Mine", folder)
    assert f"no such file: {folder / 'mine.py'}; say FILE.py:Class" in text


def test_a_folder_is_no_file(folder):
    (folder / "package.py").mkdir()
    assert "is a folder" in refusal("package.py:Mine", folder)


@pytest.mark.parametrize("spec", ["my_policy.py", "my_policy.py:"])
def test_a_file_without_a_class_says_which_there_are(spec, folder):
    text = refusal(spec, folder)
    assert "names no class; say my_policy.py:Class; there are Mine, Other" in text


def test_a_missing_class_says_which_there_are(folder):
    text = refusal("my_policy.py:Mein", folder)
    assert "no class 'Mein' in my_policy.py; there are Mine, Other" in text


def test_classes_that_a_file_imports_are_not_its_own(folder):
    (folder / "my_policy.py").write_text("from collections import OrderedDict\n")
    assert "there are none" in refusal("my_policy.py:Mine", folder)


def test_what_is_no_class_is_refused(folder):
    (folder / "my_policy.py").write_text("def mine():\n    pass\n")
    assert "is a function, not a class" in refusal("my_policy.py:mine", folder)


def test_a_missing_module_is_named(folder):
    assert "no module 'no_such_module'; install it" in refusal("no_such_module.a:Mine", folder)
    assert "no module 'banditroute.nowhere'" in refusal("banditroute.nowhere:Mine", folder)


@pytest.mark.parametrize("spec", [":Mine", "", ":", "::"])
def test_a_spec_without_a_home_is_refused(spec, folder):
    assert "names no module" in refusal(spec, folder)


FAILING = {
    "import numpy as np\n1 / 0\n": "line 2: ZeroDivisionError: division by zero",
    "def f():\n    raise ValueError('two\\nlines')\n\nf()\n": "line 2: lines",
    "class Mine:\n    def f(self:\n": "line 2: SyntaxError: ",
    "import no_such_module_at_all\n": "line 1: ModuleNotFoundError: No module named",
    "import sys\nsys.exit(3)\n": "line 2: SystemExit: 3",
}


@pytest.mark.parametrize("source", FAILING, ids=FAILING.values())
def test_an_error_while_importing_is_told_by_its_line(source, folder):
    (folder / "my_policy.py").write_text(source)
    before = set(sys.modules)
    text = refusal("my_policy.py:Mine", folder)
    assert f"importing it failed: {FAILING[source]}" in text
    assert not {name for name in set(sys.modules) - before if name.startswith("my_policy")}


def test_an_error_in_a_module_that_a_module_imports_is_not_taken_for_a_missing_one(folder):
    (folder / "needs_something.py").write_text("import no_such_module_at_all\n")
    text = refusal("needs_something:Mine", folder)
    assert "importing it failed: ModuleNotFoundError: No module named 'no_such" in text


def test_a_file_that_failed_can_be_mended(folder):
    (folder / "my_policy.py").write_text("1 / 0\n")
    refusal("my_policy.py:Mine", folder)
    (folder / "my_policy.py").write_text(TWO)
    assert load_class("my_policy.py:Mine", folder).number == 1
