"""A checkpoint gives back the very state, or is refused."""

from __future__ import annotations

from dataclasses import replace

import msgpack
import numpy as np
import pytest
from core_examples import BIAS_ONLY, GROUPS, folded, outcome, random_log
from hypothesis import given, settings
from hypothesis import strategies as st

from banditroute.core.checkpoint import SCHEMA, load, save
from banditroute.core.fold import RouterState
from banditroute.core.posterior import FeatureGroups
from banditroute.errors import CheckpointInvalid
from banditroute.values import Checkpoint

STATE = folded(random_log(np.random.default_rng(5), 120))
SAVED = save(STATE, "features")


def unpacked():
    return msgpack.unpackb(SAVED.payload)


def filed(content, position: int = SAVED.position) -> Checkpoint:
    return Checkpoint(position, "features", msgpack.packb(content))


def with_array(path: str, *, to: float, at: int = 0) -> Checkpoint:
    """The checkpoint with one number of one array replaced."""
    section, name = path.split(".")
    content = unpacked()
    array = np.frombuffer(content[section][name], dtype="<f8").copy()
    array[at] = to
    content[section][name] = array.tobytes()
    return filed(content)


def assert_refused(
    checkpoint: Checkpoint, groups: FeatureGroups = GROUPS, words: str = "."
) -> None:
    with pytest.raises(CheckpointInvalid, match=words):
        load(checkpoint, groups)


# round trip


@pytest.mark.parametrize("length", [0, 1, 8, 120])
@pytest.mark.parametrize("groups", [BIAS_ONLY, GROUPS], ids=["d=1", "d=5"])
def test_a_state_comes_back_byte_for_byte(length, groups):
    state = folded(random_log(np.random.default_rng(2), length, groups), groups)
    saved = save(state, "features")
    again = load(saved, groups)
    assert save(again, "features") == saved
    assert again.position == state.position == length
    assert again.rows == state.rows
    np.testing.assert_array_equal(again.quality.covariances, state.quality.covariances)
    np.testing.assert_array_equal(again.quality.sums.gram, state.quality.sums.gram)
    np.testing.assert_array_equal(again.usage.length_covariances, state.usage.length_covariances)
    np.testing.assert_array_equal(again.quality.taught, state.quality.taught)


def test_saving_leaves_the_state_alone_and_says_where_it_belongs():
    assert save(STATE, "features") == SAVED
    assert (SAVED.position, SAVED.fingerprint) == (120, "features")


def test_a_loaded_state_can_learn():
    """What comes out of bytes must not be read-only."""
    state = load(SAVED, GROUPS)
    state.fold(
        [outcome(121, "arm-0", x=np.ones(5), latency_s=1.0, output_tokens=5.0, cost_usd=1.0)]
    )
    assert state.position == 121


# what is refused


def test_another_schema_is_refused():
    assert_refused(filed(unpacked() | {"schema": SCHEMA + 1}), words=f"schema {SCHEMA + 1}")


@pytest.mark.parametrize(
    "groups",
    [
        BIAS_ONLY,
        FeatureGroups(("bias", "lexical", "lexical", "tag", "text")),
        FeatureGroups(("bias", "tag", "tag", "lexical", "lexical")),
    ],
    ids=["fewer", "renamed", "reordered"],
)
def test_other_context_features_are_refused(groups):
    assert_refused(SAVED, groups, "other context features")


def test_another_position_than_it_is_filed_under_is_refused():
    assert_refused(replace(SAVED, position=SAVED.position - 1), words="position")


@pytest.mark.parametrize("length", [0, 1, 100, len(SAVED.payload) - 1])
def test_truncated_bytes_are_refused(length):
    assert_refused(replace(SAVED, payload=SAVED.payload[:length]))


def test_trailing_bytes_are_refused():
    assert_refused(replace(SAVED, payload=SAVED.payload + b"\x00"))


