"""What goes wrong, when and for how long: drawn from a seed before anything begins."""

import random
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What may go wrong. In a small run the first two always do."""

    REPLICA_KILLED = "replica killed"
    FAILOVER = "failover"
    WIPE = "redis wiped"
    REDIS_KILLED = "redis killed"
    CUT_ALL = "all cut off"
    BLACKHOLE = "black hole"
    REPLIES_LOST = "replies lost"
    REPLICA_STOPPED = "replica stopped"
    REDIS_RESTARTED = "redis restarted"
    CUT = "one cut off"
    DELAY = "slow line"
    BLACKHOLE_ALL = "black hole for all"


MOST_WIPES = 2
_SURE = (Kind.REPLICA_KILLED, Kind.FAILOVER)

# How often each happens, and for how many seconds.
_PLAN: dict[Kind, tuple[int, float, float]] = {
    Kind.REPLICA_KILLED: (6, 0.2, 2.0),
    Kind.FAILOVER: (4, 0.3, 2.0),
    Kind.WIPE: (1, 0.0, 0.0),
    Kind.REDIS_KILLED: (3, 0.1, 1.5),
    Kind.CUT_ALL: (2, 0.2, 3.0),
    Kind.BLACKHOLE: (2, 1.0, 4.0),
    Kind.REPLIES_LOST: (4, 0.0, 0.0),
    Kind.REPLICA_STOPPED: (3, 0.2, 2.0),
    Kind.REDIS_RESTARTED: (1, 0.1, 1.5),
    Kind.CUT: (3, 0.2, 3.0),
    Kind.DELAY: (2, 1.0, 5.0),
    Kind.BLACKHOLE_ALL: (1, 1.0, 4.0),
}


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that goes wrong when the run has come so far: ``at``, a share of its feedback.

    ``replica`` is whom it meets, if it meets one; ``delay_s`` and ``replies`` are of a slow
    line and of lost replies; ``wiped`` says whether a failed primary comes back empty.
    """

    at: float
    kind: Kind
    replica: int
    lasts_s: float
    delay_s: float
    replies: int
    wiped: bool

    def plain(self) -> dict[str, Any]:
        """For a line of the diary."""
        return asdict(self)


def schedule(seed: int, count: int, replicas: int) -> list[Event]:
    """``count`` events in order: as many kinds as fit once, the others as often as is usual."""
    rng = random.Random(f"chaos {seed}")
    others = [kind for kind in Kind if kind not in _SURE]
    rng.shuffle(others)
    kinds = [*_SURE, *others][:count]
    while len(kinds) < count:
        kinds.append(_usual(rng, kinds.count(Kind.WIPE) < MOST_WIPES))
    rng.shuffle(kinds)
    return [
        _event(rng, kind, 0.02 + 0.93 * (number + rng.random()) / count, replicas)
        for number, kind in enumerate(kinds)
    ]


def _usual(rng: random.Random, may_wipe: bool) -> Kind:
    kinds = [kind for kind in Kind if may_wipe or kind is not Kind.WIPE]
    return rng.choices(kinds, [_PLAN[kind][0] for kind in kinds])[0]


def _event(rng: random.Random, kind: Kind, at: float, replicas: int) -> Event:
    _, least_s, most_s = _PLAN[kind]
    return Event(
        at=at,
        kind=kind,
        replica=rng.randrange(replicas),
        lasts_s=rng.uniform(least_s, most_s),
        delay_s=rng.uniform(0.05, 0.2),
        replies=rng.randint(1, 3),
        wiped=rng.random() < 0.5,
    )
