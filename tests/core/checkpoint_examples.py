"""A saved state, ways to damage it, and the promise that what is damaged is refused."""

from __future__ import annotations

import msgpack
import numpy as np
import pytest
from core_examples import GROUPS, folded, random_log

from banditroute.core.checkpoint import load, save
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
