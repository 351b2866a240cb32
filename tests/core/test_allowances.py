"""What principals may add to what an arm learns: never more than their share, and no less."""

from __future__ import annotations

import numpy as np
import pytest
from core_examples import BIAS_ONLY, eventful_log, folded
from hypothesis import given
from hypothesis import strategies as st

from banditroute.core import allowances as module
from banditroute.core.allowances import LEAST_SHARE, WINDOW, Allowances, Buckets, Principal
from banditroute.core.checkpoint import load, save
from banditroute.values import Charge, QualityEvidence, Reading, Voice

UNIT = np.ones(1)
KEY = Principal("key:team", 0.05)


def reading(*weights: float) -> Reading:
    """What sources of such weights say of one decision; each voice has an equal part."""
    heaviest = max(weights)
    voices = (Voice(f"s{n}", 0.5, heaviest / len(weights)) for n in range(len(weights)))
    return Reading(0.5, heaviest, tuple(voices))


def word(
    new: Reading | None,
    *charges: Charge,
    old: Reading | None = None,
    arm_id: str = "a",
) -> QualityEvidence:
    return QualityEvidence(1, "d", arm_id, UNIT, old, new, charges=charges)


def said(allowances: Allowances, weight: float, *principals: Principal) -> float:
    """Say one more word in the name of some principals; what of it was learned."""
    if any(p.left(allowances.owed("a", p.name)) < weight for p in principals):
        return 0.0
    allowances.hear(word(reading(weight), *(p.charge(weight) for p in principals)))
    return weight


def test_an_unknown_bucket_is_full():
    assert Allowances().owed("a", "key:team") == 0.0
    assert KEY.left(0.0) == 50.0


def test_a_full_bucket_pays_for_any_one_word_at_the_least_share():
    assert Principal("k", LEAST_SHARE).left(0.0) >= 1.0


def test_a_share_of_all_that_is_learned_comes_back_by_hand():
    """A word of weight 1 costs 20; 8 units are learned, the word among them; 12 are owed."""
    allowances = Allowances()
    said(allowances, 1.0, KEY)
    for _ in range(7):
        said(allowances, 1.0)
    assert allowances.owed("a", "key:team") == pytest.approx(12.0)
    assert KEY.left(12.0) == pytest.approx(50.0 - 1.0 + 8 * 0.05)


def test_a_full_bucket_does_not_overflow():
    allowances = Allowances()
    allowances.hear(word(reading(1.0), Charge("k", 5.0)))
    for _ in range(30):
        said(allowances, 1.0)
    allowances.hear(word(reading(1.0), Charge("k", 20.0)))
    assert allowances.owed("a", "k") == 19.0


def test_a_bucket_is_of_one_arm_and_one_principal():
    allowances = Allowances()
    said(allowances, 1.0, KEY)
    assert allowances.owed("b", "key:team") == allowances.owed("a", "key:other") == 0.0


def test_of_a_flood_alone_no_more_is_learned_than_its_share_of_itself():
    """50, and 5% of that, and 5% of that: 50 / 0.95."""
    allowances = Allowances()
    learned = sum(said(allowances, 1.0, KEY) for _ in range(10_000))
    assert 50.0 / 0.95 - 1.0 <= learned <= 50.0 / 0.95


def test_a_share_that_changes_leaves_what_is_owed():
    allowances = Allowances()
    for _ in range(25):
        said(allowances, 1.0, KEY)
    owed = allowances.owed("a", "key:team")
    assert Principal("key:team", 0.5).left(owed) == pytest.approx(500.0 * (WINDOW - owed) / WINDOW)


def test_a_word_that_is_changed_or_repeats_others_fills_no_bucket():
    allowances = Allowances()
    first = reading(1.0)
    allowances.hear(word(first, Charge("k", 100.0)))
    before = allowances.owed("a", "k")
    for old, new in (
        (first, reading(0.1)),
        (reading(0.1), first),
        (first, reading(1.0, 1.0)),
        (first, None),
    ):
        allowances.hear(word(new, old=old))
    assert allowances.owed("a", "k") == before == 99.0


def test_a_second_voice_brings_what_it_weighs_more_than_the_first():
    allowances = Allowances()
    allowances.hear(word(reading(0.25), Charge("k", 100.0)))
    allowances.hear(word(reading(0.25, 1.0), old=reading(0.25)))
    assert allowances.owed("a", "k") == 99.0


def test_without_anybody_to_cap_nothing_is_kept():
    allowances = Allowances()
    said(allowances, 1.0)
    assert allowances.arms == {}


