"""Whether a target should take over from the policy in force: a word and a sentence.

The gate is the anytime-valid lower bound of the lift in utility: it may be looked at after every
round, and opens for any policy that is not better with probability 1 − level at most, however
many policies the same log is asked about.
"""

from __future__ import annotations

from collections.abc import Mapping

from banditroute.evaluation.results import Measured, Verdict
from banditroute.evaluation.weighing import UTILITY

PROMOTE, KEEP, CANNOT_SAY = "promote", "keep", "cannot say"
OF_RECORD = "in force"


def verdict(
    measures: Mapping[str, Measured], refusals: Mapping[str, str], level: float, challengers: int
) -> Verdict:
    """What follows from what is known of a target, one of so many challengers."""
    if UTILITY in refusals:
        return Verdict(CANNOT_SAY, f"Nothing can be said of it: {refusals[UTILITY]}.")
    bounds = measures[UTILITY].gate
    if bounds is None:
        return Verdict(OF_RECORD, "It is the policy in force.")
    together = f" for all {challengers} policies together" if challengers > 1 else ""
    held = f"at the {100.0 * level:g}% level{together}, however often this is looked at"
    if bounds.low > 0.0:
        sentence = f"Its utility is at least {bounds.low:.4f} higher a request, {held}."
        return Verdict(PROMOTE, sentence)
    if bounds.high < 0.0:
        sentence = f"Its utility is at least {-bounds.high:.4f} lower a request, {held}."
        return Verdict(KEEP, sentence)
    return Verdict(
        CANNOT_SAY,
        f"Its utility may be {_by(bounds.low)} or {_by(bounds.high)} a request, {held}: log on, "
        "or with a higher floor.",
    )


def _by(lift: float) -> str:
    return f"{abs(lift):.4f} {'lower' if lift < 0.0 else 'higher'}"
