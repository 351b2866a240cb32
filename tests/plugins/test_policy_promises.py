"""Each promise of a policy, broken: it is found, and named with an example."""

from __future__ import annotations

import random
from itertools import count

import numpy as np
import pytest

from banditroute.core.policies import POLICY_NAMES, Greedy, Thompson
from banditroute.errors import ContractBroken, PluginError
from banditroute.plugins import check_policy, is_own, load_policy, policy_examples
from banditroute.plugins.contract import ANSWERS, CHANCE, KEPT, NAMED, ORDER, PURE, UNTOUCHED
from banditroute.plugins.distributions import FINITE, POSITIVE, SHAPE, SUM


class Even:
    """Keeps every promise. The classes below change one thing."""

    spec = "mine"

    def probabilities(self, beliefs):
        return np.full(len(beliefs.arm_ids), 1.0 / len(beliefs.arm_ids))


class Nameless(Even):
    spec = None


class Blank(Even):
    spec = " "


class Renamed(Even):
    names = count()

    @property
    def spec(self):
        return f"mine:{next(self.names)}"


class Unnameable(Even):
    @property
    def spec(self):
        raise KeyError("name")


class Impostor(Even):
    spec = "thompson:mine"


class Silent:
    spec = "mine"


class AfraidOfOne(Even):
    def probabilities(self, beliefs):
        if len(beliefs.arm_ids) == 1:
            raise ZeroDivisionError("no gap between one arm and the next")
        return super().probabilities(beliefs)


class Listing(Even):
    def probabilities(self, beliefs):
        return super().probabilities(beliefs).tolist()


class Overlong(Even):
    def probabilities(self, beliefs):
        return np.full(len(beliefs.arm_ids) + 1, 1.0 / (len(beliefs.arm_ids) + 1))


class Tall(Even):
    def probabilities(self, beliefs):
        return super().probabilities(beliefs)[:, None]


class Whole(Even):
    """All on the best, in integers."""

    def probabilities(self, beliefs):
        return (Greedy().probabilities(beliefs) == 1.0).astype(np.int64)


class Softmax(Even):
    """Overflows where utilities are extreme, and nowhere else."""

    def probabilities(self, beliefs):
        with np.errstate(over="ignore", invalid="ignore"):
            weight = np.exp(beliefs.utility / 0.1)
            return weight / weight.sum()


class Below(Even):
    def probabilities(self, beliefs):
        share = super().probabilities(beliefs)
        return share + (beliefs.quality - beliefs.quality.mean()) * 1e3


class Short(Even):
    def probabilities(self, beliefs):
        return super().probabilities(beliefs) * (1.0 - 1e-6)


class BelowAndShort(Below):
    def probabilities(self, beliefs):
        return super().probabilities(beliefs) * 0.9


class Alternating(Even):
    """Greedy at every second question."""

    def __init__(self):
        self.asked = 0

    def probabilities(self, beliefs):
        self.asked += 1
        return (super() if self.asked % 2 else Greedy()).probabilities(beliefs)


class Maturing(Even):
    """Greedy from the twentieth question on."""

    def __init__(self):
        self.asked = 0

    def probabilities(self, beliefs):
        self.asked += 1
        return (super() if self.asked < 20 else Greedy()).probabilities(beliefs)


class Sampling(Even):
    """Draws from a generator of its own."""

    def __init__(self):
        self.rng = np.random.default_rng(0)

    def probabilities(self, beliefs):
        return self.rng.dirichlet(np.ones(len(beliefs.arm_ids)))


class SharedSampling(Even):
    def probabilities(self, beliefs):
        return np.random.dirichlet(np.ones(len(beliefs.arm_ids)))


class Seeding(Even):
    """Sets the generator that everybody shares."""

    def probabilities(self, beliefs):
        random.seed(1)
        return super().probabilities(beliefs)


class Writing(Even):
    def probabilities(self, beliefs):
        beliefs.quality_sd[:] = 0.0
        return super().probabilities(beliefs)


class Caching(Even):
    """Hands out what it will hand out again."""

    def __init__(self):
        self.kept = {}

    def probabilities(self, beliefs):
        key = len(beliefs.arm_ids)
        return self.kept.setdefault(key, super().probabilities(beliefs))


class First(Even):
    """Prefers the first arm for being the first."""

    def probabilities(self, beliefs):
        chosen = np.zeros(len(beliefs.arm_ids))
        chosen[0] = 1.0
        return chosen


BROKEN = [
    (Nameless, {NAMED}),
    (Blank, {NAMED}),
    (Renamed, {NAMED}),
    (Unnameable, {NAMED}),
    (Impostor, {NAMED}),
    (Silent, {ANSWERS}),
    (AfraidOfOne, {ANSWERS}),
    (Listing, {SHAPE}),
    (Overlong, {SHAPE}),
    (Tall, {SHAPE}),
    (Whole, {SHAPE}),
    (Softmax, {FINITE}),
    (Below, {POSITIVE}),
    (Short, {SUM}),
    (BelowAndShort, {POSITIVE, SUM}),
    (Alternating, {PURE}),
    (Maturing, {PURE}),
    (Sampling, {PURE}),
    (SharedSampling, {PURE, CHANCE}),
    (Seeding, {CHANCE}),
    (Writing, {UNTOUCHED}),
    (Caching, {KEPT}),
    (First, {ORDER}),
]


