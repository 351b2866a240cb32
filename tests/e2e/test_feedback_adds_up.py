"""Two servers, one told everything wrong first, twice over: in the end both know the same."""

import random

import httpx
import pytest
from e2e_server import ARMS, asking, fast_server
from patience import PATIENCE_S

REL = 1e-9  # sums of the same numbers, added and taken away in another order
AGREED = ("feedback_n", "quality")
COUNT = 24


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """Clients of two servers with a store each, and on both some routers to teach apart."""
    routers = ("taken-back", "few", "silent")
    with (
        fast_server(tmp_path_factory.mktemp("corrected"), *routers) as (corrected, _),
        fast_server(tmp_path_factory.mktemp("final"), *routers) as (final, _),
        httpx.Client(base_url=corrected, timeout=PATIENCE_S) as one,
        httpx.Client(base_url=final, timeout=PATIENCE_S) as other,
    ):
        yield one, other


def decided(http, count, router):
    """Ids of ``count`` decisions, the same arms in turn for the same prompts on every server."""

    def route(number):
        arm = ARMS[number % len(ARMS)]
        # "auto" is the first router of every arm; of another one the arm is the only candidate.
        named = {"model": arm} if router == "auto" else {"model": router}
        wishes = {"candidates": [arm]}
        body = {"messages": asking(f"Question {number}"), "banditroute": wishes, **named}
        decision = http.post("/v1/route", json=body).raise_for_status().json()
        assert (decision["router"], decision["arm"]) == (router, arm)
        return decision["decision_id"]

    return [route(number) for number in range(count)]


def say(http, decision_id, *scores):
    """Post the scores in order, None for a retraction; returns what became of each."""

    def one(score):
        if score is None:
            return http.delete(f"/feedback/{decision_id}")
        return http.post("/feedback", json={"id": decision_id, "score": score})

    return [one(score).raise_for_status().json()["status"] for score in scores]


def scores(count):
    rng = random.Random(7)
    return [rng.random() for _ in range(count)]


def learned(http, router, *fields):
    """What a server knows: each arm's fields, in order."""
    arms = http.get("/v1/arms", params={"router": router}).raise_for_status().json()["data"]
    return [[arm[field] for field in fields] for arm in arms]


def assert_same(twins, router, *fields):
    one, other = (learned(http, router, *fields) for http in twins)
    for mine, yours in zip(one, other, strict=True):
        assert mine == pytest.approx(yours, rel=REL, abs=0)


@pytest.fixture(scope="module")
def amended(twins):
    """Feedback on the router "auto": wrong, wrong, right, right; and only right."""
    corrected, final = twins
    ids = [decided(http, COUNT, "auto") for http in twins]
    for one, other, score in zip(*ids, scores(COUNT), strict=True):
        said = say(corrected, one, 1 - score, 1 - score, score, score)
        assert said == ["learned", "unchanged", "amended", "unchanged"]
        assert say(final, other, score) == ["learned"]


@pytest.fixture(scope="module")
def taken_back(twins):
    """Every third feedback was retracted, twice; and was never given."""
    corrected, final = twins
    ids = [decided(http, COUNT, "taken-back") for http in twins]
    for number, (one, other, score) in enumerate(zip(*ids, scores(COUNT), strict=True)):
        if number % 3:
            assert say(corrected, one, score) == say(final, other, score) == ["learned"]
        else:
            assert say(corrected, one, score, None, None) == ["learned", "retracted", "unchanged"]


@pytest.mark.usefixtures("amended")
def test_amended_feedback_counts_as_if_only_the_last_word_had_come(twins):
    assert_same(twins, "auto", *AGREED)
    assert sum(n for (n,) in learned(twins[0], "auto", "feedback_n")) == COUNT


@pytest.mark.usefixtures("taken_back")
def test_retracted_feedback_counts_as_if_it_had_never_come(twins):
    assert_same(twins, "taken-back", *AGREED)
    assert sum(n for (n,) in learned(twins[0], "taken-back", "feedback_n")) == COUNT * 2 // 3


@pytest.mark.usefixtures("amended", "taken_back")
@pytest.mark.parametrize("router", ["auto", "taken-back"])
def test_the_width_too_is_as_if_only_the_last_word_had_come(twins, router):
    assert_same(twins, router, "quality_sd")


def test_whoever_takes_back_all_they_said_has_said_nothing(twins):
    corrected, _ = twins
    everything = (*AGREED, "quality_sd", "requests_n", "cost_usd", "latency_s", "share")
    before = learned(corrected, "silent", *everything)
    for decision_id in decided(corrected, len(ARMS), "silent"):
        say(corrected, decision_id, 0.3, 0.6, None)
    assert learned(corrected, "silent", *everything) == before
