"""Decide and learn: the only place where policies, the store and the clock meet.

``engine`` is what the outside calls; ``deciding`` draws the arm for one request; ``follower``
keeps one router's knowledge level with its log; ``rosters`` says which arms are in force there;
``backlog`` writes decisions and outcomes off the request path and holds them while the store is
away; ``grants`` caps what one principal teaches; ``operator`` changes arms and quarantines
sources at run time; ``reports`` puts what was learned into numbers, ``guarding`` says whether it
was worth it, ``budgets`` what may still be spent, ``refusals`` why no arm may serve a request;
``spec`` is what a router is told to be.
"""

from banditroute.engine.budgets import BudgetReport
from banditroute.engine.engine import Engine
from banditroute.engine.guarding import GuardReport
from banditroute.engine.operator import Adopted, ArmState, Operator
from banditroute.engine.reports import ArmReport
from banditroute.engine.spec import Baseline, Forgetting, RouterSpec

__all__ = [
    "Adopted",
    "ArmReport",
    "ArmState",
    "Baseline",
    "BudgetReport",
    "Engine",
    "Forgetting",
    "GuardReport",
    "Operator",
    "RouterSpec",
]
