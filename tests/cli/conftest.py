"""What tests of commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

from banditroute.cli.demo.stage import Stage, built_in
from banditroute.cli.demo.tally import Cells, Tally


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty folder to run commands in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def stage() -> Stage:
    """A demo's world with 20 prompts."""
    return built_in(20, 0, "memory://")


@pytest.fixture
def tally(stage) -> Tally:
    """A demo in which nothing was answered yet."""
    cells = Cells.of(
        stage.scene, stage.arms, stage.prompts, answer_value_usd=0.05, patience_s=120.0
    )
    return Tally(cells, 0.05, 120.0)
