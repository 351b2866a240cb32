"""The study that holds what is said of a log against the truth, in small."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def study(monkeypatch):
    """The study, importable as its command imports it."""
    for folder in ("learning", "evaluation"):
        monkeypatch.syspath_prepend(BENCHMARKS / folder)
    return import_module("coverage_study")


class Serial:
    """A lab with one process."""

    def map(self, work, jobs):
        return list(map(work, jobs))


def test_a_log_is_what_the_router_did_beside_the_truth(study):
    log = study.logged(study.World(60, 3, floor=0.3), seed=1)
    rounds = log.rounds
    assert rounds.target.shape == log.truth.shape == (60, 3)
    assert rounds.probabilities.min() >= 0.1 - 1e-12
    np.testing.assert_allclose(rounds.probabilities.sum(axis=1), 1.0)
    assert np.ptp(rounds.predictions[0]) == pytest.approx(0.0)
    assert np.ptp(rounds.predictions[-1]) > 0.0
    first = study.mostly(0, (60, 3))
    expected = (0.9 * log.truth[:, 0] + 0.1 * log.truth.mean(axis=1)).mean()
    assert log.value(first)[-1] == pytest.approx(expected)


def test_where_all_arms_are_alike_every_policy_has_the_same_value(study):
    log = study.logged(study.World(30, 3, alike=True), seed=2)
    assert np.ptp(log.truth) == 0.0
    np.testing.assert_allclose(log.value(log.rounds.target), log.truth[0, 0])


def test_what_a_log_says_is_held_against_the_truth(study):
    world = study.World(80, 3, floor=0.3)
    found = study.study(5, world)["uniform"]
    log = study.logged(world, 5)
    uniform = np.full((80, 3), 1.0 / 3.0)
    value = log.value(uniform)[-1]
    assert found.lift == pytest.approx(value - log.value(log.rounds.probabilities)[-1])
    estimate = (log.rounds.rewards / 3.0 / log.rounds.propensities).mean()
    assert found.errors["ips"] == pytest.approx(estimate - value)
    assert found.students["dr"].width > 0.0
    assert found.sequences[study.VALUE].held
    assert found.sequences[study.VALUE].width < found.sequences[study.IPS].width


def test_the_tables_have_a_row_for_every_target_estimator_and_sequence(study, monkeypatch):
    monkeypatch.setattr(study, "SHORT", (study.World(40, 3),))
    monkeypatch.setattr(study, "LONG", (study.World(60, 3),))
    tables = study.coverage(Serial(), logs=2)
    assert [len(table.rows) for table in tables[:4]] == [18, 9, 18, 9]
    assert tables[0].title == "Estimates: 2 logs of 40 rounds, 3 arms, floor 0.2"
    assert tables[2].title == "Estimates: 1 logs of 60 rounds, 3 arms, floor 0.2"
    assert [row[2:4] for row in tables[4].rows if row[0]] == [("0.0% ± 0.0%", "≤ 5%: met")] * 6


def test_a_goal_is_missed_only_by_more_than_two_errors(study):
    """95% of 1,000 logs: the error is 0.7%."""
    said = [study._met(share - 0.95, share, 1_000) for share in (0.95, 0.94, 0.93)]
    assert said == ["met", "met within error", "not met"]
