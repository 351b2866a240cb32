"""Each promise of a player, broken: it is found, and named with an example."""

from __future__ import annotations

import math
import random
from time import perf_counter

import numpy as np
import pytest
from rival_examples import linear_problem

from banditroute.core.choice import Rules
from banditroute.core.policies import Greedy, Thompson
from banditroute.errors import ContractBroken
from banditroute.plugins.distributions import FINITE, POSITIVE, SHAPE, SUM
from banditroute.simulation import Learner, RouterPlayer, check_player, shared_argmax
from banditroute.simulation.contract import (
    ALIKE,
    BARRED,
    CHANCE,
    COPES,
    PLAIN,
    UNTOUCHED,
    example_problem,
)


class Even(Learner):
    """Keeps every promise. The classes below change one thing."""

    def __init__(self, arms, dimension):
        super().__init__()
        self.arms = arms
        self.learned = 0

    def choose(self, ask, rows):
        return np.full(len(rows), 1.0 / len(rows))

    def learn(self, ask, row, reward):
        self.learned += 1


class Listing(Even):
    def probabilities(self, ask):
        return super().probabilities(ask).tolist()


class OpenOnly(Even):
    """Leaves barred arms out instead of giving them 0."""

    def probabilities(self, ask):
        chances = super().probabilities(ask)
        return chances[chances > 0.0]


class Undefined(Even):
    def choose(self, ask, rows):
        return super().choose(ask, rows) * np.nan


class Below(Even):
    def choose(self, ask, rows):
        chances = super().choose(ask, rows)
        chances[0] += 2.0
        chances[-1] -= 2.0
        return chances


class Short(Even):
    def choose(self, ask, rows):
        return super().choose(ask, rows) * (1.0 - 1e-6)


class Hopeful(Even):
    """Keeps a floor for every arm, barred or not."""

    def probabilities(self, ask):
        return 0.99 * super().probabilities(ask) + 0.01 / self.arms


class Sampling(Even):
    def choose(self, ask, rows):
        return np.random.dirichlet(np.ones(len(rows)))


class Seeding(Even):
    def __init__(self, arms, dimension):
        super().__init__(arms, dimension)
        random.seed(0)


class Unseeded(Even):
    """Has a generator of its own, that begins somewhere else each time."""

    def __init__(self, arms, dimension):
        super().__init__(arms, dimension)
        self.rng = np.random.default_rng()

    def choose(self, ask, rows):
        return self.rng.dirichlet(np.ones(len(rows)))


class Clocked(Even):
    """Forgets by the clock on the wall."""

    def choose(self, ask, rows):
        chances = np.exp(-np.arange(len(rows)) * (perf_counter() % 1.0))
        return chances / chances.sum()


class Sharing(Even):
    """Remembers in the class what belongs in the player."""

    pulls = np.zeros(3)

    def choose(self, ask, rows):
        return shared_argmax(-self.pulls[rows])

    def learn(self, ask, row, reward):
        self.pulls[row] += 1.0


class Scaling(Even):
    """Scales the context in place."""

    def choose(self, ask, rows):
        x = ask.context.x
        x /= np.linalg.norm(x)
        x[0] = 2.0
        return super().choose(ask, rows)


class Stuck(Even):
    def learn(self, ask, row, reward):
        raise RuntimeError("cannot learn")


class Uncalled(Even):
    def called(self, ask, row, propensity, cell):
        raise RuntimeError("cannot be called")


class Unmade(Even):
    """Forgot to begin as a learner does."""

    def __init__(self, arms, dimension):
        self.arms = arms


class Prompt(Even):
    """Takes every judgement for one of the last answer."""

    def choose(self, ask, rows):
        self.last = ask.at
        return super().choose(ask, rows)

    def learn(self, ask, row, reward):
        if ask.at != self.last:
            raise LookupError(f"{ask.at} is not {self.last}")


class Ordered(Even):
    """Takes judgements for ordered."""

    last = -1

    def learn(self, ask, row, reward):
        if ask.at < self.last:
            raise LookupError(f"{ask.at} after {self.last}")
        self.last = ask.at


class Impatient(Even):
    """Divides by how often it was told something."""

    def choose(self, ask, rows):
        if ask.at > 20:
            assert 1 / self.learned
        return super().choose(ask, rows)


class Free(Even):
    """Takes answers to be worth infinitely much, and gives up where they are not."""

    def choose(self, ask, rows):
        if math.isfinite(ask.answer_value_usd):
            raise ValueError("costs")
        return super().choose(ask, rows)


class Repriced(Even):
    """Takes prices for fixed."""

    roster = None

    def choose(self, ask, rows):
        self.roster = self.roster or ask.roster
        if ask.roster is not self.roster:
            raise ValueError("prices changed")
        return super().choose(ask, rows)


