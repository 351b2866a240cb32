import pytest

from banditroute.providers.base import Usage, usage_of


def test_usage_is_read_with_its_details():
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 4,
        "prompt_tokens_details": {"cached_tokens": 5},
        "cost": 0.25,
    }
    assert usage_of({"usage": usage}) == Usage(9, 4, 5, 0.25)


@pytest.mark.parametrize("body", [{}, {"usage": None}, {"usage": []}, {"usage": {}}])
def test_usage_that_was_not_sent_is_unknown_and_not_zero(body):
    assert usage_of(body) == Usage(None, None, None, None)


@pytest.mark.parametrize("junk", [-1, 1e10, 2.5, "3", None, True, float("nan"), [1]])
def test_a_count_that_is_none_is_unknown(junk):
    usage = {"prompt_tokens": junk, "prompt_tokens_details": {"cached_tokens": junk}}
    assert usage_of({"usage": usage}) == Usage()


@pytest.mark.parametrize("junk", [-0.1, 1e7, "0.2", None, True, float("nan"), float("inf"), [1]])
def test_a_cost_that_is_none_is_unknown(junk):
    assert usage_of({"usage": {"cost": junk}}) == Usage()