def broken_by(policy):
    with pytest.raises(ContractBroken) as found:
        check_policy(policy)
    return found.value


@pytest.mark.parametrize(("cls", "promises"), BROKEN, ids=[cls.__name__ for cls, _ in BROKEN])
def test_what_is_broken_is_named_and_nothing_else(cls, promises):
    found = broken_by(cls())
    assert {text.split(": ")[0] for text in found.broken} == promises
    assert str(found).startswith(f"{cls.__name__} breaks {len(promises)} promise")
    assert all(f"\n  - {promise}: " in str(found) for promise in promises)


def test_every_promise_is_broken_by_some_class_here():
    assert set().union(*(promises for _, promises in BROKEN)) == {
        NAMED, ANSWERS, SHAPE, FINITE, POSITIVE, SUM, PURE, CHANCE, UNTOUCHED, KEPT, ORDER,
    }  # fmt: skip


def test_a_policy_that_keeps_them_all_passes():
    check_policy(Even())


def test_checking_leaves_the_shared_generators_where_they_were():
    random.seed(3)
    np.random.seed(3)
    before = random.random(), np.random.random()
    random.seed(3)
    np.random.seed(3)
    broken_by(Seeding())
    broken_by(SharedSampling())
    assert (random.random(), np.random.random()) == before


def test_ties_may_be_broken_by_place():
    """An argmax is no fault: only arms that differ must not depend on their order."""

    class Argmax(Even):
        def probabilities(self, beliefs):
            return np.eye(len(beliefs.arm_ids))[np.argmax(beliefs.utility)]

    check_policy(Argmax())


def test_an_answer_that_nobody_can_write_to_may_be_handed_out_again():
    class Sealed(Caching):
        def probabilities(self, beliefs):
            answer = super().probabilities(beliefs)
            answer.setflags(write=False)
            return answer

    check_policy(Sealed())


def test_the_example_that_is_named_shows_the_fault():
    (text,) = broken_by(Softmax()).broken
    number = int(text.partition("policy_examples()[")[2].partition("]")[0])
    beliefs = policy_examples()[number]
    assert not np.all(np.isfinite(Softmax().probabilities(beliefs)))
    assert f"K = {len(beliefs.arm_ids)}, utility [" in text
    assert all(np.all(np.isfinite(Softmax().probabilities(b))) for b in policy_examples()[:number])


def test_an_error_is_told_with_its_message():
    (text,) = broken_by(AfraidOfOne()).broken
    assert "ZeroDivisionError: no gap between one arm and the next, for policy_ex" in text


def test_the_examples_are_the_readers_to_write_to():
    policy_examples()[0].utility[:] = 17.0
    assert policy_examples()[0].utility[0] != 17.0


OWN = """
from banditroute.core.policies import EpsilonGreedy

class Mine(EpsilonGreedy):
    spec = "mine"

    def __init__(self, epsilon="0.1"):
        object.__setattr__(self, "epsilon", float(epsilon))

class Short(Mine):
    def probabilities(self, beliefs):
        return 0.5 * super().probabilities(beliefs)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "my_policy.py").write_text(OWN)
    return tmp_path


def test_a_built_in_policy_is_loaded_by_its_name():
    assert load_policy("thompson") == Thompson()
    assert load_policy("linucb:0.3").alpha == 0.3


def test_a_policy_of_ones_own_is_made_with_what_follows_a_second_colon(folder):
    assert load_policy("my_policy.py:Mine", folder).epsilon == 0.1
    assert load_policy("my_policy.py:Mine:0.7", folder).epsilon == 0.7
    assert load_policy("banditroute.core.policies:Fixed:an-arm").arm_id == "an-arm"


def test_a_policy_of_ones_own_must_keep_the_contract(folder):
    with pytest.raises(ContractBroken, match=r"^my_policy.py:Short breaks 1 promise:\n  - the pro"):
        load_policy("my_policy.py:Short", folder)


def test_a_policy_that_cannot_be_made_says_how_it_was_called(folder):
    with pytest.raises(PluginError, match=r"cannot be made by Mine\('x'\): ValueError: could not"):
        load_policy("my_policy.py:Mine:x", folder)


@pytest.mark.parametrize("spec", ["thomson", "linucb:much"])
def test_an_unknown_built_in_policy_is_refused(spec):
    with pytest.raises(PluginError, match=rf"^{spec}: .*; or name your own, as in my_policy.py:"):
        load_policy(spec)


def test_what_only_can_be_ones_own_is_told_from_built_in_names():
    assert not any(is_own(f"{name}:1") or is_own(name) for name in POLICY_NAMES)
    assert all(map(is_own, ["a.py:B", "a.b:C", "a.py", "../a.py:B:0.3"]))
    assert not is_own("context-free")
