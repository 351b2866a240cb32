"""Models, words and comparisons that the tests of quality share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from core_examples import GROUPS, vector

from banditroute.core.posterior import FeatureGroups
from banditroute.core.quality import (
    QualityModel,
)
from banditroute.values import QualityEvidence, Reading, Vector, Voice

SUMS = ("n", "gram", "moment", "square")
SOURCE_SUMS = ("weights", "moments", "squares")
UNIT = np.ones(1)


def model_of(arms: int, groups: FeatureGroups = GROUPS) -> QualityModel:
    model = QualityModel.empty(groups)
    for _ in range(arms):
        model.grow()
    return model


def word(
    x: Vector, new: Reading | None, old: Reading | None = None, at: int = 0, position: int = 1
):
    """What is known of the decision of place ``at``; ids sort by place."""
    return QualityEvidence(position, f"d-{at:06d}", "a", x, old, new)


def amended(entry: QualityEvidence, new: Reading | None) -> QualityEvidence:
    return replace(entry, old=entry.new, new=new)


def random_pieces(rng, count, arms=3, first=0):
    """First words on ``count`` decisions, each with the row of its arm."""
    return [
        (
            int(rng.integers(arms)),
            word(
                vector(rng, 5),
                Reading(float(rng.uniform()), float(rng.uniform(0.05, 1.0))),
                at=first + place,
            ),
        )
        for place in range(count)
    ]


def taught(model, pieces):
    for row, entry in pieces:
        model.revise(row, entry)
    return model


def changed(reading: Reading) -> Reading:
    return Reading(1.0 - reading.quality, reading.weight / 2.0)


def assert_same_sums(left, right):
    for column in SUMS:
        np.testing.assert_allclose(
            getattr(left.sums, column), getattr(right.sums, column), rtol=1e-9, atol=1e-12
        )


def random_voices(rng, level: float = 0.5) -> Reading:
    names = ["critic", "user", "judge"][: int(rng.integers(1, 4))]
    voices = tuple(
        Voice(name, 0.8 * level + 0.2 * float(rng.uniform()), float(rng.uniform(0.2, 0.3)))
        for name in names
    )
    weight = sum(voice.weight for voice in voices)
    return Reading(sum(v.weight * v.score for v in voices) / weight, weight, voices)


def assert_same_sources(left, right):
    assert set(left.sources.known) == set(right.sources.known)
    for name, one in right.sources.known.items():
        for column in SOURCE_SUMS:
            np.testing.assert_allclose(
                getattr(left.sources.known[name], column), getattr(one, column), atol=1e-9
            )
        assert left.sources.known[name].n == one.n
    for names, sums in right.sources.pairs.items():
        np.testing.assert_allclose(left.sources.pairs[names], sums, atol=1e-9)
