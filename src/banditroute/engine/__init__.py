"""Decide and learn: the only place where policies, the store and the clock meet.

``engine`` is what the outside calls; ``follower`` keeps one router's knowledge level with its
log; ``backlog`` writes decisions and outcomes off the request path and holds them while the
store is away; ``reports`` puts what was learned into numbers.
"""

from banditroute.engine.engine import Engine, RouterSpec
from banditroute.engine.reports import ArmReport

__all__ = ["ArmReport", "Engine", "RouterSpec"]