def test_a_copy_is_left_alone():
    allowances = Allowances()
    said(allowances, 1.0, KEY)
    copied = allowances.copy()
    said(allowances, 1.0, KEY)
    assert copied.owed("a", KEY.name) < allowances.owed("a", KEY.name)


def test_of_too_many_buckets_those_nearest_to_full_are_forgotten(monkeypatch):
    monkeypatch.setattr(module, "MOST_BUCKETS", 3)
    buckets = Buckets()
    for n, cost in enumerate((50.0, 5.0, 500.0, 0.5, 70.0)):
        buckets.hear(word(reading(1.0), Charge(f"p{n}", cost)))
    assert sorted(buckets.full_at) == ["p0", "p2", "p4"]


def test_full_buckets_are_dropped_before_any_that_owes(monkeypatch):
    monkeypatch.setattr(module, "MOST_BUCKETS", 3)
    buckets = Buckets()
    for n in range(40):
        buckets.hear(word(reading(1.0), Charge(f"p{n}", 2.5)))
        assert len(buckets.full_at) <= 3
    assert [name for name, _ in buckets.not_full()] == ["p38", "p39"]


WORDS = st.lists(
    st.tuples(
        st.sampled_from([(), (0,), (1,), (2,), (0, 2), (1, 2)]),
        st.floats(1e-12, 1.0) | st.just(1.0),
        st.integers(1, 200),
    ),
    max_size=40,
)


@given(WORDS, st.lists(st.floats(LEAST_SHARE, 1.0), min_size=3, max_size=3))
def test_over_any_stretch_nobody_teaches_more_than_its_share(words, shares):
    """At most share · (WINDOW + L) where the arm learns L."""
    principals = [Principal(f"p{n}", share) for n, share in enumerate(shares)]
    allowances, learned = Allowances(), [0.0]
    of_each = [[0.0] for _ in principals]
    for who, weight, times in words:
        taught = sum(said(allowances, weight, *(principals[n] for n in who)) for _ in range(times))
        learned.append(learned[-1] + taught)
        for n, own in enumerate(of_each):
            own.append(own[-1] + (taught if n in who else 0.0))
    for own, principal in zip(of_each, principals, strict=True):
        for end in range(len(own)):
            for begun in range(end):
                stretch = learned[end] - learned[begun]
                most = principal.share * (WINDOW + stretch)
                assert own[end] - own[begun] <= most * (1.0 + 1e-9)


@given(WORDS)
def test_who_keeps_to_its_share_is_never_refused(words):
    """Whose every word is a share of what came before it, the word included."""
    allowances, total = Allowances(), 0.0
    for _, weight, times in words:
        for _ in range(times):
            total += said(allowances, weight)
        own = min(KEY.share * total, 1.0)
        if own >= 1e-12:
            assert said(allowances, own, KEY) == own
            total = 0.0


@given(WORDS, st.integers(0, 40))
def test_what_was_dropped_or_saved_in_between_makes_no_difference(words, place):
    """A full bucket is as good as none: who dropped one agrees with who never did."""
    kept, dropped = Allowances(), Allowances()
    for at, (who, weight, times) in enumerate(words):
        for _ in range(times):
            for one in (kept, dropped):
                said(one, weight, *(Principal(f"p{n}", 0.05) for n in who))
        if at == place:
            dropped = Allowances(
                {
                    arm_id: Buckets(b.learned, dict(b.not_full()))
                    for arm_id, b in dropped.arms.items()
                }
            )
    for arm_id, buckets in kept.arms.items():
        assert dropped.arms[arm_id].learned == buckets.learned
        assert dropped.arms[arm_id].not_full() == buckets.not_full()


def test_buckets_come_back_from_a_checkpoint_and_go_on_alike():
    log = eventful_log(np.random.default_rng(12), 300)
    whole, half = folded(log), folded(log[:150])
    assert len(half.allowances.arms) == 2
    again = load(save(half, "features"), half.groups)
    assert again.allowances.owed("arm-0", "key:team") > 0.0
    known = again.knowledge().allowances
    before = known.owed("arm-0", "key:team")
    again.fold(log[150:])
    assert save(again, "features") == save(whole, "features")
    assert known.owed("arm-0", "key:team") == before, "what decisions are made from stands still"


def test_a_full_bucket_is_not_saved():
    state = folded([word(reading(1.0), Charge("full", 0.5), Charge("other", 2.0))], BIAS_ONLY)
    again = load(save(state, "features"), BIAS_ONLY)
    assert again.allowances.arms == {"a": Buckets(1.0, {"other": 2.0})}
