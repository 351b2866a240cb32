"""What the README prints is run as printed, against a real router."""

import re
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest
from patience import PATIENCE_S
from serving import served

from banditroute.cli.app import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PRINTED_URL = "http://127.0.0.1:8080"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with served(tmp_path_factory.mktemp("readme")) as (url, _):
        yield url


def run_here(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(
    not (which("curl") and which("bash")), reason="curl and bash run the README's examples"
)
def test_the_curl_examples_work_as_printed(url, tmp_path):
    examples = [block for block in blocks("sh") if "curl" in block]
    assert len(examples) == 2
    first, second = (example.replace(PRINTED_URL, url) for example in examples)
    assert '"object":"chat.completion"' in run_here(["bash", "-ec", first], tmp_path)
    printed = run_here(["bash", "-ec", second], tmp_path)
    assert '"status":"learned"' in printed
    assert "was drawn with probability" in printed
    assert '"feedback_n":' in printed


def test_the_openai_example_works_as_printed(url, tmp_path):
    (example,) = [block for block in blocks("python") if "import OpenAI" in block]
    printed = run_here([sys.executable, "-c", example.replace(PRINTED_URL, url)], tmp_path)
    assert re.search(r"^sim-\w+ answered: .", printed, re.MULTILINE)
    assert re.search(r"^decision: [0-9a-f-]{36}$", printed, re.MULTILINE)
    assert printed.splitlines()[-1].split()[0] == "learned"


def test_every_command_the_readme_names_exists():
    named = set(re.findall(r"banditroute (\w+)", "\n".join(blocks("sh"))))
    assert named <= COMMANDS.keys()
    assert COMMANDS.keys() <= set(re.findall(r"banditroute (\w+)", README))


def test_every_file_the_readme_links_is_there():
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        if "://" not in link:
            assert (ROOT / link).exists(), link


def test_the_two_commands_of_the_readme_are_targets_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("serve", "test"):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
        assert f"make {target}" in README
