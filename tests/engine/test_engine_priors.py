"""What is known of arms from elsewhere: it counts from the first request on, everywhere."""

from dataclasses import replace

import numpy as np
import pytest
from doubles import arm, asking, engine_on, memory, router, running

from banditroute.core.policies import Greedy
from banditroute.core.priors import prior_of
from banditroute.errors import InvalidRequest
from banditroute.values import Learned

pytestmark = pytest.mark.anyio

SKILL = {  # of a synthetic world; who is best at each task differs
    "coder": {"code": 0.9, "chat": 0.3},
    "talker": {"code": 0.3, "chat": 0.9},
    "middling": {"code": 0.6, "chat": 0.6},
}
BEST = {"code": "coder", "chat": "talker"}
TEXTS = ["Write a function", "What is new?", "Sort these: 3, 1, 2", "Tell me more", "Why?"]
LINES = 500


def spec(**changes):
    return router(*(arm(arm_id) for arm_id in SKILL), **changes)


def priors(engine, lines=LINES, seed=4):
    """The priors of all arms, from so many judged answers of the world."""
    rng = np.random.default_rng(seed)
    probes = {arm_id: ([], []) for arm_id in SKILL}
    for _ in range(lines):
        arm_id, task = str(rng.choice(list(SKILL))), str(rng.choice(list(BEST)))
        xs, scores = probes[arm_id]
        xs.append(engine.featurizer.context(asking(str(rng.choice(TEXTS)), task=task)).x)
        scores.append(float(np.clip(rng.normal(SKILL[arm_id][task], 0.2), 0.0, 1.0)))
    return [
        prior_of(
            np.array(xs),
            np.array(scores),
            np.ones(len(xs)),
            id_=engine.mint.feedback_id(),
            arm_id=arm_id,
            at_s=engine.clock(),
        )
        for arm_id, (xs, scores) in probes.items()
    ]


def chance_of_the_best(engine, task):
    """How probably the first request of a task goes to the arm that is best at it."""
    made = engine.decide("auto", asking("Something nobody asked before", task=task))
    return next(c.probability for c in made.candidates if c.arm_id == BEST[task])


@pytest.mark.parametrize("task", BEST)
async def test_the_first_request_of_each_task_goes_to_the_arm_that_priors_say_is_best(clock, task):
    async with running(engine_on(memory(clock), clock, spec())) as engine:
        before = chance_of_the_best(engine, task)
        for prior in priors(engine):
            assert await engine.announce("auto", prior) is Learned.LEARNED
        after = chance_of_the_best(engine, task)
    assert before < 0.5  # three arms of which nothing is known
    assert after > 0.9 * (1.0 - 0.05)  # the floor is spread over all of them


async def test_every_replica_decides_from_a_prior(shared, clock):
    greedy = spec(policy=Greedy(), floor=0.0)
    async with (
        running(engine_on(shared(), clock, greedy, seed=1)) as ours,
        running(engine_on(shared(), clock, greedy, seed=2)) as theirs,
    ):
        for prior in priors(ours):
            await ours.announce("auto", prior)
        await theirs.level("auto")
        assert await ours.digest("auto") == await theirs.digest("auto")
        for task, best in BEST.items():
            assert theirs.decide("auto", asking("Something else", task=task)).arm_id == best
    async with running(engine_on(shared(), clock, greedy, seed=3)) as late:
        await late.level("auto")
        for task, best in BEST.items():
            assert late.decide("auto", asking("Something else", task=task)).arm_id == best


async def test_a_prior_that_nothing_can_be_learned_from_is_not_logged(store, clock):
    async with running(engine_on(store, clock, spec())) as engine:
        await engine.level("auto")
        first = priors(engine)[0]
        head = await store.head("auto")
        for changes in ({"n": -1.0}, {"square": np.nan}, {"moment": np.ones(2)}):
            with pytest.raises(InvalidRequest, match="the prior of arm 'coder'"):
                await engine.announce("auto", replace(first, **changes))
        assert await store.head("auto") == head
