"""VowpalWabbit's contextual bandits (``--cb_explore_adf``) as players.

A request is one shared example with x in namespace ``x`` and, for every arm, an action with its
id in namespace ``a``. ``-q ax`` gives every arm its own weights on x. Costs are 1 − r. The
reduction is ``mtr``, the default and what Bietti, Agarwal & Langford (2021) recommend.

Searched, on the development sets together: the learning rate over 0.1, 0.5 (the default, which
stayed), 2 and ``--coin``, which has none; ``--gamma_scale`` over 10, 30, 100 and 1,000;
``--regcb`` and ``--regcbopt`` at a ``--mellowness`` of 0.0001 to 0.1; ``--lambda`` over 10, 20,
30 and 50; ``--first`` 200 and 500; ``--bag`` 5 and 10, with and without ``--greedify``.
"""

from __future__ import annotations

import numpy as np
from vowpalwabbit import Workspace

from banditroute.simulation import Ask, Cell
from banditroute.simulation.rivals.base import Learner, Rows, open_rows
from banditroute.values import Vector
from peers import Factory

COMMON = "--quiet --cb_explore_adf -q ax"


class VowpalWabbit(Learner):
    """One workspace; learns an answer when it is judged, with the propensity it was drawn with.

    ``options`` choose the exploration. The workspace's own random numbers, which only ``--bag``
    uses, follow from ``seed``.
    """

    def __init__(self, options: str, seed: int) -> None:
        super().__init__()
        self._drawn_at: dict[str, float] = {}
        self.workspace = Workspace(f"{COMMON} {options} --random_seed {seed}")

    def choose(self, ask: Ask, rows: Rows) -> Vector:
        """The distribution that the package returns, over the arms that are there."""
        chances = self.workspace.predict("\n".join([_shared(ask), *map(_action, rows)]))
        given = np.array(chances, dtype=np.float64)  # of single precision
        probabilities: Vector = given / given.sum()
        return probabilities

    def called(self, ask: Ask, row: int, propensity: float, cell: Cell) -> None:
        """Remember the cost and the propensity until somebody judges the answer."""
        super().called(ask, row, propensity, cell)
        self._drawn_at[ask.decision_id] = propensity

    def learn(self, ask: Ask, row: int, reward: float) -> None:
        """One labelled example with the arms of the ask."""
        label = f"0:{1.0 - reward:.6g}:{self._drawn_at.pop(ask.decision_id):.6g} "
        actions = [(label if each == row else "") + _action(each) for each in open_rows(ask)]
        self.workspace.learn("\n".join([_shared(ask), *actions]))


def _shared(ask: Ask) -> str:
    return "shared |x " + " ".join(f"{i}:{v:.6g}" for i, v in enumerate(ask.context.x) if v)


def _action(row: int) -> str:
    return f"|a arm{row}"


def _maker(options: str) -> Factory:
    return lambda _, seed, __: VowpalWabbit(options, seed)


MAKERS: dict[str, Factory] = {
    "vw-bag": _maker("--bag 5 --greedify"),
    "vw-first": _maker("--first 200"),
    "vw-regcb": _maker("--regcbopt --mellowness 0.0001"),
    "vw-softmax": _maker("--softmax --lambda 30"),
    "vw-squarecb": _maker("--squarecb --gamma_scale 30"),
}
