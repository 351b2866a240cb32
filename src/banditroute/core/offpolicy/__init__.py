"""Off-policy evaluation: what another policy would have earned, from the log of this one.

``rounds`` is the log beside the policy asked about, ``estimators`` estimate its value,
``intervals`` say how surely at a time that was fixed before, ``sequences`` at all times at once,
and ``support`` how much the log can say of it at all.
"""

from banditroute.core.offpolicy.bernstein import ips_sequence
from banditroute.core.offpolicy.estimators import (
    ESTIMATORS,
    Estimator,
    clipped_ips,
    default_clip,
    direct,
    doubly_robust,
    ips,
    snips,
    switch_dr,
)
from banditroute.core.offpolicy.intervals import (
    Interval,
    bootstrap_interval,
    foreseen_variance,
    mean_interval,
)
from banditroute.core.offpolicy.rounds import Rounds
from banditroute.core.offpolicy.sequences import (
    confidence_sequence,
    lift_sequence,
    promoted,
    value_sequence,
)
from banditroute.core.offpolicy.support import LEAST_PROBABILITY, Support, support

__all__ = [
    "ESTIMATORS",
    "LEAST_PROBABILITY",
    "Estimator",
    "Interval",
    "Rounds",
    "Support",
    "bootstrap_interval",
    "clipped_ips",
    "confidence_sequence",
    "default_clip",
    "direct",
    "doubly_robust",
    "foreseen_variance",
    "ips",
    "ips_sequence",
    "lift_sequence",
    "mean_interval",
    "promoted",
    "snips",
    "support",
    "switch_dr",
    "value_sequence",
]
