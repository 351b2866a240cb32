"""Policies on full-information data: the router's own core, replayed without HTTP.

``problem`` lays a data folder out for arithmetic; ``scenario`` says what happens on the way;
``players`` decide and learn (the router itself, and in ``rivals`` the textbook policies);
``playing`` runs one player over one order of requests and keeps a trace. ``worlds`` makes data
up whose truth is known. ``studies`` are policies × scenarios × seeds, from a file or in one call
of ``simulate``; what comes out are ``results``. ``own`` loads a user's own players, and
``contract`` is what all players promise.
"""

from banditroute.simulation.contract import check_player
from banditroute.simulation.own import load_player
from banditroute.simulation.players import Ask, Cell, Player, RouterPlayer
from banditroute.simulation.playing import play
from banditroute.simulation.problem import Problem, problem_of
from banditroute.simulation.results import Results
from banditroute.simulation.rivals import Factory
from banditroute.simulation.rivals.base import Learner, Rows, shared_argmax
from banditroute.simulation.scenario import Outage, Scenario
from banditroute.simulation.simulating import simulate
from banditroute.simulation.studies.reading import load_study
from banditroute.simulation.studies.schema import ScenarioSpec, Study
from banditroute.simulation.trace import Trace
from banditroute.simulation.worlds import World, WorldArm

__all__ = [
    "Ask",
    "Cell",
    "Factory",
    "Learner",
    "Outage",
    "Player",
    "Problem",
    "Results",
    "RouterPlayer",
    "Rows",
    "Scenario",
    "ScenarioSpec",
    "Study",
    "Trace",
    "World",
    "WorldArm",
    "check_player",
    "load_player",
    "load_study",
    "play",
    "problem_of",
    "shared_argmax",
    "simulate",
]
