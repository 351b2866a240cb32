"""A checkpoint gives back the very state, or is refused."""

from __future__ import annotations

from dataclasses import replace

import msgpack
import numpy as np
import pytest
from checkpoint_examples import SAVED, STATE, assert_refused, filed, unpacked, with_array
from core_examples import (
    BIAS_ONLY,
    GROUPS,
    arm,
    arm_change,
    eventful_log,
    folded,
    outcome,
    random_log,
    source_change,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from banditroute.core import news
from banditroute.core.checkpoint import SCHEMA, load, save
from banditroute.core.fold import RouterState
from banditroute.core.posterior import FeatureGroups
from banditroute.errors import CheckpointInvalid
from banditroute.values import Announcement, ArmStatus, Checkpoint

EVENTFUL = eventful_log(np.random.default_rng(12))

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
    assert again.feedback_rate == state.feedback_rate


def test_news_in_force_comes_back_with_the_order_in_which_it_was_told():
    told = [
        arm_change("b", "1", arm=arm("b", labels=frozenset({"eu"}), settings={"top_p": 0.5})),
        source_change("bot", True, "2"),
        arm_change("a", "3", status=ArmStatus.REMOVED, arm=None),
        arm_change("b", "4", status=ArmStatus.PAUSED, basis="digest"),
        source_change("gone", True, "5"),
        source_change("gone", False, "6"),
    ]
    state = folded([Announcement(n, one) for n, one in enumerate(told, 1)])
    saved = save(state, "features")
    again = load(saved, GROUPS)
    assert again.arm_changes == {"b": told[3], "a": told[2]}
    assert again.quarantined == {"bot": told[1]}
    assert save(again, "features") == saved


@pytest.mark.parametrize("told", [[["odd"]], [[0, "1"]], [[7, 1, 2]], "news", [None]])
def test_news_that_cannot_be_read_is_refused(told):
    assert_refused(filed(unpacked() | {"news": told}), words="cannot be read")


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
def test_well_formed_nonsense_is_refused(content):
    assert_refused(filed(content, 0))


KEYS = [(key, None) for key in unpacked()] + [
    (section, key)
    for section in ("quality", "usage", "guard", "awaited")
    for key in unpacked()[section]
]


@given(st.sampled_from(KEYS), ANYTHING)
@settings(max_examples=300)
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


def places(value, path=()):
    """The path of every value in nested mappings and lists, from the outside in."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, key)
            yield from places(inner, (*path, key))


LIVED = folded(EVENTFUL[:500])
LIVELY = save(LIVED, "features")
assert LIVED.quality.drift.alarms
assert len(LIVED.quality.limits) == 2
PLACES = list(places(msgpack.unpackb(LIVELY.payload)))
SECTIONS = sorted({path[:2] for path in PLACES}, key=str)
IN_SECTION = {section: [p for p in PLACES if p[:2] == section] for section in SECTIONS}


@given(st.sampled_from(SECTIONS).flatmap(lambda s: st.sampled_from(IN_SECTION[s])), ANYTHING)
@settings(max_examples=600)
def test_nonsense_anywhere_in_a_lively_state_is_refused_or_can_be_lived_with(path, junk):
    """Whatever is loaded folds the rest of the log, decides and saves."""
    content = msgpack.unpackb(LIVELY.payload)
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = junk
    try:
        state = load(filed(content, LIVELY.position), GROUPS)
    except CheckpointInvalid:
        return
    state.fold(EVENTFUL[500:510])
    state.knowledge()
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
@settings(max_examples=300)
def test_one_flipped_byte_is_refused_or_harmless(place, flip):
    payload = bytearray(SAVED.payload)
    payload[place] ^= flip
    try:
        load(replace(SAVED, payload=bytes(payload)), GROUPS)
    except CheckpointInvalid:
        return


ARRAYS = [
    f"{section}.{key}"
    for section in ("quality", "usage", "guard", "awaited")
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


NESTED = [
    ("sources", "known", 0, 1),
    ("sources", "known", 0, 2),
    ("sources", "calibrations", 0, 1),
    ("sources", "calibrations", 0, 2),
]


@pytest.mark.parametrize("path", NESTED, ids=str)
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_number_of_a_source_that_is_not_finite_is_refused(path, number):
    content = msgpack.unpackb(LIVELY.payload)
    inner = content["quality"]
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = number
    assert_refused(filed(content, LIVELY.position), words="finite")


@pytest.mark.parametrize("array", range(3, 6))
def test_a_sum_of_a_source_that_is_not_finite_is_refused(array):
    content = msgpack.unpackb(LIVELY.payload)
    one = content["quality"]["sources"]["known"][1]
    one[array] = np.full(len(one[array]) // 8, np.nan).tobytes()
    assert_refused(filed(content, LIVELY.position), words="finite")


@pytest.mark.parametrize(("key", "number"), [("sums", np.nan), ("surprise", -np.inf)])
def test_a_sum_of_the_drift_watch_that_is_not_finite_is_refused(key, number):
    content = msgpack.unpackb(LIVELY.payload)
    watch = content["quality"]["drift"]
    watch[key] = np.full(len(watch[key]) // 8, number).tobytes()
    assert_refused(filed(content, LIVELY.position), words="finite")


def test_dollars_that_are_not_finite_are_refused():
    content = msgpack.unpackb(LIVELY.payload)
    content["spending"][0][1] = float("nan")
    assert_refused(filed(content, LIVELY.position), words="finite")


@pytest.mark.parametrize("place", [0, 1], ids=["answered", "judged"])
@pytest.mark.parametrize("number", [-1e-9, -1.0, np.nan, np.inf])
def test_a_number_of_requests_that_is_negative_or_not_finite_is_refused(place, number):
    content = unpacked()
    assert content["feedback_rate"][place] > 1.0
    content["feedback_rate"][place] = number
    assert_refused(filed(content), words="negative number of requests|finite")


@pytest.mark.parametrize("path", [(1,), (2, 0, 1)], ids=["learned", "full at"])
def test_a_bucket_that_is_never_full_is_refused(path):
    content = msgpack.unpackb(LIVELY.payload)
    inner = content["allowances"][0]
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = float("inf")
    assert_refused(filed(content, LIVELY.position), words="finite")


@pytest.mark.parametrize("kept", [0.0, -0.5, 1.5, float("nan")])
def test_a_scaling_by_no_share_is_refused(kept):
    content = msgpack.unpackb(LIVELY.payload)
    content["quality"]["scalings"][0][2] = kept
    assert_refused(filed(content, LIVELY.position), words="scaled")


@pytest.mark.parametrize("gain", [0.0, -1.0])
def test_a_gain_that_is_not_positive_is_refused(gain):
    content = msgpack.unpackb(LIVELY.payload)
    content["quality"]["sources"]["calibrations"][0][2] = gain
    assert_refused(filed(content, LIVELY.position), words="gain")


def test_a_watch_of_too_few_arms_is_refused():
    content = msgpack.unpackb(LIVELY.payload)
    content["quality"]["drift"]["begun"].pop()
    assert_refused(filed(content, LIVELY.position), words="watched")


@pytest.mark.parametrize("half_life", [0.0, -60.0, float("nan")])
@pytest.mark.parametrize("place", [3, 4], ids=["seconds", "readings"])
def test_a_half_life_that_is_not_positive_is_refused(place, half_life):
    content = msgpack.unpackb(LIVELY.payload)
    content["quality"]["tuning"][place] = half_life
    assert_refused(filed(content, LIVELY.position), words="half-life")


def test_other_news_in_place_of_a_half_life_is_refused():
    content = msgpack.unpackb(LIVELY.payload)
    content["quality"]["tuning"] = news.to_plain(source_change("bot", True))
    assert_refused(filed(content, LIVELY.position), words="forget")


@pytest.mark.parametrize("place", [0, 1], ids=["newest", "aged"])
def test_evidence_that_ages_without_a_time_is_refused(place):
    content = msgpack.unpackb(LIVELY.payload)
    content["quality"]["ages"][place] = "decision-7"
    assert_refused(filed(content, LIVELY.position), words="ages")


@pytest.mark.parametrize("most", [0.0, -1.5, float("nan"), float("inf")])
def test_a_bound_of_scores_that_bounds_nothing_is_refused(most):
    content = msgpack.unpackb(LIVELY.payload)
    content["quality"]["limits"][0][1] = most
    assert_refused(filed(content, LIVELY.position), words="bounded")


def test_bounds_of_scores_out_of_order_are_refused():
    content = msgpack.unpackb(LIVELY.payload)
    content["quality"]["limits"].reverse()
    assert_refused(filed(content, LIVELY.position), words="order")


@pytest.mark.parametrize("junk", [7, "wide", [["id"]], [["id", "wide"]], [["id", 1.5, 2.5]]])
def test_bounds_of_scores_that_cannot_be_read_are_refused(junk):
    content = msgpack.unpackb(LIVELY.payload)
    content["quality"]["limits"] = junk
    assert_refused(filed(content, LIVELY.position), words="cannot be read")


def test_a_prior_of_other_features_or_of_nothing_is_refused():
    for changed in ({"gram": np.ones((2, 2)), "moment": np.ones(2)}, {"n": 0.0}):
        content = msgpack.unpackb(LIVELY.payload)
        known = news.from_plain(content["quality"]["priors"][0])
        content["quality"]["priors"][0] = news.to_plain(replace(known, **changed))
        assert_refused(filed(content, LIVELY.position), words="prior")


def test_two_arms_of_one_name_are_refused():
    content = unpacked()
    content["arms"][1] = content["arms"][0]
    assert_refused(filed(content), words="twice")
