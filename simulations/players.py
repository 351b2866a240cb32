"""Players of our own: what a study can say of a policy, but not of the router or of its judges.

    policies = ["thompson", "../players.py:Undetecting", "../players.py:Thumbs:thompson"]

They are made as ``banditroute simulate`` makes any player: ``Class(arms, dimension)``, and what
follows a second colon.
"""

from __future__ import annotations

from banditroute.core.choice import Rules
from banditroute.core.context import Featurizer, TaskSpec
from banditroute.core.identity import unit_interval
from banditroute.core.policies import POLICY_NAMES, Thompson, policy_from
from banditroute.core.posterior import FeatureGroups
from banditroute.simulation import Ask, Cell, Player, RouterPlayer
from banditroute.simulation.rivals import ContextFree, LinUCBTextbook, Random
from banditroute.values import Tuning, Vector

FLOOR, SEED = 0.005, 0


class Undetecting(RouterPlayer):
    """The router without change detection. All that it has learned counts alike for ever."""

    def __init__(self, arms: int, dimension: int) -> None:  # noqa: ARG002 - arms come by themselves
        super().__init__(_groups(dimension), Rules(Thompson(), FLOOR, SEED))
        self.state.quality.tune(Tuning("", 0.0, detect_drift=False))


class Forgetting(RouterPlayer):
    """The router that forgets steadily instead: half after so many judgements of all arms."""

    def __init__(self, arms: int, dimension: int, half_life: str) -> None:  # noqa: ARG002
        super().__init__(_groups(dimension), Rules(Thompson(), FLOOR, SEED))
        forget = Tuning("", 0.0, half_life_n=float(half_life), detect_drift=False)
        self.state.quality.tune(forget)


class Thumbs:
    """A policy that hears thumbs: an answer of quality 0.7 gets 1 from seven people in ten, else 0.

    Who says what depends on the decision alone, and not on the policy.
    """

    def __init__(self, arms: int, dimension: int, policy: str) -> None:
        self._player = _player(arms, dimension, policy)

    def probabilities(self, ask: Ask) -> Vector:
        """The policy's."""
        return self._player.probabilities(ask)

    def called(self, ask: Ask, row: int, propensity: float, cell: Cell) -> None:
        """As the policy's."""
        self._player.called(ask, row, propensity, cell)

    def told(self, ask: Ask, row: int, propensity: float, quality: float) -> None:
        """Up or down."""
        up = unit_interval(SEED, ask.decision_id, "thumb") < quality
        self._player.told(ask, row, propensity, float(up))


def _player(arms: int, dimension: int, policy: str) -> Player:
    if policy.partition(":")[0] in POLICY_NAMES:
        return RouterPlayer(_groups(dimension), Rules(policy_from(policy), FLOOR, SEED))
    match policy:
        case "context-free":
            return ContextFree(arms)
        case "linucb-textbook":
            return LinUCBTextbook(arms, dimension)
        case "random":
            return Random()
    raise ValueError(f"Thumbs knows no policy {policy!r}; add it to players.py")


def _groups(dimension: int) -> FeatureGroups:
    """The groups of a default context of so many numbers, all beyond the usual ones being tasks."""
    tasks = max(dimension - Featurizer().dimension, 0)
    groups = Featurizer(tasks=[TaskSpec(str(task)) for task in range(tasks)]).groups
    return FeatureGroups(groups[:dimension])
