"""What users plug in: classes of their own by name, and what a policy must promise.

Players, which learn by themselves and only play in simulations, are loaded and checked by
``banditroute.simulation.own`` and ``banditroute.simulation.contract``.
"""

from banditroute.plugins.contract import check_policy
from banditroute.plugins.examples import policy_examples
from banditroute.plugins.loading import load_class, source_of
from banditroute.plugins.policies import is_own, load_policy

__all__ = [
    "check_policy",
    "is_own",
    "load_class",
    "load_policy",
    "policy_examples",
    "source_of",
]
