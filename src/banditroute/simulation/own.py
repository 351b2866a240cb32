"""Players of a user's own: ``file.py:Class``, of one of two kinds.

* A player learns by itself. Most are a :class:`~banditroute.simulation.rivals.base.Learner`,
  with ``choose`` and ``learn``; any class with the methods of
  :class:`~banditroute.simulation.players.Player` is one. Made as ``Class(arms, dimension)``: how
  many arms there are, and numbers in a context.
* A policy (:class:`~banditroute.core.policies.Policy`) chooses on what the router has learned,
  and plays inside the router. Made as ``Class()``.

What follows a second colon in the name, as in ``file.py:Class:0.3``, is a last argument: a text.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from banditroute.core.choice import Rules
from banditroute.core.pacing import Budget
from banditroute.errors import PluginError
from banditroute.plugins.contract import check_policy
from banditroute.plugins.loading import HERE, load_class, make
from banditroute.simulation.contract import check_player
from banditroute.simulation.players import Player, RouterPlayer
from banditroute.simulation.problem import Problem
from banditroute.simulation.rivals import Factory
from banditroute.simulation.scenario import Scenario

FLOOR = 0.005  # a router's exploration floor, unless another is given


@dataclass(frozen=True, slots=True)
class OwnPlayer:
    """Makes players of a class by its name, which any process can look up again."""

    spec: str
    folder: Path
    floor: float
    budget: Budget | None

    def __call__(self, problem: Problem, seed: int, scenario: Scenario) -> Player:  # noqa: ARG002
        """A new one. Raises PluginError."""
        player: Player
        if _is_player(load_class(self.spec, self.folder)):
            player = make(self.spec, self.folder, len(problem.roster), problem.groups.dimension)
        else:
            rules = Rules(make(self.spec, self.folder), self.floor, seed)
            player = RouterPlayer(problem.groups, rules, self.budget)
        return player


def load_player(
    spec: str, folder: Path = HERE, *, floor: float = FLOOR, budget: Budget | None = None
) -> Factory:
    """The factory of a user's own players, which keep their contract.

    ``folder`` is what a file's path is relative to; ``floor`` and ``budget`` are the router's,
    for policies that play inside it. Raises PluginError; ContractBroken, which is one, lists the
    promises that the class breaks.
    """
    folder = folder.resolve()
    _check(spec, folder, load_class(spec, folder))
    return OwnPlayer(spec, folder, floor, budget)


@lru_cache(maxsize=64)
def _check(spec: str, folder: Path, cls: type) -> None:
    """Put a class to the contract of its kind, once."""
    if _is_player(cls):
        check_player(OwnPlayer(spec, folder, FLOOR, None), name=spec)
    elif hasattr(cls, "probabilities"):
        check_policy(make(spec, folder), spec)
    else:
        raise PluginError(
            f"{spec}: is no policy; derive {cls.__name__} from banditroute.simulation.Learner and "
            "define choose(ask, rows) and learn(ask, row, reward), or give it spec and "
            "probabilities(beliefs)"
        )


def _is_player(cls: type) -> bool:
    return hasattr(cls, "called") and hasattr(cls, "told")
