"""What every policy promises, whoever wrote it.

A promise is checked on :func:`policy_examples`: what holds for them is not proven for all
beliefs. Randomness or a clock shows only where it changes an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import numpy as np

from banditroute.core import policies
from banditroute.core.beliefs import Beliefs
from banditroute.core.policies import POLICY_NAMES, Policy
from banditroute.plugins.distributions import (
    FINITE,
    POSITIVE,
    SHAPE,
    SUM,
    TOLERANCE,
    difference,
    shown,
    wrongs,
)
from banditroute.plugins.examples import ARRAYS, copied, ordinary, policy_examples
from banditroute.plugins.promises import BrokenPromise, Findings, in_words, watched
from banditroute.values import Vector

NAMED = "spec is a text, always the same, and none that a built-in policy has"
ANSWERS = "probabilities(beliefs) answers for any number of arms"
PURE = "the same beliefs get the same answer, whatever was asked before"
CHANCE = "no random numbers are drawn from the generators that everybody shares"
UNTOUCHED = "the beliefs are left as they were"
KEPT = "an answer is the caller's to write to, and changes no later one"
ORDER = "arms in another order get the same probabilities, if none are alike"

Check = Callable[[Policy, Beliefs], None]


def check_policy(policy: Policy, name: str | None = None) -> None:
    """Raise ContractBroken if there is a promise that the policy does not keep.

    Takes well under a second. ``name`` is what the error calls it: its class, unless given.
    """
    findings = Findings()
    _, drew = watched(partial(_look, policy, findings))
    if drew:
        findings.add(CHANCE, "some were; compute probabilities, and draw nothing")
    findings.refuse(name or type(policy).__name__)


def _look(policy: Policy, findings: Findings) -> None:
    for check in _checks(policy):
        findings.of(check)


def _checks(policy: Policy) -> Iterator[Callable[[], None]]:
    yield partial(_has_a_spec, policy)
    examples = list(enumerate(policy_examples()))
    first = [_answered(policy, beliefs) for _, beliefs in examples]
    for number, beliefs in reversed(examples):
        yield partial(_on_example, partial(_answers_as, first[number]), policy, number, beliefs)
    for number, beliefs in examples:
        for check in (*_ALWAYS, _heeds_no_order) if number < len(ordinary()) else _ALWAYS:
            yield partial(_on_example, check, policy, number, beliefs)


def _on_example(check: Check, policy: Policy, number: int, beliefs: Beliefs) -> None:
    try:
        check(policy, beliefs)
    except BrokenPromise as broken:
        example = f"{broken.example}, for policy_examples()[{number}]: {_shown(beliefs)}"
        raise BrokenPromise(broken.promise, example) from None


def _has_a_spec(policy: Policy) -> None:
    try:
        spec, again = policy.spec, policy.spec
    except Exception as error:  # whatever a stranger's code may do
        raise BrokenPromise(NAMED, in_words(error)) from error
    if not isinstance(spec, str) or not spec.strip():
        raise BrokenPromise(NAMED, f"it is {spec!r}")
    if spec != again:
        raise BrokenPromise(NAMED, f"it is {spec!r} and then {again!r}")
    if type(policy).__module__ != policies.__name__ and spec.partition(":")[0] in POLICY_NAMES:
        raise BrokenPromise(NAMED, f"{spec!r} is a built-in policy's")


def _answered(policy: Policy, beliefs: Beliefs) -> Vector | None:
    with suppress(BrokenPromise):  # which is found where it is looked for
        return _answer(policy, copied(beliefs)).copy()
    return None


def _answers_as(first: Vector | None, policy: Policy, beliefs: Beliefs) -> None:
    """Check that all that was asked in the meantime has not changed the answer."""
    if first is not None:
        _expect_same(first, _answer(policy, copied(beliefs)))


def _keeps(promise: str, policy: Policy, beliefs: Beliefs) -> None:
    """Check what makes an answer a distribution."""
    answer = _answer(policy, copied(beliefs))
    for broken, example in wrongs(answer, len(answer)):
        if broken == promise:
            raise BrokenPromise(promise, example)


def _is_pure(policy: Policy, beliefs: Beliefs) -> None:
    _steady_answer(policy, beliefs)


def _leaves_alone(policy: Policy, beliefs: Beliefs) -> None:
    given = copied(beliefs)
    _answer(policy, given)
    for name in ARRAYS:
        if not np.array_equal(getattr(given, name), getattr(beliefs, name)):
            raise BrokenPromise(UNTOUCHED, f"beliefs.{name} was written to")


def _gives_away(policy: Policy, beliefs: Beliefs) -> None:
    expected = _steady_answer(policy, beliefs)
    answer = _answer(policy, copied(beliefs))
    if answer.flags.writeable:
        answer[:] = -1.0
    again = _answer(policy, copied(beliefs)).copy()
    if answer.flags.writeable:
        answer[:] = expected  # for what is asked next
    if not np.allclose(again, expected, rtol=0.0, atol=TOLERANCE, equal_nan=True):
        raise BrokenPromise(KEPT, "writing to it changed the next; return a new array")


def _heeds_no_order(policy: Policy, beliefs: Beliefs) -> None:
    order = np.random.default_rng(len(beliefs.arm_ids)).permutation(len(beliefs.arm_ids))
    straight = _steady_answer(policy, beliefs)[order]
    turned = _answer(policy, copied(beliefs.take(order.tolist())))
    moved = ~np.isclose(turned, straight, rtol=0.0, atol=TOLERANCE, equal_nan=True)
    if np.any(moved):
        row = int(np.argmax(moved))
        arm = beliefs.arm_ids[order[row]]
        text = f"{arm} gets {straight[row]:.6g}, and {turned[row]:.6g} in another place"
        raise BrokenPromise(ORDER, text)


_ALWAYS: tuple[Check, ...] = (
    *(partial(_keeps, promise) for promise in (FINITE, POSITIVE, SUM)),
    _is_pure,
    _leaves_alone,
    _gives_away,
)


def _steady_answer(policy: Policy, beliefs: Beliefs) -> Vector:
    """An answer that is the same when asked again."""
    first = _answer(policy, copied(beliefs)).copy()
    _expect_same(first, _answer(policy, copied(beliefs)))
    return first


def _expect_same(first: Vector, again: Vector) -> None:
    if not np.array_equal(first, again, equal_nan=True):
        raise BrokenPromise(PURE, difference(first, again))


def _answer(policy: Policy, beliefs: Beliefs) -> Vector:
    try:
        answer = policy.probabilities(beliefs)
    except Exception as error:  # whatever a stranger's code may do
        raise BrokenPromise(ANSWERS, in_words(error)) from error
    for promise, example in wrongs(answer, len(beliefs.arm_ids)):
        if promise == SHAPE:
            raise BrokenPromise(SHAPE, example)
    return answer


def _shown(beliefs: Beliefs) -> str:
    utility, sd = shown(beliefs.utility), shown(beliefs.sampling_sd)
    return f"K = {len(beliefs.arm_ids)}, utility {utility}, sampling_sd {sd}"
