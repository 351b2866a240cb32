import pytest

from banditroute.datasets import load


def line(prompt, **arms):
    return {
        "prompt": prompt,
        "difficulty": "trivial",
        "best_arm": "lab/a",
        "best_reward": 1.0,
        "worst_reward": 0.4,
        "reward_spread": 0.6,
        "arms": {
            f"lab/{arm}": {"reward": reward, "cost": cost, "near_best": True}
            for arm, (reward, cost) in arms.items()
        },
        "source": "mbpp",
    }


def test_the_rewards_and_costs_of_every_arm_are_read(lines):
    path = lines(
        "val_k4.jsonl",
        [
            line("one", a=(0.4, 3.7e-5), b=(1.0, 6e-4)),
            line("two", b=(0.9, 6e-4), a=(0.5, None)),
            line("two", a=(1.0, 3e-5)),
        ],
    )
    data = load(path)
    assert data.name == "val_k4"
    assert data.arms == ("lab/a", "lab/b")
    assert data.prompts == ("one", "two")
    assert data.tasks == ("mbpp", "mbpp")
    assert data.quality.tolist() == [[0.4, 1.0], [0.5, 0.9]]
    assert data.cost_usd[0].tolist() == [3.7e-5, 6e-4]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (line("x", a=(1.5, 0)), "key arms.lab/a.reward, row 1 is 1.5; it must be between 0 and 1"),
        (line("x", a=("A", 0)), "key arms.lab/a.reward, row 1 is a str; it must be a number"),
        (line("x", a=(1, -1)), "key arms.lab/a.cost, row 1 is -1; it must be finite and not nega"),
        (line(None, a=(1, 1)), "key prompt, row 1 is None; every row needs a text"),
        ({"prompt": "x"}, "key arms, row 1 is missing; it has prompt"),
        ({"prompt": "x", "arms": [1]}, "key arms, row 1 is a list; it must be an object"),
        ({"prompt": "x", "arms": {"a": 1}}, "key arms.a, row 1 is 1; it must be an object"),
        ({"prompt": "x", "arms": {"a": {}}}, "key arms.a.reward, row 1 is missing; it has none"),
    ],
)
def test_a_malformed_line_is_refused_with_its_place(lines, complaint, broken, said):
    path = lines("val.jsonl", [line("one", a=(1.0, 0.1)), broken])
    assert f"{path}: {said}" in complaint(path)