class Complete(Even):
    """Takes all arms for there from the beginning."""

    def choose(self, ask, rows):
        if len(rows) < self.arms and not ask.failed:
            raise ValueError("arms are missing")
        return super().choose(ask, rows)


class Trusting(Even):
    """Takes every call for answered."""

    def called(self, ask, row, propensity, cell):
        super().called(ask, row, propensity, cell)
        if cell.failed:
            raise ValueError("no answer")


class Comparing(Even):
    """Takes a second arm for granted at the beginning."""

    def __init__(self, arms, dimension):
        super().__init__(arms, dimension)
        self.first, self.second, *_ = range(arms) if arms > 1 else (0, None)

    def choose(self, ask, rows):
        if self.second is None:
            raise IndexError("no second arm")
        return super().choose(ask, rows)


LATE, NONE = COPES.format("rare and late feedback"), COPES.format("no feedback")
TURNED, COSTS = (
    COPES.format("feedback in another order"),
    COPES.format("costs that count, and change"),
)
ARRIVALS, FAILURES = COPES.format("arms that arrive"), COPES.format("calls that fail")
ALONE, ALL = COPES.format("a single arm"), COPES.format(PLAIN)

BROKEN = [
    (Listing, {SHAPE}),
    (OpenOnly, {SHAPE}),
    (Undefined, {FINITE}),
    (Below, {POSITIVE}),
    (Short, {SUM}),
    (Hopeful, {BARRED}),
    (Sampling, {ALIKE, CHANCE}),
    (Seeding, {CHANCE}),
    (Unseeded, {ALIKE}),
    (Clocked, {ALIKE}),
    (Sharing, {ALIKE}),
    (Scaling, {UNTOUCHED}),
    (Stuck, {ALL}),
    (Uncalled, {ALL}),
    (Unmade, {ALL}),
    (Prompt, {LATE, TURNED}),
    (Ordered, {TURNED}),
    (Impatient, {NONE}),
    (Free, {COSTS}),
    (Repriced, {COSTS}),
    (Complete, {ARRIVALS}),
    (Trusting, {FAILURES}),
    (Comparing, {ALONE}),
]


def factory(cls):
    return lambda problem, _, __: cls(len(problem.roster), problem.groups.dimension)


def broken_by(cls, problem=None):
    with pytest.raises(ContractBroken) as found:
        check_player(factory(cls), problem, name="mine")
    return found.value


@pytest.mark.parametrize(("cls", "promises"), BROKEN, ids=[cls.__name__ for cls, _ in BROKEN])
def test_what_is_broken_is_named_and_nothing_else(cls, promises):
    found = broken_by(cls)
    assert {text.split(": ")[0] for text in found.broken} == promises
    assert str(found).startswith(f"mine breaks {len(promises)} promise")


def test_every_promise_is_broken_by_some_class_here():
    assert set().union(*(promises for _, promises in BROKEN)) == {
        SHAPE, FINITE, POSITIVE, SUM, BARRED, ALIKE, CHANCE, UNTOUCHED,
        ALL, LATE, NONE, TURNED, COSTS, ARRIVALS, FAILURES, ALONE,
    }  # fmt: skip


def test_a_player_that_keeps_them_all_passes():
    check_player(factory(Even))


@pytest.mark.parametrize("policy", [Thompson(), Greedy()])
def test_the_router_itself_passes(policy):
    check_player(lambda problem, _, __: RouterPlayer(problem.groups, Rules(policy, 0.005, 0)))


@pytest.mark.parametrize(("prompts", "arms"), [(5, 1), (7, 2), (60, 9)])
def test_another_problem_may_be_played(prompts, arms, rng):
    problem = linear_problem(rng, prompts, arms)
    check_player(factory(Even), problem)
    before = [context.x.copy() for context in problem.contexts]
    assert UNTOUCHED in str(broken_by(Scaling, problem))
    np.testing.assert_array_equal([context.x for context in problem.contexts], before)


def test_an_error_is_told_with_the_request_it_came_at():
    (text,) = broken_by(Ordered).broken
    assert text == f"{TURNED}: told() of request 3: LookupError: 3 after 4"
    (text,) = broken_by(Stuck).broken
    assert text == f"{ALL}: told() of request 0: RuntimeError: cannot learn"


def test_a_wrong_answer_is_told_with_the_request_it_was_for():
    (text,) = broken_by(Hopeful).broken
    assert text.endswith("gets 0.00333333, at request 0 with arms that arrive")


def test_the_problem_played_is_always_the_same():
    first, second = example_problem(), example_problem()
    np.testing.assert_array_equal(first.quality, second.quality)
    assert first.roster == second.roster
