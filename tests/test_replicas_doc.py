"""What docs/replicas.md and compose.yaml say of running many replicas is true."""

import re
import shlex
from pathlib import Path

import httpx
import pytest
from patience import PATIENCE_S
from redis_servers import free_port
from serving import launched
from typer.testing import CliRunner

from banditroute.cli.app import COMMANDS, commands
from banditroute.config.urls import store_url
from banditroute.stores.redis import parse_address
from banditroute.stores.redis.keys import ROUTERS, Keys

ROOT = Path(__file__).resolve().parents[1]
DOC = (ROOT / "docs/replicas.md").read_text(encoding="utf-8")
COMPOSE = (ROOT / "compose.yaml").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_every_key_that_is_written_is_documented():
    keys = Keys("auto")
    written = {keys.meta, keys.log, keys.ids, keys.saved, keys.news, ROUTERS}
    written |= {keys.decision("<id>"), keys.arm("<arm id>")}
    written |= {keys.checkpoint(0).replace(":0", ":<position>")}
    assert set(re.findall(r"`(br1:[^`*]+)`", DOC)) == written


@pytest.mark.parametrize("url", re.findall(r"^\| `([a-z+]+://[^`]+)`", DOC, re.MULTILINE))
def test_every_address_that_is_shown_can_be_used(url):
    filled = re.sub(r"\$\{[^}]*\}", "pw", url)
    assert store_url(filled) == filled
    assert parse_address(filled).hosts or parse_address(filled).path


def test_every_command_that_is_shown_exists():
    pattern = r"^(?:\.venv/bin/)?banditroute (serve|export|import|\w+ --)"
    shown = {found.split()[0] for found in re.findall(pattern, DOC, re.MULTILINE)}
    assert shown == {"serve", "export", "import"}
    assert shown <= COMMANDS.keys()


def test_every_metric_that_is_shown_exists():
    source = (ROOT / "src/banditroute/http/metrics.py").read_text(encoding="utf-8")
    for name in re.findall(r"`banditroute_(\w+?)(?:_total)?`", DOC):
        assert f'"{name}"' in source, name


def test_a_replica_of_compose_starts_without_its_store(tmp_path):
    [command] = re.findall(r"command: (serve .*)", COMPOSE)
    store = f"redis://127.0.0.1:{free_port()}/0"
    config = str(ROOT / "config.toml")
    command = command.replace("/etc/banditroute/config.toml", config).replace(
        "redis://valkey:6379/0", store
    )
    assert config in command
    assert store in command
    with launched(tmp_path, *shlex.split(command)[1:], "--host", "127.0.0.1") as (url, _):
        ready = httpx.get(f"{url}/readyz", timeout=PATIENCE_S).json()
        assert ready["status"] == "degraded"
        body = {"model": "auto", "messages": [{"role": "user", "content": "Hi!"}]}
        answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=PATIENCE_S)
        assert answer.status_code == 200


def test_the_image_serves_with_options_that_exist():
    [options] = re.findall(r'^CMD \["serve", (.*)\]$', DOCKERFILE, re.MULTILINE)
    known = CliRunner().invoke(commands(), ["serve", "--help"], env={"COLUMNS": "200"}).output
    for option in re.findall(r'"(--\w+)"', options):
        assert option in known