@given(st.binary(max_size=200))
@settings(deadline=None, derandomize=True)
def test_random_bytes_are_refused(payload):
    assert_refused(Checkpoint(0, "features", payload))


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(ANYTHING)
@settings(deadline=None, derandomize=True)
def test_well_formed_nonsense_is_refused(content):
    assert_refused(filed(content, 0))


KEYS = [(key, None) for key in unpacked()] + [
    (section, key) for section in ("quality", "usage") for key in unpacked()[section]
]


@given(st.sampled_from(KEYS), ANYTHING)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_nonsense_in_any_one_place_is_refused_or_harmless(place, junk):
    """Whatever stands there, loading raises CheckpointInvalid or gives a state that saves."""
    content, (section, key) = unpacked(), place
    if key is None:
        content[section] = junk
    else:
        content[section][key] = junk
    try:
        state = load(filed(content), GROUPS)
    except CheckpointInvalid:
        return
    assert isinstance(state, RouterState)
    save(state, "features")


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_a_missing_part_is_refused(section, key):
    content = unpacked()
    if key is None:
        del content[section]
    else:
        del content[section][key]
    assert_refused(filed(content))


@given(st.integers(0, len(SAVED.payload) - 1), st.integers(1, 255))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_one_flipped_byte_is_refused_or_harmless(place, flip):
    payload = bytearray(SAVED.payload)
    payload[place] ^= flip
    try:
        load(replace(SAVED, payload=bytes(payload)), GROUPS)
    except CheckpointInvalid:
        return


ARRAYS = [
    f"{section}.{key}"
    for section in ("quality", "usage")
    for key, value in unpacked()[section].items()
    if isinstance(value, bytes)
]


@pytest.mark.parametrize("path", ARRAYS)
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_refused_wherever_it_stands(path, number):
    assert_refused(with_array(path, to=number))


@pytest.mark.parametrize("path", ARRAYS)
def test_an_array_of_another_length_is_refused(path):
    section, key = path.split(".")
    content = unpacked()
    content[section][key] = content[section][key][:-8]
    assert_refused(filed(content))


@pytest.mark.parametrize("path", ["quality.covariances", "usage.length_covariances"])
@pytest.mark.parametrize("diagonal", [0.0, -1e-9, -1.0])
def test_a_matrix_that_is_not_positive_definite_is_refused(path, diagonal):
    assert_refused(with_array(path, to=diagonal), words="covariance")


@pytest.mark.parametrize("scale", [0.0, -0.01])
def test_a_scale_that_is_not_positive_is_refused(scale):
    assert_refused(with_array("quality.scales", to=scale, at=1), words="variance")


def test_the_smallest_scale_that_is_learned_is_not_refused():
    load(with_array("quality.scales", to=1e-6, at=1), GROUPS)


@pytest.mark.parametrize("noise", [0.0, -0.2, float("nan"), float("inf")])
def test_a_noise_that_is_not_positive_and_finite_is_refused(noise):
    content = unpacked()
    content["quality"]["noise"] = noise
    assert_refused(filed(content))


@pytest.mark.parametrize("path", ["quality.n", "quality.square"])
def test_a_negative_sum_of_squares_or_weights_is_refused(path):
    assert_refused(with_array(path, to=-0.5), words="negative")


def test_the_rounding_that_retractions_leave_is_not_refused():
    load(with_array("quality.square", to=-1e-12), GROUPS)


@pytest.mark.parametrize(
    ("key", "junk"),
    [("taught", [2**64 - 1] * 4), ("taught", [1, 2]), ("readings", float("inf"))],
    ids=["too-large", "too-few", "infinite"],
)
def test_a_count_that_is_no_count_is_refused(key, junk):
    content = unpacked()
    content["quality"][key] = junk
    assert_refused(filed(content))


def test_two_arms_of_one_name_are_refused():
    content = unpacked()
    content["arms"][1] = content["arms"][0]
    assert_refused(filed(content), words="twice")
