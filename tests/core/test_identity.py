"""Ids carry their time and router; random numbers belong to ids."""

from __future__ import annotations

import random
import statistics
from concurrent.futures import ThreadPoolExecutor
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banditroute.core.identity import (
    Mint,
    decision_id,
    is_id,
    lowest_id,
    made_at_ms,
    made_for,
    parse_decision_id,
    unit_interval,
)
from banditroute.errors import InvalidRequest

times = st.integers(0, 2**48 - 1)
entropies = st.binary(min_size=8, max_size=8)


def mint(*times_ms: int, seed: int = 1) -> Mint:
    """A mint whose clock shows the given times, and then the last one for ever."""
    shown = list(times_ms)
    return Mint(lambda: shown.pop(0) if len(shown) > 1 else shown[0], random.Random(seed).randbytes)


@given(st.text(max_size=20).filter(str.isprintable), times, entropies)
def test_a_decision_id_is_a_uuid7_that_carries_its_time_and_router(router, now_ms, entropy):
    made = decision_id(router, now_ms, entropy)
    as_uuid = UUID(made)
    assert str(as_uuid) == made
    assert (as_uuid.version, as_uuid.variant) == (7, RFC_4122)
    assert as_uuid.int >> 80 == now_ms == made_at_ms(made)
    assert made_for(made, router)


def test_all_entropy_but_version_and_variant_is_kept():
    made = UUID(decision_id("auto", 0, b"\xff" * 8)).int >> 16
    none = UUID(decision_id("auto", 0, b"\x00" * 8)).int >> 16
    assert (made ^ none).bit_count() == 64 - 6


def test_an_id_is_not_made_for_another_router():
    made = decision_id("auto", 1, bytes(8))
    others = [f"router-{k}" for k in range(100)]
    assert not any(made_for(made, other) for other in others)  # 1 in 65,536 each; fixed names


@given(times, times, entropies, entropies)
def test_ids_sort_by_time_as_text(early, late, one, other):
    if early != late:
        ids = decision_id("b", min(early, late), one), decision_id("a", max(early, late), other)
        assert ids[0] < ids[1]


@given(times, entropies)
def test_the_lowest_id_separates_before_from_after(now_ms, entropy):
    assert lowest_id(now_ms) <= decision_id("auto", now_ms, entropy)
    if now_ms:
        assert decision_id("auto", now_ms - 1, entropy) < lowest_id(now_ms)


@pytest.mark.parametrize("now_ms", [-1, 2**48])
def test_a_time_that_does_not_fit_is_refused(now_ms):
    with pytest.raises(ValueError, match="48 bits"):
        decision_id("auto", now_ms, bytes(8))


@pytest.mark.parametrize("size", [7, 9])
def test_another_amount_of_entropy_is_refused(size):
    with pytest.raises(ValueError, match="10 bytes"):
        decision_id("auto", 1, bytes(size))


def test_a_decision_id_and_its_completion_id_parse_to_the_same():
    made = decision_id("auto", 1_800_000_000_000, b"entropy!")
    assert parse_decision_id(made) == made
    assert parse_decision_id(f"chatcmpl-{made}") == made
    assert parse_decision_id(made.upper()) == made


@pytest.mark.parametrize(
    "text",
    [
        "",
        "chatcmpl-",
        "chatcmpl-abc123",
        "550e8400-e29b-41d4-a716-446655440000",  # version 4
        "01890a5d-ac96-774b-0cce-b302099a8057",  # wrong variant
        "01890a5d-ac96-774b-bcce-b302099a8057\n",
        " 01890a5d-ac96-774b-bcce-b302099a8057",
        "01890a5dac96774bbcceb302099a8057",
        "chatcmpl-chatcmpl-01890a5d-ac96-774b-bcce-b302099a8057",
        "٠1890a5d-ac96-774b-bcce-b302099a8057",  # an Arabic zero
        "\ud800",
    ],
)
def test_anything_else_is_no_id(text):
    assert not is_id(text)
    with pytest.raises(InvalidRequest) as caught:
        parse_decision_id(text)
    assert caught.value.param == "id"
    with pytest.raises(InvalidRequest):
        made_at_ms(text)


def test_ids_increase_while_the_clock_stands_still_beyond_the_counter():
    still = mint(1_000)
    ids = [still.decision_id("auto") if k % 2 else still.feedback_id() for k in range(10_000)]
    assert ids == sorted(set(ids))
    assert made_at_ms(ids[2000]) == 1_000
    assert made_at_ms(ids[-1]) <= 1_003  # 4,096 ids to a millisecond


def test_ids_increase_when_the_clock_steps_back_and_follow_it_when_it_is_ahead_again():
    stepping = mint(5_000_000, 1_400_000, 1_400_001, 5_000_001)
    ids = [stepping.decision_id("auto") for _ in range(4)]
    assert ids == sorted(set(ids))
    assert [made_at_ms(made) for made in ids] == [5_000_000, 5_000_000, 5_000_000, 5_000_001]


def test_threads_share_a_mint_without_a_repeated_id():
    shared = mint(1_000)
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: shared.feedback_id(), range(4_000)))
    # The counter alone tells them apart: the random part is cut off.
    assert len({made[:18] for made in ids}) == 4_000


def test_a_minted_decision_id_is_the_routers_and_a_feedback_id_is_nobodys():
    one = mint(1_000)
    assert made_for(one.decision_id("auto"), "auto")
    assert len({one.feedback_id()[-4:] for _ in range(50)}) > 40  # random: 50 of 65,536


def test_two_processes_make_different_ids_at_the_same_time():
    assert mint(1_000, seed=1).decision_id("auto") != mint(1_000, seed=2).decision_id("auto")


def test_the_random_number_of_an_id_is_always_the_same():
    """Pinned: another value would break the replay of every decision ever logged."""
    made = "01890a5d-ac96-774b-bcce-b302099a8057"
    assert unit_interval(0, made) == 0.2688103604135992
    assert unit_interval(0, made, "draw") == unit_interval(0, made)


def test_random_numbers_differ_by_seed_id_and_purpose():
    a, b = "01890a5d-ac96-774b-bcce-b302099a8057", "01890a5d-ac96-774b-bcce-b302099a8058"
    numbers = [
        unit_interval(seed, made, purpose)
        for seed in (0, 1, 2**64 - 1)
        for made in (a, b)
        for purpose in ("draw", "hedge")
    ]
    assert len(set(numbers)) == 12


def test_random_numbers_are_uniform():
    numbers = [unit_interval(3, decision_id("auto", k, bytes(8))) for k in range(4_000)]
    assert all(0.0 <= number < 1.0 for number in numbers)
    # sd of the mean is sqrt(1/12/4000) = 0.0046; of the sample variance sqrt(1/180/4000) = 0.0012
    assert abs(statistics.fmean(numbers) - 0.5) < 4 * 0.0046
    assert abs(statistics.pvariance(numbers) - 1 / 12) < 4 * 0.0012


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_outside_64_bits_is_refused(seed):
    with pytest.raises(OverflowError):
        unit_interval(seed, "id")
