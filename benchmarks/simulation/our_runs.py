"""``banditroute.simulation.play``: ``thompson`` is the router itself, the others its rivals."""

from __future__ import annotations

import pickle
from pathlib import Path

from arrays import SEED, Maker, Run

from banditroute.core.choice import Rules
from banditroute.core.policies import Thompson
from banditroute.simulation import Player, Problem, RouterPlayer, Scenario, play
from banditroute.simulation.rivals import RIVALS

FLOOR = 0.005
RIVAL = {"linucb": "linucb-textbook"}


def played(folder: Path, policy: str) -> Run:
    """Quality alone counts. The router learns what answers cost all the same."""
    problem, order = pickle.loads((folder / "problem.pickle").read_bytes())
    player = player_of(policy, problem)
    return lambda: float(play(player, problem, order, SEED).quality.mean())


def player_of(policy: str, problem: Problem) -> Player:
    if policy == "thompson":
        return RouterPlayer(problem.groups, Rules(Thompson(), FLOOR, SEED))
    return RIVALS[RIVAL.get(policy, policy)](problem, SEED, Scenario())


MAKERS: dict[str, Maker] = {"ours": played}
