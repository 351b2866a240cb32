"""Vectorised hashing, checked against the same arithmetic written out word by word."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from banditroute.core.context.characters import overlapping
from banditroute.core.context.grams import BUCKETS, WORD_BUCKETS, grams
from banditroute.core.context.lexicon import LISTS, Kind, kinds
from banditroute.core.context.words import LONGEST, Words, normalised

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()), max_size=60)
MASK = 2**32 - 1


def hash_by_hand(word: bytes) -> int:
    value = sum(byte * pow(0x01000193, i, 2**32) for i, byte in enumerate(word, start=1)) & MASK
    value = ((value ^ (value >> 16)) * 0x7FEB352D) & MASK
    value = ((value ^ (value >> 15)) * 0x846CA68B) & MASK
    return value ^ (value >> 16)


def words_by_hand(text: str) -> list[bytes]:
    return re.findall(rb"[0-9a-z\x80-\xff]+", re.sub(rb"[0-9]", b"0", normalised(text)))


@given(ANY_TEXT)
def test_every_word_has_the_hash_that_the_formula_gives(text):
    by_hand = [hash_by_hand(word) for word in words_by_hand(text)]
    assert Words.of(text).hashes.tolist() == by_hand


@given(ANY_TEXT, st.sampled_from(["<u2", "<u4"]))
def test_overlapping_numbers_are_the_bytes_from_every_place(text, dtype):
    data = text.encode("utf-8", "replace")
    size = np.dtype(dtype).itemsize
    by_hand = [int.from_bytes(data[i : i + size], "little") for i in range(len(data) - size + 1)]
    assert overlapping(data, dtype).tolist() == by_hand


def test_a_word_has_one_hash_wherever_it_stands():
    hashes = Words.of("refund. My REFUND,\n\nrefund" + " pad" * 400 + " refund").hashes
    assert hashes[0] == hashes[2] == hashes[3] == hashes[-1] != hashes[1]


def test_a_text_that_grows_under_case_folding_is_bounded():
    assert len(Words.of("ΐ" * 2000).data) <= LONGEST


def test_every_listed_word_is_known_as_what_it_is_listed_as():
    for kind, words in LISTS.items():
        assert all(kinds(Words.of(words).hashes) & kind.value), kind


def test_other_words_are_seldom_taken_for_listed_ones():
    """Of 2,000 words that are in no list; 65,536 places hold about 330 listed words: 0.5%."""
    syllables = (
        "ka",
        "zu",
        "bro",
        "nim",
        "xel",
        "tro",
        "vip",
        "dag",
        "fuw",
        "lys",
        "mox",
        "gep",
        "rha",
    )
    strangers = ["".join(word) for word in itertools.product(syllables, repeat=3)][:2000]
    hashes = np.concatenate([Words.of(word).hashes for word in strangers])
    assert len(hashes) == 2000
    assert 0 < np.count_nonzero(kinds(hashes)) <= 30  # mean 10, sd 3.2


def test_bytes_without_words_keep_the_other_words():
    words = Words.of("please send the parcel, thanks a lot, Bob")
    empty = (kinds(words.hashes) & Kind.EMPTY.value).astype(bool)
    assert words.bytes_without(empty) == b" send parcel, bob "


@pytest.mark.parametrize("text", ["", " ", "?!", "a", "é"])
def test_texts_with_next_to_nothing_have_grams_of_the_usual_shape(text):
    assert grams(Words.of(text)).shape == (BUCKETS,)


def test_grams_count_telling_words_and_pieces_apart():
    counts = grams(Words.of("Parcel, the parcel!"))
    assert counts[:WORD_BUCKETS].sum() == 2
    assert counts[:WORD_BUCKETS].max() == 2
    assert counts[WORD_BUCKETS:].sum() == len(" parcel, parcel! ") - 3
