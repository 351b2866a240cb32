from dataclasses import replace

import numpy as np
import pytest

from banditroute.datasets import Dataset
from banditroute.errors import UpstreamError, UpstreamFault
from banditroute.providers.replay import Replay
from banditroute.values import Arm

NAN = float("nan")
DATA = Dataset(
    name="tiny",
    prompts=("p0", "p1", "p0"),
    prompt_ids=("i0", "i1", "i2"),
    tasks=("code", None, "code"),
    arms=("cheap", "dear"),
    quality=np.array([[0.25, 1.0], [0.5, 0.75], [0.0, 0.0]]),
    cost_usd=np.array([[1e-5, 2e-4], [NAN, 3e-4], [0, 0]]),
    latency_s=np.array([[0.5, 2.0], [NAN, 1.0], [0, 0]]),
    input_tokens=np.array([[10.0, 11.0], [NAN, NAN], [0, 0]]),
    output_tokens=np.array([[20.0, NAN], [NAN, NAN], [0, 0]]),
)


def arm(model, **prices):
    prices = {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0} | prices
    return Arm("id-of-" + model, "sim", model, **prices)


def ask(prompt):
    return {"messages": [{"role": "user", "content": prompt}], "max_tokens": 1, "tools": ["x"]}


def test_an_arm_answers_with_what_was_recorded_of_its_model():
    cell = Replay(DATA).answer(arm("cheap"), ask("p0"))
    assert (cell.quality, cell.cost_usd, cell.latency_s) == (0.25, 1e-5, 0.5)
    assert (cell.input_tokens, cell.output_tokens) == (10, 20)
    assert (cell.task, cell.tool, cell.fails, cell.truncated) == ("code", None, False, False)
    assert cell.spent_usd(arm("cheap")) == 1e-5


def test_unknown_output_tokens_are_as_many_as_explain_the_cost():
    cell = Replay(DATA).answer(arm("dear"), ask("p0"))
    assert cell.input_tokens == 11
    explained = arm("dear").cost_usd(cell.input_tokens, cell.output_tokens)
    assert explained == pytest.approx(2e-4, abs=1e-6)  # half a token
    only_output = arm("dear", input_usd_per_mtok=0.0, output_usd_per_mtok=10.0)
    assert Replay(DATA).answer(only_output, ask("p1")).output_tokens == 30


def test_what_is_not_known_is_not_invented():
    cell = Replay(DATA).answer(arm("cheap"), ask("p1"))
    assert (cell.cost_usd, cell.latency_s, cell.output_tokens, cell.task) == (None, 0.0, 0, None)
    free = arm("dear", output_usd_per_mtok=0.0)
    assert Replay(DATA).answer(free, ask("p0")).output_tokens == 0
    bare = replace(DATA, cost_usd=None, latency_s=None, input_tokens=None, output_tokens=None)
    cell = Replay(bare).answer(arm("dear"), ask("p0"))
    assert (cell.quality, cell.cost_usd, cell.latency_s, cell.output_tokens) == (1.0, None, 0.0, 0)


def test_of_two_prompts_with_the_same_text_the_first_is_played():
    assert Replay(DATA).answer(arm("dear"), ask("p0")).quality == 1.0


def test_an_unknown_prompt_is_the_callers_to_mend():
    with pytest.raises(UpstreamError, match="only knows the prompts of its data folder") as caught:
        Replay(DATA).answer(arm("dear"), ask("secret words"))
    assert caught.value.fault is UpstreamFault.BAD_REQUEST
    assert caught.value.arm_id == "id-of-dear"
    assert "secret" not in str(caught.value)


def test_an_unknown_model_is_not_found():
    with pytest.raises(UpstreamError) as caught:
        Replay(DATA).answer(arm("other"), ask("p0"))
    assert caught.value.fault is UpstreamFault.NOT_FOUND
