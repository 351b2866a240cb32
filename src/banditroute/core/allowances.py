"""How much of what an arm learns may come from one principal: a token bucket for each two.

A principal, a key or a source, with a share s may add s · ``WINDOW`` of evidence weight to an arm
at once, and after that s of all that the arm learns, from whomever. So over any stretch in which
an arm learns L it learns at most s · (``WINDOW`` + L) of one principal, as long as each of its
words is granted in knowledge of the one before. What counts is weight and not words, or a flood
would fill its own bucket.

The shares are configuration and may change, so no bucket knows one. It holds what its principal
owes: how much the arm must learn until the bucket is full again. A word of weight w costs w / s.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from banditroute.values import Charge, QualityEvidence

WINDOW = 1_000.0  # evidence weight: as many exact scores of full weight, nearly
MOST_BUCKETS = 4_096  # of one arm; of more, those that are nearest to being full are forgotten
LEAST_SHARE = 1.0 / WINDOW  # a full bucket then pays for any one word


class Principal(NamedTuple):
    """Whose words are capped: at ``share`` of what any arm learns."""

    name: str
    share: float

    def left(self, owed: float) -> float:
        """The evidence weight that may still be learned of it where it owes so much."""
        return self.share * max(WINDOW - owed, 0.0)

    def charge(self, weight: float) -> Charge:
        """What a word of such an evidence weight costs it."""
        return Charge(self.name, weight / self.share)


@dataclass(slots=True)
class Buckets:
    """The buckets of one arm. A full one is as good as none, and dropped in time.

    ``learned`` is the evidence weight that first words brought since there was a bucket here;
    ``full_at`` what it must reach for a principal's bucket to be full.
    """

    learned: float = 0.0
    full_at: dict[str, float] = field(default_factory=dict)

    def owed(self, principal: str) -> float:
        """What the arm must learn until a principal's bucket is full."""
        return max(self.full_at.get(principal, 0.0) - self.learned, 0.0)

    def hear(self, entry: QualityEvidence) -> None:
        """Take in a change of what is known of the arm's quality."""
        for principal, cost in entry.charges:
            begun = max(self.full_at.get(principal, 0.0), self.learned)
            self.full_at[principal] = begun + cost
        self.learned += _brought(entry)
        if len(self.full_at) > MOST_BUCKETS:
            owing = sorted(self.not_full(), key=lambda bucket: bucket[::-1])
            self.full_at = dict(owing[-MOST_BUCKETS:])

    def not_full(self) -> list[tuple[str, float]]:
        """The principals that owe something, by name: all that the log decides."""
        return sorted(bucket for bucket in self.full_at.items() if bucket[1] > self.learned)

    def copy(self) -> Buckets:
        """Buckets that later words do not touch."""
        return Buckets(self.learned, dict(self.full_at))


@dataclass(slots=True)
class Allowances:
    """The buckets of every arm that heard a word of somebody whose words are capped."""

    arms: dict[str, Buckets] = field(default_factory=dict)

    def owed(self, arm_id: str, principal: str) -> float:
        """What an arm must learn until a principal's bucket is full; 0 for an unknown one."""
        buckets = self.arms.get(arm_id)
        return 0.0 if buckets is None else buckets.owed(principal)

    def hear(self, entry: QualityEvidence) -> None:
        """Take in a change of what is known of an arm's quality."""
        if entry.charges and entry.arm_id not in self.arms:
            self.arms[entry.arm_id] = Buckets()
        if entry.arm_id in self.arms:
            self.arms[entry.arm_id].hear(entry)

    def copy(self) -> Allowances:
        """The buckets as they are now."""
        return Allowances({arm_id: buckets.copy() for arm_id, buckets in self.arms.items()})


def _brought(entry: QualityEvidence) -> float:
    """The evidence weight that a first word brought; a word that is changed brings none.

    So nobody fills a bucket by saying less and then more again.
    """
    old, new = entry.old, entry.new
    if new is None or (old is not None and len(new.voices) <= len(old.voices)):
        return 0.0
    return max(new.weight - (0.0 if old is None else old.weight), 0.0)
