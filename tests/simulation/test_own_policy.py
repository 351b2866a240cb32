"""A user's own policy: the README's example runs as printed, beside the router."""

from __future__ import annotations

import re
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from rival_examples import linear_problem

from banditroute.core.choice import Rules
from banditroute.core.pacing import Budget
from banditroute.core.policies import Thompson
from banditroute.errors import ContractBroken, PluginError
from banditroute.plugins import load_class
from banditroute.simulation import RouterPlayer, Scenario, check_player, load_player, play

README = Path(__file__).resolve().parents[2] / "README.md"


def example():
    """The README's first Python block under "Your own policy"."""
    _, _, section = README.read_text(encoding="utf-8").partition("# Your own policy\n")
    return re.search(r"^```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL)[1]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "my_policy.py").write_text(example())
    return tmp_path


@pytest.fixture
def written(tmp_path):
    """Writes ``my_policy.py``."""

    def write(source):
        (tmp_path / "my_policy.py").write_text(source)
        return tmp_path

    return write


def thompson(problem):
    return RouterPlayer(problem.groups, Rules(Thompson(), 0.005, 0))


def test_the_example_is_short():
    code = [line for line in example().splitlines() if line.strip()]
    assert len(code) <= 20


def test_the_example_keeps_the_contract(folder, rng):
    make = load_player("my_policy.py:Mine", folder)
    check_player(make)
    check_player(make, linear_problem(rng, prompts=60, arms=14))


def test_the_example_learns_in_a_simulation_beside_the_router(folder, rng):
    problem = linear_problem(rng, prompts=800, arms=4)
    problem.quality[:, 2] += 0.6
    mine = load_player("my_policy.py:Mine", folder)(problem, 0, Scenario())
    ours, theirs = (play(one, problem, range(800), 0) for one in (thompson(problem), mine))
    for trace in (ours, theirs):
        assert np.mean(trace.arm[400:] == 2) > 0.8
    assert not np.array_equal(ours.arm, theirs.arm)


def played(make, problem):
    return play(make(problem, 3, Scenario()), problem, range(len(problem)), 3).arm


def test_another_process_loads_the_same_class_by_its_name(folder, rng):
    problem = linear_problem(rng, prompts=60)
    make = load_player("my_policy.py:Mine", folder)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        there = pool.submit(played, make, problem).result()
    np.testing.assert_array_equal(there, played(make, problem))


POLICY = """
from banditroute.core.policies import Thompson

class Mine:
    spec = "mine"

    def probabilities(self, beliefs):
        return Thompson().probabilities(beliefs)
"""


def test_a_policy_of_ones_own_plays_inside_the_router(written, rng):
    problem = linear_problem(rng, prompts=200)
    make = load_player("my_policy.py:Mine", written(POLICY), floor=0.1)
    rules = Rules(Thompson(), 0.1, 5)
    mine, ours = make(problem, 5, Scenario()), RouterPlayer(problem.groups, rules)
    np.testing.assert_array_equal(*(play(one, problem, range(200), 1).arm for one in (mine, ours)))
    assert mine.rules.policy.spec == "mine"


def test_a_policy_of_ones_own_keeps_the_routers_budget(written, rng):
    problem = linear_problem(rng, prompts=300)
    folder = written(POLICY)
    spent = [
        play(load_player("my_policy.py:Mine", folder, budget=budget)(problem, 0, Scenario()),
             problem, range(300), 0).cost_usd.mean()
        for budget in (None, Budget(usd_per_request=5e-4))
    ]  # fmt: skip
    assert spent[1] < 6e-4 < spent[0]


def test_what_follows_a_second_colon_is_the_last_argument(written, rng):
    taking = "arms, dimension, width):\n        self.width = width"
    folder = written(example().replace("arms, dimension):", taking))
    player = load_player("my_policy.py:Mine:0.3", folder)(linear_problem(rng, 9), 0, Scenario())
    assert player.width == "0.3"


def test_a_player_may_be_any_class_with_the_methods_of_one(written):
    load_player(
        "my_policy.py:Mine",
        written(
            "import numpy as np\n"
            "class Mine:\n"
            "    def __init__(self, arms, dimension):\n        pass\n"
            "    def probabilities(self, ask):\n"
            "        there = np.array([id not in ask.barred for id in ask.roster.ids], float)\n"
            "        return there / there.sum()\n"
            "    def called(self, ask, row, propensity, cell):\n        pass\n"
            "    def told(self, ask, row, propensity, quality):\n        pass\n"
        ),
    )


def test_the_contract_is_checked_before_anything_runs(written):
    folder = written(example().replace("return shared", "return 0.9 * shared"))
    with pytest.raises(ContractBroken, match=r"^my_policy.py:Mine breaks 1 promise:\n  - the pro"):
        load_player("my_policy.py:Mine", folder)
    folder = written(POLICY.replace("return Th", "return 0.9 * Th"))
    with pytest.raises(ContractBroken, match="sum to 1"):
        load_player("my_policy.py:Mine", folder)


def test_the_contract_is_checked_once_for_a_class(written):
    noting = "super().__init__()\n        MADE.append(arms)"
    folder = written(example().replace("super().__init__()", noting) + "\nMADE = []\n")
    load_player("my_policy.py:Mine", folder)
    module = sys.modules[load_class("my_policy.py:Mine", folder).__module__]
    made = len(module.MADE)
    load_player("my_policy.py:Mine", folder, floor=0.1)
    assert len(module.MADE) == made > 0


def test_a_learner_that_cannot_learn_says_what_is_missing(written):
    folder = written(example().partition("    def learn")[0])
    with pytest.raises(PluginError, match=r"cannot be made by Mine\(3, 4\): .*method '?learn"):
        load_player("my_policy.py:Mine", folder)


def test_a_class_that_is_no_policy_says_how_to_make_one(written):
    with pytest.raises(PluginError, match=r"derive Mine from banditroute.simulation.Learner and"):
        load_player("my_policy.py:Mine", written("class Mine:\n    pass\n"))
