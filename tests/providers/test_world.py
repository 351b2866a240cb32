import json
import subprocess
import sys

import numpy as np
import pytest

from banditroute.errors import ConfigError
from banditroute.providers.prompts import demo_prompts
from banditroute.providers.scene import estimated_tokens, last_user_text
from banditroute.providers.world import World
from banditroute.values import Arm

PROMPTS = demo_prompts(3000, seed=7)


def arm(name="a", **settings):
    return Arm(name, "sim", "m", 1.0, 2.0, settings=settings)


def ask(prompt, **fields):
    return {"messages": [{"role": "user", "content": prompt}], **fields}


def qualities(world, one, task=None):
    return np.array([world.answer(one, ask(p)).quality for t, p in PROMPTS if task in (None, t)])


def test_the_same_prompt_to_the_same_arm_always_earns_the_same():
    world = World(1)
    for _, prompt in PROMPTS[:50]:
        body = ask(prompt)
        assert (
            world.answer(arm(), body) == world.answer(arm(), body) == World(1).answer(arm(), body)
        )


def test_another_seed_is_another_world():
    assert (qualities(World(1), arm()) != qualities(World(2), arm())).mean() > 0.9


def test_another_process_sees_the_same_world():
    program = """
import json
from banditroute.providers.world import World
from banditroute.values import Arm
world = World(-5)
arm = Arm("a", "sim", "m", 1.0, 2.0, settings={"failure_rate": 0.5})
cells = [world.answer(arm, {"messages": [{"role": "user", "content": f"p{n}"}]}) for n in range(9)]
print(json.dumps([[c.quality, c.output_tokens, c.latency_s, c.fails] for c in cells]))
"""
    runs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
        for _ in range(2)
    ]
    assert runs[0].stdout == runs[1].stdout
    here = World(-5)
    cells = [here.answer(arm(failure_rate=0.5), ask(f"p{n}")) for n in range(9)]
    seen = [[c.quality, c.output_tokens, c.latency_s, c.fails] for c in cells]
    assert json.loads(runs[0].stdout) == seen


@pytest.mark.parametrize("skill", [0.1, 0.6, 0.9])
def test_the_mean_quality_is_the_skill(skill):
    got = qualities(World(3), arm(skill={"default": skill}))
    assert abs(got.mean() - skill) < 5 * got.std() / len(got) ** 0.5
    assert got.std() > 0.05


def test_skills_differ_by_task():
    one = arm(skill={"default": 0.8, "code": 0.2})
    for task, skill in (("code", 0.2), ("maths", 0.8)):
        got = qualities(World(3), one, task)
        assert abs(got.mean() - skill) < 5 * got.std() / len(got) ** 0.5


@pytest.mark.parametrize("skill", [0.0, 1.0])
def test_an_arm_may_be_hopeless_or_perfect(skill):
    assert set(qualities(World(3), arm(skill={"default": skill}))) == {skill}


def test_two_arms_find_the_same_prompts_hard_but_not_only_those():
    world = World(3)
    r = np.corrcoef(qualities(world, arm("a")), qualities(world, arm("b")))[0, 1]
    assert 0.3 < r < 0.7


def test_lengths_and_latencies_centre_on_their_settings():
    world, one = World(3), arm(output_tokens=200, latency_s=0.5)
    cells = [world.answer(one, ask(p)) for _, p in PROMPTS]
    tokens = np.array([c.output_tokens for c in cells])
    latencies = np.array([c.latency_s for c in cells])
    assert abs(tokens.mean() - 200) < 5 * tokens.std() / len(cells) ** 0.5
    assert abs((latencies > 0.5).mean() - 0.5) < 5 * 0.5 / len(cells) ** 0.5
    assert latencies.std() > 0.05


def test_calls_fail_at_their_rate_and_each_call_anew():
    world, one = World(3), arm(failure_rate=0.2)
    fails = np.array([world.answer(one, ask("the same")).fails for _ in range(3000)])
    assert abs(fails.mean() - 0.2) < 5 * (0.2 * 0.8 / 3000) ** 0.5
    assert not any(world.answer(arm("b"), ask(p)).fails for _, p in PROMPTS[:200])


def test_the_cost_is_the_list_price_of_the_tokens():
    cell = World(3).answer(arm(), ask("hello"))
    assert cell.cost_usd is None
    assert cell.spent_usd(arm()) == (cell.input_tokens * 1.0 + cell.output_tokens * 2.0) / 1e6


def test_max_tokens_cuts_the_answer_and_its_worth():
    world, one = World(3), arm(output_tokens=200)
    whole = world.answer(one, ask("hello"))
    half = world.answer(one, ask("hello", max_tokens=whole.output_tokens // 2))
    assert half.truncated
    assert half.output_tokens == len(half.text.split()) == whole.output_tokens // 2
    assert half.quality == pytest.approx(whole.quality / 2, rel=0.02)
    assert world.answer(one, ask("hello", max_completion_tokens=10)).output_tokens == 10
    for no_limit in (None, 0, -3, True, "7", whole.output_tokens):
        assert world.answer(one, ask("hello", max_tokens=no_limit)) == whole


def test_json_mode_answers_a_json_object():
    for kind in ("json_object", "json_schema"):
        cell = World(3).answer(arm(), ask("hello", response_format={"type": kind}))
        assert json.loads(cell.text)["task"] == "chat"


def tool(name):
    return {"type": "function", "function": {"name": name}}


@pytest.mark.parametrize(
    ("fields", "called"),
    [
        ({"tools": [tool("f"), tool("g")]}, "f"),
        ({"tools": [tool("f"), tool("g")], "tool_choice": tool("g")}, "g"),
        ({"tools": [tool("f")], "tool_choice": "auto"}, "f"),
        ({"tools": [tool("f")], "tool_choice": "none"}, None),
        ({"tools": []}, None),
        ({"tools": ["junk", {"function": 3}, tool(7), tool("f")]}, "f"),
        ({"tools": "junk"}, None),
        ({"tool_choice": tool("g")}, None),
    ],
)
def test_a_tool_is_called_when_one_is_offered(fields, called):
    assert World(3).answer(arm(), ask("hello", **fields)).tool == called


def test_after_a_tools_result_the_answer_is_in_words():
    body = ask("hello", tools=[tool("f")])
    body["messages"].append({"role": "tool", "content": "42"})
    assert World(3).answer(arm(), body).tool is None


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"skill": 0.5}, 1),
        ({"skill": {"code": 1.5, "default": "x"}}, 2),
        ({"output_tokens": 0, "latency_s": -1, "failure_rate": True}, 3),
        ({"latency_s": float("nan")}, 1),
    ],
)
def test_all_that_is_wrong_with_the_settings_is_said_at_once(settings, count):
    with pytest.raises(ConfigError) as caught:
        World(3).answer(arm(**settings), ask("hello"))
    assert len(caught.value.problems) == count


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "a"),
        ([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}], "b"),
        ([{"role": "user", "content": [{"text": "a"}, {"image_url": "x"}, {"text": "b"}]}], "a\nb"),
        ([{"role": "system", "content": "a"}], ""),
        (["junk", {"role": "user"}, {"role": ["x"]}], ""),
        ("junk", ""),
    ],
)
def test_the_prompt_is_the_text_of_the_last_user_message(messages, text):
    body = {"messages": messages}
    assert last_user_text(body) == text
    assert estimated_tokens(body) >= 0
    assert World(3).answer(arm(), body) == World(3).answer(arm(), body)


def test_a_lone_surrogate_is_a_prompt_like_any_other():
    assert 0 <= World(3).answer(arm(), ask("\ud800")).quality <= 1
