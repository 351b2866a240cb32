"""The notebook examples of docs/simulate.md and docs/evaluate.md run as printed."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from banditroute.core.choice import Rules
from banditroute.core.policies import Uniform
from banditroute.datasets import from_arrays
from banditroute.evaluation import row_of
from banditroute.evaluation.rows import Contents
from banditroute.evaluation.writing import Form, open_draft
from banditroute.simulation import RouterPlayer, play, problem_of
from banditroute.values import DecisionRecord, Mark, Outcome

DOCS = Path(__file__).resolve().parents[1] / "docs"


def example(page: str) -> str:
    """The page's Python block under "In a notebook"."""
    _, _, section = (DOCS / page).read_text(encoding="utf-8").partition("## In a notebook\n")
    return re.search(r"^```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL)[1]


def answers(count=300):
    rng = np.random.default_rng(0)
    quality = (rng.random((count, 2)) < [0.5, 0.8]).astype(float)
    return quality, np.tile([1e-4, 1e-3], (count, 1))


class Keeping(RouterPlayer):
    """A router that keeps its decisions with what came of them."""

    def __init__(self, groups):
        super().__init__(groups, Rules(Uniform(), 0.1, 0))
        self.records = []

    def called(self, ask, row, propensity, cell):
        made = replace(self._made[ask.decision_id], answer_value_usd=0.05, patience_s=120.0)
        word = Mark(ask.decision_id, cell.quality)
        outcome = Outcome(made.id, cost_usd=cell.cost_usd, latency_s=1.0)
        self.records.append(DecisionRecord(made, outcome, {"user": word}))
        super().called(ask, row, propensity, cell)


@pytest.fixture
def exported(tmp_path, monkeypatch):
    """``log.parquet`` here, of a router that chose evenly."""
    monkeypatch.chdir(tmp_path)
    quality, cost_usd = answers()
    posed = problem_of(from_arrays(quality, ["small", "large"], cost_usd=cost_usd))
    player = Keeping(posed.groups)
    play(player, posed, range(len(posed)), 0)
    with open_draft(tmp_path / "log.parquet", Form.PARQUET, Contents()) as draft:
        for record in player.records:
            draft.add(row_of(record))
        draft.finish()


def test_the_example_of_simulate_runs(capsys):
    quality, cost_usd = answers()
    exec(example("simulate.md"), {"quality": quality, "cost_usd": cost_usd, "__name__": "notebook"})
    said = capsys.readouterr().out.split()
    assert said[::2] == ["thompson", "context-free"]
    assert all(0.5 < float(number) < 0.9 for number in said[1::2])


def test_the_example_of_evaluate_runs(exported, capsys):
    exec(example("evaluate.md"), {"__name__": "notebook"})
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("greedy Estimate(")
    assert second.startswith("linucb:2.0 Estimate(")
