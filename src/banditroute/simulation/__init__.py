"""Policies on full-information data: the router's own core, replayed without HTTP.

``problem`` lays a data folder out for arithmetic; ``scenario`` says what happens on the way;
``players`` decide and learn (the router itself, and in ``rivals`` the textbook policies);
``playing`` runs one player over one order of requests and keeps a trace.
"""

from banditroute.simulation.players import Ask, Cell, Player, RouterPlayer
from banditroute.simulation.playing import play
from banditroute.simulation.problem import Problem, problem_of
from banditroute.simulation.scenario import Scenario
from banditroute.simulation.trace import Trace

__all__ = [
    "Ask",
    "Cell",
    "Player",
    "Problem",
    "RouterPlayer",
    "Scenario",
    "Trace",
    "play",
    "problem_of",
]
