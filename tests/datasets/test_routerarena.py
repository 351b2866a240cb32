import pytest

from banditroute.datasets import load


def answer(model, index, score, cost=0.001):
    return {
        "global_index": index,
        "question": f"question of {index}",
        "llm_selected": model,
        "generated_answer": "\\boxed{42}",
        "token_usage": {"input_tokens": 10, "output_tokens": 20, "total_tokens": 30},
        "success": True,
        "provider": "somebody",
        "error": None,
        "evaluation_result": None
        if score is None
        else {"score": score, "metric": "mcq_accuracy", "inference_cost": cost},
    }


@pytest.fixture
def cached(tmp_path, lines):
    lines(
        "arena/cached_results/one.jsonl",
        [
            answer("lab/one", "AIME_112", 0.0),
            answer("lab/one", "QANTA_Social Science_1438", 1.0),
            answer("lab/one", "FinQA_1", 1.0),
        ],
    )
    lines(
        "arena/cached_results/two.jsonl",
        [
            answer("two", "QANTA_Social Science_1438", 0.5, 0.002),
            answer("two", "FinQA_1", None),
            answer("two", "AIME_112", 1.0, 0.002),
        ],
    )
    return tmp_path / "arena"


@pytest.mark.parametrize("named", [None, "routerarena"])
@pytest.mark.parametrize("folder", [".", "cached_results"])
def test_the_files_of_the_models_are_joined(cached, folder, named):
    data = load(cached / folder, named)
    assert data.arms == ("lab/one", "two")
    assert data.prompt_ids == ("AIME_112", "QANTA_Social Science_1438")
    assert data.prompts[0] == "question of AIME_112"
    assert data.tasks == ("AIME", "QANTA_Social Science")
    assert data.quality.tolist() == [[0, 1], [1, 0.5]]
    assert data.cost_usd.tolist() == [[0.001, 0.002], [0.001, 0.002]]
    assert data.input_tokens.tolist() == [[10, 10], [10, 10]]
    assert data.output_tokens.tolist() == [[20, 20], [20, 20]]


def test_one_file_is_one_arm(cached):
    data = load(cached / "cached_results/one.jsonl")
    assert data.name == "one"
    assert data.quality.tolist() == [[0], [1], [1]]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"global_index": 3}, "key global_index, row 1 is 3; every row needs a text"),
        ({"question": None}, "key question, row 1 is None; every row needs a text"),
        ({"evaluation_result": 1}, "key evaluation_result, row 1 is 1; it must be an object"),
        ({"evaluation_result": {"score": 3}}, "key evaluation_result.score, row 1 is 3; it must"),
        ({"evaluation_result": {"score": "A"}}, "key evaluation_result.score, row 1 is a str; it"),
        ({"token_usage": {"input_tokens": -1}}, "key token_usage.input_tokens, row 1 is -1; it m"),
        ({"global_index": "A_1"}, "key evaluation_result.score, row 1 repeats the outcome of"),
    ],
)
def test_a_malformed_line_is_refused_with_its_place(lines, complaint, changed, said):
    path = lines("x.jsonl", [answer("m", "A_1", 1.0), answer("m", "A_2", 1.0) | changed])
    assert f"{path}: {said}" in complaint(path)


def test_a_line_without_its_result_is_refused(lines, complaint):
    broken = {k: v for k, v in answer("m", "A_1", 1.0).items() if k != "evaluation_result"}
    assert "key evaluation_result, row 0 is missing" in complaint(lines("x.jsonl", [broken]))
