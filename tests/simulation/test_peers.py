"""Published packages as players; skipped where the ``peers`` extra is not installed."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from rival_examples import ask_of, linear_problem

from banditroute.simulation import Cell, Scenario, play
from banditroute.simulation.rivals import ParetoBandit

LEARNING = Path(__file__).parents[2] / "benchmarks" / "learning"
INSTALL = "is not installed: pip install 'banditroute[peers]'"
NAMES = {
    "mabwiser-lints": "mabwiser",
    "mabwiser-linucb": "mabwiser",
    "paretobandit-package": "pareto_bandit",
    "vw-bag": "vowpalwabbit",
    "vw-first": "vowpalwabbit",
    "vw-regcb": "vowpalwabbit",
    "vw-softmax": "vowpalwabbit",
    "vw-squarecb": "vowpalwabbit",
}


@pytest.fixture
def peers(monkeypatch):
    """The package of the adapters, importable as a benchmark beside it imports it."""
    monkeypatch.syspath_prepend(LEARNING)
    return import_module("peers")


@pytest.fixture(params=NAMES)
def make(request, peers):
    pytest.importorskip(NAMES[request.param], reason=f"{NAMES[request.param]} {INSTALL}")
    return peers.peer(request.param)


def test_every_peer_is_tested(peers):
    assert set(NAMES) == set(peers.PEERS)


def test_a_missing_package_is_named_with_the_way_to_get_it(peers, monkeypatch):
    monkeypatch.setitem(peers.PEERS, "vw-next", ("no_such_player", "vowpalwabbit"))
    with pytest.raises(ModuleNotFoundError, match=r"vw-next needs vowpalwabbit: pip install"):
        peers.peer("vw-next")


def test_a_barred_arm_is_never_chosen_and_the_rest_sums_to_one(make, rng):
    problem = linear_problem(rng, prompts=200)
    player = make(problem, 0, Scenario())
    for at in range(200):
        barred = [["arm-1"], ["arm-0", "arm-2"], []][at % 3]
        ask = ask_of(problem, at, value_usd=0.1, barred=barred)
        chances = player.probabilities(ask)
        assert all(chances[int(arm_id[-1])] == 0.0 for arm_id in barred)
        assert chances.sum() == pytest.approx(1.0, abs=1e-6)
        row = int(rng.choice(3, p=chances / chances.sum()))
        player.called(ask, row, float(chances[row]), Cell(0.5, 1e-4, None, None))
        player.told(ask, row, float(chances[row]), float(problem.quality[at, row]))


def test_it_beats_random(make, rng):
    problem = linear_problem(rng)
    problem.quality[:, 1] = np.minimum(problem.quality[:, 1] + 0.15, 1.0)
    trace = play(make(problem, 3, Scenario()), problem, range(600), 5)
    gain = (trace.quality - problem.quality.mean(axis=1))[300:]
    assert gain.mean() > 3.0 * gain.std() / np.sqrt(len(gain))


@pytest.mark.parametrize("budget_usd", [None, 1e-3, 4e-3])
def test_paretobandit_here_does_what_the_published_package_does(budget_usd, peers, rng):
    """The same arm at each of 500 requests, whoever of tied arms the package draws at first."""
    pytest.importorskip("pareto_bandit", reason=f"pareto_bandit {INSTALL}")
    problem = linear_problem(rng, prompts=500)
    package = import_module("peers.paretobandit_player").ParetoBanditPackage(problem, 0, budget_usd)
    ours = ParetoBandit(3, problem.groups.dimension, budget_usd=budget_usd)
    certain = 0
    for at in range(500):
        ask = ask_of(problem, at)
        row, chances = int(package.probabilities(ask).argmax()), ours.probabilities(ask)
        assert chances[row] > 0.0, f"request {at}: {chances}, but the package chose {row}"
        certain += chances[row] == 1.0
        quality, cost = float(problem.quality[at, row]), float(problem.cost_usd[at, row])
        for player in (package, ours):
            player.called(ask, row, 1.0, Cell(quality, cost, None, None))
            player.told(ask, row, 1.0, quality)
    assert certain > 490
