"""Published packages as players, to compare the router with on the same requests.

    pip install 'banditroute[peers]'

Each module imports its package when it is imported itself, so that one that is missing does not
keep the others from being used. All see ``ask.context.x``, the same order and the same feedback.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TypeAlias

from banditroute.simulation import Player, Problem, Scenario

Factory: TypeAlias = Callable[[Problem, int, Scenario], Player]

# Name of the peer → its module here, and the package that it needs.
PEERS = {
    "mabwiser-lints": ("mabwiser_player", "mabwiser"),
    "mabwiser-linucb": ("mabwiser_player", "mabwiser"),
    "paretobandit-package": ("paretobandit_player", "paretobandit"),
    "vw-bag": ("vw_player", "vowpalwabbit"),
    "vw-first": ("vw_player", "vowpalwabbit"),
    "vw-regcb": ("vw_player", "vowpalwabbit"),
    "vw-softmax": ("vw_player", "vowpalwabbit"),
    "vw-squarecb": ("vw_player", "vowpalwabbit"),
}


def peer(name: str) -> Factory:
    """What makes the named player. Raises ModuleNotFoundError naming the package to install."""
    module, package = PEERS[name]
    try:
        found = import_module(f"{__name__}.{module}")
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            f"{name} needs {package}: pip install 'banditroute[peers]'", name=missing.name
        ) from missing
    makers: dict[str, Factory] = found.MAKERS
    return makers[name]
