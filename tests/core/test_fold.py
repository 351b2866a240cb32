"""The same log gives the same bytes, however it arrives."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from core_examples import (
    BIAS_ONLY,
    GROUPS,
    NOW_S,
    OBJECTIVE,
    arm_change,
    context,
    eventful_log,
    folded,
    id_at,
    prior,
    random_log,
    roster,
    source_change,
    vector,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from banditroute.core import checkpoint
from banditroute.core.ages import EVERY_ARM
from banditroute.core.beliefs import Beliefs
from banditroute.core.fold import RouterState
from banditroute.core.quality import QualityModel
from banditroute.core.spreads import triangles
from banditroute.core.usage import UsageModel
from banditroute.values import Announcement, OutcomeEvidence, Tuning

LOG = random_log(np.random.default_rng(11), 260)


def payload(state: RouterState) -> bytes:
    return checkpoint.save(state, "features").payload


WHOLE = payload(folded(LOG))
EVENTFUL = eventful_log(np.random.default_rng(12))


def test_an_eventful_log_holds_everything_that_a_state_remembers():
    """Guards the tests that fold it: alarms, sources, half-lives, bounds, priors, accounts.

    And answers in two batches, with words on both.
    """
    state = folded(EVENTFUL)
    quality = state.quality
    assert len(quality.drift.alarms) >= 2
    assert list(quality.sources.calibrations) == ["user"]
    assert {scaling.row for scaling in quality.ages.scalings} >= {EVERY_ARM, 0}
    assert len(quality.priors) == 2
    assert set(state.spending.accounts) == {"", "team"}
    assert state.guard.n.min() > 50.0
    assert len(state.awaited.firsts) == 2
    assert state.awaited.heard.min() > 50.0
    assert quality.tuning is not None
    assert [most for _, most in quality.limits] == [1.0, 1.5, None]


def test_one_entry_at_a_time_gives_the_same_bytes():
    state = RouterState.empty(GROUPS)
    for entry in LOG:
        state.fold([entry])
    assert state.position == len(LOG)
    assert payload(state) == WHOLE


@given(st.lists(st.integers(0, len(LOG)), max_size=8))
@settings(max_examples=15)
def test_any_batches_give_the_same_bytes(cuts):
    state = RouterState.empty(GROUPS)
    edges = [0, *sorted(cuts), len(LOG)]
    for start, end in pairwise(edges):
        state.fold(iter(LOG[start:end]))
    assert payload(state) == WHOLE


def test_entries_already_folded_are_skipped():
    state = folded(LOG[:100])
    state.fold(LOG[40:100])
    assert payload(state) == payload(folded(LOG[:100]))
    state.fold(LOG[40:])
    assert payload(state) == WHOLE


def test_a_missing_entry_raises_and_nothing_past_it_is_folded():
    state = folded(LOG[:50])
    with pytest.raises(ValueError, match="jumps from 60 to 62"):
        state.fold([*LOG[50:60], *LOG[61:]])
    assert state.position == 60
    assert payload(state) == payload(folded(LOG[:60]))
    state.fold(LOG[60:])
    assert payload(state) == WHOLE


def test_a_log_that_does_not_start_at_one_is_a_gap():
    state = RouterState.empty(GROUPS)
    with pytest.raises(ValueError, match="jumps from 0 to 2"):
        state.fold(LOG[1:])
    assert payload(state) == payload(RouterState.empty(GROUPS))


@pytest.mark.parametrize("position", [1, 7, 8, 131, 259])
def test_a_state_loaded_in_the_middle_goes_on_to_the_same_bytes(position):
    saved = checkpoint.save(folded(LOG[:position]), "features")
    state = checkpoint.load(saved, GROUPS)
    state.fold(LOG)
    assert payload(state) == WHOLE


def test_checkpoints_anywhere_in_an_eventful_log_change_no_bit_of_the_rest():
    """Saved and loaded after every seventh entry, amid alarms, priors and half-lives."""
    state, whole = RouterState.empty(GROUPS), RouterState.empty(GROUPS)
    for entry in EVENTFUL:
        state.fold([entry])
        whole.fold([entry])
        if entry.position % 7 == 0:
            state = checkpoint.load(checkpoint.save(state, "features"), GROUPS)
    assert payload(state) == payload(whole)
    assert len(whole.quality.drift.alarms) >= 2


def test_a_loaded_state_decides_as_the_one_that_was_saved():
    state = folded(EVENTFUL)
    again = checkpoint.load(checkpoint.save(state, "features"), GROUPS)
    asked = context(vector(np.random.default_rng(1), 5))
    seen, other = (
        one.knowledge().beliefs(roster("arm-0", "arm-1", "new"), asked, OBJECTIVE, NOW_S)
        for one in (state, again)
    )
    for name in Beliefs._fields:
        np.testing.assert_array_equal(getattr(seen, name), getattr(other, name))
    knows, known = again.knowledge(), state.knowledge()
    for name in ("accounts", "alarms", "calibrations", "tuning"):
        assert getattr(knows, name) == getattr(known, name)


def test_a_different_log_gives_different_bytes():
    """Guards the tests above: the payload does depend on what was folded."""
    state, seen = RouterState.empty(GROUPS), set()
    for entry in LOG:
        state.fold([entry])
        seen.add(payload(state))
    assert len(seen) == len(LOG)
    changed = [replace(entry, x=-entry.x) if entry is LOG[9] else entry for entry in LOG]
    assert payload(folded(changed)) != WHOLE


def test_outcomes_teach_usage_and_feedback_teaches_quality():
    """The fold adds nothing to what the two models do with the same entries."""
    quality, usage = QualityModel.empty(GROUPS), UsageModel.empty(GROUPS.dimension)
    rows = list(dict.fromkeys(entry.arm_id for entry in LOG))
    for _ in rows:
        usage.grow()
    known: list[str] = []
    for entry in LOG:
        if entry.arm_id not in known:
            known.append(entry.arm_id)
            quality.grow()
        row = rows.index(entry.arm_id)
        if isinstance(entry, OutcomeEvidence):
            usage.observe(row, entry)
        else:
            quality.revise(row, entry)
    state = folded(LOG)
    pairs = ((state.quality, quality), (state.quality.sums, quality.sums), (state.usage, usage))
    for folded_part, by_hand in pairs:
        for (name, array), (_, expected) in zip(
            _arrays(folded_part), _arrays(by_hand), strict=True
        ):
            np.testing.assert_array_equal(array, expected, err_msg=name)
    assert state.usage.requests.sum() == sum(isinstance(e, OutcomeEvidence) for e in LOG) > 20


def test_arms_get_rows_in_the_order_of_their_first_entry():
    state = folded(LOG)
    order = list(dict.fromkeys(entry.arm_id for entry in LOG))
    assert state.rows == {arm_id: row for row, arm_id in enumerate(order)}
    assert len(state.quality.means) == len(state.usage.length_means) == len(order) == 4


def _arrays(value):
    for name in value.__slots__:
        part = getattr(value, name)
        if isinstance(part, np.ndarray):
            yield name, part


def test_the_last_change_of_an_arm_is_in_force():
    first, other, last = arm_change("a", "1"), arm_change("b", "2"), arm_change("a", "3", basis="x")
    state = folded([Announcement(n, news) for n, news in enumerate((first, other, last), 1)])
    assert state.arm_changes == {"a": last, "b": other}
    assert state.position == 3


def test_a_source_is_quarantined_until_it_is_lifted():
    told = [source_change("bot", True), source_change("ci", True), source_change("bot", False)]
    state = folded([Announcement(n, news) for n, news in enumerate(told, 1)])
    assert state.quarantined == {"ci": told[1]}


def test_news_teaches_nothing():
    told = [arm_change(), source_change("bot", True)]
    state = folded([*LOG[:9], *(Announcement(10 + n, news) for n, news in enumerate(told))])
    state.fold([replace(entry, position=entry.position + 2) for entry in LOG[9:]])
    np.testing.assert_array_equal(state.quality.sums.gram, folded(LOG).quality.sums.gram)
    assert state.rows == folded(LOG).rows


def test_a_half_life_told_is_in_force_from_then_on():
    told = Tuning(id_at(1000.0), NOW_S, half_life_n=50.0)
    state = folded([*LOG[:100], Announcement(101, told)])
    assert state.quality.tuning == told
    assert state.quality.ages.aged_n == state.quality.readings > 50
    np.testing.assert_array_equal(state.quality.sums.n, folded(LOG[:100]).quality.sums.n)


def test_a_prior_makes_its_arm_known_before_its_first_call(rng):
    state = folded([Announcement(1, prior(rng, id_at(0.0), 40, "fresh"))])
    assert state.rows == {"fresh": 0}
    assert state.quality.sums.n.tolist() == [40.0]
    assert state.quality.taught.tolist() == [0]


def test_a_call_is_charged_at_completion_and_never_at_feedback():
    calls = [entry for entry in EVENTFUL if isinstance(entry, OutcomeEvidence)]
    spent = folded(EVENTFUL).spending.accounts[""]
    assert spent.requests == len(calls)
    assert spent.usd == pytest.approx(sum(call.cost_usd or 0.0 for call in calls))


def test_accounts_known_are_left_alone_by_later_folding():
    state = folded(EVENTFUL[:250])
    known = state.knowledge().accounts
    before = {payer: account.copy() for payer, account in known.items()}
    state.fold(EVENTFUL[250:])
    assert known == before
    assert state.knowledge().accounts != before


def test_knowledge_is_left_alone_by_later_folding():
    state = folded(LOG[:100])
    knowledge = state.knowledge()
    parts = (knowledge, knowledge.hyper, knowledge.usage)
    before = [(name, array.copy()) for part in parts for name, array in _arrays(part)]
    rows, noise = dict(knowledge.rows), knowledge.hyper.noise
    state.fold(LOG[100:])
    after = [pair for part in parts for pair in _arrays(part)]
    assert len(after) == len(before) > 20
    for (name, was), (_, array) in zip(before, after, strict=True):
        np.testing.assert_array_equal(array, was, err_msg=name)
    assert (dict(knowledge.rows), knowledge.hyper.noise) == (rows, noise)
    assert knowledge.position == 100


def test_knowledge_shares_no_memory_with_what_folding_writes_to():
    state = folded(LOG[:100])
    knowledge = state.knowledge()
    written = [*_arrays(state.quality), *_arrays(state.quality.sums), *_arrays(state.usage)]
    for part in (knowledge, knowledge.usage):
        for name, array in _arrays(part):
            for other, source in written:
                assert not np.shares_memory(array, source), (name, other)


def test_taking_knowledge_does_not_change_the_state():
    state = folded(LOG)
    state.knowledge()
    assert payload(state) == WHOLE


def test_knowledge_holds_what_was_folded_and_one_row_for_any_other_arm():
    state = folded(LOG)
    knowledge = state.knowledge()
    hyper = state.quality.hyper
    np.testing.assert_array_equal(knowledge.means[:-1], state.quality.means)
    np.testing.assert_array_equal(knowledge.means[-1], hyper.pooled)
    spread = np.diag(hyper.prior_variance(GROUPS))
    covariances = np.concatenate([state.quality.covariances, spread[None]])
    np.testing.assert_array_equal(knowledge.spreads, triangles(covariances))
    np.testing.assert_array_equal(knowledge.evidence_n[:-1], state.quality.sums.n)
    np.testing.assert_array_equal(knowledge.quality_mean[:-1], state.quality.sums.mean())
    np.testing.assert_array_equal(knowledge.taught[:-1], state.quality.taught)
    assert (knowledge.evidence_n[-1], knowledge.taught[-1]) == (0.0, 0.0)
    assert np.isnan(knowledge.quality_mean[-1])
    assert knowledge.usage.recent_spend_usd() == state.usage.recent_spend_usd()


def test_an_empty_state_knows_the_prior():
    knowledge = RouterState.empty(BIAS_ONLY).knowledge()
    assert (knowledge.position, dict(knowledge.rows)) == (0, {})
    assert knowledge.means.tolist() == [[0.5]]
    seen = knowledge.beliefs(roster("a", "b"), context(), OBJECTIVE, NOW_S)
    assert seen.quality.tolist() == [0.5, 0.5]
