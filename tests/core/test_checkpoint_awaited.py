"""Answers that are awaited in a checkpoint: they come back, or are refused."""

from __future__ import annotations

import msgpack
import numpy as np
import pytest
from checkpoint_examples import assert_refused, filed, unpacked, with_array
from core_examples import BIAS_ONLY, GROUPS, folded, id_at, outcome

from banditroute.core.awaited import BATCHES
from banditroute.core.checkpoint import load, save
from banditroute.values import Checkpoint, QualityEvidence, Reading


def test_answers_that_are_awaited_come_back_byte_for_byte():
    """Of two arms, in three batches; two words on the first came late, one on the last at once."""
    log = [outcome(n, "ab"[n % 2], decision_id=id_at(n)) for n in range(1, 251)]
    for position, which in enumerate((5, 6, 240), 251):
        good = Reading(1.0, 1.0)
        log.append(QualityEvidence(position, id_at(which), "a", np.ones(1), None, good))
    state = folded(log, BIAS_ONLY)
    again = load(save(state, "features"), BIAS_ONLY)
    assert again.awaited.firsts == [id_at(1), id_at(101), id_at(201)]
    for name in ("answered", "heard", "lateness", "firsts"):
        one, other = getattr(again.awaited, name), getattr(state.awaited, name)
        np.testing.assert_array_equal(one, other, strict=True)
    assert again.awaited.to_come(1.0).tobytes() == state.awaited.to_come(1.0).tobytes()
    assert np.all(again.awaited.to_come(1.0) > 3.0)


@pytest.mark.parametrize("name", ["answered", "heard", "lateness"])
@pytest.mark.parametrize("number", [-1e-9, -1.0])
def test_a_negative_number_of_answers_or_of_words_is_refused(name, number):
    assert_refused(with_array(f"awaited.{name}", to=number), words="negative number of requests")


def with_batches(firsts: list[str]) -> Checkpoint:
    """The checkpoint with other batches of answers, which nobody judged."""
    content = unpacked()
    answered = np.ones((len(firsts), len(content["arms"])))
    content["awaited"] |= {
        "firsts": firsts,
        "answered": answered.tobytes(),
        "heard": np.zeros(len(firsts)).tobytes(),
    }
    return filed(content)


IN_ORDER = [f"{batch:02d}" for batch in range(BATCHES)]


def test_as_many_batches_as_are_looked_back_on_are_not_refused():
    """Guards the next test; two may begin with the same decision."""
    for firsts in ([], IN_ORDER, [*IN_ORDER[1:], IN_ORDER[-1]]):
        assert load(with_batches(firsts), GROUPS).awaited.firsts == firsts


@pytest.mark.parametrize(
    "firsts",
    [[*IN_ORDER, "99"], IN_ORDER[::-1], ["00", "02", "01"]],
    ids=["too many", "newest first", "two swapped"],
)
def test_batches_that_are_too_many_or_out_of_order_are_refused(firsts):
    assert_refused(with_batches(firsts), words="not in order")


@pytest.mark.parametrize("firsts", [IN_ORDER[:1], IN_ORDER[:3]], ids=["fewer", "more"])
def test_batches_of_other_sizes_than_their_numbers_are_refused(firsts):
    content = msgpack.unpackb(with_batches(IN_ORDER[:2]).payload)
    content["awaited"]["firsts"] = firsts
    assert_refused(filed(content), words="cannot be read")
