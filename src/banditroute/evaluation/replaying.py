"""Decisions made again from the log, to see whether they come out as they were logged."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from math import fsum, isclose
from uuid import UUID

import numpy as np

from banditroute.core.choice import Choice, recompute
from banditroute.core.policies import policy_from
from banditroute.engine.follower import Features
from banditroute.errors import FeatureMismatch, UnknownDecision
from banditroute.evaluation.exporting import Span
from banditroute.evaluation.past import OutOfReach, Past
from banditroute.stores.base import Store
from banditroute.values import Candidate, Decision, DecisionId

TOLERANCE = 1e-9
"""How far a number may be off: other builds of BLAS round the last bits differently."""

MOST_LISTED = 100
_ID_BYTES = 16

EXPIRED = "they expired while the log was read"
OTHER_FEATURES = "made from other context features than this configuration's"


@dataclass(frozen=True, slots=True)
class Replayed:
    """A decision, and the choice that comes of making it again; None where none does."""

    decision: Decision
    again: Choice | None

    @property
    def differences(self) -> tuple[str, ...]:
        """What is not as it was logged; nothing where all is.

        The arm exactly, numbers to ``TOLERANCE``: the propensity, the probabilities of all
        candidates and that they sum to 1, and what was predicted of each.
        """
        if self.again is None:
            return ("everything: no choice comes of these numbers",)
        was, now = self.decision.candidates, self.again.candidates
        same = {
            "arm": self.decision.arm_id == self.again.arm_id,
            "propensity": _is_close(self.decision.propensity, self.again.propensity),
            "probabilities": all(
                _is_close(a.probability, b.probability) for a, b in zip(was, now, strict=True)
            ),
            "sum of probabilities": _is_close(fsum(one.probability for one in was), 1.0),
            "predictions": all(_predicts(a, b) for a, b in zip(was, now, strict=True)),
        }
        return tuple(name for name, holds in same.items() if not holds)


@dataclass(slots=True)
class Verified:
    """What became of a router's decisions when all were made again.

    ``different`` counts all that came out otherwise, ``mismatches`` holds the first of them.
    ``unverifiable`` counts, by the reason, those that cannot be made again.
    """

    router: str
    decisions: int = 0
    same: int = 0
    different: int = 0
    mismatches: list[Replayed] = field(default_factory=list)
    unverifiable: Counter[str] = field(default_factory=Counter)

    def add(self, replayed: Replayed) -> None:
        """One more decision that was made again."""
        if not replayed.differences:
            self.same += 1
            return
        self.different += 1
        if len(self.mismatches) < MOST_LISTED:
            self.mismatches.append(replayed)


async def replay(
    store: Store, router: str, features: Features, decision_id: DecisionId
) -> Replayed:
    """Make one decision again. Writes nothing.

    Raises UnknownDecision, FeatureMismatch, and OutOfReach where that cannot be done any more.
    """
    await _expect(store, router, features)
    record = await store.find(router, decision_id)
    if record is None:
        raise UnknownDecision(
            "this decision is not known: its id is wrong, or it is older than the store's "
            "decision_ttl"
        )
    return await _again(Past(store, router, features.groups), features, record.decision)


async def verify(
    store: Store,
    router: str,
    features: Features,
    span: Span,
    advance: Callable[[int, int], object] = lambda _done, _total: None,
) -> Verified:
    """Make every decision in a span again, the log being folded once. Writes nothing.

    Holds 24 bytes for each decision, and one of them at a time. ``advance`` is told how many
    are done, and of how many. Raises FeatureMismatch.
    """
    await _expect(store, router, features)
    places = await _Places.of(store, router, span)
    past = Past(store, router, features.groups)
    done = Verified(router, decisions=len(places))
    count = 0
    async for decision in places.decisions(store, router):
        count += 1
        advance(count, len(places))
        if decision is None:
            done.unverifiable[EXPIRED] += 1
            continue
        try:
            done.add(await _again(past, features, decision))
        except OutOfReach as error:
            done.unverifiable[str(error)] += 1
    return done


async def _again(past: Past, features: Features, decision: Decision) -> Replayed:
    if decision.fingerprint != features.fingerprint:
        raise OutOfReach(OTHER_FEATURES)
    try:
        policy_from(decision.policy)
    except ValueError:
        raise OutOfReach(f"policy {decision.policy} is not known here") from None
    knowledge = await past.at(decision.position)
    try:
        return Replayed(decision, recompute(decision, knowledge))
    except (ArithmeticError, ValueError):
        return Replayed(decision, None)


async def _expect(store: Store, router: str, features: Features) -> None:
    """Raise FeatureMismatch for a log that was learned from other features."""
    if await store.claimed(router) not in {None, features.fingerprint}:
        raise FeatureMismatch(
            f"router {router!r} was learned from other context features than this configuration's: "
            "give it the [features] and [[tasks]] of the old one"
        )


class _Places:
    """Where in the log decisions were made: positions and ids, as small as can be."""

    def __init__(self) -> None:
        self._positions = array("q")
        self._ids = bytearray()

    @classmethod
    async def of(cls, store: Store, router: str, span: Span) -> _Places:
        """The places of all decisions in a span."""
        places = cls()
        async for record in store.decisions(router, span.after):
            if span.until is not None and record.decision.id >= span.until:
                break
            places._positions.append(record.decision.position)
            places._ids += UUID(record.decision.id).bytes
        return places

    def __len__(self) -> int:
        return len(self._positions)

    async def decisions(self, store: Store, router: str) -> AsyncIterator[Decision | None]:
        """The decisions in order of position, then id; None for one that is gone."""
        for n in np.argsort(np.array(self._positions), kind="stable").tolist():
            packed = bytes(self._ids[_ID_BYTES * n : _ID_BYTES * (n + 1)])
            record = await store.find(router, str(UUID(bytes=packed)))
            yield None if record is None else record.decision


def _predicts(was: Candidate, now: Candidate) -> bool:
    """Whether the same is predicted of an arm, probability apart."""
    return was.arm_id == now.arm_id and all(map(_is_close, was[2:], now[2:]))


def _is_close(was: float, now: float) -> bool:
    return isclose(was, now, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
